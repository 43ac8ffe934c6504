package certs

import (
	"slices"
	"testing"
	"time"
)

// decided is what follows a Secret for a replica that has just read it, with
// all configurations carrying its CAs since a time.
func decided(t *testing.T, r *rotation, now time.Time, secret stored, carriedSince time.Time) (state, []string) {
	t.Helper()
	r.carried = since{}
	for key := range secret.trusted() {
		r.carried[key] = carriedSince
	}
	base, repairs := r.base(now, secret)
	next, steps, err := r.decide(now, base)
	if err != nil {
		t.Fatal(err)
	}
	if !next.serving.signedBy(next.ca, now) || !next.serving.serves(r.hosts) {
		t.Errorf("got a serving certificate that is not of the CA or for %v", r.hosts)
	}
	return next, append(repairs, steps...)
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	made := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	ca := authorityAt(t, made, 365*day)
	next := authorityAt(t, made.Add(250*day), 365*day)
	other := authorityAt(t, made, 400*day)
	old := bundle{}
	old.add(ca.cert)
	leaf := func(ca *keyPair, from int, hosts ...string) *keyPair {
		return leafAt(t, ca, made.Add(time.Duration(from)*day), 90*day, hosts...)
	}
	const (
		madeCA   = "made a CA"
		madeNext = "made the next CA"
		promoted = "signs with the next CA"
		issued   = "issued a serving certificate"
		dropped  = "dropped a next CA that has expired"
		restored = "restored from memory"
		kept     = "kept the CA of the certificate that is served"
	)
	for name, test := range map[string]struct {
		secret  stored
		held    state
		served  *served
		day     int
		carried time.Duration
		want    []string
	}{
		"an empty cluster gets a CA and a certificate": {
			secret: stored{fault: errNoSecret}, want: []string{madeCA, issued},
		},
		"nothing is done before two thirds of a serving certificate's life": {
			secret: stored{state: state{ca: ca, serving: leaf(ca, 0, testHost)}}, day: 59,
		},
		"a serving certificate is renewed at two thirds of its life": {
			secret: stored{state: state{ca: ca, serving: leaf(ca, 0, testHost)}}, day: 60, want: []string{issued},
		},
		"a next CA is made at two thirds of a CA's life": {
			secret: stored{state: state{ca: ca, serving: leaf(ca, 230, testHost)}}, day: 244, want: []string{madeNext},
		},
		"the next CA does not sign before it has settled": {
			secret: stored{state: state{ca: ca, next: next, serving: leaf(ca, 240, testHost)}}, day: 255, carried: DefaultSettle - 1,
		},
		"the next CA signs when it has settled": {
			secret: stored{state: state{ca: ca, next: next, serving: leaf(ca, 240, testHost)}}, day: 255, carried: DefaultSettle,
			want: []string{promoted, issued},
		},
		"the next CA signs at the end of the one before, settled or not": {
			secret: stored{state: state{ca: ca, next: next, serving: leaf(ca, 300, testHost)}}, day: 365, want: []string{promoted, issued},
		},
		"a serving certificate that ends with its CA is not issued again and again": {
			secret: stored{state: state{ca: ca, next: next, serving: leaf(ca, 300, testHost)}}, day: 360,
		},
		"the CA before leaves the bundle when it has expired": {
			secret: stored{state: state{ca: next, old: old, serving: leaf(next, 340, testHost)}}, day: 365,
		},
		"both CAs have expired": {
			secret: stored{state: state{ca: ca, next: next, serving: leaf(ca, 300, testHost)}}, day: 700, want: []string{dropped, madeCA, issued},
		},
		"a next CA whose start another replica's clock has put ahead is left to it": {
			secret: stored{state: state{ca: ca, next: next, serving: leaf(ca, 240, testHost)}}, day: 249, carried: DefaultSettle,
		},
		"a certificate for too few hosts is replaced": {
			secret: stored{state: state{ca: ca, serving: leaf(ca, 0, "other.svc")}}, want: []string{issued},
		},
		"a certificate for more hosts is left alone": {
			secret: stored{state: state{ca: ca, serving: leaf(ca, 0, "other.svc", testHost)}},
		},
		"a certificate of another CA is replaced": {
			secret: stored{state: state{ca: ca, serving: leaf(other, 0, testHost)}}, want: []string{issued},
		},
		"memory replaces a Secret with a fault": {
			secret: stored{fault: errNoSecret}, held: state{ca: ca, serving: leaf(ca, 0, testHost)}, want: []string{restored},
		},
		"memory replaces a Secret whose CA has expired": {
			secret: stored{state: state{ca: ca, serving: leaf(ca, 300, testHost)}}, day: 370,
			held: state{ca: next, serving: leaf(next, 360, testHost)}, want: []string{restored},
		},
		"memory that has expired replaces nothing": {
			secret: stored{fault: errNoSecret}, held: state{ca: ca, serving: leaf(ca, 300, testHost)}, day: 365, want: []string{madeCA, issued},
		},
		"a good Secret is taken though memory is another, and the CA in use is kept": {
			secret: stored{state: state{ca: other, serving: leaf(other, 0, testHost)}}, held: state{ca: ca, serving: leaf(ca, 0, testHost)},
			served: &served{serving: leaf(ca, 0, testHost), ca: ca}, want: []string{kept},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := made.Add(time.Duration(test.day) * day)
			r := &rotation{rules: rules{hosts: []string{testHost}, caLifetime: 365 * day, certLifetime: 90 * day, settle: DefaultSettle},
				held: test.held, served: test.served}
			got, steps := decided(t, r, now, test.secret, now.Add(-test.carried))
			if !slices.Equal(steps, test.want) {
				t.Errorf("got steps %q, want %q", steps, test.want)
			}
			for _, ca := range test.secret.trusted() {
				if validAt(ca, now) && test.held.ca == nil && !got.trusted().has(ca) {
					t.Errorf("got %q out of the bundle, want it kept until it expires", ca.Subject)
				}
			}
			for _, ca := range got.trusted() {
				if !now.Before(ca.NotAfter) {
					t.Errorf("got %q in the bundle, want it left out since it has expired", ca.Subject)
				}
			}
			if test.served != nil && !got.trusted().has(test.served.ca.cert) {
				t.Error("got the CA in use out of the bundle, want it kept")
			}
			again, steps := decided(t, r, now, stored{state: got}, now)
			if len(steps) > 0 || !equalStates(again, got) {
				t.Errorf("got %q when decided again, want nothing left to do", steps)
			}
		})
	}
}

func TestReplicasThatWantOtherHostsDoNotReplaceEachOthersCertificate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	limits := rules{caLifetime: DefaultCALifetime, certLifetime: DefaultCertLifetime, settle: DefaultSettle}
	a, b := &rotation{rules: limits}, &rotation{rules: limits}
	a.hosts, b.hosts = []string{"old.svc"}, []string{"new.svc", "::1"}
	s, _ := decided(t, a, now, stored{fault: errNoSecret}, now)
	s, steps := decided(t, b, now, stored{state: s}, now)
	if len(steps) != 1 {
		t.Errorf("got steps %q, want one certificate issued", steps)
	}
	for name, r := range map[string]*rotation{"old": a, "new": b} {
		if _, steps := decided(t, r, now, stored{state: s}, now); len(steps) > 0 {
			t.Errorf("%s: got %q, want nothing left to do", name, steps)
		}
	}
	later := renewal(s.serving.cert)
	s, _ = decided(t, b, later, stored{state: s}, later)
	if got := s.serving.hosts(); !slices.Equal(got, b.hosts) {
		t.Errorf("got hosts %q after a renewal, want %q", got, b.hosts)
	}
}

func TestACAIsCarriedOnlyWhileTheSecretAndAllConfigurationsHaveIt(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ca := authorityAt(t, now, time.Hour)
	with, without := bundle{}, bundle{}
	with.add(ca.cert)
	has, lacks := entry{bundle: with}, entry{bundle: without}
	good := []configuration{{entries: []entry{has, has}}, {entries: []entry{has}}}
	for name, test := range map[string]struct {
		secret         state
		configurations []configuration
		want           bool
	}{
		"all have it":                       {state{ca: ca}, good, true},
		"it is the Secret's next":           {state{next: ca}, good, true},
		"the Secret lacks it":               {state{}, good, false},
		"an entry lacks it":                 {state{ca: ca}, []configuration{{entries: []entry{has, lacks}}, good[1]}, false},
		"a configuration does not exist":    {state{ca: ca}, []configuration{good[0], {err: errMissing}}, false},
		"a configuration without an entry":  {state{ca: ca}, []configuration{good[0], {}}, true},
		"a configuration could not be read": {state{ca: ca}, []configuration{{err: errOvertaken}, good[1]}, false},
	} {
		r := &rotation{}
		r.observe(now, stored{state: state{ca: ca}}, good)
		r.observe(now.Add(time.Second), stored{state: test.secret}, test.configurations)
		if got := r.carried.lasted(ca.cert, now.Add(2*time.Second), 2*time.Second); got != test.want {
			t.Errorf("%s: got carried for two seconds %v, want %v", name, got, test.want)
		}
		r.observe(now.Add(3*time.Second), stored{state: state{ca: ca}}, good)
		if got := r.carried.lasted(ca.cert, now.Add(4*time.Second), 2*time.Second); got != test.want {
			t.Errorf("%s: got carried without a break %v, want %v", name, got, test.want)
		}
	}
}
