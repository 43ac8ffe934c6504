//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"log"
	"os"
	"slices"
	"testing"

	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/e2e-framework/klient/conf"
	"sigs.k8s.io/e2e-framework/pkg/env"
	"sigs.k8s.io/e2e-framework/pkg/envconf"
	"sigs.k8s.io/e2e-framework/pkg/features"
)

// What TestMain makes before any test runs, and no test changes: Go has no other
// way from there to the tests.
var (
	environment env.Environment
	system      *cluster
)

func TestMain(m *testing.M) {
	config := envconf.NewWithKubeConfig(conf.ResolveKubeConfigFile())
	var err error
	if environment, err = env.NewWithContext(context.Background(), config); err != nil {
		log.Fatal(err)
	}
	environment.Setup(connect, setUp)
	environment.AfterEachTest(keepArtifacts)
	environment.Finish(tearDown)
	os.Exit(environment.Run(m))
}

// connect makes system from the configuration.
func connect(ctx context.Context, config *envconf.Config) (context.Context, error) {
	client, err := config.NewClient()
	if err != nil {
		return ctx, fmt.Errorf("connect to the cluster of %q: %w", config.KubeconfigFile(), err)
	}
	clients, err := kubernetes.NewForConfig(client.RESTConfig())
	if err != nil {
		return ctx, fmt.Errorf("connect to the cluster of %q: %w", config.KubeconfigFile(), err)
	}
	system = &cluster{
		Resources:  client.Resources(),
		clients:    clients,
		kubeconfig: config.KubeconfigFile(),
		images:     "localhost/clamav-sidecar",
		artifacts:  os.Getenv("ARTIFACTS"),
	}
	if system.tag, err = appVersion(); err != nil {
		return ctx, err
	}
	if images := os.Getenv("IMAGES"); images != "" {
		system.images = images
	}
	if system.artifacts == "" {
		system.artifacts, err = os.MkdirTemp("", "clamav-sidecar-e2e-")
	}
	return ctx, err
}

// setUp installs the release. What there is to see if that fails is kept.
func setUp(ctx context.Context, _ *envconf.Config) (context.Context, error) {
	if err := system.startMirror(ctx); err != nil {
		return ctx, fmt.Errorf("start the mirror: %w", err)
	}
	if err := system.createNamespace(ctx, releaseNamespace, map[string]string{enforce: restricted}); err != nil {
		return ctx, err
	}
	system.own = append(system.own, releaseNamespace)
	if err := system.deploy(ctx, nil); err != nil {
		system.collect(ctx, "installation")
		return ctx, err
	}
	return ctx, nil
}

// keepArtifacts keeps what there is to see of a test that has failed.
func keepArtifacts(ctx context.Context, _ *envconf.Config, t *testing.T) (context.Context, error) {
	if t.Failed() {
		t.Logf("events, pods and logs are in %s", system.collect(ctx, t.Name()))
	}
	return ctx, nil
}

// tearDown removes all that setUp has made, and nothing that was there before.
func tearDown(ctx context.Context, _ *envconf.Config) (context.Context, error) {
	if system == nil {
		return ctx, nil
	}
	if slices.Contains(system.own, releaseNamespace) {
		if err := system.uninstall(ctx); err != nil {
			log.Print(err)
		}
	}
	for _, name := range system.own {
		if err := system.deleteNamespace(ctx, name); err != nil {
			log.Print(err)
		}
	}
	return ctx, nil
}

// step is a step of a feature that hands nothing on.
func step(run func(context.Context, *testing.T)) features.Func {
	return func(ctx context.Context, t *testing.T, _ *envconf.Config) context.Context {
		t.Helper()
		run(ctx, t)
		return ctx
	}
}
