package monitoring

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const chart = "../../manifests/chart/clamav-sidecar"

// object is one for the Prometheus operator, or for Grafana.
type object struct {
	Kind     string
	Metadata struct {
		Name      string
		Namespace any // for a string the parser would take a number, too
	}
	Spec json.RawMessage
}

// alert is one of those that the chart installs.
type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

// installed gives what the chart installs for monitoring in a namespace: with
// all of it turned on, and then as the settings (NAME=VALUE) have it.
func installed(t *testing.T, namespace string, settings ...string) (all []object) {
	t.Helper()
	binaries := os.Getenv("HELM_BINARIES")
	if binaries == "" {
		t.Fatal("HELM_BINARIES is not set: run `make test`, or export HELM_BINARIES=$(test/helm/binaries.sh)")
	}
	arguments := []string{"template", "clamav-sidecar", chart, "--namespace", namespace, "--show-only", "templates/monitoring.yaml"}
	for _, setting := range append([]string{
		"monitoring.podMonitor.enabled=true", "monitoring.prometheusRule.enabled=true", "monitoring.dashboard.enabled=true",
	}, settings...) {
		arguments = append(arguments, "--set", setting)
	}
	command := exec.CommandContext(t.Context(), filepath.Join(binaries, "helm3"), arguments...)
	scratch := t.TempDir()
	command.Env = append(os.Environ(), "HOME="+scratch, "HELM_CACHE_HOME="+scratch, "HELM_CONFIG_HOME="+scratch, "HELM_DATA_HOME="+scratch)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	manifest, err := command.Output()
	if err != nil {
		t.Fatalf("helm3 %s: %v\n%s", strings.Join(arguments, " "), err, &stderr)
	}
	for document := range strings.SplitSeq(string(manifest), "\n---\n") {
		var one object
		if err := yaml.Unmarshal([]byte(document), &one); err != nil {
			t.Fatalf("failed to read what helm3 has rendered: %v\n%s", err, document)
		}
		all = append(all, one)
	}
	return all
}

// spec gives that of the object of this kind and name, of those that are there
// with these settings.
func spec(t *testing.T, kind, name string, settings ...string) json.RawMessage {
	t.Helper()
	all := installed(t, "clamav", settings...)
	found := slices.IndexFunc(all, func(one object) bool { return one.Kind == kind && one.Metadata.Name == name })
	if found < 0 {
		t.Fatalf("the chart installs no %s %s", kind, name)
	}
	return all[found].Spec
}

// rules gives the PrometheusRule's spec, which is a file of rules.
func rules(t *testing.T, settings ...string) json.RawMessage {
	t.Helper()
	return spec(t, "PrometheusRule", "clamav-sidecar", settings...)
}

// alerts gives those that are installed, in their order.
func alerts(t *testing.T, settings ...string) (all []alert) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	if err := json.Unmarshal(rules(t, settings...), &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("the chart installs no alerts")
	}
	return all
}

func TestOnlyWhatIsInstalledAndReadIsMissed(t *testing.T) {
	const service, webhook = "ClamAVServiceDown", "ClamAVWebhookDown"
	for name, test := range map[string]struct {
		settings []string
		want     []string
	}{
		"service and webhook":                 {nil, []string{service, webhook}},
		"a service elsewhere":                 {[]string{"clamav.enabled=false", "clamav.external.host=clamav.example"}, []string{webhook}},
		"no webhook":                          {[]string{"webhook.enabled=false"}, []string{service}},
		"pods that Prometheus is not to read": {[]string{"monitoring.podMonitor.enabled=false"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, a := range alerts(t, test.settings...) {
				if a.Alert == service || a.Alert == webhook {
					got = append(got, a.Alert)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got the alerts %q, want %q", got, test.want)
			}
		})
	}
}

// YAML takes 123 for a number, which is no namespace.
func TestANamespaceMayLookLikeANumber(t *testing.T) {
	for _, one := range installed(t, "123") {
		if got, want := one.Metadata.Namespace, any("123"); got != want {
			t.Errorf("%s %s has the namespace %#v, want %#v", one.Kind, one.Metadata.Name, got, want)
		}
	}
}
