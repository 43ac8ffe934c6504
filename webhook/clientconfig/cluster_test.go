package clientconfig

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"clamav-sidecar/test/kube"

	"clamav-sidecar/webhook/clientconfig/render"
)

// patience bounds every wait of these tests.
const patience = 30 * time.Second

// cluster is a real API server.
type cluster struct {
	client.Client // the administrator's, without a cache
	admin         *rest.Config
}

// start starts one in which the user "webhook" has the rights that the package
// comment lists and no others, and the user "onlooker" lacks those to write.
func start(t *testing.T) cluster {
	t.Helper()
	ctrl.SetLogger(logr.Discard())
	admin := kube.Start(t).Admin
	c, err := client.New(admin, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	reads := rule("", "configmaps", "get")
	watches := rule("", "configmaps", "list", "watch")
	writes := rule("", "configmaps", "create", "patch")
	for _, limited := range []*rbacv1.PolicyRule{&watches, &writes} {
		limited.ResourceNames = []string{settings.Name, renamed.Name}
	}
	// Not the keeper's but the manager's, for leader election.
	leads := rule("coordination.k8s.io", "leases", "get", "create", "update")
	tells := rule("", "events", "create", "patch")
	grant(t, c, "webhook", reads, watches, writes, leads, tells)
	grant(t, c, "onlooker", reads, watches)
	return cluster{c, admin}
}

func rule(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

func grant(t *testing.T, c client.Client, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: user}
	for _, object := range []client.Object{
		&rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: meta,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
		},
	} {
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}

// namespace makes one.
func (c cluster) namespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// configMap reads one; nil if there is none.
func (c cluster) configMap(t *testing.T, namespace, name string) *corev1.ConfigMap {
	t.Helper()
	var found corev1.ConfigMap
	err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &found)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return &found
}

// own makes a ConfigMap of a team's own.
func (c cluster) own(t *testing.T, namespace, name string) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	err := c.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"clamd.conf": "TCPSocket 1"}})
	if err != nil {
		t.Fatal(err)
	}
}

// change merges a patch into the ConfigMap, as kubectl patch does.
func (c cluster) change(t *testing.T, namespace, patch string) {
	t.Helper()
	target := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: settings.Name}}
	if err := c.Patch(t.Context(), target, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

func (c cluster) delete(t *testing.T, namespace string) {
	t.Helper()
	if err := c.Delete(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: settings.Name}}); err != nil {
		t.Fatal(err)
	}
}

// options of a replica. The zero value is that of a webhook that runs alone.
type options struct {
	user    string // "webhook" if empty
	elected bool   // leader election with the other replicas of this test
	blind   bool   // its cache never sees a ConfigMap, as one that lags
}

// replica is a Keeper in its manager, as the webhook has it.
type replica struct {
	*Keeper
	*traffic
	cache cache.Cache
	stop  func()
}

// replica starts one, which ends with the test unless stop ends it before. Its
// cache is filled.
func (c cluster) replica(t *testing.T, s render.Settings, o options) *replica {
	t.Helper()
	r := &replica{traffic: &traffic{}}
	as := rest.CopyConfig(c.admin)
	as.Impersonate.UserName = "webhook"
	if o.user != "" {
		as.Impersonate.UserName = o.user
	}
	as.Wrap(r.traffic.record)
	byObject := ByObject(s.Name)
	if o.blind {
		for object, by := range byObject {
			by.Label = labels.SelectorFromSet(labels.Set{render.Label: "never"})
			byObject[object] = by
		}
	}
	manager, err := ctrl.NewManager(as, ctrl.Options{
		Cache:                         cache.Options{ByObject: byObject},
		Controller:                    config.Controller{SkipNameValidation: new(true)},
		Metrics:                       metricsserver.Options{BindAddress: "0"},
		LeaderElection:                o.elected,
		LeaderElectionID:              "client-configuration-test",
		LeaderElectionNamespace:       "default",
		LeaderElectionReleaseOnCancel: true,
		Logger:                        logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Keeper = New(manager.GetClient(), manager.GetAPIReader(), s)
	if err := r.SetupWithManager(manager); err != nil {
		t.Fatal(err)
	}
	r.cache = manager.GetCache()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	r.await(t)
	return r
}

// await waits until the cache is filled.
func (r *replica) await(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if !r.cache.WaitForCacheSync(ctx) {
		t.Fatal("the cache does not start")
	}
	if _, err := r.cache.GetInformer(ctx, &corev1.ConfigMap{}); err != nil {
		t.Fatal(err)
	}
}

// ensure calls Ensure, wants no error, and gives the warning.
func (r *replica) ensure(t *testing.T, namespace string) (warning string) {
	t.Helper()
	warning, err := r.Ensure(t.Context(), namespace, false)
	if err != nil {
		t.Fatal(err)
	}
	return warning
}

// traffic is what a replica asks of the API server, apart from its own
// watches.
type traffic struct {
	mu       sync.Mutex
	requests []string // method and path
	// before, if set, is called with each request before it is sent.
	before func(*http.Request)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (c *traffic) record(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		c.mu.Lock()
		before := c.before
		request := r.Method + " " + r.URL.Path
		if strings.HasSuffix(r.URL.Path, "/configmaps") {
			request += " " + r.URL.Query().Get("labelSelector")
		}
		c.requests = append(c.requests, request)
		c.mu.Unlock()
		if before != nil {
			before(r)
		}
		return next.RoundTrip(r)
	})
}

// meanwhile has f called from now on before each request of a method for the
// ConfigMap of a namespace.
func (c *traffic) meanwhile(method, namespace string, f func(context.Context)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before = func(r *http.Request) {
		if r.Method == method && strings.HasPrefix(r.URL.Path, configMaps(namespace)) {
			f(r.Context())
		}
	}
}

// configMaps is how the path of each of a namespace begins.
func configMaps(namespace string) string { return "/api/v1/namespaces/" + namespace + "/configmaps/" }

// count gives how many requests for ConfigMaps of a namespace there were, of a
// method.
func (c *traffic) count(method, namespace string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, request := range c.requests {
		if strings.HasPrefix(request, method+" "+configMaps(namespace)) {
			n++
		}
	}
	return n
}

// wantCalls checks what a replica asked for in a namespace so far.
func (r *replica) wantCalls(t *testing.T, namespace string, gets, patches int) {
	t.Helper()
	if got := r.count(http.MethodGet, namespace); got != gets {
		t.Errorf("got %d GET requests, want %d", got, gets)
	}
	if got := r.count(http.MethodPatch, namespace); got != patches {
		t.Errorf("got %d PATCH requests, want %d", got, patches)
	}
}

// eventually waits until fault gives "".
func eventually(t *testing.T, fault func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		what := fault()
		if what == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// differs tells how a ConfigMap is not what s wants; "" if it is.
func differs(configMap *corev1.ConfigMap, s render.Settings) string {
	if configMap == nil {
		return "there is no ConfigMap"
	}
	if !upToDate(configMap, s) {
		return fmt.Sprintf("got labels %v and data %v, want %v and %v", configMap.Labels, configMap.Data, keptLabels(), render.Files(s))
	}
	return ""
}
