package upstream

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"clamav-sidecar/sidecar/clamd"
	daemon "clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

func TestNoScanFailsWhileOneOfTwoReplicasGoesAwayAgainAndAgain(t *testing.T) {
	t.Parallel()
	const (
		clients = 16
		goesOn  = 10 * time.Second
	)
	replicas := daemon.StartReplicasT(t, 2, daemon.Options{})
	victim := replicas[0]
	p := startPool(t, confOf(t, replicas...), nil)
	awaitHealthy(t, p, 2)

	var (
		scans atomic.Int64
		stop  = make(chan struct{})
		all   sync.WaitGroup
	)
	for client := range uint64(clients) {
		all.Go(func() {
			for seed := client; ; seed += clients {
				select {
				case <-stop:
					return
				default:
					scanRandom(t, p, seed)
					scans.Add(1)
				}
			}
		})
	}
	kills := 0
	for deadline := time.Now().Add(goesOn); time.Now().Before(deadline) && !t.Failed(); kills++ {
		time.Sleep(rand.N(200 * time.Millisecond)) // it gets scans
		end := victim.Kill
		if kills%3 == 2 {
			end = victim.Stop // as in a rolling update
		}
		if err := end(); err != nil {
			t.Error(err)
		}
		if err := victim.Restart(t.Context()); err != nil {
			t.Error(err)
			break
		}
		eventually(t, "both replicas are healthy", func() bool { return healthy(p) == 2 })
	}
	close(stop)
	all.Wait()
	s := p.Stats()
	t.Logf("%d scans, %d kills, %+v", scans.Load(), kills, s)
	if kills < 2 || s.Ejections < uint64(kills) || s.Retries == 0 {
		t.Errorf("got %d kills and %+v, want several kills, an ejection for each, and retries", kills, s)
	}
	if s.Open != 0 || s.Scanning != 0 || s.Queued != 0 {
		t.Errorf("afterwards: got %+v, want nothing under way", s)
	}
}

func healthy(p *Pool) int {
	n := 0
	for _, r := range p.Replicas() {
		if r.State == Healthy {
			n++
		}
	}
	return n
}

// Not in parallel with other tests: it measures time.
func TestTheOnlyReplicaRestarts(t *testing.T) {
	d := daemon.StartT(t, daemon.Options{})
	p := startPool(t, confOf(t, d), nil)
	awaitHealthy(t, p, 1)
	for range 2 {
		wantOK(t, p)
		if err := d.Kill(); err != nil {
			t.Fatal(err)
		}
		grown := time.Now().Add(1500 * time.Millisecond) // the back-off
		for time.Now().Before(grown) {
			result, err := p.Scan(t.Context(), blocksOf(corpus.Clean()))
			if !errors.Is(err, ErrNoReplica) && !errors.Is(err, ErrInterrupted) || result.Reply != (clamd.Reply{}) {
				t.Fatalf("meanwhile: got %+v and error %v, want no reply and %v", result.Reply, err, ErrNoReplica)
			}
			if after := p.RetryAfter(err); after < time.Second || after > 30*time.Second {
				t.Fatalf("meanwhile: got a retry after %v, want 1 s to 30 s", after)
			}
			if stream, err := p.Open(t.Context()); !errors.Is(err, ErrNoReplica) || stream != nil {
				t.Fatalf("a stream meanwhile: got error %v, want %v", err, ErrNoReplica)
			}
			time.Sleep(50 * time.Millisecond)
		}
		if err := d.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		back := time.Now()
		for {
			_, err := p.Scan(t.Context(), blocksOf(corpus.EICAR()))
			if err == nil {
				break
			}
			if time.Since(back) > 2*time.Second {
				t.Fatalf("two seconds after its return: got error %v, want a scan", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}
