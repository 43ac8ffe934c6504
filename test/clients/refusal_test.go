//go:build linux || npm

package clients

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar"
	"clamav-sidecar/sidecar/clamdapi"
	"clamav-sidecar/sidecar/scan"
	"clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// checkRefusals checks that a client takes nothing for clean that was not
// scanned. Some take a connection that closes without a word for it.
func checkRefusals(t *testing.T, command []string) {
	t.Helper()
	small := filepath.Join(t.TempDir(), "small")
	if err := os.WriteFile(small, corpus.Clean(), 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, random(t, 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := func(t *testing.T, address, path string) {
		t.Helper()
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		_, out := runScript(t, host, port, command, []string{path})
		if len(out) != 1 || !strings.HasSuffix(out[0], " ERROR") {
			t.Errorf("got %q, want one error", out)
		}
	}
	t.Run("no replica", func(t *testing.T) {
		daemon := clamd.StartT(t, clamd.Options{})
		s := startSidecar(t, nil, daemon)
		if err := daemon.Stop(); err != nil {
			t.Fatal(err)
		}
		refused(t, s.Clamd, small)
	})
	t.Run("too large", func(t *testing.T) {
		s := startSidecar(t, func(c *sidecar.Config) { c.MaxFileSize = 64 << 10 }, clamd.StartT(t, clamd.Options{}))
		refused(t, s.Clamd, large)
	})
	t.Run("too large for clamd", func(t *testing.T) {
		daemon := clamd.StartT(t, clamd.Options{Conf: map[string]string{"StreamMaxLength": "64K"}})
		refused(t, startSidecar(t, nil, daemon).Clamd, large)
	})
	t.Run("cut off by a shutdown", func(t *testing.T) {
		scanner := endless{begun: make(chan struct{}, 1), end: make(chan struct{})}
		defer close(scanner.end)
		server := clamdapi.New(clamdapi.Config{Scanner: scanner, Log: slog.New(slog.DiscardHandler)})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		stopped := make(chan error, 2)
		go func() { stopped <- server.Serve(l) }()
		go func() {
			<-scanner.begun
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			stopped <- server.Shutdown(ctx)
		}()
		refused(t, l.Addr().String(), small)
		if err := <-stopped; err != nil {
			t.Errorf("got %v from Serve, want nil", err)
		}
		if err := <-stopped; err == nil {
			t.Error("got nil from Shutdown, want that it cut off a connection")
		}
	})
}

// endless is a scanner whose scans do not end before the test.
type endless struct{ begun, end chan struct{} }

func (e endless) Scan(_ context.Context, body io.Reader, _ scan.Options) (scan.Verdict, error) {
	if _, err := io.Copy(io.Discard, body); err != nil {
		return scan.Verdict{}, err
	}
	e.begun <- struct{}{}
	<-e.end
	return scan.Verdict{Outcome: scan.Clean}, nil
}

func (endless) Command(context.Context, string) ([]byte, error) { return []byte("ClamAV 1.4.6"), nil }
func (endless) MaxFileSize() int64                              { return 1 << 30 }
func (endless) Ready() bool                                     { return true }
