package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is what clients did in one round.
type load struct {
	admissions       int
	elapsed          time.Duration
	times            []time.Duration // one for each admission, sorted
	webhook, clients time.Duration   // of processor time
}

func (l load) perSecond() float64 { return float64(l.admissions) / l.elapsed.Seconds() }

// cpu is processor time for each admission, in µs.
func (l load) cpu(used time.Duration) float64 {
	return float64(used.Microseconds()) / float64(l.admissions)
}

// observe runs send, which gives the time of each admission, and adds what it
// took.
func observe(r *replica, send func() ([]time.Duration, error)) (load, error) {
	webhookBefore, clientsBefore := r.cpu()
	begin := time.Now()
	times, err := send()
	elapsed := time.Since(begin)
	if err == nil && len(times) == 0 {
		err = errors.New("nothing was admitted")
	}
	webhookAfter, clientsAfter := r.cpu()
	slices.Sort(times)
	return load{
		admissions: len(times), elapsed: elapsed, times: times,
		webhook: webhookAfter - webhookBefore, clients: clientsAfter - clientsBefore,
	}, err
}

// closedLoop has each client send one review after the other for as long as more
// says so.
func closedLoop(ctx context.Context, clients []*client, number *atomic.Uint64, more func() bool) ([]time.Duration, error) {
	return together(clients, func(c *client) (times []time.Duration, err error) {
		for ctx.Err() == nil && more() {
			begin := time.Now()
			if err := c.admit(ctx, number.Add(1)); err != nil {
				return nil, err
			}
			times = append(times, time.Since(begin))
		}
		return times, ctx.Err()
	})
}

// openLoop sends rate reviews a second for a time d, at random moments that do
// not depend on the answers (a Poisson process), and takes the time of each from
// the moment at which it was due: one that waits for those before it has waited.
func openLoop(ctx context.Context, clients []*client, number *atomic.Uint64, rate float64, d time.Duration) ([]time.Duration, error) {
	random := rand.New(rand.NewPCG(1, number.Load()))
	var moments []time.Duration
	for at := time.Duration(0); at < d; at += time.Duration(random.ExpFloat64() / rate * float64(time.Second)) {
		moments = append(moments, at)
	}
	due := make(chan time.Time, len(moments)) // never blocks
	var schedule sync.WaitGroup
	schedule.Go(func() {
		defer close(due)
		begin := time.Now()
		for _, at := range moments {
			sleepUntil(begin.Add(at))
			due <- begin.Add(at)
		}
	})
	defer schedule.Wait()
	return together(clients, func(c *client) (times []time.Duration, err error) {
		for moment := range due {
			if err := c.admit(ctx, number.Add(1)); err != nil {
				return nil, err
			}
			times = append(times, time.Since(moment))
		}
		return times, nil
	})
}

// together runs do for all clients at the same time and gathers their times.
func together(clients []*client, do func(*client) ([]time.Duration, error)) ([]time.Duration, error) {
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
