package certs

import (
	"crypto/x509"

	"github.com/prometheus/client_golang/prometheus"
)

// The kinds of certificates in the metric of expiry.
const (
	kindCA      = "ca"
	kindServing = "serving"
)

// expiryDesc describes the one metric of an Authority and of Files.
func expiryDesc() *prometheus.Desc {
	return prometheus.NewDesc("clamav_sidecar_webhook_certificate_expiry_timestamp_seconds",
		"When the certificate in use expires, in seconds since 1970: the serving certificate, and the CA that signed it.",
		[]string{"kind"}, nil)
}

func expiry(cert *x509.Certificate, kind string) prometheus.Metric {
	return prometheus.MustNewConstMetric(expiryDesc(), prometheus.GaugeValue, float64(cert.NotAfter.Unix()), kind)
}

// Describe is for prometheus.Collector.
func (a *Authority) Describe(descs chan<- *prometheus.Desc) { descs <- expiryDesc() }

// Collect is for prometheus.Collector. There is no sample before there is a
// certificate.
func (a *Authority) Collect(metrics chan<- prometheus.Metric) {
	if s := a.status.Load().served; s != nil {
		metrics <- expiry(s.ca.cert, kindCA)
		metrics <- expiry(s.serving.cert, kindServing)
	}
}

// Describe is for prometheus.Collector.
func (f *Files) Describe(descs chan<- *prometheus.Desc) { descs <- expiryDesc() }

// Collect is for prometheus.Collector. The CA is not ours to tell of.
func (f *Files) Collect(metrics chan<- prometheus.Metric) {
	if cert, err := f.GetCertificate(nil); err == nil {
		metrics <- expiry(cert.Leaf, kindServing)
	}
}
