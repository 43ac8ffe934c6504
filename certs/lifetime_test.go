package certs

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
)

// world is a model of a cluster: one Secret and two configurations with their
// versions, and replicas that do their passes step by step, in any order.
type world struct {
	t        *testing.T
	rand     *rand.Rand
	rules    rules
	now      time.Time
	secret   stored
	version  int // of the Secret
	backup   stored
	configs  []*modelConfiguration
	replicas []*modelReplica
	seenCAs  bundle
}

// modelConfiguration is a configuration and what API servers may have of it.
type modelConfiguration struct {
	configuration
	version int
	// emptied by somebody else: API servers trust nobody, and there is nothing
	// that could be kept, until all that is served is published again.
	emptied bool
	// past are the bundles before this one, with the time at which each ended.
	past []pastBundle
}

type pastBundle struct {
	bundle
	end time.Time
}

// modelReplica is a replica in the middle of a pass.
type modelReplica struct {
	rotation
	skew  time.Duration // of its clock
	until time.Time     // asleep until then
	step  int

	// What it has read in this pass.
	read          []configuration
	readVersions  []int
	secret        stored
	secretVersion int
	next          state

	// proved is set once every API server trusts what the replica serves; from
	// then on they always must.
	proved  bool
	checked *served
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), seenCAs: bundle{},
		rules:  rules{hosts: []string{testHost}, caLifetime: DefaultCALifetime, certLifetime: DefaultCertLifetime, settle: DefaultSettle},
		secret: stored{fault: errNoSecret},
	}
	w.backup = w.secret
	for n := range 2 {
		w.configs = append(w.configs, &modelConfiguration{configuration: configuration{
			name: strconv.Itoa(n), entries: []entry{{clean: true, bundle: bundle{}}}}, emptied: true})
	}
	for n := range 3 {
		w.replicas = append(w.replicas, &modelReplica{rotation: rotation{rules: w.rules}, skew: time.Duration(n-1) * 2 * time.Minute})
	}
	return w
}

// advance does one step of the replica's pass, as Authority.pass does them.
func (w *world) advance(r *modelReplica) {
	now := w.now.Add(r.skew)
	r.step++
	switch step := r.step - 1; {
	case step < len(w.configs):
		if step == 0 {
			r.read, r.readVersions = nil, nil
		}
		c := w.configs[step]
		r.read, r.readVersions = append(r.read, c.copy()), append(r.readVersions, c.version)
	case step == len(w.configs):
		r.secret, r.secretVersion = w.secret, w.version
	case step == len(w.configs)+1:
		r.observe(now, r.secret, r.read)
		base, _ := r.base(now, r.secret)
		next, _, err := r.decide(now, base)
		if err != nil {
			w.t.Fatal(err)
		}
		if r.next = next; r.secret.fault == nil && equalStates(next, r.secret.state) {
			return
		}
		if w.version != r.secretVersion {
			r.step = 0
			return
		}
		w.write(stored{state: next})
	case step == len(w.configs)+2:
		r.hold(now, r.next, r.read)
	case step < 2*len(w.configs)+3:
		n := step - len(w.configs) - 3
		target := r.target(now, r.read[n])
		if c := w.configs[n]; r.read[n].err == nil && !r.read[n].is(target) && c.version == r.readVersions[n] {
			w.publish(c, target)
		}
	default:
		r.serve(now)
		r.step = 0
	}
}

func (w *world) write(s stored) {
	w.version++
	w.secret = s
	if s.ca != nil {
		w.seenCAs.add(s.ca.cert)
	}
}

func (w *world) publish(c *modelConfiguration, b bundle) {
	if !c.emptied {
		c.past = append(c.past, pastBundle{c.entries[0].bundle, w.now})
	}
	c.emptied = c.emptied || len(b) == 0
	c.version++
	c.entries = []entry{{clean: true, bundle: b}}
}

// trusts says whether b trusts all that is served.
func (w *world) trusts(b bundle) bool {
	return len(b) > 0 && !slices.ContainsFunc(w.replicas, func(r *modelReplica) bool { return r.served != nil && !b.has(r.served.ca.cert) })
}

// copy is what a replica reads.
func (c *modelConfiguration) copy() configuration {
	read := c.configuration
	read.entries = slices.Clone(c.entries) // a bundle is replaced, never changed
	return read
}

// check fails unless each replica that has been trusted by all API servers
// still is, by those who are behind the times by up to Settle as well.
func (w *world) check() {
	for _, c := range w.configs {
		c.emptied = c.emptied && !w.trusts(c.entries[0].bundle)
	}
	for n, r := range w.replicas {
		if r.served == nil {
			continue
		}
		problem := w.distrusted(r.served)
		switch {
		case problem == "":
			r.proved = true
		case r.proved:
			w.t.Fatalf("at %v: replica %d is not trusted any more: %s", w.now, n, problem)
		}
		if r.served != r.checked {
			if !r.served.serving.signedBy(r.served.ca, w.now) || !r.served.serving.serves(w.rules.hosts) {
				w.t.Fatalf("at %v: replica %d serves a certificate that is not of its CA or its hosts", w.now, n)
			}
			r.checked = r.served
		}
	}
}

// distrusted says why an API server would refuse what is served.
func (w *world) distrusted(s *served) string {
	if !s.serving.valid(w.now) {
		return "it has expired"
	}
	for _, c := range w.configs {
		c.past = slices.DeleteFunc(c.past, func(p pastBundle) bool { return w.now.Sub(p.end) >= w.rules.settle })
		bundles := []bundle{}
		if c.err == nil && !c.emptied {
			bundles = append(bundles, c.entries[0].bundle)
		}
		for _, p := range c.past {
			bundles = append(bundles, p.bundle)
		}
		for _, b := range bundles {
			if !b.has(s.ca.cert) {
				return fmt.Sprintf("configuration %s has, or had a moment ago, other CAs", c.name)
			}
		}
	}
	return ""
}

// run lets replicas do their steps in random order for a time.
func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(time.Duration(w.rand.Int64N(int64(w.rules.settle / 50))))
		r := w.replicas[w.rand.IntN(len(w.replicas))]
		if w.now.Before(r.until) {
			continue
		}
		if w.rand.IntN(100) == 0 {
			r.until = w.now.Add(time.Duration(w.rand.Int64N(int64(w.rules.settle / 10))))
		}
		w.advance(r)
		w.check()
	}
}

// mishap does something that others may do to us.
func (w *world) mishap(how int) {
	c := w.configs[w.rand.IntN(len(w.configs))]
	r := w.replicas[w.rand.IntN(len(w.replicas))]
	switch how {
	case 0: // a replica restarts
		*r = modelReplica{rotation: rotation{rules: w.rules}, skew: r.skew}
	case 1: // the Secret is deleted
		w.write(stored{fault: errNoSecret})
	case 2: // a part of it is spoilt
		spoilt := w.secret
		spoilt.fault = errNoSecret
		switch w.rand.IntN(4) {
		case 0:
			spoilt.ca = nil
		case 1:
			spoilt.next = nil
		case 2:
			spoilt.serving = nil
		case 3:
			spoilt.old = nil
		}
		w.write(spoilt)
	case 3: // an old copy of it is put back
		w.write(w.backup)
	case 4: // it is replaced by another that is good
		other := authorityAt(w.t, w.now, w.rules.caLifetime)
		w.write(stored{state: state{ca: other, serving: leafAt(w.t, other, w.now, w.rules.certLifetime, testHost)}})
	case 5: // a caBundle is emptied
		w.publish(c, bundle{})
	case 6: // a configuration is deleted, and made again without caBundle
		w.publish(c, bundle{})
		c.err = errMissing
	case 7:
		c.err = nil
		c.version++
	case 8: // a copy of the Secret is made
		w.backup = w.secret
	}
}

const mishaps = 9

func equalStates(a, b state) bool {
	pair := func(p, q *keyPair) bool { return p == nil && q == nil || p.same(q) }
	return pair(a.ca, b.ca) && pair(a.next, b.next) && pair(a.serving, b.serving) && a.old.equal(b.old)
}

// agreed fails unless all replicas serve the Secret's certificate and its CAs
// are what is published.
func (w *world) agreed() {
	for n, r := range w.replicas {
		if r.served == nil || !r.served.serving.same(w.secret.serving) {
			w.t.Fatalf("at %v: replica %d does not serve the certificate of the secret", w.now, n)
		}
	}
	for _, c := range w.configs {
		if !c.is(w.secret.trusted()) {
			w.t.Fatalf("at %v: configuration %s has %d CAs, the secret %d", w.now, c.name, len(c.published()), len(w.secret.trusted()))
		}
	}
}

func TestReplicasAreTrustedForAllLifetimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 7)
	w.run(4 * w.rules.settle)
	for end := w.now.Add(3 * DefaultCALifetime); w.now.Before(end); {
		w.agreed()
		w.now = w.now.Add(time.Duration(w.rand.Int64N(int64(20 * 24 * time.Hour))))
		w.run(3 * w.rules.settle)
	}
	if got, want := len(w.seenCAs), 5; got != want {
		t.Errorf("got %d CAs in 36 months, want %d: a new one every 8 months", got, want)
	}
}

func TestReplicasAreTrustedWhateverHappens(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		w := newWorld(t, seed)
		w.run(4 * w.rules.settle)
		for range 30 {
			for range 1 + w.rand.IntN(3) {
				w.mishap(w.rand.IntN(mishaps))
				if w.rand.IntN(2) == 0 {
					w.run(time.Duration(w.rand.Int64N(int64(w.rules.settle))))
				}
			}
			for _, c := range w.configs {
				c.err = nil
				c.version++
			}
			w.run(6 * w.rules.settle)
			w.agreed()
			w.now = w.now.Add(time.Duration(w.rand.Int64N(int64(20 * 24 * time.Hour))))
		}
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}
