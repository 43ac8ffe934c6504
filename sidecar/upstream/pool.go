package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"clamav-sidecar/sidecar/clamd"
)

// commandTimeout is longer than that of a health check, since clamd answers
// STATS only when one of its threads is free.
const commandTimeout = 10 * time.Second

// Config for a Pool.
type Config struct {
	// ClamdConf is the path of the clamd.conf that names the replicas. It is
	// read again every few seconds.
	ClamdConf string
	// Self is the address of our own clamd endpoint, "" if there is none. A
	// clamd.conf that names it would make a loop; it is left out, and logged.
	Self string
	// MaxConcurrent is how many bodies are scanned at a time, Queue how many
	// more are let in, QueueTimeout how long one waits for its turn.
	MaxConcurrent, Queue int
	QueueTimeout         time.Duration
	// ScanTimeout bounds the time that clamd may take for one body, from its
	// last byte to the reply, and for any one write before.
	ScanTimeout time.Duration
	// LookupHost resolves a name of clamd.conf; nil: the system's resolver.
	LookupHost func(ctx context.Context, host string) ([]string, error)
	Log        *slog.Logger
}

// Pool is the set of replicas. It is safe for concurrent use.
type Pool struct {
	config Config
	queue  *queue
	log    *slog.Logger

	conf     atomic.Pointer[clamd.Conf]
	replicas atomic.Pointer[[]*replica] // never changed, only replaced
	found    chan struct{}              // closed once replicas were looked up
	lookNow  chan struct{}              // wakes the discovery

	retries   atomic.Uint64
	ejections atomic.Uint64
}

// New reads clamd.conf once, so that a bad one is an error at the start, and
// connects to nothing yet.
func New(config Config) (*Pool, error) {
	conf, err := clamd.ReadConf(config.ClamdConf)
	if err != nil {
		return nil, err
	}
	if config.LookupHost == nil {
		config.LookupHost = net.DefaultResolver.LookupHost
	}
	p := &Pool{
		config:  config,
		queue:   newQueue(config.MaxConcurrent, config.Queue, config.QueueTimeout),
		log:     config.Log,
		found:   make(chan struct{}),
		lookNow: make(chan struct{}, 1),
	}
	p.conf.Store(&conf)
	p.replicas.Store(&[]*replica{})
	return p, nil
}

// Run finds the replicas and checks their health until ctx ends, and then
// closes the idle connections. Scans that run are not touched.
func (p *Pool) Run(ctx context.Context) error {
	var watchers sync.WaitGroup
	defer watchers.Wait()
	d := discovery{pool: p, known: map[string][]string{}, watchers: &watchers}
	defer d.drop()
	for first := true; ; first = false {
		d.look(ctx)
		if first {
			close(p.found)
		}
		if !sleep(ctx, minLookInterval, nil) || !sleep(ctx, lookInterval-minLookInterval, p.lookNow) {
			return nil
		}
	}
}

// Replicas are all replicas known now, in the order of their addresses.
func (p *Pool) Replicas() []Replica {
	var all []Replica
	for _, r := range *p.replicas.Load() {
		all = append(all, r.snapshot())
	}
	return all
}

// Ready says whether a replica is healthy.
func (p *Pool) Ready() bool {
	return slices.ContainsFunc(*p.replicas.Load(), func(r *replica) bool { return r.is(Healthy) })
}

// Stats are the counters and gauges now.
func (p *Pool) Stats() Stats {
	return Stats{
		Open:      int(p.queue.in.Load()),
		Scanning:  len(p.queue.slots),
		Queued:    int(p.queue.waiting.Load()),
		Refused:   p.queue.refused.Load(),
		TimedOut:  p.queue.timeouts.Load(),
		Retries:   p.retries.Load(),
		Ejections: p.ejections.Load(),
	}
}

// StreamMaxLength is that of the clamd.conf in force, in bytes; 0: none.
func (p *Pool) StreamMaxLength() int64 { return p.conf.Load().StreamMaxLength }

// RetryAfter is when a scan that failed with err may be tried again, in whole
// seconds.
func (p *Pool) RetryAfter(err error) time.Duration {
	if errors.Is(err, ErrQueueFull) || errors.Is(err, ErrQueueTimeout) {
		return p.queue.retryAfter()
	}
	return 2 * time.Second // a replica that is back is seen within one
}

// Admit lets a body in, or gives ErrQueueFull. Leave has to be called once for
// each Admit that succeeds.
func (p *Pool) Admit() error {
	if !p.queue.enter() {
		return ErrQueueFull
	}
	return nil
}

// Leave makes room for the next.
func (p *Pool) Leave() { p.queue.leave() }

// Command sends a command without a body to a healthy replica, and gives its
// reply without the byte that ends it.
func (p *Pool) Command(ctx context.Context, name string) ([]byte, error) {
	var reply []byte
	err := p.try(ctx, func(r *replica) error {
		conn, err := r.dial(ctx)
		if err != nil {
			return err
		}
		reply, err = clamd.Command(conn, name, time.Now().Add(commandTimeout))
		return err
	})
	return reply, why(err, false)
}

// try calls do with one replica after the other, until do succeeds or gives an
// error that another replica would give too. A replica whose connection failed
// is ejected.
func (p *Pool) try(ctx context.Context, do func(*replica) error) error {
	if err := p.awaitFirstLook(ctx); err != nil {
		return err
	}
	var (
		tried []*replica
		last  error
	)
	for {
		r := p.choose(tried)
		if r == nil {
			break
		}
		err := do(r)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err() // the caller's end, which says nothing of the replica
		}
		if lost(err) {
			r.suspect(err)
		}
		if errors.Is(err, clamd.ErrTimeout) || errors.Is(err, errSpent) {
			return err
		}
		tried, last = append(tried, r), fmt.Errorf("%s: %w", r.address, err)
	}
	p.lookSoon()
	if last == nil {
		return p.noReplica()
	}
	return last
}

// noReplica is ErrNoReplica and what is known of the reason.
func (p *Pool) noReplica() error {
	const most = 3 // reasons worth telling
	replicas := p.Replicas()
	if len(replicas) == 0 {
		return fmt.Errorf("%w: the addresses in clamd.conf lead to none", ErrNoReplica)
	}
	var reasons []string
	for _, r := range replicas[:min(len(replicas), most)] {
		reasons = append(reasons, r.Address+": "+r.Error)
	}
	return fmt.Errorf("%w: %s", ErrNoReplica, strings.Join(reasons, "; "))
}

// lost says whether err is one of a connection, so that the replica may be gone.
func lost(err error) bool {
	return errors.Is(err, clamd.ErrConnection) || errors.Is(err, clamd.ErrMalformed)
}

// awaitFirstLook makes a scan that comes right after the start wait until the
// names of clamd.conf have been looked up.
func (p *Pool) awaitFirstLook(ctx context.Context) error {
	select {
	case <-p.found:
		return nil
	default:
	}
	timer := time.NewTimer(lookTimeout)
	defer timer.Stop()
	select {
	case <-p.found:
		return nil
	case <-timer.C:
		return ErrNoReplica
	case <-ctx.Done():
		return ctx.Err()
	}
}

// choose gives the less loaded of two replicas taken at random from those that
// are healthy and not among tried; nil when there is none. One that has never
// been checked stands in where none is healthy.
func (p *Pool) choose(tried []*replica) *replica {
	replicas := *p.replicas.Load()
	for _, state := range []State{Healthy, Unknown} {
		var pair [2]*replica
		seen := 0
		for _, r := range replicas {
			if !r.is(state) || slices.Contains(tried, r) {
				continue
			}
			// Reservoir sampling: each pair is as likely as any other.
			if seen < len(pair) {
				pair[seen] = r
			} else if i := rand.IntN(seen + 1); i < len(pair) {
				pair[i] = r
			}
			seen++
		}
		switch {
		case seen == 1:
			return pair[0]
		case seen > 1:
			return lessLoaded(pair[0], pair[1])
		}
	}
	return nil
}

func lessLoaded(a, b *replica) *replica {
	x, y := a.inFlight.Load(), b.inFlight.Load()
	if x < y || x == y && rand.IntN(2) == 0 {
		return a
	}
	return b
}

// sleep waits for d or for wake, and says whether ctx still runs.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

// lookSoon wakes the discovery, since the set of replicas may be out of date.
func (p *Pool) lookSoon() {
	select {
	case p.lookNow <- struct{}{}:
	default:
	}
}
