package webhook

import (
	"crypto/tls"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"clamav-sidecar/certs"
)

// certificates are our own ([certs.Authority]) or somebody else's
// ([certs.Files]).
type certificates interface {
	manager.Runnable
	prometheus.Collector
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Ready is nil when a certificate is served that API servers trust.
	Ready(*http.Request) error
}

func (c Config) certificates() (certificates, error) {
	if c.CertDir != "" {
		return certs.NewFiles(c.CertDir, c.Now)
	}
	return certs.NewAuthority(certs.Config{
		RESTConfig: c.REST, Namespace: c.Namespace, Secret: c.CertSecret, Hosts: c.hosts(),
		WebhookConfigurations: c.Configurations, Now: c.Now, Log: c.Log.WithName("certs"),
	})
}
