package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"clamav-sidecar/sidecar/clamd"
)

const (
	checkInterval = 3 * time.Second
	checkTimeout  = 3 * time.Second
	// The back-off between the checks of a replica that is down doubles from
	// the first to the second.
	firstBackOff = 50 * time.Millisecond
	lastBackOff  = 500 * time.Millisecond
	// hangTimeout is for how long a replica may be down before its running
	// scans are given up: it hangs, or its host has vanished, and neither would
	// end them. It is longer than clamd is silent for when its queue is full.
	hangTimeout = 15 * time.Second
)

// watch checks the replica's health until ctx ends: every checkInterval, at
// once when a scan has lost it, and with a growing back-off while it is down.
func (r *replica) watch(ctx context.Context) {
	defer r.leave()
	backOff := firstBackOff
	healthy := time.Now() // when it was so last
	for {
		begin := time.Now()
		version, err := r.check(ctx)
		if ctx.Err() != nil {
			return
		}
		// A clamd that answers scans, and no VERSION, is busy and not down.
		if !errors.Is(err, clamd.ErrTimeout) || r.answered.Load() < begin.UnixNano() {
			r.set(version, err)
		}
		r.prune(idleTime)
		r.examineOnce(ctx)

		wait := checkInterval - rand.N(checkInterval/10)
		if r.is(Down) {
			wait, backOff = backOff+rand.N(backOff/4), min(2*backOff, lastBackOff)
			if time.Since(healthy) > hangTimeout {
				r.giveUp()
			}
		} else {
			backOff, healthy = firstBackOff, time.Now()
		}
		if !sleep(ctx, wait, r.checkNow) {
			return
		}
	}
}

// check asks for VERSION, on a connection of its own.
func (r *replica) check(ctx context.Context) (clamd.Version, error) {
	conn, err := r.dial(ctx)
	if err != nil {
		return clamd.Version{}, err
	}
	release := context.AfterFunc(ctx, func() { conn.Close() })
	defer release()
	reply, err := clamd.Command(conn, "VERSION", time.Now().Add(checkTimeout))
	if err != nil {
		return clamd.Version{}, err
	}
	return clamd.ParseVersion(string(reply))
}

// set takes in what a check, or a scan, has found; err is nil for a replica
// that works.
func (r *replica) set(version clamd.Version, err error) {
	state := Healthy
	if err != nil {
		state = Down
		r.examined.Store(false) // it may come back with another clamd.conf
	}
	r.mu.Lock()
	r.err = err
	if err == nil {
		r.version, r.checked = version, time.Now()
	}
	before := r.state.Swap(state)
	r.mu.Unlock()
	if before == state {
		return
	}
	if state == Healthy {
		r.pool.log.Info("replica is healthy", "replica", r.address, "engine", version.Engine,
			"signatures", version.Signatures)
		return
	}
	r.pool.ejections.Add(1)
	r.pool.log.Warn("replica is down", "replica", r.address, "error", err)
	r.prune(0)
	r.pool.lookSoon()
}

// suspect ejects a replica that a scan was lost on, and has it checked at once.
func (r *replica) suspect(err error) {
	r.set(clamd.Version{}, err)
	select {
	case r.checkNow <- struct{}{}:
	default:
	}
}

// giveUp closes the connections that scans wait on. Those whose body is held
// move on to another replica.
func (r *replica) giveUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for session := range r.inUse {
		session.Close()
	}
}

// leave closes the idle sessions, and those still in use as they come back.
func (r *replica) leave() {
	r.mu.Lock()
	r.gone = true
	r.mu.Unlock()
	r.prune(0)
}
