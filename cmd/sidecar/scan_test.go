package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// clientConf writes a clamd.conf that names the daemon.
func clientConf(t *testing.T, daemon *clamd.Daemon) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clamd.conf")
	if err := clamd.WriteClientConf(path, nil, daemon); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestScanFindsWhatClamscanFinds(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{})
	files, err := corpus.TestFiles()
	if err != nil {
		t.Fatal(err)
	}
	clamscan, err := clamd.Find("clamscan")
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--no-summary", "-d", daemon.DatabaseDir()}, files...)
	want, err := exec.Command(clamscan, args...).Output()
	var found *exec.ExitError // clamscan exits with 1 then
	if err != nil && !errors.As(err, &found) {
		t.Fatal(err)
	}
	got, stderr, code := runSidecar("", nil, append([]string{"scan", "--clamd-conf", clientConf(t, daemon)}, files...)...)
	if got != string(want) || code != 1 {
		t.Errorf("got exit code %d and\n%s%swant 1 and, as clamscan says,\n%s", code, got, stderr, want)
	}
}

func TestScanPassesTheExitCodeOn(t *testing.T) {
	conf := clientConf(t, clamd.StartT(t, clamd.Options{}))
	clean := filepath.Join(t.TempDir(), "clean")
	if err := os.WriteFile(clean, corpus.Clean(), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args   []string
		stdin  string
		stdout string
		code   int
	}{
		"clean":                        {[]string{clean}, "", clean + ": OK\n", 0},
		"infected":                     {[]string{"-"}, string(corpus.EICAR()), "stdin: " + clamd.EICAR + " FOUND\n", 1},
		"not scanned":                  {[]string{clean, clean + "er"}, "", clean + ": OK\n", 2},
		"a fault of the configuration": {[]string{"--clamd-conf", clean, clean}, "", "", 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := runSidecar(test.stdin, []string{"CLAMD_CONF_FILENAME=" + conf}, append([]string{"scan"}, test.args...)...)
			if stdout != test.stdout || code != test.code {
				t.Errorf("got exit code %d, %q and %q, want %d and %q", code, stdout, stderr, test.code, test.stdout)
			}
		})
	}
}
