package upstream

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"clamav-sidecar/sidecar/clamd"
	daemon "clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// only is the pool's one replica.
func only(t *testing.T, p *Pool) *replica {
	t.Helper()
	all := *p.replicas.Load()
	if len(all) != 1 {
		t.Fatalf("got the replicas %s, want one", states(p))
	}
	return all[0]
}

// idle is how many sessions the replica keeps, and whether clamd has left all
// of them open and silent.
func (r *replica) idleSessions() (n int, quiet bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	quiet = true
	for _, s := range r.idle {
		quiet = quiet && s.Quiet()
	}
	return len(r.idle), quiet
}

func TestScansShareOneSession(t *testing.T) {
	t.Parallel()
	peers := startPeers(t, ok)
	p := startPool(t, confOfPeers(t, peers...), nil)
	awaitHealthy(t, p, 1)
	for range 20 {
		wantOK(t, p)
	}
	stream, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Finish(t.Context(), &clamd.Block{}); err != nil {
		t.Fatal(err)
	}
	stream.Close()
	for range 20 {
		wantOK(t, p)
	}
	if _, sessions, _ := peers[0].count(); sessions != 2 {
		t.Errorf("41 bodies: got %d sessions, want one for the bodies held in memory and one for the stream", sessions)
	}
	if n, quiet := only(t, p).idleSessions(); n != 2 || !quiet {
		t.Errorf("got %d idle sessions, quiet %v, want 2 that are", n, quiet)
	}
}

func TestASessionThatClamdClosedWhileIdleCostsNothing(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{Conf: map[string]string{"ReadTimeout": "1"}})
	p := startPool(t, confOf(t, d), nil)
	awaitHealthy(t, p, 1)
	wantOK(t, p)
	r := only(t, p)
	eventually(t, "clamd has closed the idle session", func() bool { n, quiet := r.idleSessions(); return n == 1 && !quiet })
	if session := r.take(); session != nil {
		t.Error("got the session that clamd has closed for the next body, want none")
	}
	wantOK(t, p)
	eventually(t, "clamd has closed the next one too", func() bool { n, quiet := r.idleSessions(); return n == 1 && !quiet })
	result, err := p.Scan(t.Context(), blocksOf(corpus.EICAR()))
	if err != nil || result.Reply.Text != daemon.EICAR {
		t.Fatalf("got %+v and error %v, want %s", result.Reply, err, daemon.EICAR)
	}
	if s := p.Stats(); s.Ejections != 0 || s.Retries != 0 {
		t.Errorf("got %+v, want neither ejections nor retries", s)
	}
}

func TestASessionThatClamdClosesAtTheLastMomentCostsNothing(t *testing.T) {
	t.Parallel()
	for name, closes := range map[string]behaviour{
		"without a word":   hangUp,
		"with a time-out":  says("COMMAND READ TIMED OUT\n"),
		"with a RST":       reset,
		"within its reply": says("%d: stre"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			once := func(conn *net.TCPConn, id int, body string) {
				if id > 1 {
					closes(conn, id, body)
					return
				}
				ok(conn, id, body)
			}
			p := startPool(t, confOfPeers(t, startPeers(t, once)...), nil)
			awaitHealthy(t, p, 1)
			for range 10 {
				wantOK(t, p)
			}
			if s := p.Stats(); s.Ejections != 0 {
				t.Errorf("got %+v, want no ejection", s)
			}
		})
	}
}

func TestOnlySoManySessionsAreKept(t *testing.T) {
	t.Parallel()
	const scans = maxIdle + 8
	released := make(chan struct{})
	var arrived atomic.Int64
	peers := startPeers(t, then(func(*net.TCPConn, int, string) {
		if arrived.Add(1) == scans {
			close(released)
		}
	}, held(released), ok))
	p := startPool(t, confOfPeers(t, peers...), func(c *Config) { c.MaxConcurrent = scans })
	awaitHealthy(t, p, 1)
	var all sync.WaitGroup
	for range scans {
		all.Go(func() {
			if _, err := p.Scan(t.Context(), blocksOf([]byte("body"))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n, quiet := only(t, p).idleSessions(); n != maxIdle || !quiet {
		t.Errorf("after %d scans at a time: got %d idle sessions, quiet %v, want %d that are", scans, n, quiet, maxIdle)
	}
}

func TestIdleSessionsAreClosed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		when func(t *testing.T, p *Pool, conf string)
		want int // sessions left
	}{
		"not while they are young": {
			func(t *testing.T, p *Pool, _ string) { only(t, p).prune(time.Hour) }, 1,
		},
		"when they are old": {
			func(t *testing.T, p *Pool, _ string) { only(t, p).prune(time.Nanosecond) }, 0,
		},
		"when the replica goes down": {
			func(t *testing.T, p *Pool, _ string) { only(t, p).suspect(clamd.ErrConnection) }, 0,
		},
		"when the replica is named no more": {
			func(t *testing.T, p *Pool, conf string) {
				writeConf(t, conf, "LocalSocket /nowhere")
				p.lookSoon()
			}, 0,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			peers := startPeers(t, ok)
			conf := confOfPeers(t, peers...)
			p := startPool(t, conf, nil)
			awaitHealthy(t, p, 1)
			wantOK(t, p)
			test.when(t, p, conf)
			eventually(t, "as many connections are left as should be", func() bool {
				_, _, conns := peers[0].count()
				return conns == test.want
			})
		})
	}
	t.Run("when the pool ends", func(t *testing.T) {
		t.Parallel()
		peers := startPeers(t, ok)
		t.Run("after a scan", func(t *testing.T) {
			p := startPool(t, confOfPeers(t, peers...), nil)
			awaitHealthy(t, p, 1)
			wantOK(t, p)
		})
		eventually(t, "no connection is left", func() bool { _, _, conns := peers[0].count(); return conns == 0 })
	})
	t.Run("when a scan ends after its replica is gone", func(t *testing.T) {
		t.Parallel()
		released := make(chan struct{})
		peers := startPeers(t, then(held(released), ok))
		conf := confOfPeers(t, peers...)
		p := startPool(t, conf, nil)
		awaitHealthy(t, p, 1)
		ended := make(chan error, 1)
		go func() {
			_, err := p.Scan(t.Context(), blocksOf([]byte("body")))
			ended <- err
		}()
		eventually(t, "the replica has the body", func() bool { return peers[0].got("") == 1 })
		r := only(t, p)
		writeConf(t, conf, "LocalSocket /nowhere")
		p.lookSoon()
		eventually(t, "the replica is gone", func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.gone
		})
		close(released)
		if err := <-ended; err != nil {
			t.Errorf("the scan: got error %v, want none", err)
		}
		eventually(t, "no connection is left", func() bool { _, _, conns := peers[0].count(); return conns == 0 })
	})
}
