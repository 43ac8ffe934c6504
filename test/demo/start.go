package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"clamav-sidecar/test/clamd"
)

// readyTimeout bounds the sidecar's start, which takes some 50 ms.
const readyTimeout = 20 * time.Second

// startSidecar builds the sidecar, starts it in front of clamd and returns when
// it is ready.
func (d *demo) startSidecar(ctx context.Context) error {
	fmt.Fprintln(d.out, "building the sidecar")
	program, err := d.build(ctx, "sidecar")
	if err != nil {
		return err
	}
	conf := d.file("clamd.conf")
	if err := clamd.WriteClientConf(conf, nil, d.clamd); err != nil {
		return err
	}
	sidecar, err := startProcess(d.err, program, "--clamd-conf", conf, "--require-scanner", "--log-format", "text")
	if err != nil {
		return err
	}
	if err := d.awaitReady(ctx, sidecar); err != nil {
		return errors.Join(err, sidecar.stop())
	}
	d.sidecar = sidecar
	fmt.Fprintf(d.out, "the sidecar is up: HTTP %s, clamd protocol %s, probes and metrics %s, process %d\n",
		d.ports.http, d.ports.clamd, d.ports.ops, sidecar.cmd.Process.Pid)
	return nil
}

// awaitReady waits until /readyz says so.
func (d *demo) awaitReady(ctx context.Context, sidecar *process) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		if d.ready(ctx) {
			return nil
		}
		select {
		case <-sidecar.ended:
			return fmt.Errorf("start the sidecar: %w; its log above says why", sidecar.outcome())
		case <-ctx.Done():
			return fmt.Errorf("wait for the sidecar to be ready: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (d *demo) ready(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+dialable(d.ports.ops)+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// writeClamdscanConf writes the clamd.conf that leads clamdscan to the sidecar.
func (d *demo) writeClamdscanConf() (path string, err error) {
	host, port, err := net.SplitHostPort(dialable(d.ports.clamd))
	if err != nil {
		return "", fmt.Errorf("write a clamd.conf for clamdscan: %w", err)
	}
	path = d.file("clamdscan.conf")
	text := fmt.Sprintf("# clamdscan scans through the sidecar with this file.\nTCPSocket %s\nTCPAddr %s\n"+
		"# clamdscan cuts off what is longer, and calls the rest OK: the service is to decide.\nStreamMaxLength 2000M\n", port, host)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	return path, nil
}
