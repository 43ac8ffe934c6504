package webhook_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"clamav-sidecar/test/kube"
	"clamav-sidecar/test/rendered"
	"clamav-sidecar/webhook"
	"clamav-sidecar/webhook/inject"
)

const (
	// patience bounds every wait.
	patience = 30 * time.Second
	// home is the webhook's own namespace, as in manifests/install.yaml.
	home = "clamav-system"
)

// cluster is the API server of all tests of this package; they use namespaces of
// their own, and run one after the other since webhook configurations have none.
var cluster *kube.Cluster

func TestMain(m *testing.M) {
	os.Exit(func() int {
		directory, err := os.MkdirTemp("", "webhook-test")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(directory)
		ctrl.SetLogger(logr.Discard()) // each replica has a log of its own
		klog.SetLogger(logr.Discard())
		if cluster, err = kube.New(directory); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer cluster.Stop()
		return m.Run()
	}())
}

// configuration is the webhook's file in most tests.
const configuration = `
clamd: {host: clamav.clamav-system.svc}
sidecar: {image: "registry.example/clamav-sidecar:1.0"}
`

// installation is the webhook as a platform team installs it: rights,
// configurations, replicas, and in place of the Service a balancer.
type installation struct {
	t        *testing.T
	admin    *kubernetes.Clientset
	balancer *balancer
	file     string // path of the configuration file
	replicas []*replica
	scratch  string // a namespace
	before   int    // admissions that the installation itself has caused
}

// replica is a running webhook.
type replica struct {
	config webhook.Config
	log    *logBuffer
	stop   context.CancelFunc
	ended  chan struct{}
	err    error // when it has ended
}

// install brings up the manifests and, at the same moment, the replicas, and
// waits until all are ready.
func install(t *testing.T, replicas int, changes ...func(*webhook.Config)) *installation {
	t.Helper()
	in := prepare(t)
	for range replicas {
		in.start(changes...)
	}
	in.waitReady()
	in.waitInForce()
	return in
}

// waitInForce waits until the API server has learnt of the webhook
// configurations, which takes it a moment.
func (in *installation) waitInForce() {
	in.t.Helper()
	in.eventually("the API server asks the webhook", func() error {
		for _, manifest := range []string{pod("probe", asks, ""), workload("CronJob", "probe", asks, "")} {
			stdout, stderr, err := cluster.Kubectl(manifest, "create", "--dry-run=server", "-o", "json", "-n", in.scratch, "-f", "-")
			if err != nil || !strings.Contains(stdout, "clamav-sidecar/status") && !strings.Contains(stdout, "workload-annotations") {
				return fmt.Errorf("%v: %s%s", err, stdout, stderr)
			}
		}
		return nil
	})
	in.before = in.count()
}

// prepare is an installation without a replica.
func prepare(t *testing.T) *installation {
	t.Helper()
	admin, err := kubernetes.NewForConfig(cluster.Admin)
	if err != nil {
		t.Fatal(err)
	}
	in := &installation{t: t, admin: admin, balancer: newBalancer(t), file: filepath.Join(t.TempDir(), "config.yaml")}
	in.configure(configuration)
	in.apply(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"` + home + `"}}`)
	in.apply(in.rendered(rendered.Rights()...))
	in.apply(rendered.Reachable(in.rendered(rendered.Configurations), "https://"+in.balancer.address()))
	in.scratch = in.namespace()
	t.Cleanup(func() {
		for _, r := range in.replicas {
			r.stop()
			<-r.ended
		}
		in.kubectl("", "delete", "mutatingwebhookconfigurations", "--all")
		in.kubectl("", "delete", "--namespace", home, "secrets,leases", "--all")
	})
	return in
}

// rendered are objects of these kinds, as the chart makes them.
func (in *installation) rendered(kinds ...string) string {
	in.t.Helper()
	objects, err := rendered.Objects("../manifests/install.yaml", kinds...)
	if err != nil {
		in.t.Fatal(err)
	}
	return objects
}

// configure writes the configuration file.
func (in *installation) configure(text string) {
	in.t.Helper()
	if err := os.WriteFile(in.file, []byte(text), 0o600); err != nil {
		in.t.Fatal(err)
	}
}

// start starts a replica with exactly the rights of the manifests.
func (in *installation) start(changes ...func(*webhook.Config)) *replica {
	in.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &replica{config: webhook.Default(), log: &logBuffer{}, stop: stop, ended: make(chan struct{})}
	r.config.File = in.file
	r.config.Listen, r.config.OpsListen = freeAddress(in.t), freeAddress(in.t)
	r.config.Namespace = home
	r.config.Hosts = []string{"127.0.0.1"}
	r.config.Drain = 0
	r.config.Version = "test"
	r.config.REST = in.serviceAccount()
	r.config.Log = r.log.logger()
	for _, change := range changes {
		change(&r.config)
	}
	in.replicas = append(in.replicas, r)
	in.balancer.add(r.config.Listen)
	go func() {
		defer close(r.ended)
		r.err = webhook.Run(ctx, r.config)
	}()
	return r
}

// serviceAccount is how the webhook reaches the API server in a cluster.
func (in *installation) serviceAccount() *rest.Config {
	in.t.Helper()
	token, err := in.admin.CoreV1().ServiceAccounts(home).CreateToken(in.t.Context(), "clamav-sidecar-webhook",
		&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		in.t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(cluster.Admin)
	config.BearerToken = token.Status.Token
	return config
}

// waitReady waits until each replica says so.
func (in *installation) waitReady() {
	in.t.Helper()
	for _, r := range in.replicas {
		in.eventually("a replica is ready", func() error {
			select {
			case <-r.ended:
				in.t.Fatalf("the webhook has ended: %v\n%s", r.err, r.log)
			default:
			}
			status, body, err := r.ops("/readyz")
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("/readyz: %d %s", status, body)
			}
			return err
		})
	}
}

// ops asks a replica's ops port.
func (r *replica) ops(path string) (status int, body string, err error) {
	client := &http.Client{Timeout: 5 * time.Second}
	response, err := client.Get("http://" + r.config.OpsListen + path)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// admissions counts what all replicas have answered since they were installed.
func (in *installation) admissions() int {
	in.t.Helper()
	return in.count() - in.before
}

// count adds up the metric over all replicas; with words, only lines that have
// all of them.
func (in *installation) count(words ...string) int {
	in.t.Helper()
	sum := 0
	for _, r := range in.replicas {
		status, body, err := r.ops("/metrics")
		if err != nil || status != http.StatusOK {
			in.t.Fatalf("/metrics: %d %v\n%s", status, err, body)
		}
	lines:
		for line := range strings.Lines(body) {
			if !strings.HasPrefix(line, "clamav_sidecar_webhook_admissions_total{") {
				continue
			}
			for _, word := range words {
				if !strings.Contains(line, word) {
					continue lines
				}
			}
			fields := strings.Fields(line)
			count, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			if err != nil {
				in.t.Fatal(err)
			}
			sum += int(count)
		}
	}
	return sum
}

// metric gives the line of a gauge, with its newline.
func (r *replica) metric(t *testing.T, words ...string) string {
	t.Helper()
	_, body, err := r.ops("/metrics")
	if err != nil {
		t.Fatal(err)
	}
lines:
	for line := range strings.Lines(body) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		return line
	}
	t.Fatalf("no metric with %q:\n%s", words, body)
	return ""
}

// controller is the API server as one of the cluster's controllers sees it.
type controller struct{ *kubernetes.Clientset }

func (in *installation) impersonate(t *testing.T, user string, groups ...string) controller {
	t.Helper()
	config := rest.CopyConfig(cluster.Admin)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:masters")}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return controller{client}
}

// createJob makes a Job of a CronJob that was annotated before the webhook was
// there.
func (c controller) createJob(namespace, cronJob string, uid types.UID) error {
	_, err := c.BatchV1().Jobs(namespace).Create(context.Background(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: cronJob + "-1", Annotations: map[string]string{inject.InjectAnnotation: "true"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "CronJob", Name: cronJob, UID: uid, Controller: new(true)}},
		},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "app", Image: "app"}},
		}}},
	}, metav1.CreateOptions{})
	return err
}

// eventually waits until try succeeds.
func (in *installation) eventually(what string, try func() error) {
	in.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			for i, r := range in.replicas {
				in.t.Logf("log of replica %d:\n%s", i, r.log)
			}
			in.t.Fatalf("not within %v: %s: %v", patience, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// kubectl runs kubectl and wants it to succeed. It gives what was printed,
// warnings included.
func (in *installation) kubectl(input string, args ...string) (stdout, stderr string) {
	in.t.Helper()
	stdout, stderr, err := cluster.Kubectl(input, args...)
	if err != nil {
		in.t.Fatalf("kubectl %s: %v\n%s%s", strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout, stderr
}

// apply applies a manifest and gives the warnings.
func (in *installation) apply(manifest string, args ...string) string {
	in.t.Helper()
	_, warnings := in.kubectl(manifest, append([]string{"apply", "-f", "-"}, args...)...)
	return warnings
}

// refuse applies a manifest that must be refused, and gives the message.
func (in *installation) refuse(manifest string, args ...string) string {
	in.t.Helper()
	stdout, stderr, err := cluster.Kubectl(manifest, append([]string{"apply", "-f", "-"}, args...)...)
	if err == nil {
		in.t.Fatalf("accepted, want it refused:\n%s\n%s", manifest, stdout)
	}
	return stderr
}

// namespace makes one, with its service account as the controllers of a cluster
// would.
func (in *installation) namespace(labels ...string) string {
	in.t.Helper()
	name := "team-" + strings.ToLower(rand.Text()[:8])
	in.kubectl("", "create", "namespace", name)
	in.kubectl("", "create", "serviceaccount", "default", "--namespace", name)
	if len(labels) > 0 {
		in.kubectl("", append([]string{"label", "namespace", name}, labels...)...)
	}
	return name
}

// get reads an object as the API server gives it.
func get[T any](in *installation, args ...string) *T {
	in.t.Helper()
	text, _ := in.kubectl("", append([]string{"get", "-o", "json"}, args...)...)
	object := new(T)
	if err := json.Unmarshal([]byte(text), object); err != nil {
		in.t.Fatal(err)
	}
	return object
}

// podOf makes the pod of a template, as a controller does, and gives what the
// API server has stored.
func (in *installation) podOf(namespace string, template corev1.PodTemplateSpec, owner metav1.OwnerReference) (*corev1.Pod, error) {
	in.t.Helper()
	owner.Controller = new(true)
	owner.UID = "00000000-0000-0000-0000-000000000000"
	return in.admin.CoreV1().Pods(namespace).Create(in.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: owner.Name + "-", Labels: template.Labels, Annotations: template.Annotations,
			OwnerReferences: []metav1.OwnerReference{owner},
		},
		Spec: template.Spec,
	}, metav1.CreateOptions{})
}

// balancer passes connections on to the replicas in turn, past those that do not
// answer, as a Service does.
type balancer struct {
	listener net.Listener
	mu       sync.Mutex
	backends []string
	next     int
	open     sync.WaitGroup
	closed   atomic.Bool
	conns    map[net.Conn]bool
}

func newBalancer(t *testing.T) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: listener, conns: map[net.Conn]bool{}}
	b.open.Go(b.accept)
	t.Cleanup(func() {
		listener.Close()
		b.mu.Lock()
		b.closed.Store(true)
		for conn := range b.conns {
			conn.Close()
		}
		b.mu.Unlock()
		b.open.Wait()
	})
	return b
}

func (b *balancer) address() string { return b.listener.Addr().String() }

func (b *balancer) add(backend string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = append(b.backends, backend)
}

// only sends everything to one backend, and ends all connections to others.
func (b *balancer) only(backend string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = []string{backend}
	for conn := range b.conns {
		conn.Close()
	}
	b.conns = map[net.Conn]bool{}
}

// remove sends nothing new to a backend.
func (b *balancer) remove(backend string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = slices.DeleteFunc(b.backends, func(other string) bool { return other == backend })
}

func (b *balancer) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.open.Go(func() { b.pass(conn) })
	}
}

// hold keeps a connection so that it is closed at the end.
func (b *balancer) hold(conn net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns[conn] = true
	if b.closed.Load() {
		conn.Close()
	}
}

func (b *balancer) pass(conn net.Conn) {
	defer conn.Close()
	b.hold(conn)
	b.mu.Lock()
	backends := append(append([]string{}, b.backends[b.next%max(1, len(b.backends)):]...), b.backends[:b.next%max(1, len(b.backends))]...)
	b.next++
	b.mu.Unlock()
	for _, address := range backends {
		backend, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			continue
		}
		b.hold(backend)
		var both sync.WaitGroup
		both.Go(func() { io.Copy(backend, conn); backend.Close() })
		both.Go(func() { io.Copy(conn, backend); conn.Close() })
		both.Wait()
		return
	}
}

// logBuffer keeps a replica's log for when a test fails.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) logger() logr.Logger {
	return funcr.New(func(prefix, args string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		fmt.Fprintln(&l.text, prefix, args)
	}, funcr.Options{Verbosity: 1, LogTimestamp: true})
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// freeAddress is one on which nobody listens just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
