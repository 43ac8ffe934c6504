package chart

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	webhookoptions "clamav-sidecar/cmd/webhook/options"
	"clamav-sidecar/webhook"
)

// running is the webhook of a release: with the flags, the file and the rights
// that the release gives it.
type running struct {
	options webhookoptions.Options
	log     *logBuffer
	stop    context.CancelFunc
	ended   chan struct{}
	err     error // when it has ended
}

// run starts the webhook of a release whose objects are given, and waits until it
// is ready. It ends with the test at the latest.
func run(t *testing.T, namespace string, objects everything) *running {
	t.Helper()
	c := container(t, installed(objects), "clamav-sidecar-webhook", "webhook")
	options, err := webhookoptions.Parse(append(c.Args, "--namespace="+namespace))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(c.file(t, installed(objects), options.File)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{options: options, log: &logBuffer{}, stop: stop, ended: make(chan struct{})}
	r.options.File = file
	r.options.Listen, r.options.OpsListen = freeAddress(t), freeAddress(t)
	r.options.Drain = 0
	r.options.Version = "test"
	r.options.REST = token(t, namespace, c.spec.ServiceAccountName)
	r.options.Log = r.log.logger()
	go func() {
		defer close(r.ended)
		r.err = webhook.Run(ctx, r.options.Config)
	}()
	t.Cleanup(r.end)
	eventually(t, "the webhook is ready", func() error { return r.ready(t) })
	return r
}

// installed gives objects of one release by kind and name.
func installed(objects everything) inventory {
	found := inventory{}
	for _, object := range objects {
		found[object.GetKind()+" "+object.GetName()] = object
	}
	return found
}

// end stops it and waits.
func (r *running) end() {
	r.stop()
	<-r.ended
}

func (r *running) ready(t *testing.T) error {
	t.Helper()
	select {
	case <-r.ended:
		t.Fatalf("the webhook has ended: %v\n%s", r.err, r.log)
	default:
	}
	response, err := http.Get("http://" + r.options.OpsListen + "/readyz")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if text, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz: %s %s %v", response.Status, text, err)
	}
	return nil
}

// inject asks it, as an API server with this caBundle would, to inject a pod of a
// namespace.
func (r *running) inject(t *testing.T, bundle []byte, namespace string) {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		t.Fatalf("no certificate in the caBundle %q", bundle)
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs: roots, ServerName: r.options.Service + "." + r.options.Namespace + ".svc", MinVersion: tls.VersionTLS13,
	}}}
	pod := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","annotations":{"clamav-sidecar/inject":"true"}},
		"spec":{"containers":[{"name":"app","image":"app:1"}]}}`
	review, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "1", Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Namespace: namespace, Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: []byte(pod)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Post("https://"+r.options.Listen+"/inject/pods", "application/json", bytes.NewReader(review))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer admissionv1.AdmissionReview
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if answer.Response == nil || !strings.Contains(string(answer.Response.Patch), `"name":"clamav-sidecar"`) {
		t.Fatalf("got %+v, want the pod injected\n%s", answer, r.log)
	}
}

// token is how a service account reaches the API server.
func token(t *testing.T, namespace, account string) *rest.Config {
	t.Helper()
	admin, err := kubernetes.NewForConfig(shared.cluster.Admin)
	if err != nil {
		t.Fatal(err)
	}
	token, err := admin.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(shared.cluster.Admin)
	config.BearerToken = token.Status.Token
	return config
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

// logBuffer keeps the webhook's log.
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
