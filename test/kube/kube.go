// Package kube starts a real kube-apiserver with its etcd for a test, and runs
// kubectl against it. No controllers and no nodes run: a pod that is created is
// admitted and stored, and that is all.
//
// The programs are looked for in the directory that KUBEBUILDER_ASSETS names;
// binaries.sh gets them, and `make test` calls it.
package kube

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Cluster is a running API server.
type Cluster struct {
	// Admin is how a cluster administrator reaches it.
	Admin *rest.Config

	environment *envtest.Environment
	kubectl     string // program
	kubeconfig  string // file
}

// Start starts a cluster that ends with the test.
func Start(t testing.TB) *Cluster {
	t.Helper()
	cluster, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

// New starts a cluster, for the caller to stop. Directory takes its kubeconfig.
func New(directory string) (*Cluster, error) {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		return nil, errors.New("KUBEBUILDER_ASSETS is not set: run `make test`, or export KUBEBUILDER_ASSETS=$(test/kube/binaries.sh)")
	}
	environment := &envtest.Environment{BinaryAssetsDirectory: assets}
	environment.ControlPlane.GetAPIServer().Configure().
		// As in a cluster, pods get the token of their service account.
		Set("disable-admission-plugins", "")
	admin, err := environment.Start()
	if err != nil {
		return nil, fmt.Errorf("failed to start the API server of %s: %w", assets, err)
	}
	cluster := &Cluster{
		Admin:       admin,
		environment: environment,
		kubectl:     filepath.Join(assets, "kubectl"),
		kubeconfig:  filepath.Join(directory, "kubeconfig"),
	}
	if err := os.WriteFile(cluster.kubeconfig, environment.KubeConfig, 0o600); err != nil {
		return nil, errors.Join(err, cluster.Stop())
	}
	return cluster, nil
}

// Stop ends the API server and etcd.
func (c *Cluster) Stop() error {
	if err := c.environment.Stop(); err != nil {
		return fmt.Errorf("failed to stop the API server: %w", err)
	}
	return nil
}

// Pause has the API server's process hang until resume is called.
func (c *Cluster) Pause() (resume func() error, err error) {
	found, err := exec.Command("pgrep", "-P", strconv.Itoa(os.Getpid()), "kube-apiserver").Output()
	if err != nil {
		return nil, fmt.Errorf("failed to find the API server's process: %w", err)
	}
	id, err := strconv.Atoi(strings.TrimSpace(string(found)))
	if err != nil {
		return nil, fmt.Errorf("failed to find the one API server of this process: %w", err)
	}
	if err := syscall.Kill(id, syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("failed to pause the API server: %w", err)
	}
	return func() error { return syscall.Kill(id, syscall.SIGCONT) }, nil
}

// Kubectl runs kubectl as the administrator, with the text on its standard
// input, and gives what it printed: results and, apart from these, warnings and
// errors. The error is that of the process.
func (c *Cluster) Kubectl(input string, args ...string) (stdout, stderr string, err error) {
	var out, problems bytes.Buffer
	command := exec.Command(c.kubectl, append([]string{"--kubeconfig", c.kubeconfig}, args...)...)
	command.Env = append(os.Environ(), "HOME="+filepath.Dir(c.kubeconfig)) // its cache
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &out, &problems
	err = command.Run()
	return out.String(), problems.String(), err
}
