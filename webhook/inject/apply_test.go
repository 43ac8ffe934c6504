package inject_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-json-experiment/json/jsontext"

	"clamav-sidecar/webhook/inject"
)

const testImage = "registry.example/clamav-sidecar:1.0"

// newInjector is one for a cluster with native sidecars.
func newInjector() *inject.Injector {
	defaults := inject.DefaultSettings()
	defaults.Image = testImage
	return &inject.Injector{Defaults: defaults, Native: true, Version: "1.0"}
}

func kindOf(t testing.TB, name string) inject.Kind {
	t.Helper()
	for _, group := range []string{"", "apps", "batch"} {
		if kind, found := inject.KindOf(group, name); found {
			return kind
		}
	}
	t.Fatalf("no kind is named %s", name)
	return inject.Kind{}
}

func read(t testing.TB, document []byte, kind inject.Kind) *inject.Object {
	t.Helper()
	object, err := inject.Read(document, kind)
	if err != nil {
		t.Fatalf("%v: %s", err, document)
	}
	return object
}

// mustInject fails the test if there are faults.
func mustInject(t testing.TB, i *inject.Injector, document []byte, kind inject.Kind) inject.Result {
	t.Helper()
	result, faults := i.Inject(read(t, document, kind), false)
	if len(faults) > 0 {
		t.Fatalf("got faults %v in %s", faults.ToAggregate(), document)
	}
	return result
}

func mustUninject(t testing.TB, document []byte, kind inject.Kind) []byte {
	t.Helper()
	patch, err := inject.Uninject(read(t, document, kind))
	if err != nil {
		t.Fatal(err)
	}
	return apply(t, document, patch)
}

// apply applies a patch with an implementation that is not ours. What the patch
// does not touch keeps its bytes, but for white space.
func apply(t testing.TB, document []byte, patch inject.Patch) []byte {
	t.Helper()
	return applyJSON(t, document, patch.JSON())
}

func applyJSON(t testing.TB, document, operations []byte) []byte {
	t.Helper()
	patch, err := jsonpatch.DecodePatch(operations)
	if err != nil {
		t.Fatalf("decode the patch: %v: %s", err, operations)
	}
	options := jsonpatch.NewApplyOptions()
	options.EscapeHTML = false
	patched, err := patch.ApplyWithOptions(document, options)
	if err != nil {
		t.Fatalf("apply the patch: %v: %s\nto %s", err, operations, document)
	}
	return patched
}

// leaf is a value without members or items, as it is written.
type leaf struct{ pointer, text string }

func (l leaf) String() string { return l.pointer + " = " + l.text }

// leaves are those of a document, in their order.
func leaves(t testing.TB, document []byte) []leaf {
	t.Helper()
	var found []leaf
	decoder := jsontext.NewDecoder(bytes.NewReader(document))
	for {
		switch kind := decoder.PeekKind(); kind {
		case '{', '[':
			empty := leaf{text: string(kind) + string(kind+2)}
			if _, err := decoder.ReadToken(); err != nil {
				t.Fatalf("%v: %s", err, document)
			}
			if decoder.PeekKind() == kind+2 {
				empty.pointer = string(decoder.StackPointer())
				found = append(found, empty)
			}
		case '}', ']':
			if _, err := decoder.ReadToken(); err != nil {
				t.Fatalf("%v: %s", err, document)
			}
		default:
			isName := decoder.StackDepth() > 0 && func() bool {
				k, n := decoder.StackIndex(decoder.StackDepth())
				return k == '{' && n%2 == 0
			}()
			value, err := decoder.ReadValue()
			if errors.Is(err, io.EOF) {
				return found
			}
			if err != nil {
				t.Fatalf("%v: %s", err, document)
			}
			if !isName {
				found = append(found, leaf{string(decoder.StackPointer()), string(value)})
			}
		}
	}
}

// filled are the lists and objects that the injection adds to.
var filled = []string{"metadata", "annotations", "labels", "volumes", "containers", "initContainers", "volumeMounts", "env"}

// withoutNulls leaves out those of them that are null, which is the same to
// Kubernetes as absent.
func withoutNulls(all []leaf) []leaf {
	return slices.DeleteFunc(all, func(l leaf) bool {
		return l.text == "null" && slices.Contains(filled, l.pointer[strings.LastIndexByte(l.pointer, '/')+1:])
	})
}

// sameDocument compares two documents by each leaf's place, order and text.
func sameDocument(t testing.TB, got, want []byte) {
	t.Helper()
	gotLeaves, wantLeaves := withoutNulls(leaves(t, got)), withoutNulls(leaves(t, want))
	for i := range max(len(gotLeaves), len(wantLeaves)) {
		g, w := leaf{}, leaf{}
		if i < len(gotLeaves) {
			g = gotLeaves[i]
		}
		if i < len(wantLeaves) {
			w = wantLeaves[i]
		}
		if g != w {
			t.Fatalf("got %s\nwant %s\nin %s\nfrom %s", g, w, got, want)
		}
	}
}

// at gives the raw value at a JSON pointer without escapes, nil if there is none.
func at(t testing.TB, document []byte, pointer string) json.RawMessage {
	t.Helper()
	value := json.RawMessage(document)
	for _, part := range strings.Split(pointer, "/")[1:] {
		var members map[string]json.RawMessage
		var items []json.RawMessage
		switch {
		case json.Unmarshal(value, &members) == nil:
			value = members[part]
		case json.Unmarshal(value, &items) == nil:
			var index int
			if _, err := fmt.Sscan(part, &index); err != nil || index >= len(items) {
				return nil
			}
			value = items[index]
		default:
			return nil
		}
	}
	return value
}
