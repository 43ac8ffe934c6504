package upstream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueueLetsInSlotsAndPlacesTogether(t *testing.T) {
	q := newQueue(2, 3, time.Minute)
	for i := range 5 {
		if !q.enter() {
			t.Fatalf("body %d: got refused, want let in", i+1)
		}
	}
	for range 2 {
		if q.enter() {
			t.Fatal("a sixth body: got let in, want refused")
		}
	}
	if got := q.refused.Load(); got != 2 {
		t.Errorf("refused: got %d, want 2", got)
	}
	q.leave()
	if !q.enter() {
		t.Error("after one has left: got refused, want let in")
	}
}

func TestQueueServesInTheOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 10, time.Minute)
		if err := q.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		var served []int // written by the one that holds the slot
		for i := range 10 {
			go func() {
				if err := q.acquire(t.Context()); err != nil {
					t.Error(err)
					return
				}
				served = append(served, i)
				time.Sleep(time.Second)
				q.release(time.Second)
			}()
			synctest.Wait()
		}
		if got := q.waiting.Load(); got != 10 {
			t.Errorf("waiting: got %d, want 10", got)
		}
		q.release(time.Second)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}; !slices.Equal(served, want) {
			t.Errorf("served: got %v, want %v", served, want)
		}
		if len(q.slots) != 0 || q.waiting.Load() != 0 {
			t.Errorf("afterwards: got %d slots in use and %d waiting, want none", len(q.slots), q.waiting.Load())
		}
	})
}

func TestQueueNobodyOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 10, time.Minute)
		if err := q.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := make(chan struct{})
		go func() {
			if err := q.acquire(t.Context()); err != nil {
				t.Error(err)
			}
			close(first)
		}()
		synctest.Wait()
		q.release(time.Second) // the slot is the first one's from here on
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one who comes later: got %v, want that it waits", err)
		}
		<-first
	})
}

func TestQueueWaitEnds(t *testing.T) {
	const patience = 30 * time.Second // of the queue
	tests := map[string]struct {
		gone     time.Duration // when the caller ends
		wait     time.Duration
		want     error
		timeouts uint64
	}{
		"after the queue's patience": {time.Hour, patience, ErrQueueTimeout, 1},
		"with the caller's context":  {time.Second, time.Second, context.DeadlineExceeded, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(1, 1, patience)
				if err := q.acquire(t.Context()); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), test.gone)
				defer cancel()
				start := time.Now()
				if err := q.acquire(ctx); !errors.Is(err, test.want) {
					t.Errorf("got error %v, want %v", err, test.want)
				}
				if got := time.Since(start); got != test.wait {
					t.Errorf("got it after %v, want %v", got, test.wait)
				}
				if q.timeouts.Load() != test.timeouts || q.waiting.Load() != 0 {
					t.Errorf("got %d time-outs and %d waiting, want %d and none", q.timeouts.Load(), q.waiting.Load(), test.timeouts)
				}
			})
		})
	}
}

func TestRetryAfterIsInWholeSecondsFromOneToThirty(t *testing.T) {
	for _, pace := range []time.Duration{0, time.Nanosecond, time.Millisecond, 999 * time.Millisecond, 7 * time.Second, time.Hour, math.MaxInt64} {
		for _, waiting := range []int64{0, 1, 15, 16, 128, math.MaxInt32} {
			q := newQueue(16, 128, time.Minute)
			q.pace.Store(int64(pace))
			q.waiting.Store(waiting)
			got := q.retryAfter()
			if got < time.Second || got > 30*time.Second || got%time.Second != 0 {
				t.Errorf("scans of %v and %d waiting: got %v, want whole seconds from 1 to 30", pace, waiting, got)
			}
		}
	}
}

func TestRetryAfterGrowsWithTheQueue(t *testing.T) {
	q := newQueue(2, 100, time.Minute)
	for range 200 { // scans that take four seconds each
		q.slots <- struct{}{}
		q.release(4 * time.Second)
	}
	for waiting, want := range map[int64]time.Duration{0: 2 * time.Second, 1: 4 * time.Second, 9: 20 * time.Second, 99: 30 * time.Second} {
		q.waiting.Store(waiting)
		if got := q.retryAfter(); got != want {
			t.Errorf("%d waiting: got %v, want %v", waiting, got, want)
		}
	}
}

func TestPoolRefusesWhatItHasNoRoomFor(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	p := startPool(t, confOfPeers(t, startPeers(t, then(held(released), ok))...), func(c *Config) {
		c.MaxConcurrent, c.Queue, c.QueueTimeout = 2, 1, 50*time.Millisecond
	})
	awaitHealthy(t, p, 1)
	ended := make(chan error, 2)
	for range 2 {
		if err := p.Admit(); err != nil {
			t.Fatal(err)
		}
		go func() {
			defer p.Leave()
			_, err := p.Scan(t.Context(), blocksOf([]byte("body")))
			ended <- err
		}()
	}
	eventually(t, "both slots are in use", func() bool { return p.Stats().Scanning == 2 })

	if err := p.Admit(); err != nil {
		t.Fatal(err)
	}
	_, waited := p.Scan(t.Context(), blocksOf([]byte("body")))
	refused := p.Admit()
	for want, got := range map[error]error{ErrQueueTimeout: waited, ErrQueueFull: refused} {
		if !errors.Is(got, want) {
			t.Errorf("got error %v, want %v", got, want)
		}
		if after := p.RetryAfter(fmt.Errorf("wrapped: %w", got)); after < time.Second || after > 30*time.Second {
			t.Errorf("%v: got a retry after %v, want 1 s to 30 s", got, after)
		}
	}
	if got, want := p.Stats(), (Stats{Open: 3, Scanning: 2, Refused: 1, TimedOut: 1}); got != want {
		t.Errorf("meanwhile: got %+v, want %+v", got, want)
	}
	p.Leave()
	close(released)
	for range 2 {
		if err := <-ended; err != nil {
			t.Errorf("a scan that held a slot: got error %v, want none", err)
		}
	}
	eventually(t, "nothing is open", func() bool { s := p.Stats(); return s.Open == 0 && s.Scanning == 0 && s.Queued == 0 })
}
