package edit_test

import (
	"bytes"
	"encoding/json"
	"testing"

	kubeyaml "sigs.k8s.io/yaml"

	"clamav-sidecar/webhook/inject"
	"clamav-sidecar/webhook/manifest/edit"
)

// FuzzChange adds a member to an object somewhere in a document, and takes it
// out again.
func FuzzChange(f *testing.F) {
	for _, text := range []string{
		"a:\n  - x # y\n\n# z\nb: {c: [], d: e}\n", "a: |+\n  x\n\n", "- - a: 1\n    b: >-\n     x\n", "{\"a\": [1, {\"b\": \"\\u00e9\"}]}",
		"? a\n: b\n", "a: &x {y: 1}\nb: *x\n<<: *x\n", "a: !!map\n  b: 'it''s'\n", "a:\r\n- b:\r\n  c: 1.0\r\n", "yes: on\nno: 010\n", "a: \"\u2028\"\nb: 1",
	} {
		f.Add(text, uint8(0))
		f.Add(text, uint8(3))
	}
	f.Fuzz(func(t *testing.T, text string, choice uint8) {
		for _, format := range []edit.Format{edit.YAML, edit.JSON} {
			checkAddAndRemove(t, []byte(text), format, int(choice))
		}
	})
}

func checkAddAndRemove(t *testing.T, text []byte, format edit.Format, choice int) {
	if bytes.Contains(text, []byte("!")) {
		return // keys may have tags, of which kubectl makes now this and now that
	}
	document, err := edit.Read(text, format, 1)
	if err != nil || document.Empty() {
		return
	}
	if want, err := kubeyaml.YAMLToJSON(text); format == edit.YAML && (err != nil || !bytes.Equal(document.JSON(), want)) {
		t.Fatalf("%q is read as %s (%v), want %s", text, document.JSON(), err, want)
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(document.JSON()))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%q is read as %s, which is no JSON: %v", text, document.JSON(), err)
	}
	pointers := objectsIn(value, "", nil)
	if len(pointers) == 0 {
		return
	}
	path := pointers[choice%len(pointers)] + "/added~1by~0test"
	with, done := changed(t, text, format, add(path, `{"x":["y",{"z":"no"}]}`))
	if !done {
		return
	}
	back, done := changed(t, with, format, remove(path))
	if !done {
		return
	}
	restored, err := edit.Read(back, format, 1)
	if err != nil {
		t.Fatalf("%q cannot be read again as %q: %v", text, back, err)
	}
	if !bytes.Equal(restored.JSON(), document.JSON()) {
		t.Fatalf("%q comes back as %q", text, back)
	}
}

// changed does an operation, unless the document is one that cannot be changed.
func changed(t *testing.T, text []byte, format edit.Format, operation inject.Operation) ([]byte, bool) {
	document, err := edit.Read(text, format, 1)
	if err != nil {
		t.Fatalf("%q cannot be read: %v", text, err)
	}
	splices, err := document.Change(inject.Patch{operation})
	return edit.Apply(text, splices), err == nil
}

// objectsIn gives the JSON pointers of all objects whose keys need no escape.
func objectsIn(value any, at string, found []string) []string {
	if members, is := value.(map[string]any); is {
		found = append(found, at)
		for _, key := range []string{"a", "b", "c", "d"} {
			found = objectsIn(members[key], at+"/"+key, found)
		}
	}
	if items, is := value.([]any); is && len(items) > 0 {
		found = objectsIn(items[0], at+"/0", found)
	}
	return found
}
