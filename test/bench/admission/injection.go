package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"clamav-sidecar/test/bench/process"
	"clamav-sidecar/webhook/inject"
)

// way is one way from the JSON of a pod to the JSON of a patch, or a part of it.
type way struct {
	name string
	do   func(pod []byte) error
}

// burst is what a way took in one round, for each operation: by the clock, and
// of processor time, that of the garbage collector included, which tells more on
// a busy machine.
type burst struct{ nanoseconds, cpu, bytes, allocations float64 }

// measureInjection prints, for each pod, what each way takes.
func measureInjection(ctx context.Context, w io.Writer, subjects []subject, opts options) error {
	injector := &inject.Injector{Defaults: inject.DefaultSettings(), Native: true, Version: "bench"}
	injector.Defaults.Image = image
	fmt.Fprintln(w, "\n| pod | way | µs/op | least to most | CPU µs/op | B/op | allocs/op | to ours |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, s := range subjects {
		progress("injection, %s", s.describe())
		ways, err := newWays(injector, s)
		if err != nil {
			return err
		}
		bursts := make([][]burst, len(ways))
		for round := range opts.rounds {
			for i := range ways {
				// Each round begins with another way.
				i := (i + round) % len(ways)
				b, err := measure(ways[i], s.json, opts.time)
				if err := errors.Join(err, ctx.Err()); err != nil {
					return fmt.Errorf("%s: %w", ways[i].name, err)
				}
				bursts[i] = append(bursts[i], b)
			}
		}
		for i, way := range ways {
			times := column(bursts[i], func(b burst) float64 { return b.nanoseconds / 1e3 })
			var ratios figures
			for round := range bursts[i] {
				ratios = append(ratios, bursts[i][round].nanoseconds/bursts[0][round].nanoseconds)
			}
			fmt.Fprintf(w, "| %s | %s | %.0f | %s | %.0f | %.0f | %.0f | %.2f |\n", s.name, way.name, times.median(), times.spread("%.0f"),
				column(bursts[i], func(b burst) float64 { return b.cpu / 1e3 }).median(),
				column(bursts[i], func(b burst) float64 { return b.bytes }).median(),
				column(bursts[i], func(b burst) float64 { return b.allocations }).median(), ratios.median())
		}
	}
	return nil
}

// measure repeats a way for at least d.
func measure(w way, pod []byte, d time.Duration) (burst, error) {
	if err := w.do(pod); err != nil {
		return burst{}, err
	}
	runtime.GC() // of what the way before has left
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	used, err := process.OwnCPU()
	if err != nil {
		return burst{}, err
	}
	begin, n := time.Now(), 0.0
	for ; time.Since(begin) < d; n++ {
		if err := w.do(pod); err != nil {
			return burst{}, err
		}
	}
	elapsed := time.Since(begin)
	total, err := process.OwnCPU()
	if err != nil {
		return burst{}, err
	}
	runtime.ReadMemStats(&after)
	return burst{
		nanoseconds: float64(elapsed) / n,
		cpu:         float64(total-used) / n,
		bytes:       float64(after.TotalAlloc-before.TotalAlloc) / n,
		allocations: float64(after.Mallocs-before.Mallocs) / n,
	}, nil
}
