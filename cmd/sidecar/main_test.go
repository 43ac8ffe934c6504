package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// asSidecar makes the test binary be the sidecar, so that a test can start one
// as a process.
const asSidecar = "RUN_AS_SIDECAR"

func TestMain(m *testing.M) {
	if os.Getenv(asSidecar) != "" {
		main()
	}
	flag.Parse()
	os.Exit(m.Run())
}

// runSidecar gives what the command writes and its exit code.
func runSidecar(stdin string, environ []string, args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = run(args, environ, strings.NewReader(stdin), &out, &err)
	return out.String(), err.String(), code
}

func TestHelpTellsAllFlags(t *testing.T) {
	stdout, stderr, code := runSidecar("", nil, "--help")
	if code != 0 || stderr != "" {
		t.Errorf("got exit code %d and %q, want 0 and nothing on standard error", code, stderr)
	}
	golden := filepath.Join("testdata", "help.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(stdout), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if stdout != string(want) {
		t.Errorf("the help differs from %s; go test ./cmd/sidecar -update writes it anew. got\n%s", golden, stdout)
	}
	for number, line := range strings.Split(stdout, "\n") {
		if len(line) > 100 {
			t.Errorf("line %d has %d columns, want at most 100: %s", number+1, len(line), line)
		}
	}
}

func TestVersionNamesTheBuild(t *testing.T) {
	stdout, _, code := runSidecar("", nil, "--version")
	if want := regexp.MustCompile(`^clamav-sidecar \S+ \(go\S+, \w+/\w+\)\n$`); code != 0 || !want.MatchString(stdout) {
		t.Errorf("got exit code %d and %q, want 0 and %s", code, stdout, want)
	}
}

func TestEveryFlagIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/sidecar.md")
	if err != nil {
		t.Fatal(err)
	}
	opts := defaults()
	for _, s := range opts.settings() {
		row := fmt.Sprintf("\n| `--%s` | `%s` | `%s` |", s.name, envName(s.name), s.value)
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/sidecar.md has no row that begins with %q", row[1:])
		}
	}
}

func TestFaultsOfTheCommandLineExitWith2(t *testing.T) {
	tests := map[string]struct {
		args, environ []string
		want          string
	}{
		"an unknown flag":    {[]string{"--nope"}, nil, "unknown flag: --nope\n"},
		"an unknown command": {[]string{"serve"}, nil, `"serve" is no command: want none, to serve, or scan FILE` + "\n"},
		"a scan of nothing":  {[]string{"scan"}, nil, "scan: want the name of a file, or - for standard input\n"},
		"every bad value at once, from flags and variables": {
			[]string{"--queue", "many", "--max-file-size=10MB", "--log-level", "loud", "--require-scanner=maybe"},
			[]string{"CLAMAV_SIDECAR_SCAN_TIMEOUT=2", "CLAMAV_SIDECAR_LOG_FORMAT=", "CLAMAV_SIDECAR_MAX_CONCURRENT=0"},
			`--queue "many": want a whole number, such as 16` + "\n" +
				`--max-file-size "10MB": want a whole number of bytes, or one with K, M or G behind it, such as 100M` + "\n" +
				`--log-level "loud": want debug, info, warn or error` + "\n" +
				`--require-scanner "maybe": want true or false` + "\n" +
				`CLAMAV_SIDECAR_SCAN_TIMEOUT="2": want a number with ms, s, m or h behind it, such as 90s or 2m` + "\n" +
				`CLAMAV_SIDECAR_LOG_FORMAT="": want json or text` + "\n" +
				`--max-concurrent 0: want a number from 1 to 100000` + "\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := runSidecar("", test.environ, test.args...)
			if want := test.want + "sidecar --help lists all flags\n"; code != 2 || stdout != "" || stderr != want {
				t.Errorf("got exit code %d, %q and\n%swant 2, nothing and\n%s", code, stdout, stderr, want)
			}
		})
	}
}

func TestWhatCannotStartExitsWith1(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "clamd.conf")
	_, stderr, code := runSidecar("", nil, "--clamd-conf", missing, "--listen", "127.0.0.1:0", "--clamd-listen", "", "--ops-listen", "127.0.0.1:0")
	if want := "--clamd-conf " + missing + ": there is no such file"; code != 1 || !strings.HasPrefix(stderr, want) {
		t.Errorf("got exit code %d and %q, want 1 and %q", code, stderr, want)
	}
}

// The sidecar runs in every web pod and has to stay small.
func TestTheSidecarHoldsNoKubernetesPackage(t *testing.T) {
	deps, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(deps), "clamav-sidecar/sidecar/scan\n") {
		t.Fatalf("go list -deps does not list the sidecar's own packages:\n%s", deps)
	}
	for dep := range strings.Lines(string(deps)) {
		if strings.HasPrefix(dep, "k8s.io/") || strings.HasPrefix(dep, "sigs.k8s.io/") {
			t.Errorf("cmd/sidecar holds %s", strings.TrimSpace(dep))
		}
	}
}
