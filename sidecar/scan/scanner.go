package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"clamav-sidecar/sidecar/clamd"
	"clamav-sidecar/sidecar/upstream"
)

// Endpoint is where a body came in; it labels logs and metrics.
type Endpoint string

// The three ways in.
const (
	HTTP  Endpoint = "http"
	Clamd Endpoint = "clamd"
	CLI   Endpoint = "cli"
)

// Options say what is known of a body besides its bytes.
type Options struct {
	Endpoint Endpoint
	// Size in bytes as its sender declares it; 0 or less: unknown. A body that
	// turns out longer or shorter is the reader's to report.
	Size int64
	// Name of the file; logged at debug level only.
	Name string
	// RequestID and TraceID are logged with the scan; either may be empty.
	RequestID, TraceID string
}

// Config for a Scanner.
type Config struct {
	// MaxFileSize in bytes. The effective limit is the smaller of this and
	// StreamMaxLength of the client's clamd.conf.
	MaxFileSize int64
	// ReplayMemory bounds, in bytes and over all scans together, what is held
	// of bodies so that they can be scanned again on another replica. Bodies of
	// up to 64 KiB always can, whatever this is.
	ReplayMemory int64
	// Observe, if set, is called once for each scan as it ends; err is nil when
	// there is a verdict. It must not block, and is called concurrently.
	Observe func(Options, Verdict, error)
	Log     *slog.Logger
}

// Scanner turns bodies into verdicts. It is safe for concurrent use.
type Scanner struct {
	config Config
	pool   *upstream.Pool
	memory *memory
}

// New makes a Scanner over pool, whose Run is the caller's to call.
func New(config Config, pool *upstream.Pool) *Scanner {
	return &Scanner{config: config, pool: pool, memory: newMemory(config.ReplayMemory)}
}

// MaxFileSize is the limit now in force, in bytes.
func (s *Scanner) MaxFileSize() int64 {
	if most := s.pool.StreamMaxLength(); most > 0 {
		return min(s.config.MaxFileSize, most)
	}
	return s.config.MaxFileSize
}

// Replicas are all replicas known now, in the order of their addresses.
func (s *Scanner) Replicas() []upstream.Replica { return s.pool.Replicas() }

// Stats are the pool's counters and gauges now.
func (s *Scanner) Stats() upstream.Stats { return s.pool.Stats() }

// Ready says whether a replica is healthy.
func (s *Scanner) Ready() bool { return s.pool.Ready() }

// Command forwards a command without a body, such as VERSION or STATS, to a
// healthy replica and gives its reply without the byte that ends it. Its errors
// are those of Scan.
func (s *Scanner) Command(ctx context.Context, name string) ([]byte, error) {
	reply, err := s.pool.Command(ctx, name)
	return reply, s.kind(err)
}

// Scan reads body to its end and has clamd scan all of it. Only a nil error
// comes with a verdict. A body that is declared too large is not read at all,
// and one that the queue has no room for neither; Scan stops reading when the
// body turns out too large or clamd refuses it. What is left is the caller's to
// drain or to drop. Reads of body have to end by themselves: see [Paced]. ctx
// ends the wait for a slot, and not a scan that clamd has begun.
func (s *Scanner) Scan(ctx context.Context, body io.Reader, opt Options) (Verdict, error) {
	start := time.Now()
	upload := upload{body: body, limit: s.MaxFileSize(), held: held{memory: s.memory}}
	defer upload.held.free()
	result, err := s.scan(ctx, &upload, opt.Size)

	verdict := Verdict{Bytes: upload.size, Replica: result.Replica, Version: result.Version}
	if err == nil {
		verdict.Outcome, verdict.Signature, verdict.Reason = judge(result.Reply)
		err = refusal(result.Reply, verdict.Outcome)
	}
	err = s.kind(err)
	verdict.Duration = time.Since(start)
	s.log(ctx, opt, verdict, err)
	if s.config.Observe != nil {
		s.config.Observe(opt, verdict, err)
	}
	return verdict, err
}

// scan gets clamd's reply for an upload.
func (s *Scanner) scan(ctx context.Context, u *upload, declared int64) (upstream.Result, error) {
	if declared > u.limit {
		return upstream.Result{}, u.tooLarge()
	}
	if err := s.pool.Admit(); err != nil {
		return upstream.Result{}, err
	}
	defer s.pool.Leave()
	whole, err := u.hold(declared)
	switch {
	case err != nil:
		return upstream.Result{}, err
	case whole:
		u.pad(u.held.blocks[0])
		return s.pool.Scan(ctx, u.held.blocks)
	}
	return s.stream(ctx, u)
}

// stream sends what is held of an upload and then the rest as it comes.
func (s *Scanner) stream(ctx context.Context, u *upload) (upstream.Result, error) {
	stream, err := s.pool.Open(ctx)
	if err != nil {
		return upstream.Result{}, err
	}
	defer stream.Close()
	for _, b := range u.held.blocks {
		if b.Len() > 0 && !stream.Send(b) {
			return stream.Finish(ctx, nil)
		}
	}
	block := u.held.shrink()
	for {
		ended, err := u.next(block)
		if err != nil {
			return upstream.Result{}, err
		}
		if ended {
			u.pad(block)
		}
		if ended || !stream.Send(block) {
			return stream.Finish(ctx, block)
		}
	}
}

// refusal is the error for a reply that is no verdict.
func refusal(reply clamd.Reply, outcome Outcome) error {
	switch {
	case outcome != None:
		return nil
	case reply.TooLarge():
		return fmt.Errorf("%w: it is over StreamMaxLength of the clamav service", ErrTooLarge)
	default:
		return fmt.Errorf("%w: %s", ErrEngine, reply.Text)
	}
}

// kind gives err the meaning that it has for callers of this package.
func (s *Scanner) kind(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, clamd.ErrMalformed):
		return fmt.Errorf("%w: %w", ErrEngine, err)
	case errors.Is(err, upstream.ErrQueueFull), errors.Is(err, upstream.ErrQueueTimeout),
		errors.Is(err, upstream.ErrNoReplica), errors.Is(err, upstream.ErrInterrupted):
		return &unavailable{err, s.pool.RetryAfter(err)}
	}
	return err
}

func (s *Scanner) log(ctx context.Context, opt Options, v Verdict, err error) {
	log, level := s.config.Log, slog.LevelInfo
	if v.Outcome != Clean {
		level = slog.LevelWarn
	}
	if !log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs,
		slog.String("endpoint", string(opt.Endpoint)),
		slog.String("verdict", v.Outcome.String()),
		slog.Int64("bytes", v.Bytes),
		slog.Float64("duration_ms", float64(v.Duration.Microseconds())/1000))
	for _, a := range [...]slog.Attr{
		slog.String("signature", v.Signature),
		slog.String("replica", v.Replica),
		slog.String("request_id", opt.RequestID),
		slog.String("trace_id", opt.TraceID),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	if opt.Name != "" && log.Enabled(ctx, slog.LevelDebug) {
		attrs = append(attrs, slog.String("name", opt.Name))
	}
	log.LogAttrs(ctx, level, "scan", attrs...)
}
