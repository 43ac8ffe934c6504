//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/yaml"
)

// The release under test, and what selects its pods.
const (
	releaseName      = "clamav-sidecar"
	releaseNamespace = "clamav-system"
	chart            = "../../manifests/chart/clamav-sidecar"
	clamdPods        = "app.kubernetes.io/component=clamd"
	webhookPods      = "app.kubernetes.io/component=webhook"
	clamdDeployment  = "clamav"
	webhook          = "clamav-sidecar-webhook" // its Deployment
)

// appVersion reads the tag of the images from the chart.
func appVersion() (string, error) {
	text, err := os.ReadFile(filepath.Join(chart, "Chart.yaml"))
	if err != nil {
		return "", err
	}
	var of struct {
		AppVersion string `json:"appVersion"`
	}
	if err := yaml.Unmarshal(text, &of); err != nil {
		return "", fmt.Errorf("read Chart.yaml: %w", err)
	}
	return of.AppVersion, nil
}

type values = map[string]any

// values are those of the release: small, and with signatures from the mirror.
func (c *cluster) values() values {
	small := values{"requests": values{"cpu": "20m", "memory": "64Mi"}, "limits": values{"memory": "512Mi"}}
	var urls []string
	for _, name := range databases {
		urls = append(urls, mirrorURL+name)
	}
	return values{
		"clamav": values{
			"image":                         c.images + "/test-clamd",
			"officialDatabases":             []string{},
			"customDatabaseURLs":            urls,
			"selfCheck":                     5,
			"resources":                     small,
			"freshclamResources":            small,
			"temporaryDirectorySize":        "1Gi",
			"terminationGracePeriodSeconds": 60,
			"persistence":                   values{"size": "128Mi"},
		},
		"sidecar": values{"image": c.images + "/sidecar"},
		"webhook": values{"image": c.images + "/webhook"},
	}
}

// deploy installs the release, or upgrades it, with what change makes of the
// values (nil: nothing), and waits until all of it is ready.
func (c *cluster) deploy(ctx context.Context, change func(values)) error {
	v := c.values()
	if change != nil {
		change(v)
	}
	text, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "values-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "values.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	return c.helm(ctx, "upgrade", releaseName, chart, "--install", "--values", file, "--wait", "--timeout", patience.String())
}

// uninstall removes the release, if it is there.
func (c *cluster) uninstall(ctx context.Context) error {
	return c.helm(ctx, "uninstall", releaseName, "--ignore-not-found", "--wait", "--timeout", patience.String())
}

func (c *cluster) helm(ctx context.Context, arguments ...string) error {
	dir := os.Getenv("HELM_BINARIES")
	if dir == "" {
		return errors.New("no Helm: set HELM_BINARIES to the directory that test/helm/binaries.sh prints")
	}
	command := exec.CommandContext(ctx, filepath.Join(dir, "helm3"), arguments...)
	command.Args = append(command.Args, "--namespace", releaseNamespace, "--kubeconfig", c.kubeconfig)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("helm %s: %w: %s", arguments[0], err, output)
	}
	return nil
}

// restored has the test leave the release as setUp installed it.
func restored(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if err := system.deploy(context.Background(), nil); err != nil {
			t.Errorf("put the release back: %v", err)
		}
	})
}

// waitForPods waits until there are so many pods of a component, all of them
// ready, and none that is about to end.
func waitForPods(ctx context.Context, t *testing.T, selector string, want int) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	eventually(ctx, t, fmt.Sprintf("%d pods %s are ready", want, selector), func(ctx context.Context) error {
		var err error
		if pods, err = system.pods(ctx, releaseNamespace, selector); err != nil {
			return err
		}
		healthy := 0
		for i := range pods {
			if ready(&pods[i]) {
				healthy++
			}
		}
		if len(pods) != want || healthy != want {
			return fmt.Errorf("there are %d, %d of them ready", len(pods), healthy)
		}
		return nil
	})
	return pods
}

// waitUntilGone waits until none of the pods is there any more.
func waitUntilGone(ctx context.Context, t *testing.T, pods []corev1.Pod) {
	t.Helper()
	for i := range pods {
		eventually(ctx, t, pods[i].Name+" is gone", func(ctx context.Context) error {
			var now corev1.Pod
			err := system.Get(ctx, pods[i].Name, pods[i].Namespace, &now)
			if apierrors.IsNotFound(err) {
				return nil
			}
			return errors.Join(errors.New("it is still there"), err)
		})
	}
}
