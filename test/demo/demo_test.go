package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for the demo, which builds the sidecar first.
const patience = 3 * time.Minute

// asDemo makes the test binary be the demo.
const asDemo = "RUN_AS_DEMO"

func TestMain(m *testing.M) {
	if os.Getenv(asDemo) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// running is a demo in a process of its own.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	dir    string // where it makes its files
	output chan string
	ended  chan error
	text   strings.Builder // all lines that were taken from output
}

// startDemo starts it with the test signatures and these variables.
func startDemo(t *testing.T, environ ...string) *running {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := &running{t: t, dir: t.TempDir(), output: make(chan string, 1000), ended: make(chan error, 1)}
	d.cmd = exec.Command(self, "-signatures", "test")
	d.cmd.Env = append(os.Environ(), asDemo+"=1", "TMPDIR="+d.dir)
	d.cmd.Env = append(d.cmd.Env, environ...)
	reader, writer := io.Pipe()
	d.cmd.Stdout, d.cmd.Stderr = writer, writer
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.output)
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			d.output <- lines.Text()
		}
	}()
	go func() {
		err := d.cmd.Wait()
		writer.Close()
		d.ended <- err
	}()
	t.Cleanup(func() { d.cmd.Process.Signal(syscall.SIGTERM) })
	return d
}

// freePorts are variables that choose free ports.
func freePorts(t *testing.T) []string {
	t.Helper()
	var (
		environ   []string
		listeners []net.Listener // all open at once, so that no two ports are the same
	)
	for _, name := range []string{"CLAMAV_SIDECAR_LISTEN", "CLAMAV_SIDECAR_CLAMD_LISTEN", "CLAMAV_SIDECAR_OPS_LISTEN"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, listener)
		environ = append(environ, name+"="+listener.Addr().String())
	}
	for _, listener := range listeners {
		listener.Close()
	}
	return environ
}

// until reads the output up to a line with this in it.
func (d *running) until(want string) {
	d.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, more := <-d.output:
			if !more {
				d.t.Fatalf("the demo ended and did not say %q:\n%s", want, d.text.String())
			}
			d.text.WriteString(line + "\n")
			if strings.Contains(line, want) {
				return
			}
		case <-timeout:
			d.t.Fatalf("the demo has not said %q within %v:\n%s", want, patience, d.text.String())
		}
	}
}

// processID is that of "clamd" or "the sidecar", from the output.
func (d *running) processID(program string) int {
	d.t.Helper()
	match := regexp.MustCompile(program + ` is up: .*, process (\d+)\n`).FindStringSubmatch(d.text.String())
	if match == nil {
		d.t.Fatalf("the demo has not told the process of %s:\n%s", program, d.text.String())
	}
	id, err := strconv.Atoi(match[1])
	if err != nil {
		d.t.Fatal(err)
	}
	return id
}

// wait gives the exit code. Nothing of the demo may be left then.
func (d *running) wait(programs ...int) int {
	d.t.Helper()
	var code int
	select {
	case err := <-d.ended:
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if err != nil {
			d.t.Fatal(err)
		}
	case <-time.After(patience):
		d.t.Fatalf("the demo still runs after %v", patience)
	}
	for line := range d.output {
		d.text.WriteString(line + "\n")
	}
	for _, id := range programs {
		if err := syscall.Kill(id, 0); !errors.Is(err, syscall.ESRCH) {
			d.t.Errorf("process %d of the demo is still there: got %v, want %v", id, err, syscall.ESRCH)
		}
	}
	left, err := filepath.Glob(filepath.Join(d.dir, "*"))
	if err != nil || len(left) > 0 {
		d.t.Errorf("the demo left the files %q, %v, want none", left, err)
	}
	return code
}

func TestDemoScansAndLeavesNothingBehind(t *testing.T) {
	d := startDemo(t, freePorts(t)...)
	d.until("Ctrl-C ends it.")
	for _, want := range []string{
		"before the injection:", "    name: photos\n", "\n+         - name: clamav-sidecar\n", "\n+             - name: CLAMD_CONF_FILENAME\n",
		`{"verdict":"clean",`, "HTTP status 200 OK", "clean.txt: OK\n  exit status 0",
		`{"verdict":"infected","signature":"Eicar-Test-Signature.UNOFFICIAL",`, "HTTP status 406 Not Acceptable",
		"eicar.txt: Eicar-Test-Signature.UNOFFICIAL FOUND\n  exit status 1",
	} {
		if !strings.Contains(d.text.String(), want) {
			t.Errorf("the demo did not say %q", want)
		}
	}
	if got := strings.Count(d.text.String(), "TEST SIGNATURES ONLY"); got != 2 {
		t.Errorf("got %d warnings of the test signatures, want 2: before and after the tour", got)
	}
	programs := []int{d.processID("clamd"), d.processID("the sidecar")}
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := d.wait(programs...); code != 0 {
		t.Errorf("got exit code %d after an interrupt, want 0", code)
	}
	if t.Failed() {
		t.Logf("the demo said:\n%s", d.text.String())
	}
}

func TestDemoEndsWhenOneOfItsProcessesDoes(t *testing.T) {
	for program, want := range map[string]string{
		"clamd":       "demo: clamd ended by itself",
		"the sidecar": "demo: the sidecar ended by itself: signal: killed",
	} {
		t.Run(program, func(t *testing.T) {
			d := startDemo(t, freePorts(t)...)
			d.until("Ctrl-C ends it.")
			programs := []int{d.processID("clamd"), d.processID("the sidecar")}
			if err := syscall.Kill(d.processID(program), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if code := d.wait(programs...); code != 1 || !strings.Contains(d.text.String(), want) {
				t.Errorf("got exit code %d, want 1 and %q in\n%s", code, want, d.text.String())
			}
		})
	}
}

func TestDemoNamesAPortThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	d := startDemo(t, append(freePorts(t), "CLAMAV_SIDECAR_LISTEN="+taken.Addr().String())...)
	code := d.wait()
	want := "choose another port, for example CLAMAV_SIDECAR_LISTEN=127.0.0.1:4311 make run\n"
	if text := d.text.String(); code != 1 || !strings.Contains(text, taken.Addr().String()) || !strings.HasSuffix(text, want) {
		t.Errorf("got exit code %d and\n%swant 1, the address and %q", code, text, want)
	}
}

func TestADownloadThatStallsIsGivenUp(t *testing.T) {
	begin := time.Now()
	err := runWhileProgressing(t.Context(), 300*time.Millisecond, &transcript{to: io.Discard}, t.TempDir(), "sleep", "60")
	if took := time.Since(begin); err == nil || took > 20*time.Second {
		t.Errorf("got %v after %v, want an error after about 300 ms", err, took)
	}
}

func TestADownloadThatGoesOnIsNotGivenUp(t *testing.T) {
	script := `for i in 1 2 3 4 5 6 7 8; do echo "$i" >>"$0/main.cvd"; sleep 0.1; done; echo done`
	var said bytes.Buffer
	dir := t.TempDir()
	err := runWhileProgressing(t.Context(), 500*time.Millisecond, &transcript{to: &said}, dir, "sh", "-c", script, dir)
	if err != nil || said.String() != "  done\n" {
		t.Errorf("got %v and %q, want nil and %q", err, said.String(), "  done\n")
	}
}

func TestADownloadEndsWithTheDemo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	err := runWhileProgressing(ctx, time.Minute, &transcript{to: io.Discard}, t.TempDir(), "sleep", "60")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestBoxFramesAndWraps(t *testing.T) {
	got := box("short\n" + strings.Repeat("words ", 20))
	want := strings.Repeat("#", 101) + "\n" +
		"## short" + strings.Repeat(" ", 90) + " ##\n" +
		"## " + strings.TrimSpace(strings.Repeat("words ", 16)) + " ##\n" +
		"## words words words words" + strings.Repeat(" ", 72) + " ##\n" +
		strings.Repeat("#", 101) + "\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestOfficialSignaturesAreMainAndDaily(t *testing.T) {
	tests := map[string]struct {
		files []string
		want  bool
	}{
		"as downloaded":     {[]string{"main.cvd", "daily.cvd", "bytecode.cvd"}, true},
		"as updated":        {[]string{"main.cvd", "daily.cld"}, true},
		"without the daily": {[]string{"main.cvd"}, false},
		"of one's own":      {[]string{"main.ndb", "daily.hdb"}, false},
		"none":              {nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range test.files {
				if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := checkOfficial(dir); (err == nil) != test.want {
				t.Errorf("got %v, want nil: %t", err, test.want)
			}
		})
	}
}
