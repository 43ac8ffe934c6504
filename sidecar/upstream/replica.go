package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"clamav-sidecar/sidecar/clamd"
)

const (
	dialTimeout = 2 * time.Second
	// idleTime is how long a session may lie unused. clamd closes one after its
	// ReadTimeout, 120 s by default (seen with 1.4.6).
	idleTime = 20 * time.Second
	maxIdle  = 32 // sessions for each replica
)

// State of a replica.
type State string

// A replica begins unknown, and is from its first check on one of the others.
const (
	Unknown State = "unknown"
	Healthy State = "healthy"
	Down    State = "down"
)

// Replica is what is known of one replica at a moment.
type Replica struct {
	// Address is host:port, or the path of a Unix socket.
	Address string
	State   State
	// Error is why it is Down; else "".
	Error string
	// InFlight is the number of bodies that are being sent to it or scanned by it.
	InFlight int
	// Version as of Checked.
	Version clamd.Version
	// Checked is when it last answered VERSION; zero: never.
	Checked time.Time
	// Blind is what it was found blind to when it came up: BlindToEncrypted,
	// BlindToLimits, both or nothing.
	Blind []string
}

// Stats are counters since the start, and gauges, over all replicas.
type Stats struct {
	// Open bodies have been let in and have no verdict yet; of these, Scanning
	// hold one of the slots and Queued wait for one.
	Open, Scanning, Queued int
	// Refused scans found the queue full; TimedOut ones waited QueueTimeout.
	Refused, TimedOut uint64
	// Retries are bodies sent again after a replica was lost under them.
	Retries uint64
	// Ejections are the times that a replica that was not down went down.
	Ejections uint64
}

// replica is one clamd: its sessions, its load and its health.
type replica struct {
	network, address string
	pool             *Pool
	stop             context.CancelFunc // ends its watch
	examined         atomic.Bool        // since it came up
	inFlight         atomic.Int64
	answered         atomic.Int64  // when it last gave a reply, in Unix nanoseconds
	checkNow         chan struct{} // wakes its watch

	state atomic.Value // State

	mu      sync.Mutex
	gone    bool // no longer among the pool's replicas
	err     error
	version clamd.Version
	checked time.Time
	blind   []string
	idle    []idleSession // the last one used is the next one taken
	inUse   map[*clamd.Session]struct{}
}

type idleSession struct {
	*clamd.Session
	since time.Time
}

func newReplica(pool *Pool, network, address string) *replica {
	r := &replica{
		network: network, address: address, pool: pool,
		checkNow: make(chan struct{}, 1),
		inUse:    make(map[*clamd.Session]struct{}),
	}
	r.state.Store(Unknown)
	return r
}

func (r *replica) is(s State) bool { return r.state.Load() == s }

func (r *replica) snapshot() Replica {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Replica{
		Address:  r.address,
		State:    r.state.Load().(State),
		InFlight: int(r.inFlight.Load()),
		Version:  r.version,
		Checked:  r.checked,
		Blind:    r.blind,
	}
	if r.err != nil {
		s.Error = r.err.Error()
	}
	return s
}

func (r *replica) result(reply clamd.Reply) Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Result{Reply: reply, Replica: r.address, Version: r.version}
}

// scan sends a body over a session and gives the reply, and how often it sent
// the body: at most as often as maxSends says. A session that clamd has closed
// since its last use costs a new connection and is no fault of the replica.
func (r *replica) scan(blocks []*clamd.Block, maxSends int, deadline time.Time) (reply clamd.Reply, sends int, err error) {
	r.inFlight.Add(1)
	defer r.inFlight.Add(-1)
	session := r.take()
	for {
		if session == nil {
			if session, err = r.open(context.Background()); err != nil {
				return clamd.Reply{}, sends, err
			}
		}
		used := session.Used()
		sends++
		reply, err = exchange(session, blocks, deadline)
		if err == nil && session.Reusable(reply) {
			r.put(session)
			return reply, sends, nil
		}
		r.drop(session)
		if !used || !staleSession(reply, err) || sends == maxSends {
			return reply, sends, err
		}
		session = nil
	}
}

// staleSession says whether an exchange over a used session went as it does
// when clamd had closed it before.
func staleSession(reply clamd.Reply, err error) bool {
	if err != nil {
		return errors.Is(err, clamd.ErrConnection)
	}
	return reply.ID == 0 && !reply.TooLarge()
}

func (r *replica) dial(ctx context.Context) (net.Conn, error) {
	// Every wait on the connection has a deadline, and it is idle for less time
	// than keep-alives take to notice anything.
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, r.network, r.address)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // the address is told by who logs it
		}
		// Not wrapped: a time-out here must not pass for one of the upload.
		return nil, fmt.Errorf("connect: %w: %s", clamd.ErrConnection, err.Error())
	}
	return conn, nil
}

// open connects, for a session that the caller gives back with put or drop.
func (r *replica) open(ctx context.Context) (*clamd.Session, error) {
	conn, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	session := clamd.NewSession(conn)
	r.mu.Lock()
	r.inUse[session] = struct{}{}
	r.mu.Unlock()
	return session, nil
}

// drop closes a session that was in use.
func (r *replica) drop(s *clamd.Session) {
	r.mu.Lock()
	delete(r.inUse, s)
	r.mu.Unlock()
	s.Close()
}

// take gives the session that was used last and that clamd has not closed, nil
// when there is none.
func (r *replica) take() *clamd.Session {
	for {
		s := r.pop()
		if s == nil || s.Quiet() {
			return s
		}
		r.drop(s)
	}
}

// pop takes the session that was used last out of the idle ones.
func (r *replica) pop() *clamd.Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.idle) - 1
	if last < 0 {
		return nil
	}
	s := r.idle[last]
	r.idle[last] = idleSession{}
	r.idle = r.idle[:last]
	r.inUse[s.Session] = struct{}{}
	return s.Session
}

// put keeps a session that has given a reply for the next body, or closes it.
func (r *replica) put(s *clamd.Session) {
	now := time.Now()
	r.answered.Store(now.UnixNano())
	r.mu.Lock()
	delete(r.inUse, s)
	keep := !r.gone && len(r.idle) < maxIdle
	if keep {
		r.idle = append(r.idle, idleSession{s, now})
	}
	r.mu.Unlock()
	if !keep {
		s.Close()
	}
}

// prune closes the sessions that have been idle for longer than age.
func (r *replica) prune(age time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := 0
	for kept < len(r.idle) && time.Since(r.idle[kept].since) > age {
		r.idle[kept].Close()
		kept++
	}
	r.idle = append(r.idle[:0], r.idle[kept:]...)
}
