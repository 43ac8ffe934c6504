package upstream

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// queue bounds what is let in (slots and waiting together) and what is scanned
// at a time.
type queue struct {
	slots    chan struct{} // one element for each scan that runs
	most     int64         // let in at a time
	patience time.Duration // to wait for a slot

	in       atomic.Int64
	waiting  atomic.Int64
	refused  atomic.Uint64
	timeouts atomic.Uint64
	// pace is a moving average of how long a scan holds its slot, in nanoseconds.
	pace atomic.Int64
}

func newQueue(slots, waiting int, patience time.Duration) *queue {
	return &queue{
		slots:    make(chan struct{}, slots),
		most:     int64(slots) + int64(waiting),
		patience: patience,
	}
}

// enter lets one more in, or not.
func (q *queue) enter() bool {
	if q.in.Add(1) > q.most {
		q.in.Add(-1)
		q.refused.Add(1)
		return false
	}
	return true
}

func (q *queue) leave() { q.in.Add(-1) }

// acquire waits for a slot, first come, first served.
func (q *queue) acquire(ctx context.Context) error {
	select {
	case q.slots <- struct{}{}:
		return nil
	default:
	}
	q.waiting.Add(1)
	defer q.waiting.Add(-1)
	timer := time.NewTimer(q.patience)
	defer timer.Stop()
	select {
	case q.slots <- struct{}{}:
		return nil
	case <-timer.C:
		q.timeouts.Add(1)
		return ErrQueueTimeout
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release gives the slot back that was held for so long.
func (q *queue) release(held time.Duration) {
	<-q.slots
	// Two scans that end together may lose one sample: it is an estimate.
	old := q.pace.Load()
	q.pace.Store(old + (int64(held)-old)/8)
}

// retryAfter estimates when a slot will be free for one who comes again, in
// whole seconds from 1 to 30.
func (q *queue) retryAfter() time.Duration {
	rounds := float64(q.waiting.Load()+1) / float64(cap(q.slots))
	seconds := math.Ceil(rounds * time.Duration(q.pace.Load()).Seconds())
	return time.Duration(min(max(seconds, 1), 30)) * time.Second
}
