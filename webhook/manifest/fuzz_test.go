package manifest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"clamav-sidecar/webhook/manifest"
)

// FuzzManifests injects what there is to inject, which kubectl must then read
// as one reads it here, again, and takes it back.
func FuzzManifests(f *testing.F) {
	paths, err := filepath.Glob("../../manifests/examples/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range append(paths, "testdata/input.yaml") {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{jsonPod + jsonPod, typedList, list(pod, service), service + "---\n" + pod, pod + "      env:\n      volumeMounts: null\n",
		strings.Replace(pod, "  name: web\n", "  labels:\n", 1)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		output := manifest.Inject(injector(), input(string(text)))
		if len(output.Faults) > 0 || bytes.Contains(text, []byte("!")) {
			return // keys may have tags, of which kubectl makes now this and now that
		}
		injected := printed(t, output)
		if output.Injected == 0 && injected != string(text) {
			t.Fatalf("nothing is injected, and\n%s\nbecomes\n%s", text, injected)
		}
		checkDiff(t, output.Files[0])
		before, after := asKubectlReads(t, text), asKubectlReads(t, []byte(injected))
		if len(before) != len(after) {
			t.Fatalf("there were %d objects in\n%s\nand are %d in\n%s", len(before), text, len(after), injected)
		}
		if again := printed(t, manifest.Inject(injector(), input(injected))); again != injected {
			t.Fatalf("injected again\n%s\nbecomes\n%s", injected, again)
		}
		if bytes.Contains(text, []byte("clamav-sidecar/status")) {
			return // somebody's idea of an earlier injection is taken back too
		}
		back := asKubectlReads(t, []byte(printed(t, manifest.Uninject(input(injected)))))
		dropNulls(back)
		dropNulls(before)
		if !reflect.DeepEqual(back, before) {
			t.Fatalf("taken back,\n%s\nis read as\n%v\nwant\n%v", injected, back, before)
		}
	})
}

// dropNulls drops the lists and objects that the injection adds to where they
// are null, which is the same to Kubernetes as absent, as are those of which
// nothing is left without them.
func dropNulls(value any) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			dropNulls(item)
		}
	case map[string]any:
		for name, member := range value {
			object, _ := member.(map[string]any)
			hadMembers := len(object) > 0
			dropNulls(member)
			switch name {
			case "metadata", "annotations", "labels", "volumes", "containers", "initContainers", "volumeMounts", "env":
				if member == nil || hadMembers && len(object) == 0 {
					delete(value, name)
				}
			}
		}
	}
}

func asKubectlReads(t *testing.T, text []byte) []any {
	t.Helper()
	var objects []any
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var raw json.RawMessage
		err := decoder.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatalf("kubectl cannot read\n%s\n%v", text, err)
		}
		var object any
		numbers := json.NewDecoder(bytes.NewReader(raw))
		numbers.UseNumber()
		if len(raw) > 0 && numbers.Decode(&object) == nil && object != nil {
			objects = append(objects, object)
		}
	}
}
