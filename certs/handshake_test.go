package certs

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// testRotation runs two replicas through the lives of serving certificates and
// of a CA, by the real clock, while clients shake hands that trust what is
// published now or was a little while ago, as API servers do.
func testRotation(t *testing.T, i *installation) {
	i.configure(i.configurations...)
	const settle = 2 * time.Second
	short := func(c *Config) { c.CALifetime, c.CertLifetime, c.Settle = 36*time.Second, 12*time.Second, settle }
	replicas := []*replica{i.start(short), i.start(short)}
	i.trusted(replicas...)
	first := i.data()

	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var handshakes atomic.Int64
	for n := range i.configurations {
		clients.Go(func() { i.connect(ctx, n, settle/2, replicas, &handshakes) })
	}
	i.eventually("the CA is another and both are served", func() error {
		now := i.data()
		switch {
		case bytes.Equal(now[caCertKey], first[caCertKey]):
			return errors.New("the CA is the first")
		case !bytes.Equal(now[oldCertKey], first[caCertKey]):
			return errors.New("the first CA is not kept")
		}
		for _, r := range replicas {
			if !bytes.Equal(encodeCertificate(r.status.Load().served.ca.cert), now[caCertKey]) {
				return errors.New("a replica serves a certificate of the first CA")
			}
		}
		return nil
	})
	i.trusted(replicas...)
	cancel()
	clients.Wait()
	if got := handshakes.Load(); got < 100 {
		t.Errorf("got %d handshakes, want hundreds", got)
	}
	t.Logf("%d handshakes", handshakes.Load())
}

// connect shakes hands with all replicas again and again, trusting a bundle of
// the nth configuration that was published within the lag.
func (i *installation) connect(ctx context.Context, n int, lag time.Duration, replicas []*replica, handshakes *atomic.Int64) {
	type version struct {
		text []byte
		seen time.Time
	}
	var versions []version
	for ctx.Err() == nil {
		c, err := i.webhooks().Get(ctx, i.configurations[n], metav1.GetOptions{})
		if err != nil {
			if ctx.Err() == nil {
				i.t.Error(err)
			}
			return
		}
		now := time.Now()
		versions = append(versions, version{c.Webhooks[0].ClientConfig.CABundle, now})
		versions = slices.DeleteFunc(versions, func(v version) bool { return now.Sub(v.seen) > lag })
		for _, r := range replicas {
			v := versions[rand.IntN(len(versions))]
			if err := r.handshake(v.text, time.Now()); err != nil {
				i.t.Errorf("with the bundle of %v ago: %v", now.Sub(v.seen), err)
			}
			handshakes.Add(1)
		}
		sleep(ctx, 10*time.Millisecond, nil)
	}
}

func testOtherCA(t *testing.T, i *installation) {
	i.configure(i.configurations...)
	a, b := i.start(nil), i.start(nil)
	i.trusted(a, b)
	first := i.data()[caCertKey]

	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var handshakes atomic.Int64
	clients.Go(func() { i.connect(ctx, 0, 500*time.Millisecond, []*replica{a, b}, &handshakes) })
	now := time.Now()
	other := authorityAt(t, now, time.Hour)
	i.spoil(func(data map[string][]byte) {
		data[caCertKey], data[caKeyKey] = encoded(t, other)
		data[servingCertKey], data[servingKeyKey] = encoded(t, leafAt(t, other, now, time.Hour, testHost, "127.0.0.1"))
	})
	i.eventually("the other CA is used", func() error {
		for _, r := range []*replica{a, b} {
			if !r.status.Load().served.ca.same(other) {
				return errors.New("a replica serves a certificate of the first CA")
			}
		}
		return nil
	})
	cancel()
	clients.Wait()
	if got := i.data()[oldCertKey]; !bytes.Equal(got, first) {
		t.Errorf("got old CAs\n%s\nwant the first\n%s", got, first)
	}
}

// testRestartInRotation leaves a next CA in the Secret with nobody running, and
// lets a new replica find it.
func testRestartInRotation(t *testing.T, i *installation) {
	i.configure(i.configurations...)
	before := i.start(nil)
	i.trusted(before)
	before.stop()
	first := i.data()
	next := authorityAt(t, time.Now(), time.Hour)
	i.spoil(func(data map[string][]byte) { data[nextCertKey], data[nextKeyKey] = encoded(t, next) })

	a, b := i.start(nil), i.start(nil)
	i.trusted(a, b)
	i.eventually("the next CA signs", func() error {
		for _, r := range []*replica{a, b} {
			if !r.status.Load().served.ca.same(next) {
				return errors.New("a replica serves a certificate of the first CA")
			}
		}
		return nil
	})
	i.trusted(a, b)
	data := i.data()
	if cert, _ := encoded(t, next); !bytes.Equal(data[caCertKey], cert) || !bytes.Equal(data[oldCertKey], first[caCertKey]) || len(data[nextCertKey]) > 0 {
		t.Errorf("got CA\n%s\nold\n%s\nnext\n%s\nwant the next, the first, none", data[caCertKey], data[oldCertKey], data[nextCertKey])
	}
	s, err := decode(data)
	if err != nil {
		t.Fatal(err)
	}
	i.only(s.trusted().encode())
}
