package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"clamav-sidecar/test/bench/process"
	"clamav-sidecar/test/clamd"
)

// setup is a clamd and a sidecar in front of it.
type setup struct {
	dir    string
	daemon *clamd.Daemon
	proc   *sidecar

	clamd, http, clamdEndpoint string // addresses
	clamdscan                  string // its path
	number                     atomic.Uint64
}

func start(ctx context.Context, binary string) (*setup, error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	s := &setup{dir: dir}
	// Bodies of this run differ from those of any other that this clamd, or
	// one that shares its cache, has seen.
	s.number.Store(uint64(time.Now().UnixNano()))
	if err := s.start(ctx, binary); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *setup) start(ctx context.Context, binary string) (err error) {
	if s.clamdscan, err = clamd.Find("clamdscan"); err != nil {
		return err
	}
	if s.daemon, err = clamd.Start(ctx, clamd.Options{}); err != nil {
		return err
	}
	s.clamd = s.daemon.Addr()
	if err := clamd.WriteClientConf(s.conf(), map[string]string{"StreamMaxLength": "200M"}, s.daemon); err != nil {
		return err
	}
	if s.proc, err = startSidecar(ctx, binary, s.conf()); err != nil {
		return err
	}
	s.http, s.clamdEndpoint = s.proc.http, s.proc.clamd
	return nil
}

func (s *setup) conf() string { return filepath.Join(s.dir, "client.conf") }

func (s *setup) close() {
	if s.proc != nil {
		s.proc.stop()
	}
	if s.daemon != nil {
		s.daemon.Close()
	}
	os.RemoveAll(s.dir)
}

// cpu is the processor time that the sidecar and clamd have used so far.
func (s *setup) cpu() (sidecar, clamd time.Duration) {
	return process.CPU(s.proc.cmd.Process.Pid), process.CPU(s.daemon.PID())
}

// sidecar is a running binary.
type sidecar struct {
	cmd              *exec.Cmd
	http, clamd, ops string // addresses
	ready            time.Duration
}

// startSidecar starts the binary on free ports and waits until it is ready.
// flags come behind those for the ports and the conf.
func startSidecar(ctx context.Context, binary, conf string, flags ...string) (*sidecar, error) {
	var addresses [3]string
	for i := range addresses {
		// The port is free now; the sidecar says so if it is not a moment later.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addresses[i] = l.Addr().String()
		l.Close()
	}
	s := &sidecar{http: addresses[0], clamd: addresses[1], ops: addresses[2]}
	flags = append([]string{"--clamd-conf", conf, "--listen", s.http, "--clamd-listen", s.clamd, "--ops-listen", s.ops}, flags...)
	s.cmd = exec.CommandContext(ctx, binary, flags...)
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.WaitDelay = 10 * time.Second
	log, err := os.Create(filepath.Join(filepath.Dir(conf), "sidecar.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the sidecar (make build makes it): %w", err)
	}
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for time.Since(begin) < 5*time.Second {
		resp, err := client.Get("http://" + s.ops + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				s.ready = time.Since(begin)
				return s, nil
			}
		}
		time.Sleep(time.Millisecond)
	}
	s.stop()
	text, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("the sidecar is not ready after 5 s: %s", text)
}

func (s *sidecar) stop() {
	err := errors.Join(s.cmd.Process.Signal(syscall.SIGTERM), s.cmd.Wait())
	if err != nil {
		progress("stop the sidecar: %v", err)
	}
}

func processors() int { return runtime.NumCPU() }
