package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"clamav-sidecar/sidecar/clamd"
	daemon "clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// names answers look-ups as DNS does whose records change.
type names struct {
	mu      sync.Mutex
	answers []string
	err     error
	asked   int
}

func (n *names) set(err error, answers ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers, n.err = answers, err
}

func (n *names) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

func (n *names) lookupHost(context.Context, string) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	return n.answers, n.err
}

var (
	errNoSuchName = &net.DNSError{Err: "no such host", Name: "clamav", IsNotFound: true}
	errServer     = &net.DNSError{Err: "server misbehaving", Name: "clamav", IsTemporary: true}
)

// logBuffer keeps what is logged, for concurrent use.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) count(part string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.text.String(), part)
}

// addresses are those of the pool's replicas, in one line.
func addresses(p *Pool) string {
	var all []string
	for _, r := range p.Replicas() {
		all = append(all, r.Address)
	}
	return strings.Join(all, " ")
}

func awaitAddresses(t *testing.T, p *Pool, want string) {
	t.Helper()
	eventually(t, "the replicas are "+want, func() bool { return addresses(p) == want })
}

func TestAddressesComeAndGoWhileScansRun(t *testing.T) {
	t.Parallel()
	replicas := daemon.StartReplicasT(t, 2, daemon.Options{})
	a, b := replicas[0], replicas[1]
	dns := &names{answers: []string{"127.0.0.2"}}
	conf := confPath(t, fmt.Sprintf("TCPSocket %d", a.Port()), "TCPAddr clamav.security.svc")
	p := startPool(t, conf, func(c *Config) { c.LookupHost = dns.lookupHost })
	awaitHealthy(t, p, 1)

	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for client := range 4 {
		clients.Go(func() {
			for seed := uint64(client); ctx.Err() == nil; seed += 4 {
				scanRandom(t, p, seed)
			}
		})
	}
	defer clients.Wait()
	defer stop()
	for range 2 {
		for _, step := range []struct{ answers, want string }{
			{"127.0.0.3 127.0.0.2", a.Addr() + " " + b.Addr()},
			{"127.0.0.3", b.Addr()},
			{"127.0.0.2 127.0.0.3 127.0.0.2", a.Addr() + " " + b.Addr()},
			{"127.0.0.2", a.Addr()},
		} {
			dns.set(nil, strings.Fields(step.answers)...)
			p.lookSoon()
			awaitAddresses(t, p, step.want)
			awaitHealthy(t, p, strings.Count(step.want, " ")+1)
		}
	}
	if s := p.Stats(); s.Ejections != 0 {
		t.Errorf("got %+v, want no ejection", s)
	}
}

// scanRandom scans a random body of up to 256 KiB, every third of them
// infected, and checks the verdict.
func scanRandom(t *testing.T, p *Pool, seed uint64) {
	t.Helper()
	size := int64(seed*7919) % (256 << 10)
	var body bytes.Buffer
	want := clamd.Reply{Status: clamd.OK}
	if seed%3 == 0 {
		want = clamd.Reply{Status: clamd.Found, Text: daemon.EICAR}
		body.Write(corpus.EICAR())
	}
	if _, err := body.ReadFrom(corpus.NewBody(seed, size)); err != nil {
		t.Error(err)
		return
	}
	result, err := p.Scan(t.Context(), blocksOf(body.Bytes()))
	got := clamd.Reply{Status: result.Reply.Status, Text: result.Reply.Text}
	if err != nil || got != want {
		t.Errorf("body %d of %d bytes: got %+v and error %v, want %+v", seed, body.Len(), got, err, want)
	}
}

func TestNamesThatCannotBeLookedUpKeepTheirReplicas(t *testing.T) {
	t.Parallel()
	peers := startPeers(t, ok)
	dns := &names{answers: []string{"127.0.0.2"}}
	var log logBuffer
	conf := confPath(t, "TCPSocket "+peers[0].port(), "TCPAddr clamav")
	p := startPool(t, conf, func(c *Config) {
		c.LookupHost = dns.lookupHost
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	awaitHealthy(t, p, 1)

	dns.set(errServer)
	for range 2 {
		asked := dns.count()
		p.lookSoon()
		eventually(t, "the name is looked up", func() bool { return dns.count() > asked })
		wantOK(t, p)
	}
	eventually(t, "the failure is logged", func() bool { return log.count("server misbehaving") > 0 })
	if got := log.count("server misbehaving"); got != 1 {
		t.Errorf("got the failure logged %d times, want once", got)
	}

	dns.set(errNoSuchName)
	p.lookSoon()
	awaitAddresses(t, p, "")
	if _, err := p.Scan(t.Context(), blocksOf(corpus.Clean())); !errors.Is(err, ErrNoReplica) {
		t.Errorf("a name that is gone: got error %v, want %v", err, ErrNoReplica)
	}

	dns.set(errServer) // after which the old addresses are not taken for known
	p.lookSoon()
	eventually(t, "the failure is logged again", func() bool { return log.count("server misbehaving") > 1 })
	if got := addresses(p); got != "" {
		t.Errorf("got %s, want no replica of a name that was gone", got)
	}

	dns.set(nil, "127.0.0.2")
	p.lookSoon()
	awaitHealthy(t, p, 1)
	wantOK(t, p)
}

func TestClamdConfIsReadAgain(t *testing.T) {
	t.Parallel()
	peers := startPeers(t, ok, ok)
	a, b := peers[0].addr(), peers[1].addr()
	port := "TCPSocket " + peers[0].port()
	conf := confPath(t, port, "TCPAddr 127.0.0.2", "StreamMaxLength 1M")
	var log logBuffer
	p := startPool(t, conf, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	awaitAddresses(t, p, a)
	if got := p.StreamMaxLength(); got != 1<<20 {
		t.Errorf("StreamMaxLength: got %d, want %d", got, 1<<20)
	}

	// By itself, as nobody asks for it.
	writeConf(t, conf, port, "TCPAddr 127.0.0.3", "TCPAddr 127.0.0.2", "StreamMaxLength 2M")
	awaitAddresses(t, p, a+" "+b)
	if got := p.StreamMaxLength(); got != 2<<20 {
		t.Errorf("StreamMaxLength: got %d, want %d", got, 2<<20)
	}

	for _, bad := range []struct {
		logged string
		spoil  func() error
	}{
		{`TCPAddr \"!\"`, func() error { return os.WriteFile(conf, []byte(port+"\nTCPAddr !\nStreamMaxLength 3M\n"), 0o600) }},
		{"no such file", func() error { return os.Remove(conf) }},
	} {
		if err := bad.spoil(); err != nil {
			t.Fatal(err)
		}
		p.lookSoon()
		eventually(t, "the log says "+bad.logged, func() bool { return log.count(bad.logged) > 0 })
		if got := addresses(p); got != a+" "+b || p.StreamMaxLength() != 2<<20 {
			t.Errorf("%s: got %s and %d, want what it was before", bad.logged, got, p.StreamMaxLength())
		}
	}

	writeConf(t, conf, port, "TCPAddr 127.0.0.3")
	p.lookSoon()
	awaitAddresses(t, p, b)
	if got := p.StreamMaxLength(); got != 0 {
		t.Errorf("StreamMaxLength: got %d, want 0", got)
	}
	wantOK(t, p)
}

func TestOurOwnEndpointIsNoReplica(t *testing.T) {
	t.Parallel()
	peers := startPeers(t, ok, ok)
	a, b := peers[0].addr(), peers[1].addr()
	var log logBuffer
	p := startPool(t, confOfPeers(t, peers...), func(c *Config) {
		c.Self = a
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	awaitHealthy(t, p, 1)
	if got := addresses(p); got != b {
		t.Errorf("got the replicas %s, want %s", got, b)
	}
	if log.count("sidecar itself ("+a+")") != 1 {
		t.Error("got no line in the log that names the sidecar itself, want one")
	}
	if versions, sessions, _ := peers[0].count(); versions+sessions != 0 {
		t.Errorf("the endpoint itself: got asked %d times, want never", versions+sessions)
	}
}

func TestUnixSocketIsAReplica(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{LocalSocket: true, NoTCP: true})
	p := startPool(t, confOf(t, d), nil)
	awaitHealthy(t, p, 1)
	if got := p.Replicas()[0]; got.Address != d.Socket() || got.Version.Engine == "" {
		t.Errorf("got %+v, want %s with its engine", got, d.Socket())
	}
	for range 3 {
		result, err := p.Scan(t.Context(), blocksOf(corpus.EICAR()))
		if err != nil || result.Reply.Text != daemon.EICAR || result.Replica != d.Socket() {
			t.Errorf("got %+v and error %v, want %s", result, err, daemon.EICAR)
		}
	}
	if n, quiet := only(t, p).idleSessions(); n != 1 || !quiet {
		t.Errorf("got %d idle sessions, quiet %v, want one that is", n, quiet)
	}
	if reply, err := p.Command(t.Context(), "PING"); err != nil || string(reply) != "PONG" {
		t.Errorf("PING: got %q and error %v, want PONG", reply, err)
	}
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Scan(t.Context(), blocksOf(corpus.Clean())); !errors.Is(err, ErrInterrupted) && !errors.Is(err, ErrNoReplica) {
		t.Errorf("without clamd: got error %v, want %v", err, ErrNoReplica)
	}
	if err := d.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitHealthy(t, p, 1)
	wantOK(t, p)
}

func TestManyFailedScansMakeFewLookups(t *testing.T) {
	t.Parallel()
	dns := &names{err: errNoSuchName}
	p := startPool(t, confPath(t, "TCPSocket 3310", "TCPAddr clamav"), func(c *Config) {
		c.LookupHost = dns.lookupHost
		c.Log = slog.New(slog.DiscardHandler)
	})
	const watched = 2 * time.Second
	scans := 0
	for deadline := time.Now().Add(watched); time.Now().Before(deadline); scans++ {
		if _, err := p.Scan(t.Context(), blocksOf(corpus.Clean())); !errors.Is(err, ErrNoReplica) {
			t.Fatalf("got error %v, want %v", err, ErrNoReplica)
		}
	}
	if got := dns.count(); got > 10 {
		t.Errorf("%d scans in %v: got %d look-ups, want ten at most", scans, watched, got)
	}
}

func TestReplicasAreBoundedAndDistinct(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("127.1.%d.%d", i%300/256, i%300%256))
	}
	dns := &names{answers: many}
	p := startPool(t, confPath(t, "TCPSocket 1", "TCPAddr clamav", "TCPAddr 127.1.0.7"), func(c *Config) {
		c.LookupHost = dns.lookupHost
		c.Log = slog.New(slog.DiscardHandler)
	})
	eventually(t, "the replicas are found", func() bool { return len(p.Replicas()) > 0 })
	seen := map[string]bool{}
	for _, r := range p.Replicas() {
		seen[r.Address] = true
	}
	if len(seen) != maxReplicas || len(p.Replicas()) != maxReplicas {
		t.Errorf("got %d replicas, %d of them distinct, want %d", len(p.Replicas()), len(seen), maxReplicas)
	}
}

func TestScanRightAfterTheStartWaitsForTheFirstLook(t *testing.T) {
	t.Parallel()
	peers := startPeers(t, ok)
	look, looking := make(chan struct{}), make(chan struct{}, 1)
	conf := confPath(t, "TCPSocket "+peers[0].port(), "TCPAddr clamav")
	p := startPool(t, conf, func(c *Config) {
		c.LookupHost = func(ctx context.Context, _ string) ([]string, error) {
			select {
			case looking <- struct{}{}:
			default:
			}
			select {
			case <-look:
			case <-ctx.Done():
			}
			return []string{"127.0.0.2"}, ctx.Err()
		}
	})
	<-looking
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Open(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("one whose caller is gone: got error %v, want %v", err, context.Canceled)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := p.Scan(t.Context(), blocksOf(corpus.Clean()))
		ended <- err
	}()
	eventually(t, "the scan waits", func() bool { return p.Stats().Scanning == 1 })
	close(look)
	if err := <-ended; err != nil {
		t.Errorf("got error %v, want none", err)
	}
}
