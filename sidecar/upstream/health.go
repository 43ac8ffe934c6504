package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	goclamd "github.com/dutchcoders/go-clamd"

	"clamav-sidecar/sidecar/clamd"
)

const (
	checkInterval = 3 * time.Second
	checkTimeout  = 3 * time.Second
	// askAgain is when a VERSION without an answer is given up: the host may
	// have vanished, and another one answer at the same address.
	askAgain = time.Minute
	// The back-off between the checks of a replica that is down doubles from
	// the first to the second.
	firstBackOff = 50 * time.Millisecond
	lastBackOff  = 500 * time.Millisecond
)

// answer to VERSION.
type answer struct {
	version clamd.Version
	err     error
}

// watch checks the replica's health until ctx ends: every checkInterval, at
// once when a scan has lost it, and with a growing back-off while it is down.
func (r *replica) watch(ctx context.Context) {
	defer r.leave()
	var (
		pending <-chan answer // the call that is under way
		started time.Time     // of that call
		backOff = firstBackOff
	)
	for {
		if pending == nil || time.Since(started) > askAgain {
			pending, started = r.ask(), time.Now()
		}
		select {
		case <-ctx.Done():
			return
		case a := <-pending:
			pending = nil
			r.set(a)
		case <-time.After(checkTimeout):
			// A clamd that answers scans is busy and not down.
			if r.answered.Load() < started.UnixNano() {
				r.set(answer{err: fmt.Errorf("VERSION was not answered within %v", checkTimeout)})
			}
		}
		r.prune(idleTime)
		r.examineOnce(ctx)

		wait := checkInterval - rand.N(checkInterval/10)
		if r.is(Down) {
			r.examined = false // it may come back with another clamd.conf
			wait, backOff = backOff+rand.N(backOff/4), min(2*backOff, lastBackOff)
		} else {
			backOff = firstBackOff
		}
		if !sleep(ctx, wait, r.checkNow) {
			return
		}
	}
}

// ask sends VERSION. go-clamd knows no deadline, so that the goroutine ends with
// the connection; watch waits no longer than checkTimeout for it, and begins no
// other one before askAgain.
func (r *replica) ask() <-chan answer {
	address := r.network + "://" + r.address
	answers := make(chan answer, 1)
	go func() {
		results, err := goclamd.NewClamd(address).Version()
		if err != nil {
			answers <- answer{err: err}
			return
		}
		a := answer{err: errors.New("closed without a reply to VERSION")}
		for result := range results { // to the end, or go-clamd leaks a goroutine
			a.version, a.err = clamd.ParseVersion(result.Raw)
		}
		answers <- a
	}()
	return answers
}

// set takes in what a check said.
func (r *replica) set(a answer) {
	state := Healthy
	if a.err != nil {
		state = Down
	}
	r.mu.Lock()
	r.err = a.err
	if a.err == nil {
		r.version, r.checked = a.version, time.Now()
	}
	before := r.state.Swap(state)
	r.mu.Unlock()
	if before == state {
		return
	}
	if state == Healthy {
		r.pool.log.Info("replica is healthy", "replica", r.address, "engine", a.version.Engine,
			"signatures", a.version.Signatures)
		return
	}
	r.pool.ejections.Add(1)
	r.pool.log.Warn("replica is down", "replica", r.address, "error", a.err)
	r.prune(0)
	r.pool.lookSoon()
}

// suspect ejects a replica that a scan was lost on, and has it checked at once.
func (r *replica) suspect(err error) {
	r.set(answer{err: err})
	select {
	case r.checkNow <- struct{}{}:
	default:
	}
}

// leave closes the idle sessions, and those still in use as they come back.
func (r *replica) leave() {
	r.mu.Lock()
	r.gone = true
	r.mu.Unlock()
	r.prune(0)
}
