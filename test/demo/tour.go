package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"

	"clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// tour scans both files both ways, shows what a user would see, and checks it.
func (d *demo) tour(ctx context.Context) error {
	files := []struct {
		name, title string
		body        []byte
		wantStatus  int // of HTTP
		wantExit    int // of clamdscan
	}{
		{"clean.txt", "A clean file", corpus.Clean(), http.StatusOK, 0},
		{"eicar.txt", "The EICAR test file", corpus.EICAR(), http.StatusNotAcceptable, 1},
	}
	conf, err := d.writeClamdscanConf()
	if err != nil {
		return err
	}
	for _, f := range files {
		path := d.file(f.name)
		if err := os.WriteFile(path, f.body, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		fmt.Fprintf(d.out, "\n%s, over HTTP:\n", f.title)
		status, err := d.post(ctx, path, f.body)
		if err != nil {
			return err
		}
		fmt.Fprintf(d.out, "\n%s, with clamdscan:\n", f.title)
		exit, err := d.clamdscan(ctx, conf, path)
		if err != nil {
			return err
		}
		if status != f.wantStatus || exit != f.wantExit {
			return fmt.Errorf("%s: got HTTP status %d and exit status %d, want %d and %d", f.name, status, exit, f.wantStatus, f.wantExit)
		}
	}
	return nil
}

// scanURL is where files are posted to.
func (d *demo) scanURL() string { return "http://" + dialable(d.ports.http) + "/v1/scan" }

// post sends a file as the curl command that it prints would, and shows the
// answer.
func (d *demo) post(ctx context.Context, path string, body []byte) (status int, err error) {
	fmt.Fprintf(d.out, "  $ curl -T %s %s\n", path, d.scanURL())
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, d.scanURL(), bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("scan over HTTP: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("scan over HTTP: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return 0, fmt.Errorf("read the answer to a scan over HTTP: %w", err)
	}
	fmt.Fprintf(d.out, "  %s\n  HTTP status %s\n", bytes.TrimSpace(text), answer.Status)
	return answer.StatusCode, nil
}

// clamdscan runs the real one against the sidecar.
func (d *demo) clamdscan(ctx context.Context, conf, path string) (exit int, err error) {
	program, err := clamd.Find("clamdscan")
	if err != nil {
		return 0, err
	}
	args := []string{"-c", conf, "--stream", "--no-summary", path}
	fmt.Fprintf(d.out, "  $ clamdscan %s\n", strings.Join(args, " "))
	output, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return 0, fmt.Errorf("run clamdscan: %w", err)
	}
	if failed != nil {
		exit = failed.ExitCode()
	}
	fmt.Fprintf(d.out, "  %s\n  exit status %d\n", bytes.TrimSpace(output), exit)
	return exit, nil
}
