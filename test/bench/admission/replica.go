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
	"syscall"
	"time"

	"clamav-sidecar/test/bench/process"
)

// replica is a running webhook.
type replica struct {
	cmd         *exec.Cmd
	listen, ops string // addresses
	ready       time.Duration
}

// start starts the binary on free ports and waits until it is ready.
func (in *installation) start(ctx context.Context) (*replica, error) {
	var addresses [2]string
	for i := range addresses {
		// The port is free now; the webhook says so if it is not a moment later.
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		addresses[i] = l.Addr().String()
		l.Close()
	}
	r := &replica{listen: addresses[0], ops: addresses[1]}
	r.cmd = exec.CommandContext(ctx, in.binary, "--config", in.config(), "--kubeconfig", in.kubeconfig(), "--namespace", home,
		"--listen", r.listen, "--ops-listen", r.ops, "--drain", "0s")
	r.cmd.Cancel = func() error { return r.cmd.Process.Signal(syscall.SIGTERM) }
	r.cmd.WaitDelay = 20 * time.Second
	log, err := os.Create(filepath.Join(in.dir, "webhook.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	r.cmd.Stderr = log
	begin := time.Now()
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("failed to start the webhook (make build makes it): %w", err)
	}
	if err := r.waitReady(ctx, begin); err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, errors.Join(fmt.Errorf("%w: %s", err, text), r.stop())
	}
	r.ready = time.Since(begin)
	return r, nil
}

func (r *replica) waitReady(ctx context.Context, begin time.Time) error {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for time.Since(begin) < 30*time.Second && ctx.Err() == nil {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.ops+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	return errors.Join(errors.New("the webhook is not ready after 30 s"), ctx.Err())
}

func (r *replica) stop() error {
	return errors.Join(r.cmd.Process.Signal(syscall.SIGTERM), r.cmd.Wait())
}

// cpu is the processor time that the webhook has used, and this program, which
// makes the load.
func (r *replica) cpu() (webhook, load time.Duration) {
	return process.CPU(r.cmd.Process.Pid), process.CPU(os.Getpid())
}

// memory is in MiB.
func (r *replica) memory(name string) float64 {
	return float64(process.Memory(r.cmd.Process.Pid, name)) / (1 << 20)
}
