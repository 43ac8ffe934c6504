package webhook

import (
	"net"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/rest"
)

// DefaultDrain is how long a webhook that is asked to end goes on serving: API
// servers learn within it that it is no longer ready.
const DefaultDrain = 5 * time.Second

// Config is what the webhook needs to know. Each field but the last ones is set
// by the flag that its comment names. The zero Config is not valid: begin with
// [Default].
type Config struct {
	// File (--config) is the configuration file (package config).
	File string
	// Listen (--listen) is host:port for admission requests, OpsListen
	// (--ops-listen) for /livez, /readyz and /metrics.
	Listen, OpsListen string
	// Namespace (--namespace) is where the webhook itself runs.
	Namespace string
	// Service (--service) is the name under which API servers reach it.
	Service string
	// CertSecret (--cert-secret) is the name of the Secret with the certificates
	// that the webhook makes and renews.
	CertSecret string
	// CertDir (--cert-dir), if set, has the tls.crt and tls.key of somebody else,
	// such as cert-manager, who then also publishes the CA. CertSecret is not used.
	CertDir string
	// Configurations (--webhook-configuration, may repeat) are the names of the
	// MutatingWebhookConfigurations whose caBundle is kept.
	Configurations []string
	// Drain (--drain) is how long it goes on serving when asked to end.
	Drain time.Duration

	// Version of this build, for the status of injected pods.
	Version string
	Log     logr.Logger
	REST    *rest.Config
	// Hosts are the names and addresses of the serving certificate; nil: those of
	// Service in Namespace.
	Hosts []string
	// Now is the clock that certificates live by; nil: time.Now.
	Now func() time.Time
}

// Default is the configuration without any flag.
func Default() Config {
	return Config{ //nolint:gosec // CertSecret is the name of a Secret, and not one
		File:           "/etc/clamav-sidecar/config.yaml",
		Listen:         ":9443",
		OpsListen:      ":8080",
		Service:        "clamav-sidecar-webhook",
		CertSecret:     "clamav-sidecar-webhook-certs",
		Configurations: []string{"clamav-sidecar-pods", "clamav-sidecar-workloads"},
		Drain:          DefaultDrain,
		Version:        "unknown",
	}
}

// Validate gives all faults, each with the flag.
func (c Config) Validate() field.ErrorList {
	var faults field.ErrorList
	invalid := func(flag string, value any, want string) {
		faults = append(faults, field.Invalid(field.NewPath(flag), value, want))
	}
	if c.File == "" {
		invalid("--config", c.File, "want the path of the configuration file")
	}
	for flag, address := range map[string]string{"--listen": c.Listen, "--ops-listen": c.OpsListen} {
		if _, _, err := splitAddress(address); err != nil {
			invalid(flag, address, "want host:port, such as :9443 for every address")
		}
	}
	names := map[string]string{"--namespace": c.Namespace, "--service": c.Service}
	if c.CertDir == "" {
		names["--cert-secret"] = c.CertSecret
		if len(c.Configurations) == 0 {
			invalid("--webhook-configuration", "", "want the names of the webhook configurations that send requests here")
		}
	}
	for flag, name := range names {
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			invalid(flag, name, problems[0])
		}
	}
	if c.Drain < 0 {
		invalid("--drain", c.Drain.String(), "want a duration of 0 or more, such as 5s")
	}
	return faults
}

// splitAddress takes host:port apart.
func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(text, 10, 16)
	return host, int(number), err
}

// hosts are those of the serving certificate.
func (c Config) hosts() []string {
	if c.Hosts != nil {
		return c.Hosts
	}
	name := c.Service + "." + c.Namespace
	return []string{name + ".svc", name, c.Service, name + ".svc.cluster.local"}
}
