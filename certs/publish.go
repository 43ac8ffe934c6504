package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applyv1 "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
)

// FieldOwner is the field owner of webhooks[].clientConfig.caBundle in the
// webhook configurations.
const FieldOwner = "clamav-sidecar-certs"

// configuration is a MutatingWebhookConfiguration as it was read.
type configuration struct {
	name string
	// err says why nothing is known about it: it could not be read, or there
	// is none of this name (errMissing).
	err             error
	uid             types.UID
	resourceVersion string
	entries         []entry
}

var errMissing = errors.New("it does not exist; it is published to as soon as it is created")

// entry is one of webhooks[].
type entry struct {
	name   string
	bundle bundle
	// clean is false for a caBundle that holds anything but certificates.
	clean bool
}

func configurationOf(read *admissionregistrationv1.MutatingWebhookConfiguration) configuration {
	c := configuration{name: read.Name, uid: read.UID, resourceVersion: read.ResourceVersion}
	for _, webhook := range read.Webhooks {
		b, err := parseBundle(webhook.ClientConfig.CABundle)
		c.entries = append(c.entries, entry{name: webhook.Name, bundle: b, clean: err == nil})
	}
	return c
}

// carries says whether the CA is in the caBundle of every entry.
func (c configuration) carries(ca *x509.Certificate) bool {
	return c.err == nil && !slices.ContainsFunc(c.entries, func(e entry) bool { return !e.bundle.has(ca) })
}

// published are the certificates in the caBundle of any entry.
func (c configuration) published() bundle {
	all := bundle{}
	for _, e := range c.entries {
		for _, cert := range e.bundle {
			all.add(cert)
		}
	}
	return all
}

// is says whether the caBundle of every entry is b. Its order and white space
// do not count, so that we do not argue with those who write them otherwise.
func (c configuration) is(b bundle) bool {
	return !slices.ContainsFunc(c.entries, func(e entry) bool { return !e.clean || !e.bundle.equal(b) })
}

// problem says why API servers would not trust ca through this configuration,
// "" if they do.
func (c configuration) problem(ca *x509.Certificate) string {
	if c.err != nil {
		return fmt.Sprintf("mutating webhook configuration %q: %v", c.name, c.err)
	}
	for _, e := range c.entries {
		if !e.bundle.has(ca) {
			return fmt.Sprintf("mutating webhook configuration %q: the caBundle of webhook %q lacks the CA of the serving certificate", c.name, e.name)
		}
	}
	return ""
}

// look reads the configurations as they are now.
func (a *Authority) look(ctx context.Context) []configuration {
	var all []configuration
	for _, name := range a.config.WebhookConfigurations {
		// Without a resourceVersion, a read is never older than the request.
		read, err := a.configurations.Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			all = append(all, configuration{name: name, err: errMissing})
		case err != nil:
			all = append(all, configuration{name: name, err: fmt.Errorf("failed to read mutating webhook configuration %q: %w", name, err)})
		default:
			all = append(all, configurationOf(read))
		}
	}
	return all
}

// publish makes b the caBundle of every entry, if the configuration is still as
// it was read, and gives the configuration as it is then. If it was changed or
// deleted meanwhile, the error is errOvertaken.
//
// The resourceVersion does two things: no newer bundle is overwritten, and an
// apply to a configuration that is gone makes no new one.
func (a *Authority) publish(ctx context.Context, c configuration, b bundle) (configuration, error) {
	apply := applyv1.MutatingWebhookConfiguration(c.name).WithUID(c.uid).WithResourceVersion(c.resourceVersion)
	text := b.encode()
	for _, e := range c.entries {
		apply.WithWebhooks(applyv1.MutatingWebhook().WithName(e.name).
			WithClientConfig(applyv1.WebhookClientConfig().WithCABundle(text...)))
	}
	// By force, since a caBundle may belong to whoever made the configuration.
	written, err := a.configurations.Apply(ctx, apply, metav1.ApplyOptions{FieldManager: FieldOwner, Force: true})
	switch {
	case apierrors.IsConflict(err) || apierrors.IsNotFound(err):
		return c, errOvertaken
	case err != nil:
		return c, fmt.Errorf("failed to publish the CA in mutating webhook configuration %q: %w", c.name, err)
	}
	return configurationOf(written), nil
}
