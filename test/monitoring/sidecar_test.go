package monitoring

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"clamav-sidecar/sidecar"
	"clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// scrapeSidecar adds what a sidecar exposes that has scanned a clean file and an
// infected one, and that has two replicas: a real clamd that is blind, and one
// with official signatures.
func (e exposed) scrapeSidecar(t *testing.T) {
	t.Helper()
	addresses := startSidecar(t)
	for body, want := range map[string]int{string(corpus.Clean()): http.StatusOK, string(corpus.EICAR()): http.StatusNotAcceptable} {
		eventually(t, fmt.Sprintf("a scan is answered %d", want), func() error {
			response, err := http.Post("http://"+addresses.HTTP+"/v1/scan", "application/octet-stream", strings.NewReader(body))
			if err != nil {
				return err
			}
			response.Body.Close()
			if response.StatusCode != want {
				return fmt.Errorf("the answer is %s", response.Status)
			}
			return nil
		})
	}
	eventually(t, "the sidecar has examined its replicas", func() error {
		err := shows(addresses.Ops, `to="encrypted"`, `to="limit"`, "clamav_sidecar_signatures_age_seconds{")()
		if err == nil {
			e.scrape(t, addresses.Ops)
			if e["clamav_sidecar_signatures_age_seconds"] == nil {
				err = errors.New("the replica with official signatures was lost")
			}
		}
		return err
	})
}

// startSidecar starts one that ends with the test.
func startSidecar(t *testing.T) sidecar.Addresses {
	t.Helper()
	blind := clamd.StartT(t, clamd.Options{Conf: map[string]string{"AlertEncrypted": "no", "AlertExceedsMax": "no"}})
	c := sidecar.Default()
	c.ClamdConf = filepath.Join(t.TempDir(), "clamd.conf")
	if err := clamd.WriteClientConf(c.ClamdConf, map[string]string{"LocalSocket": startUpdated(t)}, blind); err != nil {
		t.Fatal(err)
	}
	c.Listen, c.ClamdListen, c.OpsListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.Log = slog.New(slog.DiscardHandler)
	started := make(chan sidecar.Addresses, 1)
	c.Started = func(addresses sidecar.Addresses) { started <- addresses }

	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- sidecar.Run(ctx, c) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the sidecar has failed: %v", err)
		}
	})
	select {
	case addresses := <-started:
		return addresses
	case err := <-ended:
		ended <- nil
		t.Fatalf("the sidecar has not started: %v", err)
	case <-time.After(patience):
		t.Fatalf("the sidecar has not started within %v", patience)
	}
	panic("unreachable")
}

// startUpdated starts a replica that has official signatures, which no test can
// give a real clamd, and scans nothing. It gives its socket.
func startUpdated(t *testing.T) (path string) {
	t.Helper()
	directory, err := os.MkdirTemp("", "replica") // t.TempDir is too long a path for a socket on macOS
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(directory, "clamd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			open.Go(func() { answerVersion(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		open.Wait()
		os.RemoveAll(directory)
	})
	return listener.Addr().String()
}

// answerVersion answers one VERSION, and closes the connection.
func answerVersion(conn net.Conn) {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return
	}
	command, err := bufio.NewReader(conn).ReadString(0)
	if err != nil || !strings.HasPrefix(command, "zVERSION") {
		return
	}
	// The sidecar finds it lost if this fails, and asks again.
	_, _ = conn.Write([]byte("ClamAV 1.4.6/27800/Fri Nov 20 09:00:00 2026\x00"))
}
