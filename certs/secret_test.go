package certs

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// full is a state in the middle of a rotation.
func full(t *testing.T, now time.Time) state {
	ca := authorityAt(t, now, time.Hour)
	old := bundle{}
	old.add(authorityAt(t, now.Add(-30*time.Minute), time.Hour).cert)
	return state{ca: ca, next: authorityAt(t, now, 2*time.Hour), old: old, serving: leafAt(t, ca, now, time.Hour, testHost)}
}

func TestTheSecretReadsWhatItWrites(t *testing.T) {
	t.Parallel()
	now := time.Now()
	whole := full(t, now)
	calm := state{ca: whole.ca, serving: whole.serving}
	for name, s := range map[string]state{"in a rotation": whole, "at rest": calm} {
		data, err := s.encode(map[string][]byte{"theirs": []byte("kept"), nextCertKey: []byte("old"), oldCertKey: []byte("old")})
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(data)
		if err != nil || !equalStates(got, s) {
			t.Errorf("%s: got %+v and error %v, want what was written", name, got, err)
		}
		again, err := got.encode(data)
		if err != nil || !maps.EqualFunc(again, data, bytes.Equal) {
			t.Errorf("%s: got other bytes (error %v) when written again, want the same", name, err)
		}
		if string(data["theirs"]) != "kept" {
			t.Errorf("%s: got %q under somebody else's key, want it kept", name, data["theirs"])
		}
	}
	if got, want := len(whole.trusted()), 3; got != want {
		t.Errorf("got %d trusted CAs in a rotation, want %d", got, want)
	}
}

func TestFaultsOfTheSecretAreNamedAndTheRestIsRead(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := full(t, now)
	_, strangeKey := encoded(t, authorityAt(t, now, time.Hour))
	for name, test := range map[string]struct {
		spoil func(data map[string][]byte)
		want  []string
		left  func(*state) // takes from a whole state what is lost
	}{
		"an empty one": {
			func(data map[string][]byte) { clear(data) },
			[]string{"ca.crt and ca.key", "tls.crt and tls.key"},
			func(s *state) { *s = state{old: bundle{}} },
		},
		"a CA with the key of another": {
			func(data map[string][]byte) { data[caKeyKey] = strangeKey },
			[]string{"ca.crt and ca.key"},
			func(s *state) { s.ca = nil },
		},
		"a serving certificate as CA and no next key": {
			func(data map[string][]byte) {
				data[caCertKey], data[caKeyKey] = data[servingCertKey], data[servingKeyKey]
				delete(data, nextKeyKey)
			},
			[]string{"ca.crt: it is not a CA", "next-ca.crt and next-ca.key"},
			func(s *state) { s.ca, s.next = nil, nil },
		},
		"old CAs that are garbage": {
			func(data map[string][]byte) { data[oldCertKey] = []byte("garbage") },
			[]string{"old-ca.crt"},
			func(s *state) { s.old = bundle{} },
		},
	} {
		data, err := s.encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		test.spoil(data)
		want := s
		test.left(&want)
		got, err := decode(data)
		if !equalStates(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		lines := strings.Split(message(err), "\n")
		if !slices.EqualFunc(lines, test.want, strings.HasPrefix) {
			t.Errorf("%s: got faults %q, want %q", name, lines, test.want)
		}
		for _, key := range []string{string(strangeKey), string(data[servingKeyKey])} {
			if key != "" && strings.Contains(message(err), key) {
				t.Errorf("%s: got a private key in an error", name)
			}
		}
	}
}
