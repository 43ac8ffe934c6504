package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// cell is a row of the table.
type cell struct {
	size    int64
	clients int
}

// sample is what one way did in one round of a cell.
type sample struct {
	scansPerSecond float64
	p50, p99       time.Duration
	sidecarCPU     float64 // seconds per GB (10^9 bytes)
	clamdCPU       float64 // seconds per GB
}

// result is what one way did in a cell, over all rounds.
type result struct {
	way     way
	samples []sample
}

// measure runs every way in turn, round after round.
func measure(ctx context.Context, s *setup, c cell, opts options) ([]result, error) {
	var results []result
	for _, w := range ways() {
		if len(opts.ways) == 0 || slices.Contains(opts.ways, w.name) {
			results = append(results, result{way: w})
		}
	}
	for round := range opts.rounds {
		for i := range results {
			// Each round begins with another way.
			r := &results[(i+round)%len(results)]
			sample, err := burst(ctx, s, c, r.way, opts.time)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.way.name, err)
			}
			r.samples = append(r.samples, sample)
		}
	}
	return results, nil
}

// burst has a cell's clients send bodies one way for at least d.
func burst(ctx context.Context, s *setup, c cell, w way, d time.Duration) (sample, error) {
	clients := make([]client, c.clients)
	for i := range clients {
		body, err := newBody(s.number.Add(1), c.size)
		if err != nil {
			return sample{}, err
		}
		if clients[i], err = w.open(s, body); err != nil {
			return sample{}, err
		}
		defer clients[i].close()
	}
	// The first scan of each client opens its connection and is not counted.
	if _, err := each(clients, func(c client) ([]time.Duration, error) {
		return nil, c.scan(s.number.Add(1))
	}); err != nil {
		return sample{}, err
	}

	sidecarBefore, clamdBefore := s.cpu()
	begin := time.Now()
	times, err := each(clients, func(c client) (times []time.Duration, err error) {
		for ctx.Err() == nil && (time.Since(begin) < d || len(times) == 0) {
			t := time.Now()
			if err := c.scan(s.number.Add(1)); err != nil {
				return nil, err
			}
			times = append(times, time.Since(t))
		}
		return times, ctx.Err()
	})
	elapsed := time.Since(begin)
	if err != nil {
		return sample{}, err
	}
	sidecarAfter, clamdAfter := s.cpu()
	slices.Sort(times)
	gb := float64(int64(len(times))*c.size) / 1e9
	return sample{
		scansPerSecond: float64(len(times)) / elapsed.Seconds(),
		p50:            times[len(times)/2],
		p99:            times[len(times)*99/100],
		sidecarCPU:     (sidecarAfter - sidecarBefore).Seconds() / gb,
		clamdCPU:       (clamdAfter - clamdBefore).Seconds() / gb,
	}, nil
}

// each runs do for all clients at the same time and gathers their times.
func each(clients []client, do func(client) ([]time.Duration, error)) ([]time.Duration, error) {
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		times []time.Duration
		errs  []error
	)
	for _, c := range clients {
		group.Go(func() {
			t, err := do(c)
			mu.Lock()
			defer mu.Unlock()
			times, errs = append(times, t...), append(errs, err)
		})
	}
	group.Wait()
	return times, errors.Join(errs...)
}
