package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// Files serves a certificate that somebody else keeps in files, such as a
// Secret of cert-manager's mounted into the pod. The files are read again when
// they change, and every ten seconds; if they cannot be used then, the last good
// certificate is served on. Nothing is published: with cert-manager its
// cainjector does that.
//
// Files is a controller-runtime Runnable, a healthz.Checker by its method
// Ready, and a prometheus.Collector. It is safe for concurrent use.
type Files struct {
	directory string
	now       func() time.Time
	watcher   *certwatcher.CertWatcher
}

// NewFiles reads tls.crt and tls.key in the directory. Now tells the time, for
// Ready; if nil, time.Now is used.
func NewFiles(directory string, now func() time.Time) (*Files, error) {
	watcher, err := certwatcher.New(filepath.Join(directory, servingCertKey), filepath.Join(directory, servingKeyKey))
	if err != nil {
		return nil, fmt.Errorf("failed to read %s and %s in %s, where the serving certificate is to be mounted: %w",
			servingCertKey, servingKeyKey, directory, err)
	}
	if now == nil {
		now = time.Now
	}
	return &Files{directory: directory, now: now, watcher: watcher}, nil
}

// NeedLeaderElection is false: every replica serves.
func (f *Files) NeedLeaderElection() bool { return false }

// Start reads the files again whenever they change, until ctx ends.
func (f *Files) Start(ctx context.Context) error { return f.watcher.Start(ctx) }

// GetCertificate serves from memory; it is made for tls.Config.
func (f *Files) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.watcher.GetCertificate(hello)
}

// Ready is nil while the certificate is valid.
func (f *Files) Ready(*http.Request) error {
	certificate, err := f.watcher.GetCertificate(nil)
	if err != nil {
		return err
	}
	if leaf := certificate.Leaf; !validAt(leaf, f.now()) {
		return fmt.Errorf("the serving certificate in %s is valid only from %v to %v: renew it there",
			f.directory, leaf.NotBefore, leaf.NotAfter)
	}
	return nil
}
