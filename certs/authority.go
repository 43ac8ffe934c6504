package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	clientcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

const (
	// pause is the least time between two passes, however often something
	// changes: somebody else may keep writing what we keep changing back.
	pause = 250 * time.Millisecond
	// resync is the longest time between two passes.
	resync = time.Minute
	// passTimeout bounds one pass: a handful of requests to the API server.
	passTimeout = 20 * time.Second
)

// Authority issues, stores, rotates, serves and publishes the certificates. It
// is a controller-runtime Runnable, a healthz.Checker by its method Ready, and
// a prometheus.Collector. Its methods are safe for concurrent use, but Start
// may be called only once.
type Authority struct {
	config         Config
	secrets        clientcorev1.SecretInterface
	configurations admissionregistrationv1.MutatingWebhookConfigurationInterface

	rotation rotation      // of the goroutine of Start alone
	changed  chan struct{} // wakes it
	status   atomic.Pointer[status]
}

// status is what a pass ended with. It is never changed, only replaced.
type status struct {
	served *served
	// problems, one for each configuration, say why its API servers would not
	// trust what is served; "" if they do.
	problems map[string]string
	// err is why the pass went wrong.
	err error
}

// NewAuthority checks the config, naming all its faults, and calls nobody yet.
func NewAuthority(config Config) (*Authority, error) {
	config = config.complete()
	if err := config.validate().ToAggregate(); err != nil {
		return nil, fmt.Errorf("failed to set up the certificates: %w", err)
	}
	client, err := rest.HTTPClientFor(config.RESTConfig)
	if err != nil {
		return nil, fmt.Errorf("failed to make a client of the API server: %w", err)
	}
	core, err := clientcorev1.NewForConfigAndClient(config.RESTConfig, client)
	if err != nil {
		return nil, fmt.Errorf("failed to make a client for secrets: %w", err)
	}
	registration, err := admissionregistrationv1.NewForConfigAndClient(config.RESTConfig, client)
	if err != nil {
		return nil, fmt.Errorf("failed to make a client for webhook configurations: %w", err)
	}
	a := &Authority{
		config:         config,
		secrets:        core.Secrets(config.Namespace),
		configurations: registration.MutatingWebhookConfigurations(),
		rotation: rotation{rules: rules{
			hosts:        config.Hosts,
			caLifetime:   config.CALifetime,
			certLifetime: config.CertLifetime,
			settle:       config.Settle,
		}},
		changed: make(chan struct{}, 1),
	}
	a.status.Store(&status{err: errors.New("the certificates have not been looked at yet")})
	return a, nil
}

// NeedLeaderElection is false: every replica serves.
func (a *Authority) NeedLeaderElection() bool { return false }

// GetCertificate serves from memory; it is made for tls.Config.
func (a *Authority) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if s := a.status.Load().served; s != nil {
		return s.certificate, nil
	}
	return nil, errors.New("there is no serving certificate yet")
}

// Ready is nil when a valid certificate is served and every webhook
// configuration carries its CA; else it says what is missing. While the API
// server cannot be asked, what it last said holds.
func (a *Authority) Ready(*http.Request) error {
	s := a.status.Load()
	switch {
	case s.served == nil:
		return fmt.Errorf("there is no serving certificate yet: %w", s.err)
	case !s.served.serving.valid(a.config.Now()):
		return errors.Join(fmt.Errorf("the serving certificate is valid only from %v to %v",
			s.served.serving.cert.NotBefore, s.served.serving.cert.NotAfter), s.err)
	}
	var missing []string
	for _, name := range a.config.WebhookConfigurations {
		if problem := s.problems[name]; problem != "" {
			missing = append(missing, problem)
		}
	}
	if len(missing) > 0 {
		return errors.New(strings.Join(missing, "; "))
	}
	return nil
}

// Start keeps the certificates until ctx ends, and then returns nil.
func (a *Authority) Start(ctx context.Context) error {
	var watches sync.WaitGroup
	defer watches.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.watch(ctx, &watches)

	interval := min(resync, a.config.Settle)
	retries := newBackoff(interval)
	reported := ""
	for {
		wait := interval
		again, err := a.pass(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			wait = retries.Step()
			if err.Error() != reported {
				reported = err.Error()
				a.config.Log.Error(err, "failed to keep the certificates, trying again")
			}
		default:
			retries = newBackoff(interval)
			if reported != "" {
				reported = ""
				a.config.Log.Info("the certificates are kept again")
			}
			if again {
				wait = pause
			}
		}
		if !sleep(ctx, pause, nil) || !sleep(ctx, wait-pause, a.changed) {
			return nil
		}
	}
}

// pass brings everything into the state that it should have now. It is to be
// done again soon if somebody else wrote at the same time.
func (a *Authority) pass(ctx context.Context) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	// The order matters: see "Replicas without a leader" in the package comment.
	configurations := a.look(ctx)
	errs := failures(configurations)
	secret, err := a.read(ctx)
	if err != nil {
		errs = append(errs, err)
		a.report(configurations, errs)
		return false, errors.Join(errs...)
	}
	now := a.config.Now()
	a.rotation.observe(now, secret, configurations)
	base, repairs := a.rotation.base(now, secret)
	next, steps, err := a.rotation.decide(now, base)
	if err == nil {
		err = a.store(ctx, secret, next, append(repairs, steps...))
	}
	switch {
	case errors.Is(err, errOvertaken):
		return true, nil
	case err != nil:
		errs = append(errs, err)
		next = base
	}
	if next.ca.valid(now) {
		a.rotation.hold(now, next, configurations)
		var failed []error
		again, failed = a.publishAll(ctx, now, configurations)
		errs = append(errs, failed...)
		a.rotation.serve(now)
	}
	a.report(configurations, errs)
	return again, errors.Join(errs...)
}

// publishAll publishes where that is needed, and puts the configurations as
// they are then in the place of those read.
func (a *Authority) publishAll(ctx context.Context, now time.Time, configurations []configuration) (again bool, errs []error) {
	for i, c := range configurations {
		target := a.rotation.target(now, c)
		if c.err != nil || c.is(target) {
			continue
		}
		written, err := a.publish(ctx, c, target)
		switch {
		case errors.Is(err, errOvertaken):
			again = true
		case err != nil:
			errs = append(errs, err)
		default:
			configurations[i] = written
			a.config.Log.Info("published the CA", "webhookConfiguration", c.name, "certificates", len(target))
		}
	}
	return again, errs
}

// report stores the status. Of configurations that could not be read, it keeps
// what was known before.
func (a *Authority) report(configurations []configuration, errs []error) {
	before := a.status.Load()
	s := &status{served: a.rotation.served, problems: map[string]string{}, err: errors.Join(errs...)}
	for _, c := range configurations {
		known, ok := before.problems[c.name]
		switch {
		case s.served == nil:
		case c.err != nil && !errors.Is(c.err, errMissing) && ok:
			s.problems[c.name] = known
		default:
			s.problems[c.name] = c.problem(s.served.ca.cert)
		}
	}
	a.status.Store(s)
}

// failures are the errors of the configurations that could not be read.
func failures(configurations []configuration) (errs []error) {
	for _, c := range configurations {
		if c.err != nil && !errors.Is(c.err, errMissing) {
			errs = append(errs, c.err)
		}
	}
	return errs
}
