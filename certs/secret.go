package certs

import (
	"errors"
	"fmt"
	"maps"
)

// The keys of the Secret. A CA that has signed before is kept without its
// private key, which nobody needs any more.
const (
	caCertKey      = "ca.crt"
	caKeyKey       = "ca.key"
	servingCertKey = "tls.crt"
	servingKeyKey  = "tls.key"
	nextCertKey    = "next-ca.crt"
	nextKeyKey     = "next-ca.key"
	oldCertKey     = "old-ca.crt"
)

// state is what the Secret holds. It is never changed, only replaced.
type state struct {
	// ca signs serving certificates; next will, once it has been published
	// everywhere for long enough; old have signed before. ca and next may be
	// nil.
	ca, next *keyPair
	old      bundle
	// serving is signed by ca. It may be nil.
	serving *keyPair
}

// trusted are the CAs to publish.
func (s state) trusted() bundle {
	trusted := bundle{}
	maps.Copy(trusted, s.old)
	for _, ca := range []*keyPair{s.ca, s.next} {
		if ca != nil {
			trusted.add(ca.cert)
		}
	}
	return trusted
}

// decode reads the Secret's data. The error names all that is missing or cannot
// be used, whatever the time is; the state holds the rest.
func decode(data map[string][]byte) (state, error) {
	var s state
	var faults [4]error
	s.ca, faults[0] = decodeCA(data, caCertKey, caKeyKey)
	if len(data[nextCertKey])+len(data[nextKeyKey]) > 0 {
		s.next, faults[1] = decodeCA(data, nextCertKey, nextKeyKey)
	}
	if s.old, faults[2] = parseBundle(data[oldCertKey]); faults[2] != nil {
		faults[2] = fmt.Errorf("%s: %w", oldCertKey, faults[2])
	}
	s.serving, faults[3] = decodePair(data, servingCertKey, servingKeyKey)
	return s, errors.Join(faults[:]...)
}

func decodeCA(data map[string][]byte, certKey, keyKey string) (*keyPair, error) {
	pair, err := decodePair(data, certKey, keyKey)
	if err != nil {
		return nil, err
	}
	if err := pair.checkCA(); err != nil {
		return nil, fmt.Errorf("%s: %w", certKey, err)
	}
	return pair, nil
}

func decodePair(data map[string][]byte, certKey, keyKey string) (*keyPair, error) {
	pair, err := parseKeyPair(data[certKey], data[keyKey])
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", certKey, keyKey, err)
	}
	return pair, nil
}

// encode writes a complete state over the data of a Secret and leaves keys that
// are not ours as they are.
func (s state) encode(data map[string][]byte) (map[string][]byte, error) {
	written := maps.Clone(data)
	if written == nil {
		written = map[string][]byte{}
	}
	for _, pair := range []struct {
		*keyPair
		certKey, keyKey string
	}{
		{s.ca, caCertKey, caKeyKey},
		{s.next, nextCertKey, nextKeyKey},
		{s.serving, servingCertKey, servingKeyKey},
	} {
		delete(written, pair.certKey)
		delete(written, pair.keyKey)
		if pair.keyPair == nil {
			continue
		}
		cert, key, err := pair.encode()
		if err != nil {
			return nil, fmt.Errorf("failed to encode %s: %w", pair.certKey, err)
		}
		written[pair.certKey], written[pair.keyKey] = cert, key
	}
	delete(written, oldCertKey)
	if len(s.old) > 0 {
		written[oldCertKey] = s.old.encode()
	}
	return written, nil
}
