package service_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const (
	chart     = "../../../manifests/chart/clamav-sidecar"
	namespace = "clamav-system"
)

// values are those below `clamav` in the chart's values.yaml.
type values map[string]any

// release is what these tests need of a rendered chart.
type release struct {
	server, client map[string]string // ConfigMaps: file name -> text
	clamd          corev1.PodSpec
	freshclam      corev1.PodSpec // empty where freshclam is a container beside clamd
}

// render has Helm render the chart without the webhook.
func render(t *testing.T, clamav values) release {
	t.Helper()
	binaries := os.Getenv("HELM_BINARIES")
	if binaries == "" {
		t.Fatal("HELM_BINARIES is not set: run `make test`, or export HELM_BINARIES=$(test/helm/binaries.sh)")
	}
	text, err := json.Marshal(map[string]any{"clamav": clamav})
	must(t, err)
	var problems bytes.Buffer
	helm := exec.Command(filepath.Join(binaries, "helm3"), "template", "clamav", chart, "--namespace", namespace, "--values", "-")
	helm.Stdin, helm.Stderr = bytes.NewReader(text), &problems
	manifests, err := helm.Output()
	if err != nil {
		t.Fatalf("failed to render the chart with %s: %v\n%s", text, err, problems.String())
	}
	var r release
	for _, manifest := range strings.Split(string(manifests), "\n---\n") {
		r.add(t, []byte(manifest))
	}
	if r.server == nil || r.client == nil || r.clamd.Containers == nil {
		t.Fatalf("the chart rendered with %s lacks a ConfigMap or the pods of clamd:\n%s", text, manifests)
	}
	return r
}

// add takes an object of the chart, if the release is to have it.
func (r *release) add(t *testing.T, manifest []byte) {
	t.Helper()
	var object metav1.PartialObjectMetadata
	must(t, yaml.Unmarshal(manifest, &object))
	switch object.Kind + "/" + object.Name {
	case "ConfigMap/clamav-server-configuration":
		r.server = parse[corev1.ConfigMap](t, manifest).Data
	case "ConfigMap/clamav-configuration":
		r.client = parse[corev1.ConfigMap](t, manifest).Data
	case "Deployment/clamav":
		r.clamd = parse[appsv1.Deployment](t, manifest).Spec.Template.Spec
	case "StatefulSet/clamav":
		r.clamd = parse[appsv1.StatefulSet](t, manifest).Spec.Template.Spec
	case "Deployment/clamav-freshclam":
		r.freshclam = parse[appsv1.Deployment](t, manifest).Spec.Template.Spec
	}
}

func parse[T any](t *testing.T, manifest []byte) (object T) {
	t.Helper()
	must(t, yaml.UnmarshalStrict(manifest, &object))
	return object
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
