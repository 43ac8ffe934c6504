package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"clamav-sidecar/cmd/sidecar/options"
)

// asSidecar makes the test binary be the sidecar, so that a test can start one
// as a process.
const asSidecar = "RUN_AS_SIDECAR"

func TestMain(m *testing.M) {
	if os.Getenv(asSidecar) != "" {
		main()
	}
	os.Exit(m.Run())
}

// runSidecar gives what the command writes and its exit code.
func runSidecar(stdin string, environ []string, args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = run(args, environ, strings.NewReader(stdin), &out, &err)
	return out.String(), err.String(), code
}

func TestHelpGoesToStandardOutput(t *testing.T) {
	stdout, stderr, code := runSidecar("", nil, "--help")
	if code != 0 || stdout != options.Help() || stderr != "" {
		t.Errorf("got exit code %d, %q and %q, want 0, the help and nothing", code, stdout, stderr)
	}
}

func TestVersionNamesTheBuild(t *testing.T) {
	stdout, _, code := runSidecar("", nil, "--version")
	if want := regexp.MustCompile(`^clamav-sidecar \S+ \(go\S+, \w+/\w+\)\n$`); code != 0 || !want.MatchString(stdout) {
		t.Errorf("got exit code %d and %q, want 0 and %s", code, stdout, want)
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
		"standard input twice": {[]string{"scan", "-", "f", "--", "-"}, nil,
			"scan: - is given more than once, and standard input can be read only once\n"},
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
