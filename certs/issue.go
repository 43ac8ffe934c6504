package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"time"
)

// clockSkew is how far the start of a certificate's life lies in the past, for
// API servers whose clocks are behind ours. Kubernetes' own signer takes the
// same five minutes.
const clockSkew = 5 * time.Minute

// The types of PEM blocks that we write.
const (
	certificateBlock = "CERTIFICATE"
	privateKeyBlock  = "PRIVATE KEY"
)

// keyPair is a certificate with its private key. It is never changed.
type keyPair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// newCA makes a self-signed CA, valid from now for lifetime, that can sign
// serving certificates and no further CA.
func newCA(now time.Time, lifetime time.Duration) (*keyPair, error) {
	template := &x509.Certificate{
		// For people who read a bundle, and so that no two have the same name.
		Subject:               pkix.Name{CommonName: "clamav-sidecar webhook CA of " + now.UTC().Format(time.RFC3339)},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(lifetime),
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	ca, err := sign(template, nil)
	if err != nil {
		return nil, fmt.Errorf("failed to make a CA: %w", err)
	}
	return ca, nil
}

// issue makes a serving certificate for hosts, which are DNS names and IP
// addresses and its only names: the subject is empty. It is valid from now until
// the end given, but never longer than the CA itself.
func (p *keyPair) issue(now, end time.Time, hosts []string) (*keyPair, error) {
	template := &x509.Certificate{
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              earlier(end, p.cert.NotAfter),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	leaf, err := sign(template, p)
	if err != nil {
		return nil, fmt.Errorf("failed to issue a serving certificate: %w", err)
	}
	return leaf, nil
}

// sign makes a key and a certificate for it, signed by parent or, if that is
// nil, by the key itself. The serial number is left to crypto/x509, which takes
// a random one.
func sign(template *x509.Certificate, parent *keyPair) (*keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if parent == nil {
		parent = &keyPair{cert: template, key: key}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, err
	}
	return &keyPair{cert: cert, key: key}, nil
}

// parseKeyPair reads what encode wrote, and every other PEM form that
// crypto/tls reads. It checks that key and certificate belong together. Errors
// hold nothing of the key.
func parseKeyPair(certPEM, keyPEM []byte) (*keyPair, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("the private key cannot sign")
	}
	return &keyPair{cert: pair.Leaf, key: key}, nil
}

// encode writes the pair as PEM.
func (p *keyPair) encode() (certPEM, keyPEM []byte, err error) {
	key, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return nil, nil, fmt.Errorf("failed to encode a private key: %w", err)
	}
	return encodeCertificate(p.cert), pem.EncodeToMemory(&pem.Block{Type: privateKeyBlock, Bytes: key}), nil
}

func encodeCertificate(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: cert.Raw})
}

// checkCA says why the pair cannot sign serving certificates, leaving its
// validity in time aside.
func (p *keyPair) checkCA() error {
	switch {
	case !p.cert.BasicConstraintsValid || !p.cert.IsCA:
		return errors.New("it is not a CA")
	case p.cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("it may not sign certificates")
	}
	return nil
}

// valid says whether now is within the life of the certificate. A nil pair is
// not valid.
func (p *keyPair) valid(now time.Time) bool {
	return p != nil && validAt(p.cert, now)
}

func validAt(cert *x509.Certificate, now time.Time) bool {
	return !now.Before(cert.NotBefore) && now.Before(cert.NotAfter)
}

// renewal is the time at which two thirds of the certificate's life are over.
func renewal(cert *x509.Certificate) time.Time {
	life := cert.NotAfter.Sub(cert.NotBefore.Add(clockSkew))
	return cert.NotAfter.Add(-life / 3)
}

// signedBy says whether ca signed the certificate for server authentication
// and both are valid now.
func (p *keyPair) signedBy(ca *keyPair, now time.Time) bool {
	if p == nil || !ca.valid(now) {
		return false
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	_, err := p.cert.Verify(x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err == nil
}

// hosts are the DNS names and IP addresses that the certificate is for.
func (p *keyPair) hosts() []string {
	hosts := append([]string{}, p.cert.DNSNames...)
	for _, ip := range p.cert.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts
}

// serves says whether the certificate is for all of hosts.
func (p *keyPair) serves(hosts []string) bool {
	for _, host := range hosts {
		if p.cert.VerifyHostname(host) != nil {
			return false
		}
	}
	return true
}

// same says whether two pairs hold the same certificate.
func (p *keyPair) same(q *keyPair) bool {
	return p != nil && q != nil && bytes.Equal(p.cert.Raw, q.cert.Raw)
}

// tls is the pair in the form that crypto/tls serves.
func (p *keyPair) tls() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{p.cert.Raw}, PrivateKey: p.key, Leaf: p.cert}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
