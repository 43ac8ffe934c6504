package inject_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"clamav-sidecar/webhook/inject"
)

// generated calls check with many generated objects of all kinds.
func generated(t *testing.T, odd bool, check func(t *testing.T, g generator, kind inject.Kind, document []byte)) {
	t.Helper()
	kinds := append(slices.Sorted(maps.Keys(templates)), "Pod", "Pod", "Pod", "Pod")
	for seed := range uint64(240) {
		g := newGenerator(seed, odd)
		name := kinds[seed%uint64(len(kinds))]
		document := []byte(nil)
		if name == "Pod" {
			document = g.pod()
		} else {
			document = g.workload(name)
		}
		t.Run(fmt.Sprintf("%s %d", name, seed), func(t *testing.T) {
			t.Parallel()
			check(t, g, kindOf(t, name), document)
		})
	}
}

func TestUninjectGivesTheOriginalBack(t *testing.T) {
	generated(t, true, func(t *testing.T, _ generator, kind inject.Kind, document []byte) {
		result := mustInject(t, newInjector(), document, kind)
		if len(result.Patch) == 0 {
			t.Fatal("got no patch")
		}
		injected := apply(t, document, result.Patch)
		sameDocument(t, mustUninject(t, injected, kind), document)
	})
}

func TestASecondInjectionChangesNothing(t *testing.T) {
	generated(t, true, func(t *testing.T, _ generator, kind inject.Kind, document []byte) {
		i := newInjector()
		injected := apply(t, document, mustInject(t, i, document, kind).Patch)
		again := mustInject(t, i, injected, kind)
		if len(again.Patch) > 0 || !again.Wanted {
			t.Errorf("got wanted %t and the patch %s", again.Wanted, again.Patch.JSON())
		}
		for _, warning := range again.Warnings {
			if strings.Contains(warning, "other settings") {
				t.Errorf("got the warning %q", warning)
			}
		}
		i.Native = false
		if again, faults := i.Inject(read(t, injected, kind), true); len(again.Patch) > 0 {
			t.Errorf("with other settings: got the patch %s and faults %v", again.Patch.JSON(), faults)
		}
	})
}

// others are operations of other webhooks, each on a list of the pod or on an
// item. The pods that they are for have all these lists.
const others = `[
	{"op":"add","path":"/spec/containers/0","value":{"name":"mesh","env":[{"name":"CLAMD_CONF_FILENAME","value":"/mesh"}],"volumeMounts":[{"name":"mesh","mountPath":"/mesh"}]}},
	{"op":"add","path":"/spec/containers/-","value":{"name":"logs"}},
	{"op":"add","path":"/spec/initContainers/0","value":{"name":"mesh-init","env":[]}},
	{"op":"add","path":"/spec/initContainers/-","value":{"name":"late-init","restartPolicy":"Always"}},
	{"op":"add","path":"/spec/volumes/0","value":{"name":"mesh"}},
	{"op":"add","path":"/spec/containers/1/env/0","value":{"name":"MESH","value":"1"}},
	{"op":"add","path":"/spec/containers/1/volumeMounts/0","value":{"name":"mesh","mountPath":"/mesh"}},
	{"op":"add","path":"/metadata/annotations/mesh~1status","value":"{}"},
	{"op":"add","path":"/metadata/labels/mesh~1revision","value":"stable"},
	{"op":"add","path":"/metadata/name","value":"web-x7k2p"}
]`

func TestOtherWebhooksMayComeBetween(t *testing.T) {
	full := func(seed uint64, mode string) []byte {
		g := newGenerator(seed, true)
		container := func(name string) string {
			return g.members(text("name", name), member("env", "["+g.env(0)+","+g.env(1)+"]"), member("volumeMounts", "["+g.mount(0)+"]"))
		}
		annotations := fmt.Sprintf(`{"clamav-sidecar/inject":"true","clamav-sidecar/containers":"app,setup","clamav-sidecar/mode":%q}`, mode)
		return []byte(g.members(member("metadata", g.members(text("generateName", "web-"), member("annotations", annotations), member("labels", "{}"))),
			member("spec", g.members(member("containers", "["+container("app")+"]"),
				member("initContainers", "["+container("setup")+",{\"name\":\"third\",\"env\":[]}]"),
				member("volumes", `[{"name":"volume-0"}]`)))))
	}
	for seed := range uint64(50) {
		for _, mode := range []string{"native", "container"} {
			document, i, kind := full(seed, mode), newInjector(), kindOf(t, "Pod")
			injected := apply(t, document, mustInject(t, i, document, kind).Patch)
			changed := applyJSON(t, injected, []byte(others))
			if again := mustInject(t, i, changed, kind); len(again.Patch) > 0 || !again.Wanted {
				t.Errorf("got wanted %t and the patch %s", again.Wanted, again.Patch.JSON())
			}
			sameDocument(t, mustUninject(t, changed, kind), applyJSON(t, document, []byte(others)))
		}
	}
}

// ours matches what the injection may add, below the pod (template).
var ours = regexp.MustCompile(`^/(metadata/annotations/clamav-sidecar~1(status|workload-annotations)` +
	`|metadata/labels/clamav-sidecar~1injected` +
	`|spec/(volumes/\d+/|(containers|initContainers)/\d+/).*)$`)

func TestOnlyOursIsAdded(t *testing.T) {
	generated(t, true, func(t *testing.T, _ generator, kind inject.Kind, document []byte) {
		result := mustInject(t, newInjector(), document, kind)
		before, after := map[string]string{}, map[string]string{}
		for _, l := range leaves(t, document) {
			before[l.pointer] = l.text
		}
		injected := apply(t, document, result.Patch)
		for _, l := range leaves(t, injected) {
			after[l.pointer] = l.text
		}
		checkOperations(t, result.Patch, before, kind)
		// Where all has gone: a native sidecar moves the init containers.
		list := kind.Pointer() + "/spec/initContainers/"
		inFront := bytes.Contains(at(t, injected, list+"0/name"), []byte(`"clamav-sidecar"`))
		moved := func(pointer string) string {
			if !inFront || !strings.HasPrefix(pointer, list) {
				return pointer
			}
			index, rest, below := strings.Cut(strings.TrimPrefix(pointer, list), "/")
			number, err := strconv.Atoi(index)
			if err != nil {
				t.Fatal(err)
			}
			if below {
				rest = "/" + rest
			}
			return list + strconv.Itoa(number+1) + rest
		}
		for pointer, value := range before {
			got, found := after[moved(pointer)]
			delete(after, moved(pointer))
			last := pointer[strings.LastIndexByte(pointer, '/')+1:]
			if slices.Contains(filled, last) && (value == "null" || value == "{}" || value == "[]") {
				continue // may have been filled
			}
			if !found || got != value {
				t.Errorf("%s was %s and is %q at %s", pointer, value, got, moved(pointer))
			}
		}
		for pointer, value := range after {
			if below, found := strings.CutPrefix(pointer, kind.Pointer()); !found || !ours.MatchString(below) {
				t.Errorf("%s = %s was added", pointer, value)
			}
		}
	})
}

// checkOperations: nothing but additions, each at the end of a list, in front
// of the init containers, or where nothing was.
func checkOperations(t *testing.T, patch inject.Patch, before map[string]string, kind inject.Kind) {
	t.Helper()
	for _, operation := range patch {
		if operation.Op != "add" {
			t.Errorf("got the operation %s of %s", operation.Op, operation.Path)
		}
		if strings.HasSuffix(operation.Path, "/-") || operation.Path == kind.Pointer()+"/spec/initContainers/0" {
			continue
		}
		for pointer, value := range before {
			if (pointer == operation.Path && value != "null") || strings.HasPrefix(pointer, operation.Path+"/") {
				t.Errorf("%s is added where %s = %s was", operation.Path, pointer, value)
			}
		}
	}
}

func TestAnInjectedSpecIsOneOfKubernetes(t *testing.T) {
	strict := func(document []byte) (spec corev1.PodSpec, err error) {
		decoder := json.NewDecoder(bytes.NewReader(document))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(&spec)
		return spec, err
	}
	generated(t, false, func(t *testing.T, _ generator, kind inject.Kind, document []byte) {
		pointer := kind.Pointer() + "/spec"
		if _, err := strict(at(t, document, pointer)); err != nil {
			t.Fatalf("the original: %v", err)
		}
		injected := apply(t, document, mustInject(t, newInjector(), document, kind).Patch)
		spec, err := strict(at(t, injected, pointer))
		if err != nil {
			t.Fatalf("the injected one: %v", err)
		}
		sidecars := 0
		for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
			if c.Name == inject.ContainerName {
				sidecars++
			}
		}
		if sidecars != 1 {
			t.Errorf("got %d sidecars", sidecars)
		}
	})
}

// A workload's pods are made of its template, so both ways must lead to the
// same pod: the annotations on the workload, carried, and all on the template.
func TestPodsOfACheckedWorkloadAreInjectedAsTheWorkloadAsks(t *testing.T) {
	generated(t, true, func(t *testing.T, _ generator, kind inject.Kind, document []byte) {
		if kind.IsPod() {
			return
		}
		i := newInjector()
		checked, faults := i.Check(read(t, document, kind))
		if len(faults) > 0 {
			t.Fatal(faults.ToAggregate())
		}
		carried := apply(t, document, checked.Patch)
		if again, faults := i.Check(read(t, carried, kind)); len(faults) > 0 || len(again.Patch) > 0 {
			t.Fatalf("got faults %v and the patch %s, want none", faults, again.Patch.JSON())
		}
		template := at(t, carried, kind.Pointer())
		pod := kindOf(t, "Pod")
		got := apply(t, template, mustInject(t, i, template, pod).Patch)
		want := apply(t, document, mustInject(t, i, document, kind).Patch)
		for _, part := range []string{"/spec", "/metadata/labels"} {
			var gotPart, wantPart bytes.Buffer
			for to, from := range map[*bytes.Buffer]json.RawMessage{&gotPart: at(t, got, part), &wantPart: at(t, want, kind.Pointer()+part)} {
				if err := json.Compact(to, from); err != nil {
					t.Fatal(err)
				}
			}
			if gotPart.String() != wantPart.String() {
				t.Errorf("%s: got %s\nwant %s", part, gotPart.String(), wantPart.String())
			}
		}
	})
}

// One object may be looked at in several ways, and by several at once.
func TestAnObjectIsNotChanged(t *testing.T) {
	generated(t, true, func(t *testing.T, _ generator, kind inject.Kind, document []byte) {
		i, object := newInjector(), read(t, document, kind)
		first, _ := i.Inject(object, false)
		want := string(first.Patch.JSON())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if _, faults := i.Check(object); len(faults) > 0 {
				t.Errorf("got faults %v", faults)
			}
		}()
		second, _ := i.Inject(object, false)
		<-ended
		if got := string(second.Patch.JSON()); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
}
