package monitoring

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"clamav-sidecar/test/kube"
	"clamav-sidecar/webhook"
	"clamav-sidecar/webhook/admission"
)

// scrapeWebhook adds what a webhook exposes that has injected, refused, skipped
// and failed.
func (e exposed) scrapeWebhook(t *testing.T) {
	t.Helper()
	c := startWebhook(t)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // that is not what is tested
	}}
	t.Cleanup(client.CloseIdleConnections)
	for _, review := range []struct{ path, pod string }{
		{admission.PodsPath, `{"metadata":{"name":"web","annotations":{"clamav-sidecar/inject":"true"}},"spec":{"containers":[{"name":"app"}]}}`},
		{admission.PodsPath, `{"metadata":{"name":"web","annotations":{"clamav-sidecar/inject":"perhaps"}},"spec":{"containers":[{"name":"app"}]}}`},
		{admission.NamespacePodsPath, `{"metadata":{"name":"web"},"spec":{"hostNetwork":true,"containers":[{"name":"app"}]}}`},
		{admission.PodsPath, `{"spec":{"containers":"none"}}`},
	} {
		body := fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","kind":{"version":"v1","kind":"Pod"},
			"namespace":"default","operation":"CREATE","userInfo":{},"dryRun":true,"object":%s}}`, review.pod)
		eventually(t, "a review is answered", func() error {
			response, err := client.Post("https://"+c.Listen+review.path, "application/json", strings.NewReader(body))
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if answer, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s (%v)", response.Status, answer, err)
			}
			return nil
		})
	}
	eventually(t, "the webhook has both its certificates", shows(c.OpsListen, `kind="serving"`, `kind="ca"`))
	e.scrape(t, c.OpsListen)
}

// startWebhook starts one that ends with the test, before an API server that
// asks it nothing.
func startWebhook(t *testing.T) webhook.Config {
	t.Helper()
	// Their loggers are one for the process; this test wants none.
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	cluster := kube.Start(t)
	c := webhook.Default()
	for _, name := range c.Configurations {
		empty := `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"MutatingWebhookConfiguration","metadata":{"name":"` + name + `"},"webhooks":[]}`
		if stdout, stderr, err := cluster.Kubectl(empty, "create", "-f", "-"); err != nil {
			t.Fatalf("kubectl create: %v\n%s%s", err, stdout, stderr)
		}
	}
	c.File = filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(c.File, []byte("clamd: {host: clamav.example}\nsidecar: {image: registry.example/sidecar}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Listen, c.OpsListen = freeAddress(t), freeAddress(t)
	c.Namespace, c.Drain, c.REST, c.Log = "default", 0, cluster.Admin, logr.Discard()

	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- webhook.Run(ctx, c) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the webhook has failed: %v", err)
		}
	})
	return c
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
