package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar/clamd"
	daemon "clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// open begins a stream, which the caller closes.
func open(t *testing.T, p *Pool) *Stream {
	t.Helper()
	stream, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// send sends n blocks of random bytes, or fewer when the stream is over.
func send(t *testing.T, s *Stream, n int) (whole bool) {
	t.Helper()
	body := corpus.NewBody(1, int64(n*clamd.BlockSize))
	for range n {
		var block clamd.Block
		for len(block.Free()) > 0 {
			got, err := body.Read(block.Free())
			if err != nil {
				t.Fatal(err)
			}
			block.Grow(got)
		}
		if !s.Send(&block) {
			return false
		}
	}
	return true
}

func TestStreamIsScannedWhole(t *testing.T) {
	t.Parallel()
	p := startPool(t, confOf(t, daemon.StartT(t, daemon.Options{})), nil)
	awaitHealthy(t, p, 1)
	for _, n := range []int{0, 1, 40} {
		for _, infected := range []bool{false, true} {
			stream := open(t, p)
			if got := p.Replicas()[0].InFlight; got != 1 {
				t.Errorf("in flight: got %d, want 1", got)
			}
			want := clamd.Reply{ID: 1, Status: clamd.OK}
			if infected {
				want.Status, want.Text = clamd.Found, daemon.EICAR
				if !stream.Send(blocksOf(corpus.EICAR())[0]) {
					t.Fatal("the first block: got that the stream is over, want that it goes on")
				}
			}
			if !send(t, stream, n) {
				t.Fatal("a block: got that the stream is over, want that it goes on")
			}
			if got, err := stream.Finish(t.Context(), blocksOf([]byte("the end"))[0]); err != nil || got.Reply != want {
				t.Errorf("%d blocks, infected %v: got %+v and error %v, want %+v", n, infected, got.Reply, err, want)
			}
			stream.Close()
		}
	}
	if got := p.Replicas()[0].InFlight; got != 0 {
		t.Errorf("in flight afterwards: got %d, want none", got)
	}
}

func TestStreamThatIsClosedEarlyIsNotScanned(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{})
	p := startPool(t, confOf(t, d), nil)
	awaitHealthy(t, p, 1)
	stream := open(t, p)
	stream.Send(blocksOf(corpus.EICAR())[0])
	stream.Close()
	if result, err := p.Scan(t.Context(), blocksOf([]byte("1111111"))); err != nil || result.Reply.Text != daemon.Tiny {
		t.Fatalf("a body that came later: got %+v and error %v, want %s", result.Reply, err, daemon.Tiny)
	}
	eventually(t, "clamd has logged it", func() bool { return strings.Contains(d.Log(), daemon.Tiny) })
	if log := d.Log(); strings.Contains(log, daemon.EICAR) {
		t.Errorf("got clamd's log\n%s\nwant no %s in it", log, daemon.EICAR)
	}
	if n, _ := only(t, p).idleSessions(); n != 1 || p.Replicas()[0].InFlight != 0 || p.Stats().Ejections != 0 {
		t.Errorf("got %d idle sessions, %+v and %+v, want the one of the later body, none in flight, no ejection", n, p.Replicas()[0], p.Stats())
	}
}

func TestStreamWhoseReplicaIsLostHasNoVerdict(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lose func(*daemon.Daemon) error
		want error
		down bool
	}{
		"killed": {(*daemon.Daemon).Kill, ErrInterrupted, true},
		"paused": {(*daemon.Daemon).Pause, ErrScanTimeout, false},
	}
	for name, test := range tests {
		for _, more := range []int{0, 1, 300} {
			t.Run(fmt.Sprintf("%s with %d blocks to come", name, more), func(t *testing.T) {
				t.Parallel()
				d := daemon.StartT(t, daemon.Options{})
				p := startPool(t, confOf(t, d), func(c *Config) { c.ScanTimeout = time.Second })
				awaitHealthy(t, p, 1)
				stream := open(t, p)
				defer stream.Close()
				send(t, stream, 10)
				if err := test.lose(d); err != nil {
					t.Fatal(err)
				}
				send(t, stream, more)
				got, err := stream.Finish(t.Context(), &clamd.Block{})
				if !errors.Is(err, test.want) || got.Reply != (clamd.Reply{}) || got.Replica != d.Addr() {
					t.Errorf("got %+v and error %v, want no reply from %s and %v", got, err, d.Addr(), test.want)
				}
				if test.down && p.Replicas()[0].State != Down {
					t.Errorf("got %s, want it down", states(p))
				}
			})
		}
	}
}

func TestStreamWhoseReplicaIsStoppedHasNoVerdict(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{})
	p := startPool(t, confOf(t, d), nil)
	for range 5 {
		awaitHealthy(t, p, 1)
		stream := open(t, p)
		send(t, stream, 10)
		if err := d.Stop(); err != nil {
			t.Fatal(err)
		}
		send(t, stream, 1)
		// clamd hangs up, or says first that it cannot go on.
		got, err := stream.Finish(t.Context(), &clamd.Block{})
		stream.Close()
		if !errors.Is(err, ErrInterrupted) && (err != nil || got.Reply.Status != clamd.Error) {
			t.Errorf("got %+v and error %v, want %v, or clamd's error", got.Reply, err, ErrInterrupted)
		}
		if err := d.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStreamRefusesEveryOddReply(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		does behaviour
		want error
	}{
		"none":                   {hangUp, ErrInterrupted},
		"a reset":                {reset, ErrInterrupted},
		"half a line":            {says("%d: stream: O"), ErrInterrupted},
		"a line without its end": {says("%d: stream: OK"), ErrInterrupted},
		"for another body":       {writes("2: stream: OK\x00"), clamd.ErrMalformed},
		"garbage":                {writes("garbage\x00"), clamd.ErrMalformed},
		"a nameless signature":   {writes("%d: stream: (null) FOUND\x00"), clamd.ErrMalformed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startPool(t, confOfPeers(t, startPeers(t, test.does)...), nil)
			awaitHealthy(t, p, 1)
			stream := open(t, p)
			defer stream.Close()
			send(t, stream, 2)
			if got, err := stream.Finish(t.Context(), &clamd.Block{}); !errors.Is(err, test.want) || got.Reply != (clamd.Reply{}) {
				t.Errorf("got %+v and error %v, want no reply and %v", got.Reply, err, test.want)
			}
		})
	}
}

func TestStreamOverTheServicesLimitIsRefused(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{Conf: map[string]string{"StreamMaxLength": "1M", "MaxFileSize": "2M"}})
	p := startPool(t, confOf(t, d), nil)
	awaitHealthy(t, p, 1)
	for _, n := range []int{15, 500} { // a little and much more than the limit
		stream := open(t, p)
		whole := send(t, stream, n)
		if n == 500 && whole {
			t.Error("500 blocks: got all sent, want that the stream is over before")
		}
		got, err := stream.Finish(t.Context(), &clamd.Block{})
		if err != nil || !got.Reply.TooLarge() {
			t.Errorf("%d blocks: got %+v and error %v, want that it is too large", n, got.Reply, err)
		}
		stream.Close()
	}
	if s, n := p.Stats(), p.Replicas()[0].InFlight; s.Ejections != 0 || n != 0 {
		t.Errorf("got %+v and %d in flight, want no ejection and none", s, n)
	}
}

func TestStreamWaitsForASlotOnlyAtItsEnd(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	slow := func(conn *net.TCPConn, id int, body string) {
		if body == "slow" {
			held(released)(conn, id, body)
		}
		ok(conn, id, body)
	}
	p := startPool(t, confOfPeers(t, startPeers(t, slow)...), func(c *Config) { c.MaxConcurrent, c.QueueTimeout = 1, 50*time.Millisecond })
	awaitHealthy(t, p, 1)
	ended := make(chan error, 1)
	go func() {
		_, err := p.Scan(t.Context(), blocksOf([]byte("slow")))
		ended <- err
	}()
	eventually(t, "the slot is in use", func() bool { return p.Stats().Scanning == 1 })

	late, gone := open(t, p), open(t, p)
	defer late.Close()
	defer gone.Close()
	if !send(t, late, 5) || !send(t, gone, 5) {
		t.Error("streams without a slot: got that they are over, want that they go on")
	}
	if got, err := late.Finish(t.Context(), &clamd.Block{}); !errors.Is(err, ErrQueueTimeout) || got.Reply != (clamd.Reply{}) {
		t.Errorf("got %+v and error %v, want no reply and %v", got.Reply, err, ErrQueueTimeout)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := gone.Finish(ctx, &clamd.Block{}); !errors.Is(err, context.Canceled) || got.Reply != (clamd.Reply{}) {
		t.Errorf("one whose caller is gone: got %+v and error %v, want no reply and %v", got.Reply, err, context.Canceled)
	}
	close(released)
	if err := <-ended; err != nil {
		t.Errorf("the scan that held the slot: got error %v, want none", err)
	}
	if s := p.Stats(); s.Ejections != 0 || s.TimedOut != 1 {
		t.Errorf("got %+v, want one time-out and no ejection", s)
	}
}
