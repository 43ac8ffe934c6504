package webhook_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"clamav-sidecar/webhook/inject"
)

// pod is a manifest with one app container; extra goes into metadata and spec.
func pod(name, metadata, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q%s},"spec":{"containers":[{"name":"app","image":"app"}]%s}}`,
		name, metadata, spec)
}

const asks = `,"annotations":{"clamav-sidecar/inject":"true"}`

// workload is a manifest; metadata goes into its own metadata, template into
// that of the pod template.
func workload(kind, name, metadata, template string) string {
	podTemplate := fmt.Sprintf(`{"metadata":{"labels":{"app":"web"}%s},"spec":{"containers":[{"name":"app","image":"app"}]%%s}}`, template)
	object := func(version, spec string) string {
		return fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q%s},"spec":%s}`, version, kind, name, metadata, spec)
	}
	switch kind {
	case "Job":
		return object("batch/v1", fmt.Sprintf(`{"template":`+podTemplate+`}`, `,"restartPolicy":"Never"`))
	case "CronJob":
		return object("batch/v1", fmt.Sprintf(`{"schedule":"@daily","jobTemplate":{"spec":{"template":`+podTemplate+`}}}`,
			`,"restartPolicy":"Never"`))
	case "StatefulSet":
		return object("apps/v1", fmt.Sprintf(`{"serviceName":"web","selector":{"matchLabels":{"app":"web"}},"template":`+podTemplate+`}`, ""))
	}
	return object("apps/v1", fmt.Sprintf(`{"selector":{"matchLabels":{"app":"web"}},"template":`+podTemplate+`}`, ""))
}

// checkInjected looks for all that the injection adds.
func checkInjected(t *testing.T, p *corev1.Pod) {
	t.Helper()
	if !slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool {
		return v.Name == inject.VolumeName && v.ConfigMap != nil && v.ConfigMap.Name == "clamav-configuration"
	}) {
		t.Errorf("%s has no volume with the client configuration: %v", p.Name, p.Spec.Volumes)
	}
	app := p.Spec.Containers[0]
	if !slices.ContainsFunc(app.VolumeMounts, func(m corev1.VolumeMount) bool {
		return m.Name == inject.VolumeName && m.MountPath == "/etc/clamav" && m.ReadOnly
	}) {
		t.Errorf("%s: the app does not mount it: %v", p.Name, app.VolumeMounts)
	}
	for name, want := range map[string]string{
		"CLAMD_CONF_FILENAME": "/etc/clamav/clamd.conf", "CLAMAV_SCAN_URL": "http://127.0.0.1:3311/v1/scan",
	} {
		if !slices.Contains(app.Env, corev1.EnvVar{Name: name, Value: want}) {
			t.Errorf("%s: the app's environment is %v, want %s=%s in it", p.Name, app.Env, name, want)
		}
	}
	if len(p.Spec.InitContainers) == 0 || p.Spec.InitContainers[0].Name != inject.ContainerName ||
		p.Spec.InitContainers[0].RestartPolicy == nil || *p.Spec.InitContainers[0].RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Errorf("%s: the init containers are %v, want the native sidecar first", p.Name, p.Spec.InitContainers)
	}
	if got := p.Labels[inject.InjectedLabel]; got != inject.Injected {
		t.Errorf("%s: the labels are %v, want %s: %q in them", p.Name, p.Labels, inject.InjectedLabel, inject.Injected)
	}
	var status inject.Status
	if err := json.Unmarshal([]byte(p.Annotations[inject.StatusAnnotation]), &status); err != nil || status.Version != "test" ||
		status.Mode != inject.Native || !slices.Equal(status.Containers, []string{"app"}) {
		t.Errorf("%s: the status is %+v (%v)", p.Name, status, err)
	}
}

func TestWhatIsAnnotatedIsInjected(t *testing.T) {
	in := install(t, 1)
	namespace := in.namespace()
	t.Run("a bare pod", func(t *testing.T) {
		before := in.count("already-injected")
		in.apply(pod("bare", asks, ""), "-n", namespace)
		p := get[corev1.Pod](in, "pod", "bare", "-n", namespace)
		checkInjected(t, p)
		// The sidecar gets a token too, which is a change of another plugin's.
		if in.count("already-injected") == before || len(p.Spec.InitContainers) != 1 {
			t.Errorf("%d init containers, %d requests for an injected pod, want one, and at least one: the API server asks again",
				len(p.Spec.InitContainers), in.count("already-injected")-before)
		}
	})
	t.Run("and found by its label, which a pod that did not ask has not", func(t *testing.T) {
		in.apply(pod("plain", "", ""), "-n", namespace)
		got, _ := in.kubectl("", "get", "pods", "-n", namespace, "-l", "clamav-sidecar/injected=true", "-o", "name")
		if want := "pod/bare\n"; got != want {
			t.Errorf("kubectl gets %q, want %q", got, want)
		}
	})
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"} {
		for where, manifest := range map[string]string{
			"on the template":            workload(kind, "template", "", asks),
			"on the " + kind + " itself": workload(kind, "itself", asks, ""),
		} {
			t.Run("the pods of a "+kind+" with the annotation "+where, func(t *testing.T) {
				warnings := in.apply(manifest, "-n", namespace)
				name := strings.ToLower(kind)
				object := "template"
				if warned, want := strings.Contains(warnings, "carried to"), strings.Contains(where, "itself"); warned != want {
					t.Errorf("warnings are %q, want one that the annotation was carried: %v", warnings, want)
				} else if want {
					object = "itself"
				}
				template := templateOf(in, namespace, name, object)
				p, err := in.podOf(namespace, template, metav1.OwnerReference{APIVersion: "v1", Kind: kind, Name: object})
				if err != nil {
					t.Fatal(err)
				}
				checkInjected(t, p)
			})
		}
	}
}

// templateOf is the stored pod template of a workload.
func templateOf(in *installation, namespace, kind, name string) corev1.PodTemplateSpec {
	in.t.Helper()
	if kind == "cronjob" {
		return get[batchv1.CronJob](in, kind, name, "-n", namespace).Spec.JobTemplate.Spec.Template
	}
	// Those of the others stand at the same place.
	return get[appsv1.Deployment](in, kind, name, "-n", namespace).Spec.Template
}

func TestAPodWithoutAnnotationIsStoredAsIsAndTheWebhookNeverSeesIt(t *testing.T) {
	namespace := prepare(t).namespace()
	manifest := pod("plain", `,"annotations":{"team":"x"},"labels":{"clamav-sidecar":"inject"}`, `,"volumes":[{"name":"v","emptyDir":{}}]`)
	spec := func(in *installation) string {
		in.apply(manifest, "-n", namespace)
		defer in.kubectl("", "delete", "pod", "plain", "-n", namespace, "--grace-period=0", "--force")
		p := get[corev1.Pod](in, "pod", "plain", "-n", namespace)
		p.UID, p.ResourceVersion, p.CreationTimestamp, p.ManagedFields = "", "", metav1.Time{}, nil
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := withoutTokenName(string(text), p); got != string(text) {
			return got
		}
		t.Fatal("the pod has no token: this is no API server as in a cluster")
		return ""
	}
	bare := &installation{t: t}
	bare.kubectl("", "delete", "mutatingwebhookconfigurations", "--all")
	without := spec(bare)
	in := install(t, 1)
	with := spec(in)
	if with != without {
		t.Errorf("with the webhook the stored pod is\n%s\nwant what it is without:\n%s", with, without)
	}
	if got := in.admissions(); got != 0 {
		t.Errorf("the webhook has had %d requests, want none", got)
	}
	in.apply(pod("asks", asks, ""), "-n", namespace)
	checkInjected(t, get[corev1.Pod](in, "pod", "asks", "-n", namespace))
	if in.admissions() == 0 {
		t.Error("after a pod that asks the counter is still 0: it would not have shown a request")
	}
}

func TestAnnotationsOnAWorkloadItselfAreKeptInStep(t *testing.T) {
	in := install(t, 1)
	namespace := in.namespace()
	carried := func() string {
		template := templateOf(in, namespace, "deployment", "web")
		for key, value := range template.Annotations {
			if key != inject.WorkloadAnnotation {
				t.Errorf("the template has the annotation %s: %s", key, value)
			}
		}
		return template.Annotations[inject.WorkloadAnnotation]
	}
	annotated := func(annotations string) string {
		return workload("Deployment", "web", `,"annotations":{`+annotations+`}`, "")
	}
	for _, step := range []struct{ what, manifest, want string }{
		{"created", annotated(`"clamav-sidecar/inject":"true","clamav-sidecar/max-file-size":"50M"`),
			`{"clamav-sidecar/inject":"true","clamav-sidecar/max-file-size":"50M"}`},
		{"changed", annotated(`"clamav-sidecar/inject":"true","clamav-sidecar/max-file-size":"80M"`),
			`{"clamav-sidecar/inject":"true","clamav-sidecar/max-file-size":"80M"}`},
		{"one removed", annotated(`"clamav-sidecar/inject":"true"`), `{"clamav-sidecar/inject":"true"}`},
		{"all removed", workload("Deployment", "web", "", ""), ""},
	} {
		in.apply(step.manifest, "-n", namespace)
		if got := carried(); got != step.want {
			t.Errorf("%s: the template has %s, want %s", step.what, got, step.want)
		}
	}
	t.Run("and what a team moves to the template stays there", func(t *testing.T) {
		in.apply(workload("Deployment", "moved", asks, ""), "-n", namespace)
		in.apply(workload("Deployment", "moved", "", asks), "-n", namespace)
		got := templateOf(in, namespace, "deployment", "moved").Annotations
		if len(got) != 1 || got[inject.InjectAnnotation] != "true" {
			t.Errorf("the template's annotations are %v, want the one that was moved there", got)
		}
	})
	t.Run("and replacing the whole object changes nothing", func(t *testing.T) {
		manifest := workload("Deployment", "replaced", asks, "")
		in.apply(manifest, "-n", namespace)
		before := get[appsv1.Deployment](in, "deployment", "replaced", "-n", namespace)
		in.kubectl(manifest, "replace", "-f", "-", "-n", namespace)
		after := get[appsv1.Deployment](in, "deployment", "replaced", "-n", namespace)
		if got, want := after.Spec.Template, before.Spec.Template; !equality.Semantic.DeepEqual(got, want) {
			t.Errorf("the template is %+v, want it as before: %+v", got, want)
		}
	})
	t.Run("but not for a Job, whose pods cannot be changed", func(t *testing.T) {
		in.apply(workload("Job", "once", "", ""), "-n", namespace)
		_, warnings := in.kubectl("", "annotate", "job", "once", "-n", namespace, "clamav-sidecar/inject=true")
		if !strings.Contains(warnings, "deleted and created again") {
			t.Errorf("warnings are %q, want one that says what to do", warnings)
		}
	})
}

func TestFaultsAreRefusedAtApplyAllInOneMessage(t *testing.T) {
	in := install(t, 1)
	namespace := in.namespace()
	for name, test := range map[string]struct {
		manifest string
		want     []string
	}{
		"a slip in a name and a size that is none": {
			workload("Deployment", "web", "", `,"annotations":{"clamav-sidecar/injct":"true","clamav-sidecar/max-file-size":"lots"}`),
			[]string{`"web" is invalid`, "spec.template.metadata.annotations[clamav-sidecar/injct]", "did you mean clamav-sidecar/inject?",
				"spec.template.metadata.annotations[clamav-sidecar/max-file-size]", `"lots"`, "want a size"},
		},
		"the same on the workload itself": {
			workload("CronJob", "web", `,"annotations":{"clamav-sidecar/injct":"true"}`, ""),
			[]string{"metadata.annotations[clamav-sidecar/injct]", "did you mean clamav-sidecar/inject?"},
		},
		"another volume at our mount": {
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","annotations":{"clamav-sidecar/inject":"true"}},"spec":{"volumes":[{"name":"mine","emptyDir":{}}],
				"containers":[{"name":"app","image":"app","volumeMounts":[{"name":"mine","mountPath":"/etc/clamav"}]}]}}`,
			[]string{"spec.containers[0].volumeMounts[0].mountPath", `"mine"`, `"app"`, "/etc/clamav"},
		},
		"a container named like the sidecar": {
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","annotations":{"clamav-sidecar/inject":"true"}},"spec":{
				"containers":[{"name":"app","image":"app"},{"name":"clamav-sidecar","image":"app"}]}}`,
			[]string{"spec.containers[1].name", `"clamav-sidecar"`, "rename"},
		},
		"a declared port of the sidecar's": {
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","annotations":{"clamav-sidecar/inject":"true"}},"spec":{"containers":[{"name":"app","image":"app","ports":[
				{"containerPort":3310},{"containerPort":3311},{"containerPort":3312},{"containerPort":3312,"protocol":"UDP"}]}]}}`,
			[]string{"ports[0].containerPort", "ports[1].containerPort", "ports[2].containerPort", `"app"`, "clamav-sidecar/http-port"},
		},
		"a volume named like ours": {
			pod("p", asks, `,"volumes":[{"name":"clamav-configuration","emptyDir":{}}]`),
			[]string{"spec.volumes[0].name", `"clamav-configuration"`, "rename"},
		},
		"hostNetwork": {pod("p", asks, `,"hostNetwork":true`), []string{"spec.hostNetwork", "node's"}},
		"Windows":     {pod("p", asks, `,"os":{"name":"windows"}`), []string{"spec.os.name", "Linux only"}},
	} {
		t.Run(name, func(t *testing.T) {
			message := in.refuse(test.manifest, "-n", namespace)
			for _, want := range test.want {
				if !strings.Contains(message, want) {
					t.Errorf("the message is\n%s\nwant %q in it", message, want)
				}
			}
		})
	}
}

func TestAVariableThatIsSetIsKeptWithAWarning(t *testing.T) {
	in := install(t, 1)
	namespace := in.namespace()
	warnings := in.apply(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","annotations":{"clamav-sidecar/inject":"true"}},"spec":{
		"containers":[{"name":"app","image":"app","env":[{"name":"CLAMD_CONF_FILENAME","value":"/mine"}]}]}}`, "-n", namespace)
	if !strings.Contains(warnings, "CLAMD_CONF_FILENAME is set already and kept") {
		t.Errorf("warnings are %q", warnings)
	}
	env := get[corev1.Pod](in, "pod", "p", "-n", namespace).Spec.Containers[0].Env
	if len(env) != 2 || env[0] != (corev1.EnvVar{Name: "CLAMD_CONF_FILENAME", Value: "/mine"}) {
		t.Errorf("the environment is %v", env)
	}
}

func TestANamespaceCanAskForAllItsPods(t *testing.T) {
	in := install(t, 1)
	namespace := in.namespace(inject.NamespaceLabel + "=" + inject.NamespaceEnabled)
	owner := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web"}
	app := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}}}
	t.Run("they are injected", func(t *testing.T) {
		p, err := in.podOf(namespace, app, owner)
		if err != nil {
			t.Fatal(err)
		}
		checkInjected(t, p)
	})
	t.Run("with settings by annotation", func(t *testing.T) {
		in.apply(pod("set", `,"annotations":{"clamav-sidecar/log-level":"debug"}`, ""), "-n", namespace)
		p := get[corev1.Pod](in, "pod", "set", "-n", namespace)
		checkInjected(t, p)
		if args := p.Spec.InitContainers[0].Args; !slices.Contains(args, "--log-level=debug") {
			t.Errorf("the arguments are %q, want the log level of the annotation", args)
		}
	})
	t.Run("unless they opt out", func(t *testing.T) {
		in.apply(pod("out", `,"annotations":{"clamav-sidecar/inject":"false"}`, ""), "-n", namespace)
		if p := get[corev1.Pod](in, "pod", "out", "-n", namespace); len(p.Spec.InitContainers) != 0 {
			t.Errorf("injected: %v", p.Spec.InitContainers)
		}
	})
	t.Run("and one that cannot be is let through, with an event that says why", func(t *testing.T) {
		host := *app.DeepCopy()
		host.Spec.HostNetwork = true
		p, err := in.podOf(namespace, host, owner)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Spec.InitContainers) != 0 {
			t.Errorf("injected: %v", p.Spec.InitContainers)
		}
		in.eventually("an event", func() error {
			events, _ := in.kubectl("", "get", "events.events.k8s.io", "-n", namespace, "-o", "jsonpath={.items[*].regarding.name} {.items[*].note}")
			if !strings.Contains(events, "hostNetwork") || !strings.HasPrefix(events, "web") {
				return fmt.Errorf("events are %q", events)
			}
			return nil
		})
	})
}

func TestTheWebhooksOwnNamespaceAndKubeSystemAreLeftAlone(t *testing.T) {
	in := install(t, 1)
	for _, namespace := range []string{home, "kube-system"} {
		cluster.Kubectl("", "create", "serviceaccount", "default", "--namespace", namespace)
		name := "left-alone"
		in.apply(pod(name, asks, ""), "-n", namespace)
		if p := get[corev1.Pod](in, "pod", name, "-n", namespace); len(p.Spec.InitContainers) != 0 {
			t.Errorf("in %s it is injected: %v", namespace, p.Spec.InitContainers)
		}
		in.kubectl("", "delete", "pod", name, "-n", namespace, "--force", "--grace-period=0")
	}
	if got := in.admissions(); got != 0 {
		t.Errorf("the webhook has had %d requests, want none", got)
	}
}
