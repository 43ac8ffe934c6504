package webhook_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"

	"clamav-sidecar/test/rendered"
	"clamav-sidecar/webhook"
)

const (
	// patience bounds every wait.
	patience = 30 * time.Second
	// home is the webhook's own namespace, as in manifests/install.yaml.
	home = "clamav-system"
)

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
