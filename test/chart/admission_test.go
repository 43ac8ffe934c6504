package chart

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func TestTheAPIServerTakesEveryObjectWithoutAWarning(t *testing.T) {
	eachSetup(t, func(t *testing.T, setup string) {
		if stdout, stderr, err := dryRun(rendering(t, setup)); err != nil || stderr != "" {
			t.Errorf("got %v\n%s%s", err, stdout, stderr)
		}
	})
}

// That the test above can fail.
func TestTheAPIServerRefusesAFieldThatIsNone(t *testing.T) {
	manifest := rendering(t, "default")
	for name, test := range map[string]struct{ old, new string }{
		"in a Deployment":                   {"revisionHistoryLimit:", "revisionHistroyLimit:"},
		"in a container":                    {"readOnlyRootFilesystem:", "readOnlyRootFileSystem:"},
		"in a webhook":                      {"matchPolicy:", "matchPolcy:"},
		"an expression that does not parse": {"key.startsWith(", "key.startsWhat("},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.ReplaceAll(manifest, test.old, test.new)
			if changed == manifest {
				t.Fatalf("there is no %q", test.old)
			}
			if stdout, _, err := dryRun(changed); err == nil {
				t.Errorf("taken:\n%s", stdout)
			}
		})
	}
}

// dryRun has the API server look at a manifest, strictly, and change nothing.
func dryRun(manifest string) (stdout, stderr string, err error) {
	return shared.cluster.Kubectl(manifest, "apply", "--server-side", "--dry-run=server", "--validate=strict", "--namespace", home, "-f", "-")
}

// restricted is a namespace that takes only pods of the standard "restricted".
type restricted struct {
	client *kubernetes.Clientset
	name   string
}

func newRestricted(t *testing.T) restricted {
	t.Helper()
	config := rest.CopyConfig(shared.cluster.Admin)
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	r := restricted{client, "restricted"}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: r.name, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce":         "restricted",
		"pod-security.kubernetes.io/enforce-version": "latest",
	}}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	for _, name := range []string{"default", "clamav-sidecar-webhook"} {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := client.CoreV1().ServiceAccounts(r.name).Create(t.Context(), account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	return r
}

// admit has the API server look at the pod of a template, and gives what it would
// have stored.
func (r restricted) admit(t *testing.T, template corev1.PodTemplateSpec) (*corev1.Pod, error) {
	t.Helper()
	return r.client.CoreV1().Pods(r.name).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "pod-", Labels: template.Labels, Annotations: template.Annotations},
		Spec:       template.Spec,
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// templates gives the pod templates of a set-up by the names of their workloads,
// those of a StatefulSet with its volumes, as its controller makes the pods.
func templates(t *testing.T, objects inventory) map[string]corev1.PodTemplateSpec {
	t.Helper()
	found := map[string]corev1.PodTemplateSpec{}
	for _, object := range objects.of("Deployment") {
		found[object.GetName()] = convert[appsv1.Deployment](t, object).Spec.Template
	}
	for _, object := range objects.of("StatefulSet") {
		set := convert[appsv1.StatefulSet](t, object)
		template := set.Spec.Template
		for _, claim := range set.Spec.VolumeClaimTemplates {
			template.Spec.Volumes = append(template.Spec.Volumes, corev1.Volume{Name: claim.Name, VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-" + set.Name + "-0"},
			}})
		}
		found[object.GetName()] = template
	}
	if len(found) == 0 {
		t.Fatal("no workloads")
	}
	return found
}

// convert gives an object its type. Fields that the type lacks are a fault.
func convert[T any](t *testing.T, object *unstructured.Unstructured) *T {
	t.Helper()
	typed := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, typed, true); err != nil {
		t.Fatalf("%s %s: %v", object.GetKind(), object.GetName(), err)
	}
	return typed
}

func TestEveryPodIsRestrictedAndFrugal(t *testing.T) {
	namespace := newRestricted(t)
	eachSetup(t, func(t *testing.T, setup string) {
		for workload, template := range templates(t, rendered(t, setup)) {
			pod, err := namespace.admit(t, template)
			if err != nil {
				t.Errorf("%s: %v", workload, err)
				continue
			}
			wantToken := workload == "clamav-sidecar-webhook"
			for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
				if problems := excesses(container, wantToken); len(problems) > 0 {
					t.Errorf("%s, container %s: %s", workload, container.Name, strings.Join(problems, ", "))
				}
			}
		}
	})
}

// excesses gives what a container lacks of bounds or has too much of rights.
func excesses(container corev1.Container, wantToken bool) []string {
	var problems []string
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if request := container.Resources.Requests[name]; request.Sign() <= 0 {
			problems = append(problems, "no request of "+string(name))
		}
	}
	if container.Resources.Limits.Memory().Sign() <= 0 {
		problems = append(problems, "no limit of memory")
	}
	if readOnly := container.SecurityContext.ReadOnlyRootFilesystem; readOnly == nil || !*readOnly {
		problems = append(problems, "its root file system can be written")
	}
	token := false
	for _, mount := range container.VolumeMounts {
		token = token || mount.MountPath == "/var/run/secrets/kubernetes.io/serviceaccount"
	}
	if token != wantToken {
		problems = append(problems, map[bool]string{true: "it has a token", false: "it has no token"}[token])
	}
	return problems
}

// That the test above can fail: each of these takes one thing from a pod that is
// admitted with it.
func TestAPodThatIsNotRestrictedIsRefused(t *testing.T) {
	namespace := newRestricted(t)
	for name, change := range map[string]func(*corev1.PodSpec){
		"a privileged container": func(p *corev1.PodSpec) {
			c := p.Containers[0].SecurityContext
			c.Privileged, c.AllowPrivilegeEscalation = new(true), nil
		},
		"a container that may add": func(p *corev1.PodSpec) { p.InitContainers[0].SecurityContext.Capabilities = nil },
		"as root":                  func(p *corev1.PodSpec) { p.SecurityContext.RunAsUser = new(int64(0)) },
		"perhaps as root":          func(p *corev1.PodSpec) { p.SecurityContext.RunAsNonRoot = nil },
		"without a seccomp filter": func(p *corev1.PodSpec) { p.SecurityContext.SeccompProfile = nil },
		"on the node's network":    func(p *corev1.PodSpec) { p.HostNetwork = true },
	} {
		t.Run(name, func(t *testing.T) {
			template := templates(t, rendered(t, "default"))["clamav"]
			change(&template.Spec)
			if _, err := namespace.admit(t, template); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `violates PodSecurity "restricted:latest"`) {
				t.Errorf("got %v, want it refused by Pod Security", err)
			}
		})
	}
}
