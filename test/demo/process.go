package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"clamav-sidecar/sidecar"
)

// process is a program that was started. Its goroutine waits for its end and
// then closes ended.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // what Wait returned; read it only after ended is closed
}

// startProcess starts a program whose output goes to log.
func startProcess(log io.Writer, program string, args ...string) (*process, error) {
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = processAttributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// outcome tells how it ended. It may be called only once ended is closed.
func (p *process) outcome() error {
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// stop ends the sidecar in order, and by force if that takes longer than it may.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the sidecar: %w", err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(sidecar.Grace + 2*time.Second):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the sidecar: %w", err)
	}
	<-p.ended
	return fmt.Errorf("the sidecar had to be killed: it did not end within %v", sidecar.Grace)
}
