package inject_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"clamav-sidecar/cmd/sidecar/options"
	"clamav-sidecar/webhook/inject"
)

// FuzzAnnotations: whatever an annotation says, it is refused, or the sidecar
// takes what has become of it.
func FuzzAnnotations(f *testing.F) {
	names := slices.Sorted(maps.Keys(values))
	for i, name := range names {
		for _, value := range append(values[name].good, values[name].bad...) {
			f.Add(uint8(i), value, uint8(0), "")
		}
	}
	f.Add(uint8(slices.Index(names, "clamd-port")), "4000", uint8(slices.Index(names, "ops-port")), "4000")
	f.Fuzz(func(t *testing.T, first uint8, firstValue string, second uint8, secondValue string) {
		annotations := map[string]string{"inject": "true"}
		if name := names[int(second)%len(names)]; secondValue != "" {
			annotations[name] = secondValue
		}
		annotations[names[int(first)%len(names)]] = firstValue
		document := podWith(annotations)
		result, faults := newInjector().Inject(read(t, document, kindOf(t, "Pod")), false)
		if len(faults) > 0 {
			for _, fault := range faults {
				if len(fault.Error()) > 2000 {
					t.Errorf("got a message of %d bytes", len(fault.Error()))
				}
			}
			return
		}
		if len(result.Patch) == 0 {
			return
		}
		checkArguments(t, annotations, apply(t, document, result.Patch))
	})
}

// FuzzInject: whatever an object is, nothing is done to one that did not ask,
// and what is done to another one can be applied and taken back.
func FuzzInject(f *testing.F) {
	kinds := append(slices.Sorted(maps.Keys(templates)), "Pod")
	for seed := range uint64(60) {
		g := newGenerator(seed, seed%2 == 0)
		for i, kind := range kinds {
			if kind == "Pod" {
				f.Add(g.pod(), uint8(i), false, true)
			} else if seed%8 == 0 {
				f.Add(g.workload(kind), uint8(i), seed%3 == 0, false)
			}
		}
	}
	for _, document := range oddDocuments {
		f.Add([]byte(document), uint8(len(kinds)-1), true, true)
		f.Add([]byte(document), uint8(0), true, true)
	}
	f.Fuzz(func(t *testing.T, document []byte, number uint8, namespaceAsks, native bool) {
		if bytes.Equal(bytes.TrimSpace(document), []byte("null")) {
			return // to which no patch can be applied, not even an empty one
		}
		kind := kindOf(t, kinds[int(number)%len(kinds)])
		object, err := inject.Read(document, kind)
		if err != nil {
			return
		}
		i := newInjector()
		i.Native = native
		checked, faults := i.Check(object)
		if len(faults) == 0 {
			carried := apply(t, document, checked.Patch)
			if again, faults := i.Check(read(t, carried, kind)); len(faults) > 0 || len(again.Patch) > 0 {
				t.Fatalf("got faults %v and the patch %s in the second check", faults, again.Patch.JSON())
			}
		}
		result, faults := i.Inject(object, namespaceAsks)
		if len(faults) > 0 && (len(result.Patch) > 0 || result.Wanted) {
			t.Fatalf("got the patch %s beside faults", result.Patch.JSON())
		}
		if len(result.Patch) == 0 {
			return
		}
		if !namespaceAsks && !asks(document) {
			t.Fatalf("got the patch %s, and nobody asked", result.Patch.JSON())
		}
		injected := apply(t, document, result.Patch)
		again, faults := i.Inject(read(t, injected, kind), namespaceAsks)
		if len(faults) > 0 || len(again.Patch) > 0 || !again.Wanted {
			t.Fatalf("second injection: got faults %v and the patch %s", faults, again.Patch.JSON())
		}
		restored := mustUninject(t, injected, kind)
		if ownAnnotations(document) || !validNames(document, kind) {
			return // what the webhook only writes, and what no API server takes
		}
		sameDocument(t, restored, document)
	})
}

// oddDocuments are no objects that Kubernetes would have.
var oddDocuments = []string{
	`null`, `{}`, `[]`, ``, `{"spec":null}`, `{"metadata":null,"spec":{}}`, `{"spec":{"template":null}}`, `{"spec":{"containers":[null]}}`,
	`{"metadata":{"annotations":{"clamav-sidecar/inject":"true"}},"spec":{"containers":[{}]}}`,
	`{"metadata":{"annotations":{"clamav-sidecar/inject":"true"}},"spec":{"containers":[{"name":null,"env":[null],"ports":[null],"volumeMounts":[null]}]}}`,
	`{"metadata":{"annotations":{"clamav-sidecar/inject":"true"}}}`,
	`{"metadata":{"annotations":{"clamav-sidecar/inject":"true"}},"spec":{"template":{}}}`,
	`{"metadata":{"annotations":{"clamav-sidecar/mode":"native"}},"spec":{}}`,
	`{"metadata":{"annotations":{"clamav-sidecar/inject":"true","clamav-sidecar/status":"{\"containers\":[\"a\"],\"empty\":[\"a/env\"]}"}},"spec":{"containers":[{"name":"a"},{"name":"clamav-sidecar"}]}}`,
	`{"metadata":{"annotations":{"clamav-sidecar/workload-annotations":"{\"clamav-sidecar/inject\":\"true\"}"}},"spec":{"containers":[{"name":"a"}]}}`,
	`{"metadata":{"annotations":{"clamav-sidecar/inject":"true"}},"spec":{"containers":[{"name":"a","volumeMounts":[{"name":"clamav-configuration","mountPath":"/etc/clamav"}]}]}}`,
	`{"metadata":{"\u0061nnotations":{"clamav-sidecar\/inject":"true"}},"spec":{"containers":[{"name":"a"}]}}`,
}

// asks tells whether a document can ask for the injection anywhere.
func asks(document []byte) bool {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return false
	}
	normal, err := json.Marshal(value)
	return err == nil && bytes.Contains(normal, []byte(`clamav-sidecar/inject`)) || carries(normal)
}

// carries tells of workload annotations, in which there may be any escapes.
func carries(document []byte) bool {
	return bytes.Contains(document, []byte(inject.WorkloadAnnotation))
}

func ownAnnotations(document []byte) bool {
	return carries(document) || bytes.Contains(document, []byte(inject.StatusAnnotation)) || bytes.ContainsRune(document, '\\')
}

// validNames tells whether each container has a name of its own.
func validNames(document []byte, kind inject.Kind) bool {
	value := json.RawMessage(document)
	for _, part := range strings.Split(strings.TrimPrefix(kind.Pointer()+"/spec", "/"), "/") {
		var members map[string]json.RawMessage
		if json.Unmarshal(value, &members) != nil {
			return false
		}
		value = members[part]
	}
	var lists map[string]json.RawMessage
	if json.Unmarshal(value, &lists) != nil {
		return false
	}
	seen := map[string]bool{}
	for _, name := range []string{"containers", "initContainers"} {
		var containers []map[string]json.RawMessage
		if lists[name] != nil && json.Unmarshal(lists[name], &containers) != nil {
			return false
		}
		for _, c := range containers {
			name := string(c["name"])
			if seen[name] || name == "" || name == `""` || name == "null" {
				return false
			}
			seen[name] = true
		}
	}
	return true
}

// checkArguments: the sidecar takes its arguments, and understands of them what
// the annotations say.
func checkArguments(t *testing.T, annotations map[string]string, injected []byte) {
	t.Helper()
	c := sidecarOf(t, injected)
	got, err := options.Parse(c.Args, nil)
	if err != nil {
		t.Fatalf("the sidecar says %v to %q", err, c.Args)
	}
	want, err := options.Parse(ask(annotations), nil)
	if err != nil {
		t.Fatalf("the sidecar says %v to the annotations %q", err, annotations)
	}
	if got.Listen != want.Listen || got.ClamdListen != want.ClamdListen || got.OpsListen != want.OpsListen || got.ClamdConf != want.ClamdConf ||
		got.MaxFileSize != want.MaxFileSize || got.ScanTimeout != want.ScanTimeout || got.RequireScanner != want.RequireScanner ||
		got.MaxConcurrent != want.MaxConcurrent || len(got.Files) > 0 || got.Scan || got.Help || got.ShowVersion {
		t.Errorf("got %+v\nwant %+v\nfor %q", got.Config, want.Config, annotations)
	}
	if port := c.Ports[0].ContainerPort; !strings.HasSuffix(got.OpsListen, ":"+c.StartupProbe.HTTPGet.Port.String()) || c.LivenessProbe.HTTPGet.Port.IntVal != port {
		t.Errorf("got the port %d and the probe %v, want %s", port, c.StartupProbe, got.OpsListen)
	}
}
