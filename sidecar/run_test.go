package sidecar

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// testConfig is one with free ports, in front of these daemons.
func testConfig(t *testing.T, daemons ...*clamd.Daemon) Config {
	t.Helper()
	config := Default()
	config.ClamdConf = filepath.Join(t.TempDir(), "clamd.conf")
	config.Listen, config.ClamdListen, config.OpsListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	config.Log = slog.New(slog.DiscardHandler)
	if len(daemons) > 0 {
		if err := clamd.WriteClientConf(config.ClamdConf, nil, daemons...); err != nil {
			t.Fatal(err)
		}
	}
	return config
}

// started runs a sidecar until stop is called, which gives what run returned.
// The test's end stops it too.
func started(t *testing.T, config Config, grace time.Duration) (at Addresses, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	addresses := make(chan Addresses, 1)
	config.Started = func(a Addresses) { addresses <- a }
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, config, grace)
		ended <- err
		close(ended)
	}()
	stop = func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return fmt.Errorf("the sidecar still runs %v after its context has ended", patience)
		}
	}
	t.Cleanup(func() { stop() })
	select {
	case at = <-addresses:
		return at, stop
	case err := <-ended:
		t.Fatalf("the sidecar did not start: %v", err)
	case <-time.After(patience):
		t.Fatalf("the sidecar has not started within %v", patience)
	}
	panic("unreachable")
}

// dial connects; the connection ends with the test, and nothing on it takes
// longer than patience.
func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestRunServesAllThreePorts(t *testing.T) {
	config := testConfig(t, clamd.StartT(t, clamd.Options{}))
	config.RequireScanner = true
	at, stop := started(t, config, Grace)
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

	for ready, deadline := false, time.Now().Add(patience); !ready; time.Sleep(5 * time.Millisecond) {
		answer, err := client.Get("http://" + at.Ops + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if ready = answer.StatusCode == http.StatusOK; !ready && time.Now().After(deadline) {
			t.Fatalf("GET /readyz: got %d for %v, want 200", answer.StatusCode, patience)
		}
	}
	answer, err := client.Post("http://"+at.HTTP+"/v1/scan", "application/octet-stream", bytes.NewReader(corpus.EICAR()))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusNotAcceptable {
		t.Errorf("POST the EICAR test file: got %d, want 406", answer.StatusCode)
	}
	conn := dial(t, at.Clamd)
	fmt.Fprint(conn, "zPING\x00")
	if reply, err := io.ReadAll(conn); err != nil || string(reply) != "PONG\x00" {
		t.Errorf("PING: got %q, %v, want %q", reply, err, "PONG\x00")
	}

	if err := stop(); err != nil {
		t.Errorf("a shutdown without scans: got %v, want nil", err)
	}
	for _, address := range []string{at.HTTP, at.Clamd, at.Ops} {
		if conn, err := net.DialTimeout("tcp", address, patience); err == nil {
			conn.Close()
			t.Errorf("%s still accepts connections after the shutdown", address)
		}
	}
}

func TestTheClamdEndpointCanBeTurnedOff(t *testing.T) {
	config := testConfig(t, clamd.StartT(t, clamd.Options{}))
	config.ClamdListen = ""
	at, stop := started(t, config, Grace)
	if at.Clamd != "" {
		t.Errorf("got the clamd address %q, want none", at.Clamd)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestScansThatDoNotEndAreCutOffAfterTheGrace(t *testing.T) {
	at, stop := started(t, testConfig(t, clamd.StartT(t, clamd.Options{})), 200*time.Millisecond)
	upload := dial(t, at.HTTP)
	fmt.Fprint(upload, "POST /v1/scan HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
	// The interim answer says that the handler has begun to read.
	if line, err := bufio.NewReader(upload).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("begin an upload: got %q, %v, want 100 Continue", line, err)
	}
	begin := time.Now()
	err := stop()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the shutdown took %v, want about 200 ms", took)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want an error that says that the time was over", err)
	}
}

func TestAPortThatIsTakenIsNamedWithItsFlag(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	config := testConfig(t)
	config.ClamdListen = address
	config.OpsListen = "192.0.2.1:1" // an address for documentation, which no machine has
	err = Run(t.Context(), config)
	want := "--clamd-listen " + address + ": the port is taken: stop the process that listens on it, or choose another port\n" +
		"--ops-listen 192.0.2.1:1: this machine has no such address: choose 127.0.0.1, or leave the host out for every address"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestAFaultyClamdConfIsAnErrorAtTheStart(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"no file":        {"", "--clamd-conf %s: there is no such file: write one that names the clamav service with TCPSocket and TCPAddr, or name another file"},
		"a bad value":    {"TCPAddr localhost\nTCPSocket http\n", "--clamd-conf: read %s: line 2: TCPSocket \"http\": want a port from 1 to 65535"},
		"names no clamd": {"LogTime yes\n", "--clamd-conf: read %s: it names no clamd: add TCPSocket and TCPAddr, or LocalSocket"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := testConfig(t)
			if test.text != "" {
				if err := os.WriteFile(config.ClamdConf, []byte(test.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want := fmt.Sprintf(test.want, config.ClamdConf)
			if err := Run(t.Context(), config); err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestAPortOpenToTheNetworkIsLogged(t *testing.T) {
	var log bytes.Buffer
	config := testConfig(t, clamd.StartT(t, clamd.Options{}))
	config.Listen = ":0"
	config.Log = slog.New(slog.NewTextHandler(&log, nil))
	_, stop := started(t, config, Grace)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "flag=--listen") {
		t.Errorf("got the log\n%swant one warning, for --listen", text)
	}
}

func TestBindFaultOfAPrivilegedPort(t *testing.T) {
	got := bindFault(&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)})
	if want := "not permitted: choose a port above 1023"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
