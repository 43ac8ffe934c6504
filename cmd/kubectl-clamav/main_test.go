package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func clamav(stdin string, args ...string) (code int, stdout, stderr string) {
	var out, problems bytes.Buffer
	code = run(args, strings.NewReader(stdin), &out, &problems)
	return code, out.String(), problems.String()
}

const (
	example = "../../manifests/examples/deployment.yaml"
	image   = "--image=registry.example/clamav-sidecar:1.0"
)

func TestWhatIsInjectedIsTakenBackByUninject(t *testing.T) {
	want, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	code, injected, problems := clamav("", "inject", "-f", example, image)
	if code != 0 || problems != "" || !strings.Contains(injected, "- name: clamav-sidecar") {
		t.Fatalf("got %d, %s and\n%s", code, problems, injected)
	}
	code, got, problems := clamav(injected, "uninject", "-f", "-")
	if code != 0 || problems != "" || got != string(want) {
		t.Errorf("got %d, %s and\n%s", code, problems, got)
	}
}

func TestDiffShowsOnlyWhatChanges(t *testing.T) {
	code, got, problems := clamav("", "inject", "-f", example, image, "--diff")
	if code != 0 || problems != "" || !strings.HasPrefix(got, "--- "+example+"\n+++ ") || strings.Contains(got, "targetPort") {
		t.Errorf("got %d, %s and\n%s", code, problems, got)
	}
}

func TestExitCodes(t *testing.T) {
	bad := "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations: {clamav-sidecar/inject: maybe}\n"
	tests := map[string]struct {
		stdin, args    string
		code           int
		stdout, stderr string // stderr: how it begins
	}{
		"nothing asks":         {"a: 1\n", "inject -f - " + image, 0, "a: 1\n", "nothing to do: no object asks for the injection"},
		"nothing to take back": {"a: 1\n", "uninject -f -", 0, "a: 1\n", "nothing to do: no object is injected"},
		"a fault, with which nothing is printed": {"a: 1\n---\n" + bad, "inject -f - " + image, exitFaults, "",
			"error: standard input, document 2 (line 3), Pod a: metadata.annotations[clamav-sidecar/inject]: Invalid value: \"maybe\": want \"true\" or \"false\"\nnothing was printed"},
		"no command":                        {"", "", exitUsage, "", "want a command"},
		"a file that is not there":          {"", "uninject -f none.yaml", exitUsage, "", "failed to read a manifest"},
		"a configuration that is not there": {"", "inject -f - --config none.yaml", exitUsage, "", "failed to read the configuration"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := clamav(test.stdin, strings.Fields(test.args)...)
			if code != test.code || stdout != test.stdout || !strings.HasPrefix(stderr, test.stderr) {
				t.Errorf("got %d, %q, %q; want %d, %q, %q", code, stdout, stderr, test.code, test.stdout, test.stderr)
			}
		})
	}
}

func TestTheManualHasTheHelp(t *testing.T) {
	help, err := os.ReadFile(filepath.Join("options", "testdata", "help.txt"))
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../../docs/kubectl-clamav.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(help)) {
		for word := range strings.FieldsSeq(line) {
			flag, _, _ := strings.Cut(strings.Trim(word, ",;"), "[")
			if strings.HasPrefix(flag, "--") && !strings.Contains(string(manual), "`"+flag+"`") {
				t.Errorf("docs/kubectl-clamav.md does not tell of %s", flag)
			}
		}
	}
	if code, got, _ := clamav("", "--help"); code != 0 || got != string(help) {
		t.Errorf("got %d and\n%s", code, got)
	}
}
