package webhook

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	controllerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"

	"clamav-sidecar/webhook/admission"
	"clamav-sidecar/webhook/clientconfig"
	"clamav-sidecar/webhook/config"
	"clamav-sidecar/webhook/inject"
)

const (
	// component names the webhook in events and in its lease.
	component = "clamav-sidecar-webhook"
	// stopTimeout bounds the end, once draining is over: requests are answered
	// within their five seconds.
	stopTimeout = 10 * time.Second
	// versionRetry is how long to wait before the API server is asked for its
	// version again.
	versionRetry = 2 * time.Second
	// versionTimeout bounds the asking.
	versionTimeout = 5 * time.Second
	// A replica that cannot renew the lease ends: client-go wants it so. Serving
	// must not depend on it, so the lease lasts longer than API servers are away.
	// All that waits that long, when a replica ends without a word, is the
	// repair of ConfigMaps that somebody has changed.
	leaseDuration = 10 * time.Minute
	renewDeadline = 8 * time.Minute
	leaseRetry    = 10 * time.Second
	// reloadPeriod is how often the configuration file is looked at.
	reloadPeriod = 5 * time.Second
)

// Run serves admission requests until ctx ends, then drains and stops. It
// returns nil unless the configuration is at fault or a part has failed.
func Run(ctx context.Context, c Config) error {
	if faults := c.Validate(); len(faults) > 0 {
		return faults.ToAggregate()
	}
	file, err := config.Load(c.File)
	if err != nil {
		return err
	}
	native, err := c.awaitVersion(ctx)
	if err != nil {
		return err
	}
	certificates, err := c.certificates()
	if err != nil {
		return fmt.Errorf("failed to set up certificates: %w", err)
	}
	mgr, err := c.newManager(certificates, file.Client.Name)
	if err != nil {
		return fmt.Errorf("failed to set up the webhook: %w", err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(certificates)

	var injector atomic.Pointer[inject.Injector]
	keeper := clientconfig.New(mgr.GetClient(), mgr.GetAPIReader(), file.Client)
	configure := func(file config.File) {
		injector.Store(&inject.Injector{Defaults: file.Sidecar, Native: native, Version: c.Version})
		keeper.Update(file.Client)
	}
	configure(file)
	if err := keeper.SetupWithManager(mgr); err != nil {
		return err
	}
	server := mgr.GetWebhookServer()
	for path, handler := range admission.Handlers(admission.Config{
		Injector:     injector.Load,
		ClientConfig: keeper,
		Events:       mgr.GetEventRecorder(component),
		Metrics:      admission.NewMetrics(registry),
		Log:          c.Log.WithName("admission"),
	}) {
		server.Register(path, handler)
	}
	// controller-runtime has a registry of its own, with those of the process.
	probes := &ops{address: c.OpsListen, metrics: prometheus.Gatherers{metrics.Registry, registry}}
	probes.checks = append(probes.checks, certificates.Ready, cacheFilled(mgr.GetCache()), server.StartedChecker())
	for _, part := range []manager.Runnable{certificates, probes, c.watcher(file, configure)} {
		if err := mgr.Add(part); err != nil {
			return fmt.Errorf("failed to set up the webhook: %w", err)
		}
	}
	return c.serve(ctx, mgr, probes)
}

// watcher has changes of the configuration file taken up.
func (c Config) watcher(current config.File, configure func(config.File)) *config.Watcher {
	return &config.Watcher{
		Path: c.File, Every: reloadPeriod, Current: current,
		Changed: func(file config.File) {
			if was := current.Client.Name; file.Client.Name != was {
				c.Log.Error(errors.New("configMap.name has changed: restart the webhook"),
					"configuration refused, the one before stays in force", "was", was, "is", file.Client.Name)
				return
			}
			configure(file)
			c.Log.Info("configuration changed", "file", c.File)
		},
		Refused: func(err error) { c.Log.Error(err, "configuration refused, the one before stays in force") },
	}
}

// serve runs the manager until ctx has ended and the drain is over.
func (c Config) serve(ctx context.Context, mgr ctrl.Manager, probes *ops) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	cancelDrain := context.AfterFunc(ctx, func() {
		c.Log.Info("draining", "for", c.Drain.String())
		probes.draining.Store(true)
		select {
		case <-time.After(c.Drain):
		case <-running.Done():
		}
		stop()
	})
	defer cancelDrain()
	if err := mgr.Start(running); err != nil {
		return fmt.Errorf("failed to run the webhook: %w", err)
	}
	return nil
}

// newManager has a cache of our own ConfigMaps, by their name, and nothing else, and leaves
// probes and metrics to us.
func (c Config) newManager(certificates certificates, configMap string) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	host, port, err := splitAddress(c.Listen)
	if err != nil {
		return nil, err
	}
	return ctrl.NewManager(c.REST, ctrl.Options{
		Scheme:                        scheme,
		Logger:                        c.Log,
		Cache:                         cache.Options{ByObject: clientconfig.ByObject(configMap)},
		Metrics:                       metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:        "0",
		LeaderElection:                true,
		LeaderElectionID:              component,
		LeaderElectionNamespace:       c.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 new(leaseDuration),
		RenewDeadline:                 new(renewDeadline),
		RetryPeriod:                   new(leaseRetry),
		GracefulShutdownTimeout:       new(stopTimeout),
		// Names need be unique only for metrics of a process with two webhooks,
		// which tests have.
		Controller: controllerconfig.Controller{SkipNameValidation: new(true)},
		WebhookServer: ctrlwebhook.NewServer(ctrlwebhook.Options{
			Host: host, Port: port,
			TLSOpts: []func(*tls.Config){func(t *tls.Config) {
				t.MinVersion = tls.VersionTLS13
				t.GetCertificate = certificates.GetCertificate
			}},
		}),
	})
}

// cacheFilled is a check that the ConfigMaps that are kept have been read.
func cacheFilled(c cache.Cache) func(*http.Request) error {
	return func(r *http.Request) error {
		informer, err := c.GetInformer(r.Context(), &corev1.ConfigMap{}, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("failed to read ConfigMaps: %w", err)
		}
		if !informer.HasSynced() {
			return errors.New("the ConfigMaps with client configurations have not been read yet")
		}
		return nil
	}
}

// awaitVersion asks the API server for its version, again and again while it
// does not answer, as when a control plane starts.
func (c Config) awaitVersion(ctx context.Context) (native bool, err error) {
	client, err := discovery.NewDiscoveryClientForConfig(c.REST)
	if err != nil {
		return false, fmt.Errorf("failed to reach the API server: %w", err)
	}
	for {
		if native, err = supportsNative(ctx, client); err == nil {
			return native, nil
		}
		c.Log.Error(err, "trying again", "in", versionRetry.String())
		select {
		case <-ctx.Done():
			return false, err
		case <-time.After(versionRetry):
		}
	}
}

func supportsNative(ctx context.Context, client *discovery.DiscoveryClient) (bool, error) {
	text, err := client.RESTClient().Get().AbsPath("/version").Timeout(versionTimeout).Do(ctx).Raw()
	if err != nil {
		return false, fmt.Errorf("failed to ask the API server for its version: %w", err)
	}
	var version version.Info
	if err := json.Unmarshal(text, &version); err != nil {
		return false, fmt.Errorf("failed to read the API server's version: %w", err)
	}
	major, errMajor := strconv.Atoi(version.Major)
	minor, errMinor := strconv.Atoi(strings.TrimRight(version.Minor, "+"))
	if err := errors.Join(errMajor, errMinor); err != nil {
		return false, fmt.Errorf("failed to read the API server's version %s.%s: %w", version.Major, version.Minor, err)
	}
	return inject.SupportsNative(major, minor), nil
}
