package clamd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// process is one run of clamd. Its goroutine, started by launch, waits for the
// end of the run and then closes ended.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// launch starts clamd on the given clamd.conf, with its standard error appended
// to the file at stderrPath.
func launch(exe, confPath, stderrPath string) (*process, error) {
	stderr, err := os.OpenFile(stderrPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the file for clamd's standard error: %w", err)
	}
	defer stderr.Close()

	cmd := exec.Command(exe, "--config-file="+confPath)
	cmd.Stderr = stderr
	cmd.SysProcAttr = processAttributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start clamd: %w", err)
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		// How it ended matters only to startError, which asks ProcessState.
		_ = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// running tells whether the run has not ended. A nil process never ran.
func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// end sends the signal and waits, at most stopTimeout, until the process is gone.
func (p *process) end(sig syscall.Signal) error {
	if err := p.signal(sig); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("clamd (process %d) is still there %s after the signal %q", p.cmd.Process.Pid, stopTimeout, sig)
	}
}

// signal sends the signal; that the process has just ended is no error.
func (p *process) signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send the signal %q to clamd (process %d): %w", sig, p.cmd.Process.Pid, err)
	}
	return nil
}

// PID is the process id of clamd, or 0 when it is not running.
func (d *Daemon) PID() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.proc.running() {
		return 0
	}
	return d.proc.cmd.Process.Pid
}

// Restart starts clamd on the same address and returns when it answers PING. It
// stops a clamd that is still running first. The other methods that act on the
// process wait meanwhile.
func (d *Daemon) Restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	d.mu.Lock()
	defer d.mu.Unlock()

	if err := d.stop(); err != nil {
		return err
	}
	logged := len(readLog(d.logPath()))
	proc, err := launch(d.exe, d.ConfPath(), d.stderrPath())
	if err != nil {
		return err
	}
	d.proc = proc
	if err := d.awaitReady(ctx, proc, logged); err != nil {
		return errors.Join(err, proc.end(syscall.SIGKILL))
	}
	return nil
}

// awaitReady waits until this very process serves the address: clamd has logged
// that it bound the port, after the first `logged` bytes of its log, and
// answers PING. PING alone would also be answered by a stranger on the port.
func (d *Daemon) awaitReady(ctx context.Context, proc *process, logged int) error {
	bound := fmt.Sprintf("TCP: Bound to [%s]:%d", d.opts.Host, d.opts.Port)
	for {
		log := readLog(d.logPath())[logged:]
		if d.opts.NoTCP || strings.Contains(log, bound) {
			if err := d.command(ctx, "PING"); err == nil {
				return nil
			}
		}
		select {
		case <-proc.ended:
			return d.startError(proc, readLog(d.logPath())[logged:])
		case <-ctx.Done():
			return fmt.Errorf("wait for clamd on %s to answer PING: %w; its log:\n%s", d.endpoint(), ctx.Err(), log)
		case <-time.After(pollInterval):
		}
	}
}

// startError says why a clamd that should have started has ended.
func (d *Daemon) startError(proc *process, log string) error {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "Cannot bind") {
			return bindError(d.opts.Host, d.opts.Port, strings.TrimSpace(line))
		}
	}
	return fmt.Errorf("start clamd on %s: it ended with %s; its log:\n%s%s",
		d.endpoint(), proc.cmd.ProcessState, log, readLog(d.stderrPath()))
}

// Stop ends clamd as an operator would, with SIGTERM, so that running scans are
// finished, and with SIGKILL if it has not ended ten seconds later, which is an
// error. A paused clamd is resumed for it. Without a running clamd Stop does
// nothing.
func (d *Daemon) Stop() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stop()
}

// stop is Stop for callers that hold d.mu.
func (d *Daemon) stop() error {
	if !d.proc.running() {
		return nil
	}
	if err := d.proc.signal(syscall.SIGCONT); err != nil {
		return err
	}
	if err := d.proc.end(syscall.SIGTERM); err != nil {
		return errors.Join(err, d.proc.end(syscall.SIGKILL))
	}
	return nil
}

// Kill ends clamd with SIGKILL, in the middle of whatever it does, and returns
// when the process is gone. Without a running clamd it does nothing.
func (d *Daemon) Kill() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.proc.running() {
		return nil
	}
	return d.proc.end(syscall.SIGKILL)
}

// Pause freezes clamd with SIGSTOP: the system still accepts connections for
// it, and nothing answers.
func (d *Daemon) Pause() error { return d.signalRunning(syscall.SIGSTOP) }

// Resume lets a paused clamd go on.
func (d *Daemon) Resume() error { return d.signalRunning(syscall.SIGCONT) }

func (d *Daemon) signalRunning(sig syscall.Signal) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.proc.running() {
		return fmt.Errorf("send the signal %q to clamd on %s: it is not running", sig, d.endpoint())
	}
	return d.proc.signal(sig)
}
