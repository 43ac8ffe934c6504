package inject_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"clamav-sidecar/webhook/inject"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Each NAME.yaml in testdata/injected has its injected self beside it, in
// NAME.injected.yaml, with the warnings above it.
func TestInjectedObjectsAreAsTheGoldenFilesHaveThem(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "injected", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, ".injected.yaml") })
	if len(files) != 7 {
		t.Errorf("got %d examples, want 7", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			document, err := yaml.YAMLToJSONStrict(text)
			if err != nil {
				t.Fatal(err)
			}
			var object struct{ Kind string }
			if err := json.Unmarshal(document, &object); err != nil {
				t.Fatal(err)
			}
			result := mustInject(t, newInjector(), document, kindOf(t, object.Kind))
			injected := apply(t, document, result.Patch)
			got := golden(t, injected, result.Warnings)
			name := strings.TrimSuffix(file, ".yaml") + ".injected.yaml"
			if *update {
				if err := os.WriteFile(name, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the result differs from %s; go test ./webhook/inject -update writes it anew. got\n%s", name, got)
			}
			sameDocument(t, mustUninject(t, injected, kindOf(t, object.Kind)), document)
		})
	}
}

func golden(t *testing.T, injected []byte, warnings []string) []byte {
	t.Helper()
	text, err := yaml.JSONToYAML(injected)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, warning := range warnings {
		b.WriteString("# Warning: " + warning + "\n")
	}
	b.Write(text)
	return b.Bytes()
}

func TestTheGoldenFileWithAllAnnotationsHasAll(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "injected", "all-annotations.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !bytes.Contains(text, []byte(inject.Prefix+name+":")) {
			t.Errorf("%s is missing", name)
		}
	}
}
