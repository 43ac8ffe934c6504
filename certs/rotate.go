package certs

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"slices"
	"time"
)

// rules are the settings that decisions depend on.
type rules struct {
	hosts                            []string
	caLifetime, certLifetime, settle time.Duration
}

// served is the certificate that a replica serves, and the CA that signed it.
type served struct {
	serving, ca *keyPair
	certificate *tls.Certificate // serving, as crypto/tls wants it
}

// rotation is what one replica remembers, and what it decides from that. It
// reads no clock and calls nobody, and is not safe for concurrent use.
//
// A pass over it is: observe what was read, decide on a new state and store it
// (or settle for the base of the decision), then hold it, publish its target
// for each configuration, and serve.
type rotation struct {
	rules
	// held is the newest usable state of the Secret that this replica has seen.
	held state
	// served is nil until there is something to serve.
	served *served
	// carried says since when the Secret and all configurations have been seen,
	// each time, to carry a certificate.
	carried since
	// unwanted says since when a published certificate has been seen not to be
	// in the Secret.
	unwanted since
}

// since is a time for each certificate, by its bytes.
type since map[string]time.Time

// lasted says whether the certificate has been in since for at least d.
func (s since) lasted(cert *x509.Certificate, now time.Time, d time.Duration) bool {
	start, ok := s[string(cert.Raw)]
	return ok && now.Sub(start) >= d
}

// update keeps the times of the certificates that are still in seen, forgets
// the others, and starts those that are new.
func (s since) update(now time.Time, seen bundle) since {
	updated := make(since, len(seen))
	for key := range seen {
		updated[key] = now
		if start, ok := s[key]; ok {
			updated[key] = start
		}
	}
	return updated
}

// observe notes which certificates the Secret and all configurations carry.
func (r *rotation) observe(now time.Time, secret stored, configurations []configuration) {
	everywhere := bundle{}
	for _, cert := range secret.trusted() {
		if !slices.ContainsFunc(configurations, func(c configuration) bool { return !c.carries(cert) }) {
			everywhere.add(cert)
		}
	}
	r.carried = r.carried.update(now, everywhere)
}

// base is the state that a decision starts from: the Secret's; or, if that has
// a fault or is out of date, the one held in memory; or, if that is no better,
// whatever in the Secret can be used. The CA of the certificate that this
// replica serves is always among the trusted. Steps say, for the log, what was
// done.
func (r *rotation) base(now time.Time, secret stored) (s state, steps []string) {
	s = secret.state
	if r.held.ca.valid(now) && (secret.fault != nil || !secret.ca.valid(now)) {
		s = r.held
		steps = append(steps, "restored from memory")
	}
	s.old = maps.Clone(s.old)
	if s.old == nil {
		s.old = bundle{}
	}
	maps.DeleteFunc(s.old, func(_ string, ca *x509.Certificate) bool { return !now.Before(ca.NotAfter) })
	if r.served != nil && r.served.ca.valid(now) && !s.trusted().has(r.served.ca.cert) {
		s.old.add(r.served.ca.cert)
		steps = append(steps, "kept the CA of the certificate that is served")
	}
	return s, steps
}

// decide is the state that is to follow a base, complete and valid now. Steps
// say, for the log, what was done.
func (r *rotation) decide(now time.Time, base state) (s state, steps []string, err error) {
	s = base
	if s.next != nil && !now.Before(s.next.cert.NotAfter) {
		s.next = nil
		steps = append(steps, "dropped a next CA that has expired")
	}
	switch {
	case !s.ca.valid(now) && !s.next.valid(now):
		if s.ca, err = newCA(now, r.caLifetime); err != nil {
			return base, nil, err
		}
		steps = append(steps, "made a CA")
	case s.next.valid(now) && (!s.ca.valid(now) || r.carried.lasted(s.next.cert, now, r.settle)):
		s = promote(s, now)
		steps = append(steps, "signs with the next CA")
	case s.next == nil && !now.Before(renewal(s.ca.cert)):
		if s.next, err = newCA(now, r.caLifetime); err != nil {
			return base, nil, err
		}
		steps = append(steps, "made the next CA")
	}
	if hosts, ok := r.wants(now, s); ok {
		if s.serving, err = s.ca.issue(now, now.Add(r.certLifetime), hosts); err != nil {
			return base, nil, err
		}
		steps = append(steps, "issued a serving certificate")
	}
	return s, steps, nil
}

// promote makes the next CA the one that signs.
func promote(s state, now time.Time) state {
	old := bundle{}
	maps.Copy(old, s.old)
	if s.ca.valid(now) {
		old.add(s.ca.cert)
	}
	return state{ca: s.next, old: old}
}

// wants says whether a serving certificate must be issued, and for which hosts.
//
// One that lacks a host of ours is replaced by one for its hosts and ours:
// during an update of the webhook there are replicas that want other hosts, and
// each would go on replacing the other's. The next renewal leaves theirs out.
func (r *rotation) wants(now time.Time, s state) (hosts []string, ok bool) {
	switch {
	case !s.serving.signedBy(s.ca, now):
		return r.hosts, true
	case !s.serving.serves(r.hosts):
		hosts = append(s.serving.hosts(), r.hosts...)
		slices.Sort(hosts)
		return slices.Compact(hosts), true
	}
	// A certificate that ends with its CA cannot be renewed, only replaced by
	// one of the next CA.
	end := earlier(now.Add(r.certLifetime), s.ca.cert.NotAfter)
	due := !now.Before(renewal(s.serving.cert)) && end.Truncate(time.Second).After(s.serving.cert.NotAfter)
	return r.hosts, due
}

// hold remembers the Secret's state as it is now, and what of the published
// certificates it does not name.
func (r *rotation) hold(now time.Time, s state, configurations []configuration) {
	r.held = s
	trusted, strangers := s.trusted(), bundle{}
	for _, c := range configurations {
		for _, cert := range c.published() {
			if !trusted.has(cert) {
				strangers.add(cert)
			}
		}
	}
	r.unwanted = r.unwanted.update(now, strangers)
}

// target is the bundle to publish in a configuration: the certificates of the
// Secret, and for a while those that are published though the Secret does not
// name them, since another replica may serve a certificate of theirs and be
// about to say so.
func (r *rotation) target(now time.Time, c configuration) bundle {
	target := r.held.trusted()
	for _, cert := range c.published() {
		if !r.unwanted.lasted(cert, now, r.settle) {
			target.add(cert)
		}
	}
	return target
}

// serve changes to the held serving certificate if API servers can be expected
// to trust it, or if what is served now has come to its end.
func (r *rotation) serve(now time.Time) {
	switch candidate := r.held; {
	case r.served != nil && r.served.serving.same(candidate.serving):
	case !candidate.serving.signedBy(candidate.ca, now):
	case r.served == nil,
		!r.served.serving.valid(now),
		r.served.ca.same(candidate.ca),
		r.carried.lasted(candidate.ca.cert, now, r.settle):
		r.served = &served{serving: candidate.serving, ca: candidate.ca, certificate: candidate.serving.tls()}
	}
}
