package certs

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// bundle is a set of CA certificates. Its keys are the certificates' bytes.
type bundle map[string]*x509.Certificate

// parseBundle reads PEM certificates. What can be read is returned even when
// there is an error, which says what cannot.
func parseBundle(text []byte) (bundle, error) {
	b, rest := bundle{}, text
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != certificateBlock {
			return b, fmt.Errorf("failed to read CA certificates: there is a PEM block %q among them", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return b, fmt.Errorf("failed to read CA certificates: %w", err)
		}
		b.add(cert)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return b, errors.New("failed to read CA certificates: there is text among them that is not PEM")
	}
	return b, nil
}

// encode writes the certificates as PEM, the one that became valid first coming
// first. Equal bundles give equal bytes.
func (b bundle) encode() []byte {
	var text bytes.Buffer
	for _, cert := range b.sorted() {
		text.Write(encodeCertificate(cert))
	}
	return text.Bytes()
}

func (b bundle) sorted() []*x509.Certificate {
	return slices.SortedFunc(maps.Values(b), func(x, y *x509.Certificate) int {
		return cmp.Or(x.NotBefore.Compare(y.NotBefore), bytes.Compare(x.Raw, y.Raw))
	})
}

func (b bundle) add(cert *x509.Certificate) { b[string(cert.Raw)] = cert }

func (b bundle) has(cert *x509.Certificate) bool {
	_, ok := b[string(cert.Raw)]
	return ok
}

// equal says whether both hold the same certificates.
func (b bundle) equal(c bundle) bool {
	return len(b) == len(c) && !slices.ContainsFunc(slices.Collect(maps.Values(b)), func(cert *x509.Certificate) bool { return !c.has(cert) })
}
