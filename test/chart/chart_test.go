package chart

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"clamav-sidecar/test/kube"
)

const (
	directory = "../../manifests/chart/clamav-sidecar"
	// releaseName and home are the name and the namespace of what is rendered.
	releaseName = "clamav-sidecar"
	home        = "clamav-system"
	// patience bounds every wait.
	patience = time.Minute
)

// shared is what all tests of this package use.
var shared testbed

// testbed is an API server that knows the kinds of the Prometheus operator and of
// cert-manager, and has an empty namespace home.
type testbed struct {
	cluster *kube.Cluster
	// scratch holds the kubeconfig and Helm's own files.
	scratch string
	// helms are Helm 3 and Helm 4.
	helms []helm
	// renderings has a func() (string, error) for each set-up that was asked for.
	renderings sync.Map
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		ctrl.SetLogger(logr.Discard()) // a webhook that a test runs has a log of its own
		klog.SetLogger(logr.Discard())
		err := shared.start()
		defer shared.stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

func (b *testbed) start() (err error) {
	binaries := os.Getenv("HELM_BINARIES")
	if binaries == "" {
		return errors.New("HELM_BINARIES is not set: run `make test`, or export HELM_BINARIES=$(test/helm/binaries.sh)")
	}
	if b.scratch, err = os.MkdirTemp("", "chart-test"); err != nil {
		return err
	}
	for _, name := range []string{"helm3", "helm4"} {
		b.helms = append(b.helms, helm{name, filepath.Join(binaries, name), b.scratch})
	}
	if b.cluster, err = kube.New(b.scratch); err != nil {
		return err
	}
	if err := b.writeKubeconfig(); err != nil {
		return err
	}
	if err := b.define(); err != nil {
		return err
	}
	_, problems, err := b.cluster.Kubectl("", "create", "namespace", home)
	if err != nil {
		return fmt.Errorf("failed to make namespace %s: %w: %s", home, err, problems)
	}
	return nil
}

func (b *testbed) stop() {
	if b.cluster != nil {
		if err := b.cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.RemoveAll(b.scratch)
}

// writeKubeconfig has Helm reach the API server as an administrator.
func (b *testbed) writeKubeconfig() error {
	admin := b.cluster.Admin
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: admin.Host, CertificateAuthorityData: admin.CAData}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{ClientCertificateData: admin.CertData, ClientKeyData: admin.KeyData}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "admin"}
	config.CurrentContext = "test"
	return clientcmd.WriteToFile(*config, filepath.Join(b.scratch, "helm.kubeconfig"))
}

// define teaches the API server the kinds of others, and returns when it serves
// them all.
func (b *testbed) define() error {
	files, err := exec.Command("../crds/files.sh").Output()
	if err != nil {
		return fmt.Errorf("failed to find the custom resource definitions: %w", err)
	}
	for _, file := range strings.Fields(string(files)) {
		if _, problems, err := b.cluster.Kubectl("", "apply", "--server-side", "-f", file); err != nil {
			return fmt.Errorf("failed to apply %s: %w: %s", file, err, problems)
		}
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		_, problems, err := b.cluster.Kubectl("", "get", "podmonitors,prometheusrules,certificates,issuers", "--all-namespaces")
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the API server does not serve the kinds of others within %v: %w: %s", patience, err, problems)
		}
	}
}

// helm is one version of the program.
type helm struct {
	name    string // helm3 or helm4
	program string
	scratch string
}

// try runs helm and gives what it printed: results and, apart from these,
// warnings and errors.
func (h helm) try(args ...string) (stdout, stderr string, err error) {
	var out, problems bytes.Buffer
	command := exec.Command(h.program, args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(h.scratch, "helm.kubeconfig"),
		"HOME="+h.scratch, "HELM_CACHE_HOME="+h.scratch, "HELM_CONFIG_HOME="+h.scratch, "HELM_DATA_HOME="+h.scratch)
	command.Stdout, command.Stderr = &out, &problems
	err = command.Run()
	return out.String(), problems.String(), err
}

// run wants it to succeed, without a warning, and gives its results.
func (h helm) run(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := h.try(args...)
	if err != nil || stderr != "" {
		t.Fatalf("%s %s: %v\n%s", h.name, strings.Join(args, " "), err, stderr)
	}
	return stdout
}

// template renders the chart as a release releaseName in the namespace home.
func (h helm) template(t *testing.T, args ...string) string {
	t.Helper()
	return h.run(t, append([]string{"template", releaseName, directory, "--namespace", home}, args...)...)
}

// each runs the test with both versions.
func each(t *testing.T, test func(t *testing.T, h helm)) {
	t.Helper()
	for _, h := range shared.helms {
		t.Run(h.name, func(t *testing.T) { test(t, h) })
	}
}

// eventually waits until try succeeds.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s: %v", patience, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
