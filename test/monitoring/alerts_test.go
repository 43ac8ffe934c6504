package monitoring

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const testsFile = "rules_test.yaml"

// read reads a file of YAML, or of JSON, which is YAML too.
func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("failed to read %s: %v", path, err)
	}
}

func TestPromtoolAcceptsTheAlertsAndTheirTestsPass(t *testing.T) {
	promtool := os.Getenv("PROMTOOL")
	if promtool == "" {
		t.Fatal("PROMTOOL is not set: run `make test`, or export PROMTOOL=$(test/promtool/binary.sh)")
	}
	// The tests name the rules by a path that begins where the tests are.
	directory := t.TempDir()
	tests, err := os.ReadFile(testsFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"installed.json": rules(t), testsFile: tests} {
		if err := os.WriteFile(filepath.Join(directory, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, arguments := range [][]string{
		{"check", "rules", "--lint=all", "--lint-fatal", filepath.Join(directory, "installed.json")},
		{"check", "rules", "--lint=all", "--lint-fatal", filepath.Join(chart, "files", "rules.yaml")},
		{"test", "rules", filepath.Join(directory, testsFile)},
	} {
		if output, err := exec.CommandContext(t.Context(), promtool, arguments...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, output)
		}
	}
}

func TestEveryAlertIsTestedFiringAndSilent(t *testing.T) {
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []any `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	read(t, testsFile, &file)
	firing, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, moment := range test.AlertRuleTest {
			if len(moment.ExpAlerts) > 0 {
				firing[moment.Alertname] = true
			} else {
				silent[moment.Alertname] = true
			}
		}
	}
	known := map[string]bool{}
	for _, a := range alerts(t) {
		known[a.Alert] = true
		if !firing[a.Alert] {
			t.Errorf("no case of %s shows %s fire", testsFile, a.Alert)
		}
		if !silent[a.Alert] {
			t.Errorf("no case of %s shows %s silent", testsFile, a.Alert)
		}
	}
	// promtool takes an alert that does not exist for a silent one.
	for name := range silent {
		if !known[name] {
			t.Errorf("%s has cases of %s, which is no alert", testsFile, name)
		}
	}
}

func TestEveryAlertSaysHowGraveItIsAndWhereToReadOn(t *testing.T) {
	names := map[string]bool{}
	for _, a := range alerts(t) {
		if names[a.Alert] {
			t.Errorf("%s is there twice", a.Alert)
		}
		names[a.Alert] = true
		if severity := a.Labels["severity"]; !slices.Contains([]string{"info", "warning", "critical"}, severity) {
			t.Errorf("%s has the severity %q, want info, warning or critical", a.Alert, severity)
		}
		if a.For == "" {
			t.Errorf("%s does not say for how long its cause must last", a.Alert)
		}
		for _, annotation := range []string{"summary", "description"} {
			if a.Annotations[annotation] == "" {
				t.Errorf("%s has no %s", a.Alert, annotation)
			}
		}
		path, section, _ := strings.Cut(a.Annotations["runbook"], "#")
		if path != "docs/operating.md" || !slices.Contains(sections(t, "../../docs/operating.md"), section) {
			t.Errorf("%s has the runbook %q, want a section of docs/operating.md: %q", a.Alert, a.Annotations["runbook"],
				sections(t, "../../docs/operating.md"))
		}
	}
}

func TestTheDocumentationListsEveryAlertWithItsSeverity(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	all, rows := alerts(t), 0
	for _, a := range all {
		if want := "| `" + a.Alert + "` | " + a.Labels["severity"] + " |"; !strings.Contains(string(text), want) {
			t.Errorf("docs/metrics.md has no row %q", want)
		}
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `ClamAV") {
			rows++
		}
	}
	if want := len(all); rows != want {
		t.Errorf("docs/metrics.md has %d rows of alerts, want %d", rows, want)
	}
}

// sections gives the anchors of a document's headings.
func sections(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		if title := strings.TrimLeft(line, "#"); title != line {
			all = append(all, strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-"))
		}
	}
	return all
}
