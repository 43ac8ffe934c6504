package service_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that has to come.
const patience = time.Minute

// pollInterval is how often a condition is looked at.
const pollInterval = 10 * time.Millisecond

// await waits until the condition holds, and fails the test if it never does.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// process is a container's program that was started. Its goroutine waits for
// its end and then closes ended.
type process struct {
	name   string
	cmd    *exec.Cmd
	output output
	ended  chan struct{}
}

// start starts the program in a process group of its own, which is killed when
// the test ends. What it wrote is printed if the test has failed.
func start(t *testing.T, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{name: name, cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	cmd.WaitDelay = patience // for a child that has inherited the output
	must(t, cmd.Start())
	go func() {
		_ = cmd.Wait() // how it ended is asked of ProcessState
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.signalGroup(t, syscall.SIGKILL)
		<-p.ended
		if t.Failed() {
			t.Logf("output of %s:\n%s", name, p.output.String())
		}
	})
	return p
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// signal sends a signal to the program alone, as the kubelet does.
func (p *process) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("failed to send %v to %s: %v", sig, p.name, err)
	}
}

// signalGroup sends a signal to the program and its children; 0 is none. It
// tells whether there were any.
func (p *process) signalGroup(t *testing.T, sig syscall.Signal) bool {
	t.Helper()
	err := syscall.Kill(-p.cmd.Process.Pid, sig)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Errorf("failed to send %v to the process group of %s: %v", sig, p.name, err)
	}
	return err == nil
}

// exit waits for the end of the program and gives its exit code, -1 if a signal
// ended it.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	await(t, p.name+" has ended", func() bool { return !p.running() })
	return p.cmd.ProcessState.ExitCode()
}

// says waits until the program has written the text. It fails the test if the
// program ends without.
func (p *process) says(t *testing.T, text string) {
	t.Helper()
	p.saysAgain(t, text, 1)
}

// saysAgain is says for a text that is to come for the nth time.
func (p *process) saysAgain(t *testing.T, text string, n int) {
	t.Helper()
	await(t, p.name+" says "+text, func() bool {
		running := p.running()
		said := strings.Count(p.output.String(), text) >= n
		if !said && !running {
			t.Fatalf("%s ended with %v without saying %q", p.name, p.cmd.ProcessState, text)
		}
		return said
	})
}

// output holds what a program writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
