package upstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"clamav-sidecar/sidecar/clamd"
)

// maxSends is how often one body is sent, at most, to replicas that are lost
// under it: a file that makes clamd crash must not take down all of them.
const maxSends = 3

// refusalWait is how long to wait for what clamd says as it closes.
const refusalWait = time.Second

// errSpent is a body that has been sent as often as it may be.
var errSpent = errors.New("given up")

// errFault is a replica that could not scan for a reason of its own.
var errFault = errors.New("fault of the replica")

// Result is a reply to one body and who gave it.
type Result struct {
	Reply clamd.Reply
	// Replica is the address, Version the engine and signatures as of the
	// replica's last health check.
	Replica string
	Version clamd.Version
}

// Scan waits for a slot and has the body in blocks scanned, on one replica
// after another while they are lost under it. The reply may be an Error; the
// errors are those of this package, of ctx while it waits, and
// clamd.ErrMalformed. Once a body is sent, Scan waits for the reply even if ctx
// ends, since clamd is at work on it all the same.
func (p *Pool) Scan(ctx context.Context, blocks []*clamd.Block) (Result, error) {
	if err := p.queue.acquire(ctx); err != nil {
		return Result{}, err
	}
	start := time.Now()
	defer func() { p.queue.release(time.Since(start)) }()
	var (
		result   Result
		sends    int
		deadline = start.Add(p.config.ScanTimeout)
	)
	err := p.try(ctx, func(r *replica) error {
		if sends > 0 {
			p.retries.Add(1)
		}
		reply, n, err := r.scan(blocks, maxSends-sends, deadline)
		sends += n
		if err == nil {
			result = r.result(reply)
			if !reply.ReplicaFault() {
				return nil
			}
			err = errFault
		}
		if sends == maxSends {
			return fmt.Errorf("%w: %w", errSpent, err)
		}
		return err
	})
	if errors.Is(err, errFault) {
		return result, nil // every replica has the same trouble: its own words tell it best
	}
	return result, why(err, sends > 0)
}

// why puts an error of a connection in this package's terms.
func why(err error, sent bool) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, clamd.ErrTimeout):
		return fmt.Errorf("%w: %w", ErrScanTimeout, err)
	case errors.Is(err, clamd.ErrConnection) && sent:
		return fmt.Errorf("%w: %w", ErrInterrupted, err)
	case errors.Is(err, clamd.ErrConnection):
		return fmt.Errorf("%w: %w", ErrNoReplica, err)
	}
	return err
}

// Stream is a body that is sent to one replica as it comes. It is not safe for
// concurrent use, and has to be closed.
type Stream struct {
	pool    *Pool
	replica *replica
	session *clamd.Session
	over    bool // clamd has refused the rest, or is gone
	kept    bool // the session serves the next body
}

// Open connects to a replica. The connection is a new one: an old one might
// turn out closed by clamd when part of the body can no longer be had again.
func (p *Pool) Open(ctx context.Context) (*Stream, error) {
	var stream *Stream
	err := p.try(ctx, func(r *replica) error {
		session, err := r.open(ctx)
		if err != nil {
			return err
		}
		r.inFlight.Add(1)
		stream = &Stream{pool: p, replica: r, session: session}
		return nil
	})
	return stream, why(err, false)
}

// Send sends a block that is not the last one. False says that the stream is
// over and that Finish tells why; what is left of the body need not be read.
func (s *Stream) Send(block *clamd.Block) bool {
	if s.over {
		return false
	}
	err := s.session.Send([]*clamd.Block{block}, false, time.Now().Add(s.pool.config.ScanTimeout))
	s.over = err != nil
	return !s.over
}

// Finish waits for a slot, sends the last block (which may be empty) with the
// end marker and gives clamd's reply; after a Send that failed, it sends
// nothing and gives the reason. The errors are those of Pool.Scan.
func (s *Stream) Finish(ctx context.Context, last *clamd.Block) (Result, error) {
	reply, err := s.finish(ctx, last)
	if err == nil && s.session.Reusable(reply) {
		s.replica.put(s.session)
		s.kept = true
	}
	if lost(err) {
		s.replica.suspect(err)
	}
	if err != nil {
		return s.replica.result(clamd.Reply{}), why(err, true)
	}
	return s.replica.result(reply), nil
}

func (s *Stream) finish(ctx context.Context, last *clamd.Block) (clamd.Reply, error) {
	if s.over {
		return s.session.ReadReply(time.Now().Add(refusalWait))
	}
	if err := s.pool.queue.acquire(ctx); err != nil {
		return clamd.Reply{}, err
	}
	start := time.Now()
	defer func() { s.pool.queue.release(time.Since(start)) }()
	return exchange(s.session, []*clamd.Block{last}, start.Add(s.pool.config.ScanTimeout))
}

// Close ends the stream. One that Finish has not ended is closed without the end
// marker, so that clamd drops what it got.
func (s *Stream) Close() {
	s.replica.inFlight.Add(-1)
	if !s.kept {
		s.replica.drop(s.session)
	}
}

// exchange sends what ends a body and waits for the reply.
func exchange(s *clamd.Session, blocks []*clamd.Block, deadline time.Time) (clamd.Reply, error) {
	if err := s.Send(blocks, true, deadline); err != nil {
		return clamd.Reply{}, err
	}
	return s.ReadReply(deadline)
}
