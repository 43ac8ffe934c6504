//go:build linux || npm

package clients

import (
	"bytes"
	"context"
	"net"
	"os/exec"
	"testing"
)

// script has a script of this directory scan the files through the sidecar. It
// gives what the script said on its standard error, and the lines of verdicts.
func script(t *testing.T, s running, command, paths []string) (said string, verdicts []string) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Clamd)
	if err != nil {
		t.Fatal(err)
	}
	return runScript(t, host, port, command, paths)
}

func runScript(t *testing.T, host, port string, command, paths []string) (said string, verdicts []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	args := append(append(command[1:len(command):len(command)], host, port), paths...)
	cmd := exec.CommandContext(ctx, command[0], args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("run %s: %v; it said:\n%s%s", command, err, stdout.Bytes(), stderr.Bytes())
	}
	return stderr.String(), lines(stdout.String())
}
