package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

func TestAServingCertificateIsForItsHostsAndServersOnly(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ca := authorityAt(t, now, DefaultCALifetime)
	leaf := leafAt(t, ca, now, DefaultCertLifetime, testHost, "10.1.2.3", "::1").cert
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for host, want := range map[string]bool{testHost: true, "10.1.2.3": true, "::1": true, "other.clamav.svc": false, "10.1.2.4": false} {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now})
		if got := err == nil; got != want {
			t.Errorf("%s: got %v (%v), want %v", host, got, err, want)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("got a certificate for clients, want one for servers only")
	}
	if leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature || leaf.Subject.String() != "" {
		t.Errorf("got CA %v, key usage %v, subject %q, want no CA, digital signature, none", leaf.IsCA, leaf.KeyUsage, leaf.Subject)
	}
	for name, key := range map[string]any{"CA": ca.cert.PublicKey, "serving": leaf.PublicKey} {
		if key, ok := key.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
			t.Errorf("%s: got a key of type %T, want ECDSA P-256", name, key)
		}
	}
}

func TestACASignsServingCertificatesAndNoCA(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ca := authorityAt(t, now, DefaultCALifetime)
	if ca.cert.KeyUsage != x509.KeyUsageCertSign || ca.cert.MaxPathLen != 0 || !ca.cert.MaxPathLenZero || !ca.cert.IsCA {
		t.Errorf("got key usage %v, path length %d (%v), CA %v, want certificate signing, 0, a CA",
			ca.cert.KeyUsage, ca.cert.MaxPathLen, ca.cert.MaxPathLenZero, ca.cert.IsCA)
	}
	template := *ca.cert
	template.PublicKey, template.SubjectKeyId = nil, nil
	intermediate, err := sign(&template, ca)
	if err != nil {
		t.Fatal(err)
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(ca.cert)
	intermediates.AddCert(intermediate.cert)
	leaf := leafAt(t, intermediate, now, time.Hour, testHost)
	if _, err := leaf.cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: now}); err == nil {
		t.Error("got a certificate of a CA below ours verified, want it refused")
	}
}

func TestCertificatesLiveFromALittleBeforeUntilTheCAEnds(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	ca := authorityAt(t, now, 90*time.Hour)
	for name, test := range map[string]struct {
		pair         *keyPair
		end, renewal time.Duration // from now
	}{
		"a CA":                     {ca, 90 * time.Hour, 60 * time.Hour},
		"a serving certificate":    {leafAt(t, ca, now, 9*time.Hour, testHost), 9 * time.Hour, 6 * time.Hour},
		"one longer than its CA's": {leafAt(t, ca, now, 900*time.Hour, testHost), 90 * time.Hour, 60 * time.Hour},
	} {
		cert := test.pair.cert
		if got, want := cert.NotBefore, now.Add(-clockSkew); !got.Equal(want) {
			t.Errorf("%s: got a start at %v, want %v", name, got, want)
		}
		if got, want := cert.NotAfter, now.Add(test.end); !got.Equal(want) {
			t.Errorf("%s: got an end at %v, want %v", name, got, want)
		}
		if got, want := renewal(cert), now.Add(test.renewal); !got.Equal(want) {
			t.Errorf("%s: got a renewal at %v, want %v", name, got, want)
		}
		for at, want := range map[time.Duration]bool{-clockSkew - 1: false, -clockSkew: true, 0: true, test.end - 1: true, test.end: false} {
			if got := test.pair.valid(now.Add(at)); got != want {
				t.Errorf("%s: got valid %v at %v, want %v", name, got, at, want)
			}
		}
	}
}

func TestABundleReadsWhatItWrites(t *testing.T) {
	t.Parallel()
	now := time.Now()
	old, recent := authorityAt(t, now.Add(-time.Hour), 3*time.Hour).cert, authorityAt(t, now, time.Hour).cert
	b := bundle{}
	b.add(recent)
	b.add(old)
	b.add(old)
	text := b.encode()
	if want := append(encodeCertificate(old), encodeCertificate(recent)...); !bytes.Equal(text, want) {
		t.Errorf("got\n%s\nwant the older CA first and each once\n%s", text, want)
	}
	got, err := parseBundle([]byte("\n" + string(text) + "\n \n"))
	if err != nil || !got.equal(b) {
		t.Errorf("got %d certificates and error %v, want the two", len(got), err)
	}
}

func TestABundleThatIsNotOnlyCertificatesIsAFault(t *testing.T) {
	t.Parallel()
	good, key := encoded(t, authorityAt(t, time.Now(), time.Hour))
	for name, test := range map[string]struct {
		text string
		want string
	}{
		"text after it":             {string(good) + "garbage", "not PEM"},
		"a private key after it":    {string(good) + string(key), privateKeyBlock},
		"a broken certificate next": {string(good) + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "x509"},
	} {
		got, err := parseBundle([]byte(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) || len(got) != 1 {
			t.Errorf("%s: got %d certificates and error %v, want one and an error with %q", name, len(got), err, test.want)
		}
	}
}
