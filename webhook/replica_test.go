package webhook_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"clamav-sidecar/webhook"
)

// replica is a running webhook.
type replica struct {
	config webhook.Config
	log    *logBuffer
	stop   context.CancelFunc
	ended  chan struct{}
	err    error // when it has ended
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
