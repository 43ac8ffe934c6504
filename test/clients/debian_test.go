//go:build linux

package clients

import (
	"net"
	"strings"
	"testing"

	"clamav-sidecar/test/clamd"
)

func TestPyclamd(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{})
	paths := files(t)
	said, out := script(t, startSidecar(t, nil, daemon), []string{"/usr/bin/python3", "scan_pyclamd.py"}, paths)
	compare(t, out, clamscan(t, daemon, paths))
	for _, want := range []string{"PING True", "VERSION ClamAV ", "STATS POOLS: "} {
		if !strings.Contains(said, want) {
			t.Errorf("got %q, want %q in it", said, want)
		}
	}
}

func TestPyclamdTakesNothingForCleanThatWasNotScanned(t *testing.T) {
	checkRefusals(t, []string{"/usr/bin/python3", "scan_pyclamd.py"})
}

func TestClamAVClientOfPerl(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{})
	paths := files(t)
	said, out := script(t, startSidecar(t, nil, daemon), []string{"/usr/bin/perl", "scan_perl.pl"}, paths)
	for _, want := range []string{"PING PONG", "VERSION ClamAV "} {
		if !strings.Contains(said, want) {
			t.Errorf("got %q, want %q in it", said, want)
		}
	}
	// It cannot scan with clamd itself either.
	host, port, err := net.SplitHostPort(daemon.Addr())
	if err != nil {
		t.Fatal(err)
	}
	_, direct := runScript(t, host, port, []string{"/usr/bin/perl", "scan_perl.pl"}, paths)
	compare(t, out, direct)
	for _, line := range out {
		if !strings.HasSuffix(line, " ERROR") {
			t.Errorf("got %q, want an error", line)
		}
	}
}
