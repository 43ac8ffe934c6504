package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"clamav-sidecar/test/bench/process"
)

const mib = 1 << 20

// footprint prints how large the binary is, how soon it is ready and how much
// memory it takes.
func footprint(ctx context.Context, s *setup, binary string) error {
	progress("footprint")
	info, err := os.Stat(binary)
	if err != nil {
		return err
	}
	fmt.Println("\n| what | figure |\n| --- | --- |")
	row := func(what, format string, args ...any) {
		fmt.Printf("| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	row("binary", "%.1f MiB", float64(info.Size())/mib)

	var ready []float64
	for range 10 {
		again, err := startSidecar(ctx, binary, s.conf())
		if err != nil {
			return err
		}
		ready = append(ready, milliseconds(again.ready))
		again.stop()
	}
	row("start to ready", "%.0f ms (median of 10)", median(ready))

	// 64 files of 100 MB keep clamd busy for longer than a file usually waits.
	idle, err := startSidecar(ctx, binary, s.conf(), "--queue-timeout", "10m", "--scan-timeout", "10m")
	if err != nil {
		return err
	}
	defer idle.stop()
	pid := idle.cmd.Process.Pid
	time.Sleep(5 * time.Second)
	row("RSS, idle", "%.1f MiB", float64(process.Memory(pid, "VmRSS"))/mib)

	for _, load := range []struct {
		what    string
		clients int
		size    int64
		request func([]byte) request
	}{
		{"peak RSS, 64 uploads of 100 MB at a time", 64, 100e6, httpRaw},
		{"peak RSS, 64 multipart uploads of 100 MB at a time", 64, 100e6, httpMultipart},
		{"peak RSS, 16 uploads of 256 KiB at a time", 16, 256 << 10, httpRaw},
	} {
		if err := process.ResetPeak(pid); err != nil {
			return err
		}
		if err := upload(ctx, s, idle.http, load.clients, load.size, load.request); err != nil {
			return fmt.Errorf("%s: %w", load.what, err)
		}
		row(load.what, "%.1f MiB", float64(process.Memory(pid, "VmHWM"))/mib)
	}
	return ctx.Err()
}

// upload has clients send one body each, or a second of small ones. All share
// one body's memory: their bodies differ in nothing, which clamd's cache makes
// cheap, since it is the sidecar's memory that is looked at.
func upload(ctx context.Context, s *setup, address string, clients int, size int64, request func([]byte) request) error {
	body, err := newBody(s.number.Add(1), size)
	if err != nil {
		return err
	}
	shared := request(body)
	all := make([]client, clients)
	for i := range all {
		all[i] = &repeated{newSocket(address, shared, httpReply)}
		defer all[i].close()
	}
	begin := time.Now()
	_, err = each(all, func(c client) ([]time.Duration, error) {
		for n := 0; ctx.Err() == nil && (n == 0 || size < mib && time.Since(begin) < time.Second); n++ {
			if err := c.scan(0); err != nil {
				return nil, err
			}
		}
		return nil, ctx.Err()
	})
	return err
}

// repeated sends the same body again and again.
type repeated struct{ *socket }

func (u *repeated) scan(uint64) error { return u.send() }
