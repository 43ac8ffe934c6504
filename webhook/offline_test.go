package webhook_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"clamav-sidecar/webhook/config"
	"clamav-sidecar/webhook/inject"
	"clamav-sidecar/webhook/manifest"
)

// TestTheCommandLineMakesThePodsThatTheWebhookMakes applies what kubectl clamav
// inject prints to a cluster without the webhook, and the example itself to one
// with it.
func TestTheCommandLineMakesThePodsThatTheWebhookMakes(t *testing.T) {
	examples, err := filepath.Glob("../manifests/examples/*.yaml")
	if err != nil || len(examples) == 0 {
		t.Fatalf("there are no examples (%v)", err)
	}
	examples = append(examples, onWorkload(t))

	without := prepare(t)
	without.kubectl("", "delete", "mutatingwebhookconfigurations", "--all")
	offline := map[string]map[string]string{}
	for _, example := range examples {
		offline[example] = without.podsOf(injectedOffline(t, without.file, example))
	}
	with := install(t, 1)
	for _, example := range examples {
		t.Run(filepath.Base(example), func(t *testing.T) {
			online := with.podsOf(read(t, example))
			if len(online) != len(offline[example]) || len(online) == 0 {
				t.Errorf("%d pods with the webhook, %d without, want the same and at least one", len(online), len(offline[example]))
			}
			injected := false
			for name, want := range online {
				if got := offline[example][name]; got != want {
					t.Errorf("%s: the command line makes what is after the arrow of what the webhook makes:\n%s", name, differences(want, got))
				}
				injected = injected || strings.Contains(want, inject.ContainerName)
			}
			if !injected {
				t.Error("no pod of the example is injected")
			}
		})
	}
}

// differences are the lines that differ.
func differences(want, got string) string {
	var text strings.Builder
	gotLines := strings.Split(got, "\n")
	for i, line := range strings.Split(want, "\n") {
		if i >= len(gotLines) || line != gotLines[i] {
			fmt.Fprintf(&text, "%d: %s -> %s\n", i, line, strings.Join(gotLines[min(i, len(gotLines)):min(i+1, len(gotLines))], ""))
		}
	}
	return text.String()
}

// onWorkload is an example of annotations that stand on the workload itself.
func onWorkload(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "on-workload.yaml")
	if err := os.WriteFile(path, []byte(workload("CronJob", "nightly", asks, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// injectedOffline is what kubectl clamav prints with the webhook's configuration.
func injectedOffline(t *testing.T, configuration, example string) string {
	t.Helper()
	file, err := config.Load(configuration)
	if err != nil {
		t.Fatal(err)
	}
	inputs, err := manifest.Open([]string{example}, nil)
	if err != nil {
		t.Fatal(err)
	}
	output := manifest.Inject(&inject.Injector{Defaults: file.Sidecar, Native: true, Version: "test"}, inputs)
	if len(output.Faults) > 0 {
		t.Fatal(output.Faults)
	}
	var text bytes.Buffer
	if err := output.Print(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// podsOf applies a manifest to a namespace of its own and gives, by name, the
// pods that come of it: their annotations and spec in JSON.
func (in *installation) podsOf(manifest string) map[string]string {
	in.t.Helper()
	namespace := in.namespace()
	if strings.Contains(manifest, "clamav-sidecar/inject: enabled") { // an example with a namespace of its own
		in.apply(manifest)
		namespace = "intake"
		in.kubectl("", "create", "serviceaccount", "default", "-n", namespace)
		defer in.discard(namespace)
	} else {
		in.apply(manifest, "-n", namespace)
	}
	pods := map[string]string{}
	// Pods come first, before there are those of the others.
	for _, kind := range []string{"Pod", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"} {
		names, _ := in.kubectl("", "get", strings.ToLower(kind), "-n", namespace, "-o", "jsonpath={.items[*].metadata.name}")
		for name := range strings.FieldsSeq(names) {
			var p *corev1.Pod
			if kind == "Pod" {
				p = get[corev1.Pod](in, "pod", name, "-n", namespace)
			} else {
				template := templateOf(in, namespace, strings.ToLower(kind), name)
				if kind == "StatefulSet" {
					template.Spec.Volumes = append(template.Spec.Volumes, in.claims(namespace, name)...)
				}
				var err error
				p, err = in.podOf(namespace, template, metav1.OwnerReference{APIVersion: "v1", Kind: kind, Name: name})
				if err != nil {
					in.t.Fatal(err)
				}
			}
			delete(p.Annotations, corev1.LastAppliedConfigAnnotation)
			dropToken(p)
			// A StatefulSet's controller puts its volumes first.
			slices.SortFunc(p.Spec.Volumes, func(a, b corev1.Volume) int { return strings.Compare(a.Name, b.Name) })
			text, err := json.MarshalIndent(map[string]any{"annotations": p.Annotations, "spec": p.Spec}, "", " ")
			if err != nil {
				in.t.Fatal(err)
			}
			pods[kind+" "+name] = string(text)
		}
	}
	return pods
}

// claims are the volumes that a StatefulSet's controller adds to its pods.
func (in *installation) claims(namespace, name string) []corev1.Volume {
	in.t.Helper()
	var volumes []corev1.Volume
	for _, claim := range get[appsv1.StatefulSet](in, "statefulset", name, "-n", namespace).Spec.VolumeClaimTemplates {
		volumes = append(volumes, corev1.Volume{Name: claim.Name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-" + name + "-0"},
		}})
	}
	return volumes
}

// discard deletes all that is in a namespace, which itself stays: no controller
// runs here to end it.
func (in *installation) discard(namespace string) {
	in.kubectl("", "delete", "deployments,statefulsets,pods,serviceaccounts", "--all", "-n", namespace, "--force", "--grace-period=0")
}

// dropToken takes out what the API server adds to every pod, before the webhook
// and again after it: its place in the lists is another with and without.
func dropToken(p *corev1.Pod) {
	const prefix = "kube-api-access-"
	p.Spec.Volumes = slices.DeleteFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return strings.HasPrefix(v.Name, prefix) })
	for _, containers := range [][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
		for i := range containers {
			containers[i].VolumeMounts = slices.DeleteFunc(containers[i].VolumeMounts, func(m corev1.VolumeMount) bool {
				return strings.HasPrefix(m.Name, prefix)
			})
		}
	}
}

// withoutTokenName takes out the one name that the API server makes up.
func withoutTokenName(text string, p *corev1.Pod) string {
	for _, v := range p.Spec.Volumes {
		if suffix, found := strings.CutPrefix(v.Name, "kube-api-access-"); found {
			return strings.ReplaceAll(text, suffix, "SUFFIX")
		}
	}
	return text
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
