package upstream

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar/clamd"
	daemon "clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// checkNow has the replicas asked for their VERSION before it is time.
func checkNow(p *Pool) {
	for _, r := range *p.replicas.Load() {
		select {
		case r.checkNow <- struct{}{}:
		default: // it is about to be
		}
	}
}

func TestReplicaIsUnknownThenHealthyThenDown(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{})
	p := startPool(t, confOf(t, d), nil)
	begin := time.Now()
	awaitHealthy(t, p, 1)
	if got := p.Replicas()[0]; got.Address != d.Addr() || got.Version.Engine == "" || got.Error != "" || got.InFlight != 0 ||
		got.Checked.Before(begin.Add(-patience)) || got.Checked.After(time.Now()) || !p.Ready() {
		t.Errorf("got %+v and ready %v, want a healthy %s with its engine, and ready", got, p.Ready(), d.Addr())
	}
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	checkNow(p)
	eventually(t, "the replica is down", func() bool { return p.Replicas()[0].State == Down })
	if got := p.Replicas()[0]; got.Error == "" || got.Version.Engine == "" || p.Ready() {
		t.Errorf("got %+v and ready %v, want an error, the engine as known last, and not ready", got, p.Ready())
	}
	if got := p.Stats().Ejections; got != 1 {
		t.Errorf("got %d ejections, want 1", got)
	}
}

func TestReplicaReportsItsSignatures(t *testing.T) {
	t.Parallel()
	peers := startPeers(t, ok)
	peers[0].say("ClamAV 1.4.6/27800/Fri Nov 20 09:00:00 2026")
	p := startPool(t, confOfPeers(t, peers...), nil)
	awaitHealthy(t, p, 1)
	want := clamd.Version{Engine: "1.4.6", Signatures: 27800, Built: time.Date(2026, time.November, 20, 9, 0, 0, 0, time.UTC)}
	if got := p.Replicas()[0].Version; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := wantOK(t, p); got.Version != want || got.Replica != peers[0].addr() {
		t.Errorf("of a scan: got %+v, want %s with %+v", got, peers[0].addr(), want)
	}
	peers[0].say("ClamAV 1.4.6/27801/Sat Nov 21 09:00:00 2026")
	checkNow(p)
	eventually(t, "the new signatures are known", func() bool { return p.Replicas()[0].Version.Signatures == 27801 })
}

func TestReplicaIsDownWithoutAVersion(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]string{
		"but another program's reply": "SSH-2.0-OpenSSH_9.9",
		"but half of one":             "ClamAV 1.4.6/27800",
		"but an error":                "UNKNOWN COMMAND",
		"and no reply at all":         "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			peers := startPeers(t, ok)
			peers[0].say(version)
			p := startPool(t, confOfPeers(t, peers...), nil)
			eventually(t, "the replica is down", func() bool { return len(p.Replicas()) == 1 && p.Replicas()[0].State == Down })
			if _, err := p.Scan(t.Context(), blocksOf(corpus.Clean())); !errors.Is(err, ErrNoReplica) {
				t.Errorf("a scan: got error %v, want %v", err, ErrNoReplica)
			}
			peers[0].say("ClamAV 1.4.6")
			peers[0].hangUp() // ends the VERSION that has no reply
			awaitHealthy(t, p, 1)
		})
	}
}

func TestReplicaThatIsPausedIsDownUntilItGoesOn(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{})
	p := startPool(t, confOf(t, d), nil)
	awaitHealthy(t, p, 1)
	if err := d.Pause(); err != nil {
		t.Fatal(err)
	}
	checkNow(p)
	eventually(t, "the paused replica is down", func() bool { return p.Replicas()[0].State == Down })
	if got := p.Replicas()[0].Error; !strings.Contains(got, "VERSION") {
		t.Errorf("got the error %q, want one that says VERSION", got)
	}
	if err := d.Resume(); err != nil {
		t.Fatal(err)
	}
	awaitHealthy(t, p, 1)
	wantOK(t, p)
}

func TestReplicaThatAnswersScansIsBusyAndNotDown(t *testing.T) {
	t.Parallel()
	peers := startPeers(t, ok)
	p := startPool(t, confOfPeers(t, peers...), nil)
	awaitHealthy(t, p, 1)
	peers[0].say("")
	before, _, _ := peers[0].count()
	checkNow(p)
	eventually(t, "VERSION is asked for in vain", func() bool { versions, _, _ := peers[0].count(); return versions > before })
	for deadline := time.Now().Add(checkTimeout + time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		wantOK(t, p)
	}
	if got := p.Replicas()[0]; got.State != Healthy || p.Stats().Ejections != 0 {
		t.Errorf("got %+v and %+v, want a healthy replica that was never down", got, p.Stats())
	}
}

func TestReplicaThatIsDownIsAskedLessAndLess(t *testing.T) {
	t.Parallel()
	peers := startPeers(t, ok)
	peers[0].say("not clamd")
	p := startPool(t, confOfPeers(t, peers...), nil)
	eventually(t, "the replica is down", func() bool { return len(p.Replicas()) == 1 && p.Replicas()[0].State == Down })
	before, _, _ := peers[0].count()
	const watched = 2 * time.Second
	time.Sleep(watched)
	after, _, _ := peers[0].count()
	// Back-offs from 50 ms to half a second: about six in two seconds.
	if got := after - before; got > 10 {
		t.Errorf("got asked %d times in %v, want ten at most", got, watched)
	}
	if got := p.Stats().Ejections; got != 1 {
		t.Errorf("got %d ejections, want 1", got)
	}
}

func TestACallerThatGoesAwayEjectsNobody(t *testing.T) {
	t.Parallel()
	peers := startPeers(t, ok, ok, ok)
	p := startPool(t, confOfPeers(t, peers...), nil)
	awaitHealthy(t, p, 3)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if stream, err := p.Open(gone); !errors.Is(err, context.Canceled) || stream != nil {
		t.Errorf("Open: got a stream %v and error %v, want none and %v", stream != nil, err, context.Canceled)
	}
	if reply, err := p.Command(gone, "PING"); !errors.Is(err, context.Canceled) || reply != nil {
		t.Errorf("Command: got %q and error %v, want %v", reply, err, context.Canceled)
	}
	if s := p.Stats(); s.Ejections != 0 || !strings.Contains(states(p), "healthy") {
		t.Errorf("got %+v and %s, want no ejection", s, states(p))
	}
	// One that goes away while its body is scanned gets the reply all the same.
	if result, err := p.Scan(gone, blocksOf(corpus.Clean())); err != nil || result.Reply.Status != clamd.OK {
		t.Errorf("Scan: got %+v and error %v, want OK", result.Reply, err)
	}
}

func TestCommandAsksAReplicaThatWorks(t *testing.T) {
	t.Parallel()
	replicas := daemon.StartReplicasT(t, 2, daemon.Options{})
	p := startPool(t, confOf(t, replicas...), nil)
	awaitHealthy(t, p, 2)
	if err := replicas[0].Kill(); err != nil {
		t.Fatal(err)
	}
	for range 20 { // the first of them may find the dead one
		if got, err := p.Command(t.Context(), "PING"); err != nil || string(got) != "PONG" {
			t.Fatalf("got %q and error %v, want PONG", got, err)
		}
	}
	if err := replicas[1].Kill(); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Command(t.Context(), "PING"); !errors.Is(err, ErrNoReplica) {
		t.Errorf("with none left: got %q and error %v, want %v", got, err, ErrNoReplica)
	}
}
