package chart

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

// setups are the names of the set-ups.
func setups(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(files), 11; got != want {
		t.Errorf("got %d set-ups, want %d", got, want)
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), ".values.yaml")
	}
	return files
}

// eachSetup runs the test for every set-up, at the same time.
func eachSetup(t *testing.T, test func(t *testing.T, setup string)) {
	t.Helper()
	for _, setup := range setups(t) {
		t.Run(setup, func(t *testing.T) {
			t.Parallel()
			test(t, setup)
		})
	}
}

func valuesOf(setup string) string { return filepath.Join("testdata", setup+".values.yaml") }

// rendering gives what Helm 3 makes of a set-up.
func rendering(t *testing.T, setup string) string {
	t.Helper()
	render, _ := shared.renderings.LoadOrStore(setup, sync.OnceValues(func() (string, error) {
		stdout, stderr, err := shared.helms[0].try("template", releaseName, directory, "--namespace", home, "-f", valuesOf(setup))
		if err != nil || stderr != "" {
			return "", fmt.Errorf("failed to render %s: %v: %s", setup, err, stderr)
		}
		return stdout, nil
	}))
	text, err := render.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// rendered gives the objects of a set-up.
func rendered(t *testing.T, setup string) inventory {
	t.Helper()
	return parse(t, rendering(t, setup))
}

// The golden file of the default is whole. The others say how a set-up differs
// from it, which is what a reader wants to see.
func TestSetUpsAreRenderedAsTheGoldenFilesHaveThem(t *testing.T) {
	eachSetup(t, func(t *testing.T, setup string) {
		got := rendering(t, setup)
		if setup != "default" {
			got = differences(t, rendering(t, "default"), got)
		}
		compare(t, filepath.Join("testdata", setup+".golden.yaml"), abridge(t, got))
	})
}

// differences gives the documents that only the second text has, and above them
// the names of the objects that only the first one has.
func differences(t *testing.T, from, to string) string {
	t.Helper()
	before, after := parse(t, from), parse(t, to)
	var b strings.Builder
	b.WriteString("# The default set-up")
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if after[key] == nil {
			b.WriteString("\n#   without " + key)
		}
	}
	b.WriteString("\n#   with\n")
	known := strings.Split(from, "---\n")
	for _, document := range strings.Split(to, "---\n") {
		if !slices.Contains(known, document) {
			b.WriteString("---\n" + document)
		}
	}
	return b.String()
}

// abridge has files that stand in objects word by word say their name only.
func abridge(t *testing.T, manifest string) string {
	t.Helper()
	for _, file := range []string{"files/rules.yaml", "files/dashboard.json"} {
		lines := strings.Split(strings.TrimSuffix(read(t, filepath.Join(directory, file)), "\n"), "\n")
		for _, indent := range []string{"  ", "    "} {
			manifest = strings.ReplaceAll(manifest, indent+strings.Join(lines, "\n"+indent), indent+"("+file+")")
		}
	}
	return manifest
}

// Helm 4 has another order, and other blank lines.
func TestHelm4RendersTheSameObjects(t *testing.T) {
	eachSetup(t, func(t *testing.T, setup string) {
		got, want := parse(t, shared.helms[1].template(t, "-f", valuesOf(setup))), rendered(t, setup)
		got.wantSame(t, want)
	})
}

func TestTheNotesAreAsTheGoldenFilesHaveThem(t *testing.T) {
	eachSetup(t, func(t *testing.T, setup string) {
		helms := shared.helms
		if setup != "default" {
			helms = helms[:1] // the template is the same
		}
		for _, h := range helms {
			text := h.run(t, "install", releaseName, directory, "--namespace", home, "-f", valuesOf(setup), "--dry-run=client", "--output", "json")
			var release struct{ Info struct{ Notes string } }
			if err := json.Unmarshal([]byte(text), &release); err != nil {
				t.Fatal(err)
			}
			compare(t, filepath.Join("testdata", setup+".notes.txt"), release.Info.Notes)
		}
	})
}

// The commands of the notes name what is there.
func TestTheNotesNameObjectsOfTheSetUp(t *testing.T) {
	eachSetup(t, func(t *testing.T, setup string) {
		objects := rendered(t, setup)
		kinds := map[string]string{"deployment/": "Deployment", "statefulset/": "StatefulSet"}
		named := 0
		for word := range strings.FieldsSeq(read(t, filepath.Join("testdata", setup+".notes.txt"))) {
			for prefix, kind := range kinds {
				if name, is := strings.CutPrefix(word, prefix); is {
					named++
					objects.get(t, kind, name)
				}
			}
		}
		if named == 0 {
			t.Error("the notes name no Deployment and no StatefulSet")
		}
	})
}

func TestLintFindsNothing(t *testing.T) {
	each(t, func(t *testing.T, h helm) {
		for _, setup := range []string{"default", "everything"} {
			h.run(t, "lint", "--strict", directory, "--namespace", home, "-f", valuesOf(setup))
		}
	})
}

// compare wants the text to be that of the golden file.
func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := read(t, file)
	if got != want {
		t.Errorf("the result differs from %s; go test ./test/chart -update writes it anew. got\n%s", file, firstDifference(got, want))
	}
}

// firstDifference shows where two texts part.
func firstDifference(got, want string) string {
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	at := 0
	for at < min(len(gotLines), len(wantLines)) && gotLines[at] == wantLines[at] {
		at++
	}
	from := max(0, at-3)
	part := func(lines []string) string { return strings.Join(lines[from:min(at+3, len(lines))], "\n") }
	return part(gotLines) + "\nwant\n" + part(wantLines)
}

// inventory is a set of objects by kind and name, each of which is there once.
type inventory map[string]*unstructured.Unstructured

// parse reads a manifest. A key that stands twice in an object is a fault.
func parse(t *testing.T, manifest string) inventory {
	t.Helper()
	objects := inventory{}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(manifest)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := yaml.YAMLToJSONStrict(document)
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if bytes.Equal(text, []byte("null")) { // comments only
			continue
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		key := object.GetKind() + " " + object.GetName()
		if objects[key] != nil {
			t.Fatalf("%s is there twice", key)
		}
		objects[key] = object
	}
	if len(objects) == 0 {
		t.Fatal("no objects")
	}
	return objects
}

// get gives an object that has to be there.
func (i inventory) get(t *testing.T, kind, name string) *unstructured.Unstructured {
	t.Helper()
	object := i[kind+" "+name]
	if object == nil {
		t.Fatalf("no %s %s, there are %q", kind, name, slices.Sorted(maps.Keys(i)))
	}
	return object
}

// of gives the objects of a kind, in the order of their names.
func (i inventory) of(kind string) []*unstructured.Unstructured {
	var found []*unstructured.Unstructured
	for _, key := range slices.Sorted(maps.Keys(i)) {
		if i[key].GetKind() == kind {
			found = append(found, i[key])
		}
	}
	return found
}

// wantSame compares objects with those that are wanted.
func (i inventory) wantSame(t *testing.T, want inventory) {
	t.Helper()
	if got, want := slices.Sorted(maps.Keys(i)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
		return
	}
	for key, object := range want {
		if !reflect.DeepEqual(i[key].Object, object.Object) {
			t.Errorf("%s differs: got\n%s", key, firstDifference(show(t, i[key]), show(t, object)))
		}
	}
}

// show gives an object's YAML.
func show(t *testing.T, object *unstructured.Unstructured) string {
	t.Helper()
	text, err := yaml.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
