package manifest_test

import (
	"os"
	"path/filepath"
	"testing"

	"clamav-sidecar/test/kube"
	"clamav-sidecar/webhook/manifest"
)

func TestExamplesAreAcceptedByTheAPIServerBeforeAndAfterInjection(t *testing.T) {
	cluster := kube.Start(t)
	if _, problems, err := cluster.Kubectl("", "create", "namespace", "intake", "--save-config"); err != nil {
		t.Fatal(err, problems)
	}
	// There is no controller that makes it.
	if _, problems, err := cluster.Kubectl("", "create", "serviceaccount", "default"); err != nil {
		t.Fatal(err, problems)
	}
	paths, err := filepath.Glob("../../manifests/examples/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("got the examples %q (%v)", paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		injected := printed(t, manifest.Inject(injector(), input(string(text))))
		for what, applied := range map[string]string{path: string(text), path + ", injected": injected} {
			_, problems, err := cluster.Kubectl(applied, "apply", "--dry-run=server", "--validate=strict", "-f", "-")
			if err != nil || problems != "" {
				t.Errorf("%s: got %v, %s", what, err, problems)
			}
		}
	}
}
