//go:build e2e

package e2e

import (
	"context"
	_ "embed"
	"maps"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/e2e-framework/klient/k8s"
	"sigs.k8s.io/e2e-framework/pkg/envconf"

	"clamav-sidecar/test/corpus"
	"clamav-sidecar/webhook/inject"
)

// appContainer is the name of the container in an app's pod.
const appContainer = "app"

// scanScript is what apps scan with.
//
//go:embed testdata/scan.sh
var scanScript string

// allFound is what scanScript prints where all works.
const allFound = "clean http 200\ninfected http 406\nclean clamdscan 0\ninfected clamdscan 1\n"

// asks is the annotation by which a pod asks for scanning.
func asks(more ...string) map[string]string {
	annotations := map[string]string{inject.InjectAnnotation: "true"}
	for i := 0; i < len(more); i += 2 {
		annotations[inject.Prefix+more[i]] = more[i+1]
	}
	return annotations
}

// team is a namespace with apps of a team.
type team struct {
	namespace string
}

// newTeam makes a namespace with labels, and in it the files that apps scan. It
// goes when the test has ended; nobody waits for it.
func newTeam(t *testing.T, labels map[string]string) *team {
	t.Helper()
	ctx := context.Background()
	of := &team{namespace: envconf.RandomName("clamav-sidecar-e2e", 30)}
	must(t, system.createNamespace(ctx, of.namespace, labels))
	t.Cleanup(func() {
		if err := system.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: of.namespace}}); err != nil {
			t.Errorf("delete namespace %s: %v", of.namespace, err)
		}
	})
	of.create(ctx, t, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "files", Namespace: of.namespace},
		Data:       map[string]string{"scan.sh": scanScript},
		BinaryData: map[string][]byte{"clean": corpus.Clean(), "infected": corpus.EICAR()},
	})
	return of
}

// appPod is the pod of an app, which runs a shell script. Its image brings curl and
// clamdscan along. Pod Security and quotas find nothing amiss in it.
func (c *cluster) appPod(script string) corev1.PodSpec {
	user, yes, no := int64(1000), true, false
	size := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("10m"),
		corev1.ResourceMemory: resource.MustParse("32Mi"),
	}
	limits := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("1"),
		corev1.ResourceMemory: resource.MustParse("128Mi"),
	}
	return corev1.PodSpec{
		AutomountServiceAccountToken:  &no,
		TerminationGracePeriodSeconds: new(int64), // sh makes nothing of SIGTERM
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   &yes,
			RunAsUser:      &user,
			RunAsGroup:     &user,
			FSGroup:        &user,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name:      appContainer,
			Image:     c.images + "/test-clamd:" + c.tag,
			Command:   []string{"sh", "-c", script},
			Resources: corev1.ResourceRequirements{Requests: size, Limits: limits},
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: &no,
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
			VolumeMounts: []corev1.VolumeMount{
				{Name: "temporary", MountPath: "/tmp"},
				{Name: "files", MountPath: "/files", ReadOnly: true},
			},
		}},
		Volumes: []corev1.Volume{
			{Name: "temporary", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "files", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "files"},
			}}},
		},
	}
}

// webApp is a Deployment of an app that runs until it is told to end.
func (of *team) webApp(name string, annotations map[string]string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	d := deploymentNamed(of.namespace, name)
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	d.Spec.Template = corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(labels), Annotations: annotations},
		Spec:       system.appPod("exec sleep 100000"),
	}
	return d
}

// deploy makes a webApp and returns its pod when that is ready.
func (of *team) deploy(ctx context.Context, t *testing.T, name string, annotations map[string]string) *corev1.Pod {
	t.Helper()
	of.create(ctx, t, of.webApp(name, annotations))
	system.rolledOut(ctx, t, of.namespace, name)
	return of.pod(ctx, t, name)
}

// pod is the one pod of a webApp.
func (of *team) pod(ctx context.Context, t *testing.T, app string) *corev1.Pod {
	t.Helper()
	pods := system.podsOf(ctx, t, of.namespace, "app="+app)
	if len(pods) != 1 {
		t.Fatalf("app %s has %d pods, want 1", app, len(pods))
	}
	return &pods[0]
}

func (of *team) create(ctx context.Context, t *testing.T, object k8s.Object) {
	t.Helper()
	if err := system.Create(ctx, object); err != nil {
		t.Fatalf("create %T %s: %v", object, object.GetName(), err)
	}
}

// run runs a shell script in an app's container and returns its exit status and
// what it has written.
func run(ctx context.Context, t *testing.T, pod *corev1.Pod, script string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	status, output, err := system.exec(ctx, pod, appContainer, script, nil)
	must(t, err)
	return status, output
}

// wantScans wants an app to find what is infected, in every way.
func wantScans(ctx context.Context, t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if _, got := run(ctx, t, pod, "sh /files/scan.sh once"); got != allFound {
		t.Errorf("%s/%s: got\n%s, want\n%s", pod.Namespace, pod.Name, got, allFound)
	}
}

// sidecarOf is our container in a pod, nil if there is none.
func sidecarOf(pod *corev1.Pod) *corev1.Container {
	all := append(slices.Clone(pod.Spec.InitContainers), pod.Spec.Containers...)
	for i := range all {
		if all[i].Name == inject.ContainerName {
			return &all[i]
		}
	}
	return nil
}

// wantUntouched wants nothing of ours in a pod.
func wantUntouched(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if sidecarOf(pod) != nil {
		t.Errorf("%s has container %s", pod.Name, inject.ContainerName)
	}
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == inject.VolumeName {
			t.Errorf("%s has volume %s", pod.Name, inject.VolumeName)
		}
	}
	if env := pod.Spec.Containers[0].Env; len(env) != 0 {
		t.Errorf("%s has variables %v, want none", pod.Name, env)
	}
	if pod.Annotations[inject.StatusAnnotation] != "" || pod.Labels[inject.InjectedLabel] != "" {
		t.Errorf("%s has annotations %v and labels %v", pod.Name, pod.Annotations, pod.Labels)
	}
}
