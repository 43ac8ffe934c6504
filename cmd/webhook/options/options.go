// Package options reads the webhook's flags and writes the help on them.
// Defaults and bounds are those of package webhook.
package options

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"clamav-sidecar/webhook"
)

// namespaceFile has the namespace of a pod with a service account.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// Options are what the command line asks for.
type Options struct {
	// Config is valid, but for its Log, REST and Version, which are the caller's
	// to set.
	webhook.Config
	// Kubeconfig is the path of the file that tells the API server; "": that of
	// the cluster the process runs in.
	Kubeconfig string
	// Help and ShowVersion ask for these texts, and for nothing else.
	Help, ShowVersion bool

	logLevel, logFormat string
}

func (o *Options) flags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("webhook", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() {} // an error tells by itself, and points at --help
	flags.StringVar(&o.File, "config", o.File, "the configuration `file`; changes are taken up without a restart,\nfaulty ones refused (docs/webhook.md describes it)")
	flags.StringVar(&o.Listen, "listen", o.Listen, "`host:port` for admission requests, TLS 1.3")
	flags.StringVar(&o.OpsListen, "ops-listen", o.OpsListen, "`host:port` for /livez, /readyz and /metrics")
	flags.StringVar(&o.Namespace, "namespace", o.Namespace, "the `namespace` that the webhook runs in\n(default that of its service account)")
	flags.StringVar(&o.Service, "service", o.Service, "the `name` of the Service by which API servers reach the webhook")
	flags.StringVar(&o.CertSecret, "cert-secret", o.CertSecret, "the `name` of the Secret with the certificates that the webhook\nmakes and renews")
	flags.StringVar(&o.CertDir, "cert-dir", o.CertDir, "a `directory` with the tls.crt and tls.key of somebody else, such as\ncert-manager, instead; whoever makes them sets the caBundle")
	flags.StringSliceVar(&o.Configurations, "webhook-configuration", o.Configurations, "`names` of the MutatingWebhookConfigurations whose caBundle is kept")
	flags.DurationVar(&o.Drain, "drain", o.Drain, "how long to go on serving after SIGTERM, until API servers know")
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "the kubeconfig `file` (default the cluster it runs in)")
	flags.StringVar(&o.logLevel, "log-level", o.logLevel, "`level`: debug, info, warn or error; debug has every admission")
	flags.StringVar(&o.logFormat, "log-format", o.logFormat, "`format`: json or text")
	flags.BoolVarP(&o.Help, "help", "h", false, "this text")
	flags.BoolVar(&o.ShowVersion, "version", false, "the version")
	return flags
}

func defaults() Options {
	return Options{Config: webhook.Default(), logLevel: "info", logFormat: "json"}
}

// Parse reads the command line. All faulty values come in one error, but for
// those that are not of a flag's type.
func Parse(args []string) (Options, error) {
	o := defaults()
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
		return Options{}, err
	}
	if o.Help || o.ShowVersion {
		return o, nil
	}
	var faults []error
	if flags.NArg() > 0 {
		faults = append(faults, fmt.Errorf("%q: want flags only", flags.Arg(0)))
	}
	if o.Namespace == "" {
		text, err := os.ReadFile(namespaceFile)
		if err != nil {
			faults = append(faults, errors.New("--namespace: want the namespace that the webhook runs in (there is no service account here to tell)"))
		}
		o.Namespace = strings.TrimSpace(string(text))
	}
	if _, err := o.level(); err != nil {
		faults = append(faults, err)
	}
	if o.logFormat != "json" && o.logFormat != "text" {
		faults = append(faults, fmt.Errorf("--log-format %q: want json or text", o.logFormat))
	}
	for _, fault := range o.Validate() {
		if fault.Field != "--namespace" || o.Namespace != "" {
			faults = append(faults, fault)
		}
	}
	return o, errors.Join(faults...)
}

func (o *Options) level() (slog.Level, error) {
	var level slog.Level
	switch o.logLevel {
	case "debug", "info", "warn", "error":
		err := level.UnmarshalText([]byte(o.logLevel))
		return level, err
	}
	return level, fmt.Errorf("--log-level %q: want debug, info, warn or error", o.logLevel)
}

// LogHandler makes the log that the options ask for.
func (o *Options) LogHandler(w io.Writer) slog.Handler {
	level, _ := o.level() // Parse has checked it
	handler := &slog.HandlerOptions{Level: level}
	if o.logFormat == "text" {
		return slog.NewTextHandler(w, handler)
	}
	return slog.NewJSONHandler(w, handler)
}

// Help is the text of --help.
func Help() string {
	o := defaults()
	return `webhook gives the pods that ask for it a scanning sidecar, as a mutating admission webhook.

Usage:
  webhook [flags]  serve until SIGTERM or SIGINT
  webhook --version
  webhook --help

Flags:
` + o.flags().FlagUsages() + `
Exit codes: 0 after a shutdown, 1 when something failed, 2 for a wrong flag or value
`
}
