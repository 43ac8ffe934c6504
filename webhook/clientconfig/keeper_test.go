package clientconfig

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"clamav-sidecar/webhook/clientconfig/render"
)

// What the tests keep, and what the settings become in some of them.
var (
	settings = render.Settings{Name: "clamav-configuration", Manage: true, Host: "clamav.clamav-system.svc",
		Port: 3310, MaxFileSize: 100 << 20, LocalPort: 3310}
	moved   = with(func(s *render.Settings) { s.Host, s.LocalPort = "scanner.elsewhere.svc", 0 })
	renamed = with(func(s *render.Settings) { s.Name = "clamd" })
	manual  = with(func(s *render.Settings) { s.Manage = false })
)

func with(change func(*render.Settings)) render.Settings {
	s := settings
	change(&s)
	return s
}

func TestAgainstARealAPIServer(t *testing.T) {
	c := start(t)
	for name, test := range map[string]func(*testing.T, cluster){
		"the first injection makes the ConfigMap":                           firstInjection,
		"what the cache holds costs no call":                                cached,
		"what the cache does not hold yet costs no second call":             lagging,
		"many first injections at once share one call":                      burst,
		"a caller who goes away does not fail those who joined":             joined,
		"a dry run writes nothing and says so":                              dryRun,
		"a ConfigMap of the namespace's own is left, with a warning":        foreign,
		"while the cache has not started the API server is asked":           unstarted,
		"one that somebody makes at this moment is theirs":                  overtaken,
		"with manage false nothing is asked and nothing written":            unmanaged,
		"without the right the error names the remedy":                      forbidden,
		"in a namespace that is being deleted the error says so":            terminatingNamespace,
		"an API server that does not answer is an error with the remedy":    silent,
		"Missing warns of a ConfigMap that is not there":                    missing,
		"Missing gives no warning when it cannot tell":                      cannotTell,
		"the cache asks for our label only and holds nothing of others":     selective,
		"a change is undone, and what is others' survives":                  changed,
		"one that is deleted is made again":                                 deleted,
		"with the label off it is the team's":                               released,
		"the label taken off at the moment of the repair stays off":         releasedLate,
		"in a namespace that is going or gone it is not made again":         goingNamespace,
		"one that is out of date is brought up to date at the start":        outdated,
		"new settings reach every namespace":                                updated,
		"a new name leaves the old ones alone":                              renaming,
		"keeping turned off leaves all alone":                               turnedOff,
		"only the leader repairs, and the next one takes over with its own": elected,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

func firstInjection(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	if got := c.replica(t, settings, options{}).ensure(t, namespace); got != "" {
		t.Errorf("got warning %q, want none", got)
	}
	configMap := c.configMap(t, namespace, settings.Name)
	if what := differs(configMap, settings); what != "" {
		t.Fatal(what)
	}
	if got := configMap.ManagedFields[0]; got.Manager != FieldOwner || got.Operation != metav1.ManagedFieldsOperationApply {
		t.Errorf("got manager %s by %s, want %s by Apply", got.Manager, got.Operation, FieldOwner)
	}
}

func cached(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	r := c.replica(t, settings, options{})
	r.ensure(t, namespace)
	r.seen(t, namespace)
	for range 100 {
		r.ensure(t, namespace)
	}
	r.wantCalls(t, namespace, 1, 1)
}

// seen waits until the cache holds the ConfigMap, and forgets what was settled.
func (r *replica) seen(t *testing.T, namespace string) {
	t.Helper()
	eventually(t, func() string {
		err := r.cache.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: settings.Name}, &corev1.ConfigMap{})
		if err != nil {
			return err.Error()
		}
		return ""
	})
	r.Keeper.settled = newMemory(settledPeriod)
}

func lagging(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	r := c.replica(t, settings, options{blind: true})
	var passed time.Duration
	begin := time.Now()
	r.settled.now = func() time.Time { return begin.Add(passed) }
	for range 10 {
		r.ensure(t, namespace)
	}
	r.wantCalls(t, namespace, 1, 1)
	passed = settledPeriod + 1
	if got := r.ensure(t, namespace); got != "" {
		t.Errorf("got warning %q, want none", got)
	}
	r.wantCalls(t, namespace, 2, 1)
}

func unstarted(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	manager, err := ctrl.NewManager(c.admin, ctrl.Options{Metrics: metricsserver.Options{BindAddress: "0"}, Logger: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	keeper := New(manager.GetClient(), manager.GetAPIReader(), settings)
	if warning, err := keeper.Ensure(t.Context(), namespace, false); warning != "" || err != nil {
		t.Errorf("got %q and error %v, want neither", warning, err)
	}
	if what := differs(c.configMap(t, namespace, settings.Name), settings); what != "" {
		t.Error(what)
	}
}

func burst(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	r := c.replica(t, settings, options{blind: true})
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			if warning, err := r.Ensure(t.Context(), namespace, false); warning != "" || err != nil {
				t.Errorf("got %q and error %v, want neither", warning, err)
			}
		})
	}
	callers.Wait()
	r.wantCalls(t, namespace, 1, 1)
}

func joined(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	r := c.replica(t, settings, options{blind: true})
	asked, answer := make(chan error, 1), make(chan struct{})
	r.meanwhile(http.MethodPatch, namespace, func(context.Context) {
		asked <- nil
		<-answer
	})
	defer close(answer)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	gone, stays := make(chan error, 1), make(chan error, 1)
	ensure := func(ctx context.Context, result chan error) {
		_, err := r.Ensure(ctx, namespace, false)
		result <- err
	}
	go ensure(ctx, gone)
	receive(t, asked)
	go ensure(t.Context(), stays)
	cancel()
	if err := receive(t, gone); err == nil {
		t.Error("got no error for the caller who went away")
	}
	answer <- struct{}{}
	if err := receive(t, stays); err != nil {
		t.Errorf("got error %v for the one who joined", err)
	}
	r.wantCalls(t, namespace, 1, 1)
}

// receive waits for an outcome.
func receive(t *testing.T, from <-chan error) error {
	t.Helper()
	select {
	case err := <-from:
		return err
	case <-time.After(patience):
		t.Fatalf("nothing within %v", patience)
		return nil
	}
}

func dryRun(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	r := c.replica(t, settings, options{})
	warning, err := r.Ensure(t.Context(), namespace, true)
	if want := "would be made in namespace \"" + namespace; err != nil || !strings.Contains(warning, want) {
		t.Errorf("got warning %q (%v), want one with %q", warning, err, want)
	}
	if got := c.configMap(t, namespace, settings.Name); got != nil {
		t.Errorf("got %v, want no ConfigMap", got)
	}
	r.wantCalls(t, namespace, 1, 0)
	r.ensure(t, namespace)
	if what := differs(c.configMap(t, namespace, settings.Name), settings); what != "" {
		t.Errorf("at the first injection after it: %s", what)
	}
}

func foreign(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	c.own(t, namespace, settings.Name)
	before := c.configMap(t, namespace, settings.Name).ResourceVersion
	r := c.replica(t, settings, options{})
	for range 10 {
		if got, want := r.ensure(t, namespace), "lacks the label clamav-sidecar/client-configuration=true"; !strings.Contains(got, want) {
			t.Errorf("got warning %q, want one with %q", got, want)
		}
	}
	if got := c.configMap(t, namespace, settings.Name).ResourceVersion; got != before {
		t.Errorf("got version %s, want %s as before", got, before)
	}
	r.wantCalls(t, namespace, 1, 0)
}

func overtaken(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	r := c.replica(t, settings, options{})
	r.meanwhile(http.MethodPatch, namespace, func(context.Context) { c.own(t, namespace, settings.Name) })
	if got, want := r.ensure(t, namespace), "lacks the label"; !strings.Contains(got, want) {
		t.Errorf("got warning %q, want one with %q", got, want)
	}
	if got, want := c.configMap(t, namespace, settings.Name).Data["clamd.conf"], "TCPSocket 1"; got != want {
		t.Errorf("got clamd.conf %q, want %q", got, want)
	}
}

func unmanaged(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	r := c.replica(t, manual, options{})
	for _, dryRun := range []bool{false, true} {
		if warning, err := r.Ensure(t.Context(), namespace, dryRun); warning != "" || err != nil {
			t.Errorf("got %q and error %v, want neither", warning, err)
		}
	}
	r.wantCalls(t, namespace, 0, 0)
}

func forbidden(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	r := c.replica(t, settings, options{user: "onlooker"})
	r.wantError(t, namespace, "create one yourself, or have an administrator raise the quota or give the webhook the right")
}

func terminatingNamespace(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	r := c.replica(t, settings, options{})
	c.remove(t, namespace)
	r.wantError(t, namespace, "the namespace is being deleted")
}

func silent(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	r := c.replica(t, settings, options{})
	r.meanwhile(http.MethodPatch, namespace, func(ctx context.Context) { <-ctx.Done() })
	r.wantError(t, namespace, "the API server is slow to answer: try again")
}

// wantError wants Ensure to fail with an error that names the ConfigMap, the
// namespace and the remedy.
func (r *replica) wantError(t *testing.T, namespace, remedy string) {
	t.Helper()
	warning, err := r.Ensure(t.Context(), namespace, false)
	if err == nil {
		t.Fatalf("got no error and warning %q, want an error", warning)
	}
	for _, want := range []string{`ConfigMap "clamav-configuration"`, `namespace "` + namespace + `"`, remedy} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got error %q, want one with %q", err, want)
		}
	}
}

// remove begins the deletion of a namespace. Without the controllers of a real
// cluster it stays terminating.
func (c cluster) remove(t *testing.T, namespace string) {
	t.Helper()
	if err := c.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		t.Fatal(err)
	}
}

func missing(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	r := c.replica(t, manual, options{})
	for range 2 {
		got := r.Missing(t.Context(), namespace, "of-the-team")
		if want := `ConfigMap "of-the-team" does not exist in namespace "` + namespace; !strings.Contains(got, want) {
			t.Errorf("got warning %q, want one with %q", got, want)
		}
	}
	r.wantCalls(t, namespace, 2, 0)
	c.own(t, namespace, "of-the-team")
	for range 10 {
		if got := r.Missing(t.Context(), namespace, "of-the-team"); got != "" {
			t.Errorf("got warning %q when there is one", got)
		}
	}
	r.wantCalls(t, namespace, 3, 0)
}

func cannotTell(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	r := c.replica(t, manual, options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := r.Missing(ctx, namespace, "of-the-team"); got != "" {
		t.Errorf("got warning %q, want none", got)
	}
}
