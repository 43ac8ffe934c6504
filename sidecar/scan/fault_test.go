package scan

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	daemon "clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// striking reads a body and does something to clamd when at bytes are read.
type striking struct {
	io.Reader
	at     int64
	strike func() error
	read   int64
	err    error
}

func (s *striking) Read(p []byte) (int, error) {
	if s.read == s.at && s.strike != nil {
		s.err, s.strike = s.strike(), nil
	}
	if s.strike != nil {
		p = p[:min(int64(len(p)), s.at-s.read)]
	}
	n, err := s.Reader.Read(p)
	s.read += int64(n)
	return n, err
}

func TestClamdThatIsLostUnderABodyMakesNoVerdict(t *testing.T) {
	t.Parallel()
	const size = 10 << 20
	tests := map[string]struct {
		strike func(*daemon.Daemon) error
		at     []int64 // bytes
		heal   func(*testing.T, *daemon.Daemon)
		want   error
	}{
		"killed": {
			(*daemon.Daemon).Kill, []int64{1, 1 << 20, size - 1, size},
			func(t *testing.T, d *daemon.Daemon) {
				if err := d.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
			},
			ErrUnavailable,
		},
		"paused": {
			(*daemon.Daemon).Pause, []int64{1 << 20, size},
			func(t *testing.T, d *daemon.Daemon) {
				if err := d.Resume(); err != nil {
					t.Fatal(err)
				}
			},
			ErrTimeout,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := daemon.StartT(t, daemon.Options{})
			for _, memory := range []int64{0, 16 << 20} { // streamed, and read first
				s := newScanner(t, confOf(t, d), func(c *settings) {
					c.ReplayMemory, c.pool.ScanTimeout = memory, time.Second
				})
				for _, at := range test.at {
					name := fmt.Sprintf("after %d of %d bytes with %d of replay memory", at, size, memory)
					body := &striking{Reader: corpus.NewBody(1, size), at: at, strike: func() error { return test.strike(d) }}
					got, err := s.Scan(t.Context(), body, Options{})
					if body.err != nil {
						t.Fatal(body.err)
					}
					checkNoVerdict(t, name, got, err, test.want)
					if after := RetryAfter(err); (after > 0) != (test.want == ErrUnavailable) {
						t.Errorf("%s: got error %v and a retry after %v, want a time for %v alone", name, err, after, ErrUnavailable)
					}
					test.heal(t, d)
					eventually(t, "clamd is healthy again", s.Ready)
				}
				if got, err := s.Scan(t.Context(), bodyOf(corpus.EICAR()), Options{}); err != nil || got.Outcome != Infected {
					t.Errorf("afterwards: got %+v and error %v, want %s", got, err, daemon.EICAR)
				}
			}
		})
	}
}

func TestNoScanFailsWhileClamdReloads(t *testing.T) {
	t.Parallel()
	d := startWithMarker(t, daemon.Options{})
	s := newScanner(t, confOf(t, d), func(c *settings) { c.ReplayMemory = 4 * int64(blockSize) })
	ctx, stop := context.WithCancel(t.Context())
	var (
		clients sync.WaitGroup
		scans   atomic.Int64
	)
	for client := range uint64(4) {
		clients.Go(func() {
			for seed := client; ctx.Err() == nil; seed += 4 {
				body := random(t, seed, int(seed)*7919%(5*blockSize))
				want := Clean
				if seed%3 == 0 {
					body, want = append(body, marker...), Infected
				}
				got, err := s.Scan(t.Context(), bodyOf(body), Options{})
				if err != nil || got.Outcome != want || want == Infected && got.Signature != markerFound {
					t.Errorf("body %d of %d bytes: got %+v and error %v, want it %v", seed, len(body), got, err, want)
				}
				scans.Add(1)
			}
		})
	}
	for i := range 5 {
		// A body that was clean, and that clamd may remember as clean, is not
		// any more.
		needle := []byte(fmt.Sprintf("needle number %d in it", i))
		if got, err := s.Scan(t.Context(), bodyOf(needle), Options{}); err != nil || got.Outcome != Clean {
			t.Errorf("before reload %d: got %+v and error %v, want a clean verdict", i, got, err)
		}
		if err := d.AddSignature(fmt.Sprintf("Needle-%d:0:*:%x", i, needle), "needles.ndb"); err != nil {
			t.Fatal(err)
		}
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := s.Scan(t.Context(), bodyOf(needle), Options{})
		if want := fmt.Sprintf("Needle-%d.UNOFFICIAL", i); err != nil || got.Signature != want {
			t.Errorf("after reload %d: got %+v and error %v, want %s", i, got, err, want)
		}
	}
	stop()
	clients.Wait()
	if stats := s.pool.Stats(); stats.Ejections != 0 || scans.Load() == 0 {
		t.Errorf("got %+v and %d scans, want no ejection and some scans", stats, scans.Load())
	}
}

func TestClamdThatCannotMakeATemporaryFileMakesNoVerdict(t *testing.T) {
	t.Parallel()
	// A path that is no directory any more: clamd hangs up without a reply.
	temp := t.TempDir() + "/temp"
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	d := daemon.StartT(t, daemon.Options{TempDir: temp})
	if err := os.Remove(temp); err != nil {
		t.Fatal(err)
	}
	for _, memory := range memories {
		s := newScanner(t, confOf(t, d), func(c *settings) { c.ReplayMemory = memory })
		for _, size := range []int{10, 3 * blockSize} {
			eventually(t, "clamd is healthy", s.Ready)
			got, err := s.Scan(t.Context(), bodyOf(random(t, 1, size)), Options{})
			checkNoVerdict(t, fmt.Sprintf("%d bytes with %d of replay memory", size, memory), got, err, ErrUnavailable)
		}
	}
}

func TestOddRepliesMakeNoVerdict(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		reply string
		want  error
	}{
		"none":                     {"", ErrUnavailable},
		"half a line":              {"1: stream: O", ErrUnavailable},
		"a line without its end":   {"1: stream: OK", ErrUnavailable},
		"for another body":         {"2: stream: OK\x00", ErrEngine},
		"for no body":              {"stream: OK\x00", ErrEngine},
		"garbage":                  {"\xff\xff\x00", ErrEngine},
		"a nameless signature":     {"1: stream: (null) FOUND\x00", ErrEngine},
		"an error":                 {"1: stream: Can't open file or directory ERROR\x00", ErrEngine},
		"an error of its memory":   {"1: stream: Can't allocate memory ERROR\x00", ErrEngine},
		"an error of its disk":     {"1: Error writing to temporary file ERROR\x00", ErrEngine},
		"a time-out":               {"COMMAND READ TIMED OUT\n", ErrEngine},
		"that it does not know us": {"UNKNOWN COMMAND\x00", ErrEngine},
		"that it is too large":     {"1: INSTREAM size limit exceeded. ERROR\x00", ErrTooLarge},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, memory := range memories {
				s := newScanner(t, confOfPeer(t, startPeer(t, "127.0.0.1", 0, test.reply)), func(c *settings) { c.ReplayMemory = memory })
				for _, size := range []int{0, 10, 3 * blockSize} {
					eventually(t, "the replica is healthy", s.Ready)
					got, err := s.Scan(t.Context(), bodyOf(random(t, 1, size)), Options{})
					checkNoVerdict(t, fmt.Sprintf("%d bytes with %d of replay memory", size, memory), got, err, test.want)
					if text, ok := strings.CutSuffix(test.reply, " ERROR\x00"); ok && test.want == ErrEngine && !strings.Contains(err.Error(), text[strings.LastIndex(text, ": ")+2:]) {
						t.Errorf("got error %q, want clamd's own words, %q", err, text)
					}
				}
			}
		})
	}
}
