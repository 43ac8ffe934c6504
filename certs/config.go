package certs

import (
	"net"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/rest"
)

// The defaults of Config. A CA and its successor share a third of its life,
// four months, which is longer than any serving certificate lives.
const (
	DefaultCALifetime   = 365 * 24 * time.Hour
	DefaultCertLifetime = 90 * 24 * time.Hour
	DefaultSettle       = 30 * time.Second
)

// Config of an Authority.
type Config struct {
	// RESTConfig is how the API server is reached.
	RESTConfig *rest.Config
	// Namespace and Secret name the one Secret.
	Namespace, Secret string
	// Hosts are the DNS names and IP addresses of the serving certificate.
	Hosts []string
	// WebhookConfigurations name the MutatingWebhookConfigurations whose
	// caBundle is kept.
	WebhookConfigurations []string
	// CALifetime and CertLifetime are the lives of a CA and of a serving
	// certificate; zero: DefaultCALifetime and DefaultCertLifetime. Both are
	// renewed at two thirds. Certificates count in whole seconds.
	CALifetime, CertLifetime time.Duration
	// Settle is longer than an API server may take to learn of a changed
	// webhook configuration; zero: DefaultSettle.
	Settle time.Duration
	// Now is the clock that certificates live by; nil: time.Now. An Authority
	// looks at it at least every Settle of real time, every minute, and
	// whenever the Secret or a configuration changes.
	Now func() time.Time
	Log logr.Logger
}

// complete fills in the defaults.
func (c Config) complete() Config {
	if c.CALifetime == 0 {
		c.CALifetime = DefaultCALifetime
	}
	if c.CertLifetime == 0 {
		c.CertLifetime = DefaultCertLifetime
	}
	if c.Settle == 0 {
		c.Settle = DefaultSettle
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// validate gives all faults of a complete Config.
func (c Config) validate() field.ErrorList {
	var faults field.ErrorList
	if c.RESTConfig == nil {
		faults = append(faults, field.Required(field.NewPath("restConfig"), ""))
	}
	name := func(path *field.Path, name string, check func(string) []string) {
		for _, fault := range check(name) {
			faults = append(faults, field.Invalid(path, name, fault))
		}
	}
	name(field.NewPath("namespace"), c.Namespace, validation.IsDNS1123Label)
	name(field.NewPath("secret"), c.Secret, validation.IsDNS1123Subdomain)
	for _, list := range []struct {
		path  *field.Path
		names []string
	}{
		{field.NewPath("hosts"), c.Hosts},
		{field.NewPath("webhookConfigurations"), c.WebhookConfigurations},
	} {
		if len(list.names) == 0 {
			faults = append(faults, field.Required(list.path, "name at least one"))
		}
	}
	for i, host := range c.Hosts {
		if net.ParseIP(host) == nil {
			name(field.NewPath("hosts").Index(i), host, validation.IsDNS1123Subdomain)
		}
	}
	for i, configuration := range c.WebhookConfigurations {
		name(field.NewPath("webhookConfigurations").Index(i), configuration, validation.IsDNS1123Subdomain)
	}
	if c.CertLifetime < 0 || c.CertLifetime > c.CALifetime {
		faults = append(faults, field.Invalid(field.NewPath("certLifetime"), c.CertLifetime.String(), "must be positive and at most caLifetime"))
	}
	// A CA is renewed when a third of its life is left.
	if c.Settle < 0 || c.Settle >= c.CALifetime/3 {
		faults = append(faults, field.Invalid(field.NewPath("settle"), c.Settle.String(), "must be positive and less than a third of caLifetime"))
	}
	return faults
}
