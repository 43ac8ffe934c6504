package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"clamav-sidecar/test/clamd"
)

// freshclamPatience is how long freshclam may get nothing and say nothing.
// Where the network is closed it might wait for minutes.
const freshclamPatience = 20 * time.Second

// freshclam downloads the official signatures into dir, or brings them up to
// date. Its success does not mean that they are there: after some refusals of
// the servers freshclam reports none.
func (d *demo) freshclam(ctx context.Context, dir string) error {
	program, err := clamd.Find("freshclam")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make a directory for the signatures: %w", err)
	}
	conf := filepath.Join(d.dir, "freshclam.conf")
	text := "DatabaseMirror database.clamav.net\nMaxAttempts 1\n"
	if os.Geteuid() == 0 {
		text += "DatabaseOwner root\n" // or else it changes to a user who may not write there
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write freshclam.conf: %w", err)
	}
	fmt.Fprintf(d.out, "looking for the official signatures, to keep them in %s\n", dir)

	output := &transcript{to: d.out}
	err = runWhileProgressing(ctx, freshclamPatience, output, dir, program, "--config-file="+conf, "--datadir="+dir, "--stdout")
	if err != nil && output.fault != "" {
		err = fmt.Errorf("%w; it said: %s", err, output.fault)
	}
	return err
}

// runWhileProgressing runs a program that fills dir, and ends it when it has
// neither written to dir nor said anything for so long as patience.
func runWhileProgressing(ctx context.Context, patience time.Duration, output *transcript, dir, program string, args ...string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	command := exec.CommandContext(ctx, program, args...)
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = processAttributes()
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) } // it removes its temporary files
	command.WaitDelay = 3 * time.Second

	var watch sync.WaitGroup
	watch.Go(func() {
		seen, since := int64(-1), time.Now()
		for {
			if now := output.size.Load() + sizeOf(dir); now != seen {
				seen, since = now, time.Now()
			}
			if time.Since(since) > patience {
				cancel(fmt.Errorf("%s got nothing for %v", filepath.Base(program), patience))
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(patience / 10):
			}
		}
	})
	err := command.Run()
	if stalled := context.Cause(ctx); stalled != nil {
		err = stalled
	} else if err != nil {
		err = fmt.Errorf("%s failed: %w", filepath.Base(program), err)
	}
	cancel(nil)
	watch.Wait()
	return err
}

// sizeOf is the number of bytes in all files under dir. Files come and go
// meanwhile; what cannot be read counts as nothing.
func sizeOf(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}

// transcript passes a program's lines on, indented, and keeps the first one that
// tells of an error.
type transcript struct {
	to    io.Writer
	size  atomic.Int64 // bytes so far
	line  []byte       // the last one, as far as it has come
	fault string
}

func (t *transcript) Write(p []byte) (int, error) {
	t.size.Add(int64(len(p)))
	for line := range bytes.Lines(p) {
		t.line = append(t.line, line...)
		if t.line[len(t.line)-1] != '\n' {
			break
		}
		if _, err := fmt.Fprintf(t.to, "  %s", t.line); err != nil {
			return 0, err
		}
		if text, ok := bytes.CutPrefix(t.line, []byte("ERROR: ")); ok && t.fault == "" {
			t.fault = string(bytes.TrimSpace(text))
		}
		t.line = t.line[:0]
	}
	return len(p), nil
}
