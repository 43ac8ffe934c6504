// Package clients has clients of clamd that were not written here scan through
// the sidecar: clamdscan and go-clamd everywhere, Python's and Perl's on Debian,
// and those of npm with the build tag npm (npm.sh runs them).
package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar"
	"clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// patience bounds every wait of these tests.
const patience = time.Minute

// running is a sidecar.
type running struct {
	sidecar.Addresses
	stop context.CancelFunc
	// ended gives what Run returned.
	ended <-chan error
}

// startSidecar runs a sidecar with daemons behind it until the test ends, and
// returns when it has found one of them healthy.
func startSidecar(t *testing.T, adjust func(*sidecar.Config), daemons ...*clamd.Daemon) running {
	t.Helper()
	config := sidecar.Default()
	config.ClamdConf = filepath.Join(t.TempDir(), "clamd.conf")
	config.Listen, config.ClamdListen, config.OpsListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	config.RequireScanner = true
	config.Log = slog.New(slog.DiscardHandler)
	if err := clamd.WriteClientConf(config.ClamdConf, nil, daemons...); err != nil {
		t.Fatal(err)
	}
	if adjust != nil {
		adjust(&config)
	}
	started := make(chan sidecar.Addresses, 1)
	config.Started = func(a sidecar.Addresses) { started <- a }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- sidecar.Run(ctx, config)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("got %v from the sidecar, want nil", err)
		}
	})
	s := running{stop: cancel, ended: ended}
	select {
	case s.Addresses = <-started:
	case err := <-ended:
		t.Fatalf("the sidecar did not start: %v", err)
	}
	await(t, "the sidecar is ready", func() bool {
		r, err := http.Get("http://" + s.Ops + "/readyz")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return s
}

// await waits until what is said holds.
func await(t *testing.T, said string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v and never found that %s", patience, said)
		}
	}
}

// conf writes a clamd.conf that leads clients to the sidecar.
func (s running) conf(t *testing.T) string {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Clamd)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "clamd.conf")
	text := fmt.Sprintf("TCPAddr %s\nTCPSocket %s\nStreamMaxLength 2000M\n", host, port)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// files are clamav-testfiles, EICAR, an encrypted archive and clean files of
// several sizes.
func files(t *testing.T) []string {
	t.Helper()
	paths, err := corpus.TestFiles()
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := corpus.EncryptedZip()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"clean.txt":     corpus.Clean(),
		"eicar.com":     corpus.EICAR(),
		"encrypted.zip": encrypted,
		"random-64K":    random(t, 64<<10),
		"random-3M":     random(t, 3<<20),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func random(t *testing.T, size int64) []byte {
	t.Helper()
	data, err := io.ReadAll(corpus.NewBody(uint64(time.Now().UnixNano()), size))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// clamscan is what ClamAV's own scanner says of each file, "PATH: OK" or
// "PATH: NAME FOUND", sorted.
func clamscan(t *testing.T, daemon *clamd.Daemon, paths []string) []string {
	t.Helper()
	args := []string{"--no-summary", "--alert-encrypted=yes", "--alert-exceeds-max=yes", "-d", daemon.DatabaseDir()}
	out, code := run(t, program(t, "clamscan"), append(args, paths...)...)
	if code != 1 {
		t.Fatalf("got exit status %d from clamscan, want 1; it said:\n%s", code, out)
	}
	verdicts := lines(out)
	if len(verdicts) != len(paths) {
		t.Fatalf("got %d verdicts of %d files from clamscan, which said:\n%s", len(verdicts), len(paths), out)
	}
	return verdicts
}

// program is the path of one of ClamAV's programs.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := clamd.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a program and gives what it printed and its exit status.
func run(t *testing.T, name string, args ...string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 0) {
		t.Fatalf("run %s: %v; it said:\n%s", name, err, out)
	}
	if exit != nil {
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

// lines are those of text that are not empty, sorted.
func lines(text string) []string {
	all := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return strings.TrimSpace(line) == "" })
	slices.Sort(all)
	return all
}

// compare reports where got differs from want.
func compare(t *testing.T, got, want []string) {
	t.Helper()
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("got %q, which clamscan does not say", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("did not get %q, which clamscan says", line)
		}
	}
}
