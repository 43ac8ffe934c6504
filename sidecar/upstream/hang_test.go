package upstream

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"clamav-sidecar/sidecar/clamd"
	daemon "clamav-sidecar/test/clamd"
)

func TestScansThatAReplicaHangsOnAreMovedToAnother(t *testing.T) {
	t.Parallel()
	replicas := daemon.StartReplicasT(t, 2, daemon.Options{})
	p := startPool(t, confOf(t, replicas...), func(c *Config) { c.ScanTimeout = 10 * time.Minute })
	awaitHealthy(t, p, 2)
	if err := replicas[0].Pause(); err != nil {
		t.Fatal(err)
	}
	const scans = 12
	ended := make(chan error, scans)
	for i := range scans {
		go func() {
			result, err := p.Scan(context.Background(), blocksOf([]byte("a body that nothing is found in "+string(rune('a'+i)))))
			if err == nil && result.Reply.Status != clamd.OK {
				err = errors.New("reply " + result.Reply.Text)
			}
			ended <- err
		}()
	}
	for range scans {
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("a scan: got error %v, want a verdict from the other replica", err)
			}
		case <-time.After(hangTimeout + patience):
			t.Fatalf("a scan waits for a replica that hangs, %v after it did", hangTimeout+patience)
		}
	}
	if p.Stats().Retries == 0 {
		t.Error("no scan was on the replica that hangs: the test has shown nothing")
	}
}

func TestDialTimeoutIsNotOneOfTheUpload(t *testing.T) {
	r := newReplica(&Pool{}, "tcp", "127.0.0.1:1")
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := r.dial(ctx)
	if !errors.Is(err, clamd.ErrConnection) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want %v and no time-out in its chain", err, clamd.ErrConnection)
	}
}

func TestSameSocket(t *testing.T) {
	for name, test := range map[string]struct {
		address, self string
		want          bool
	}{
		"the same":                              {"127.0.0.1:3310", "127.0.0.1:3310", true},
		"the same, as IPv6":                     {"[::ffff:127.0.0.1]:3310", "127.0.0.1:3310", true},
		"every address as the target":           {"0.0.0.0:3310", "127.0.0.1:3310", true},
		"loopback, where all is listened on":    {"127.0.0.1:3310", "[::]:3310", true},
		"another port":                          {"127.0.0.1:3311", "127.0.0.1:3310", false},
		"another loopback address":              {"127.0.0.2:3310", "127.0.0.1:3310", false},
		"another host, all is listened on":      {"192.0.2.1:3310", "0.0.0.0:3310", false},
		"a Unix socket":                         {"/run/clamd.sock", "127.0.0.1:3310", false},
		"no endpoint of our own":                {"127.0.0.1:3310", "", false},
		"every address, where one is not local": {"0.0.0.0:3310", "192.0.2.1:3310", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sameSocket(test.address, test.self); got != test.want {
				t.Errorf("sameSocket(%q, %q): got %t, want %t", test.address, test.self, got, test.want)
			}
		})
	}
}
