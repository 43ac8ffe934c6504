package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// sidecarProcess is a sidecar in a process of its own.
type sidecarProcess struct {
	t                *testing.T
	cmd              *exec.Cmd
	ended            chan error
	http, clamd, ops string // addresses, from its log
}

// startSidecar starts one with free ports. It is killed at the end of the test,
// if it still runs.
func startSidecar(t *testing.T, args ...string) *sidecarProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args = append(args, "--listen=127.0.0.1:0", "--clamd-listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0")
	p := &sidecarProcess{t: t, cmd: exec.Command(self, args...), ended: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), asSidecar+"=1")
	log, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	logged := make(chan struct{})
	var text strings.Builder
	go func() {
		defer close(logged)
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			text.WriteString(lines.Text() + "\n")
			var line struct{ Msg, HTTP, Clamd, Ops string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "sidecar is up" {
				p.http, p.clamd, p.ops = line.HTTP, line.Clamd, line.Ops
				close(up)
			}
		}
	}()
	go func() {
		<-logged
		p.ended <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-logged
		if t.Failed() {
			t.Logf("log of the sidecar:\n%s", text.String())
		}
	})
	select {
	case <-up:
	case <-time.After(patience):
		t.Fatalf("the sidecar has not started within %v", patience)
	}
	return p
}

func (p *sidecarProcess) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// wait gives the exit code, -1 for a process that a signal has ended.
func (p *sidecarProcess) wait() int {
	p.t.Helper()
	select {
	case err := <-p.ended:
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			return exit.ExitCode()
		} else if err != nil {
			p.t.Fatal(err)
		}
		return 0
	case <-time.After(patience):
		p.t.Fatalf("the sidecar still runs after %v", patience)
	}
	panic("unreachable")
}

// refuses waits until address accepts no more connections.
func (p *sidecarProcess) refuses(address string) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", address, patience)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			conn.Close()
		}
	}
	p.t.Fatalf("%s still accepts connections after %v", address, patience)
}

// connect connects; nothing on the connection takes longer than patience.
func (p *sidecarProcess) connect(address string) net.Conn {
	p.t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	return conn
}

func (p *sidecarProcess) write(conn net.Conn, text string) {
	p.t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		p.t.Fatal(err)
	}
}

// beginUpload posts the first half of the EICAR test file; the handler has
// begun to read it when this returns.
func (p *sidecarProcess) beginUpload() (upload net.Conn, answers *bufio.Reader, rest string) {
	p.t.Helper()
	upload = p.connect(p.http)
	answers = bufio.NewReader(upload)
	p.write(upload, "POST /v1/scan HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 68\r\n\r\n")
	for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
		if line, err := answers.ReadString('\n'); err != nil || line != want {
			p.t.Fatalf("begin an upload: got %q, %v, want %q", line, err, want)
		}
	}
	body := string(corpus.EICAR())
	p.write(upload, body[:30])
	return upload, answers, body[30:]
}

func TestSIGTERMLetsRunningScansFinish(t *testing.T) {
	p := startSidecar(t, "--clamd-conf", clientConf(t, clamd.StartT(t, clamd.Options{})))
	upload, answers, rest := p.beginUpload()
	stream := p.connect(p.clamd)
	p.write(stream, "zINSTREAM\x00\x00\x00\x00\x0asome bytes")

	// The stream's command has been read when the sidecar counts its scan.
	p.awaitMetric("clamav_sidecar_scans_open 2")
	p.signal(syscall.SIGTERM)
	p.refuses(p.http)
	p.refuses(p.clamd)
	if status, text := p.get("/readyz"); status != 503 || text != "shutting down\n" {
		t.Errorf("GET /readyz during the shutdown: got %d %q, want 503 %q", status, text, "shutting down\n")
	}

	p.write(upload, rest)
	answer, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatalf("the upload that was under way: %v", err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusNotAcceptable {
		t.Errorf("the upload that was under way: got status %d, want 406", answer.StatusCode)
	}
	p.write(stream, "\x00\x00\x00\x00")
	if reply, err := io.ReadAll(stream); err != nil || string(reply) != "stream: OK\x00" {
		t.Errorf("the stream that was under way: got %q, %v, want %q", reply, err, "stream: OK\x00")
	}
	if code := p.wait(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	p := startSidecar(t, "--clamd-conf", clientConf(t, clamd.StartT(t, clamd.Options{})))
	upload, answers, _ := p.beginUpload()
	p.signal(syscall.SIGINT)
	p.refuses(p.http)
	begin := time.Now()
	p.signal(syscall.SIGINT)
	if code := p.wait(); code == 0 {
		t.Errorf("got exit code 0 with a scan cut off, want another")
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v, want no wait for the upload", took)
	}
	upload.SetReadDeadline(time.Now().Add(patience))
	if line, err := answers.ReadString('\n'); err == nil {
		t.Errorf("the upload that was cut off was answered %q, want no answer", line)
	}
}

// get asks the ops port.
func (p *sidecarProcess) get(path string) (status int, text string) {
	p.t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + p.ops + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// awaitMetric waits until /metrics has this line.
func (p *sidecarProcess) awaitMetric(want string) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if _, text := p.get("/metrics"); strings.Contains(text, "\n"+want+"\n") {
			return
		}
	}
	p.t.Fatalf("/metrics has not had %q within %v", want, patience)
}
