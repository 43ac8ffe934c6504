package inject_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"clamav-sidecar/webhook/inject"
)

// deployment has annotations of its own, and a template with these members of
// its metadata.
func deployment(own, template string) []byte {
	return fmt.Appendf(nil, `{"metadata":{"name":"web","annotations":{%s}},"spec":{"template":{"metadata":{%s},"spec":{"containers":[{"name":"app"}]}}}}`, own, template)
}

const carriedPointer = "/spec/template/metadata/annotations/clamav-sidecar~1workload-annotations"

func TestAnnotationsOfAWorkload(t *testing.T) {
	const asks = `"clamav-sidecar/inject":"true"`
	carried := func(annotations string) string {
		written, err := json.Marshal(annotations)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`"clamav-sidecar/workload-annotations":%s`, written)
	}
	const warning = "clamav-sidecar/inject on the Deployment itself: carried to spec.template for its pods; better write them to spec.template.metadata.annotations"
	tests := map[string]struct {
		document []byte
		patch    string
		warnings []string
		wanted   bool
	}{
		"are carried to a template without metadata": {
			[]byte(`{"metadata":{"annotations":{` + asks + `}},"spec":{"template":{"spec":{"containers":[{"name":"app"}]}}}}`),
			`[{"op":"add","path":"/spec/template/metadata","value":{"annotations":{"clamav-sidecar/workload-annotations":"{\"clamav-sidecar/inject\":\"true\"}"}}}]`,
			[]string{warning}, true,
		},
		"are carried to a template without annotations": {
			deployment(asks, `"labels":{"a":"b"}`),
			`[{"op":"add","path":"/spec/template/metadata/annotations","value":{"clamav-sidecar/workload-annotations":"{\"clamav-sidecar/inject\":\"true\"}"}}]`,
			[]string{warning}, true,
		},
		"are carried beside other annotations, and only ours": {
			deployment(asks+`,"a":"b"`, `"annotations":{"c":"d"}`),
			`[{"op":"add","path":"` + carriedPointer + `","value":"{\"clamav-sidecar/inject\":\"true\"}"}]`,
			[]string{warning}, true,
		},
		"are carried though they alone do nothing": {
			deployment(`"clamav-sidecar/mode":"native"`, `"annotations":{}`),
			`[{"op":"add","path":"` + carriedPointer + `","value":"{\"clamav-sidecar/mode\":\"native\"}"}]`,
			[]string{"clamav-sidecar/mode on the Deployment itself", `metadata.annotations[clamav-sidecar/mode] has no effect without`}, false,
		},
		"are there already": {
			deployment(asks, `"annotations":{`+carried(`{"clamav-sidecar/inject":"true"}`)+`}`),
			`[]`, []string{warning}, true,
		},
		"are kept in step": {
			deployment(asks, `"annotations":{`+carried(`{"clamav-sidecar/inject":"false","clamav-sidecar/mode":"native"}`)+`}`),
			`[{"op":"add","path":"` + carriedPointer + `","value":"{\"clamav-sidecar/inject\":\"true\"}"}]`,
			[]string{warning}, true,
		},
		"leave the template with the workload": {
			deployment(`"a":"b"`, `"annotations":{`+carried(`{"clamav-sidecar/inject":"true"}`)+`}`),
			`[{"op":"remove","path":"` + carriedPointer + `"}]`, nil, false,
		},
		"are overridden by the template": {
			deployment(asks+`,"clamav-sidecar/mode":"container"`, `"annotations":{"clamav-sidecar/inject":"false","clamav-sidecar/mode":"container"}`),
			`[{"op":"add","path":"` + carriedPointer + `","value":"{\"clamav-sidecar/inject\":\"true\",\"clamav-sidecar/mode\":\"container\"}"}]`,
			[]string{"clamav-sidecar/inject, clamav-sidecar/mode on the Deployment itself",
				`metadata.annotations[clamav-sidecar/inject]: "true" has no effect: the pod template has "false"`}, false,
		},
		"are not needed": {
			deployment(`"a":"b"`, `"annotations":{`+asks+`}`), `[]`, nil, true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			i, kind := newInjector(), kindOf(t, "Deployment")
			result, faults := i.Check(read(t, test.document, kind))
			if len(faults) > 0 {
				t.Fatal(faults.ToAggregate())
			}
			if got := string(result.Patch.JSON()); got != test.patch {
				t.Errorf("got the patch %s\nwant %s", got, test.patch)
			}
			sameParts(t, result.Warnings, test.warnings)
			if result.Wanted != test.wanted {
				t.Errorf("got wanted %t", result.Wanted)
			}
			checked := apply(t, test.document, result.Patch)
			if again, faults := i.Check(read(t, checked, kind)); len(faults) > 0 || len(again.Patch) > 0 {
				t.Errorf("got faults %v and the second patch %s", faults, again.Patch.JSON())
			}
			pod, faults := i.Inject(read(t, at(t, checked, "/spec/template"), kindOf(t, "Pod")), false)
			if len(faults) > 0 || pod.Wanted != test.wanted || (len(pod.Patch) > 0) != test.wanted {
				t.Errorf("its pod: got wanted %t and faults %v", pod.Wanted, faults)
			}
		})
	}
}

func TestFaultsOfAWorkloadNameThePlaceOfTheAnnotation(t *testing.T) {
	document := deployment(`"clamav-sidecar/inject":"true","clamav-sidecar/mode":"fast","clamav-sidecar/log-level":"loud"`,
		`"annotations":{"clamav-sidecar/injct":"true","clamav-sidecar/log-level":"info"}`)
	_, faults := newInjector().Check(read(t, document, kindOf(t, "Deployment")))
	sameParts(t, faultsOf(faults), []string{
		`metadata.annotations[clamav-sidecar/mode]: Invalid value: "fast"`,
		`spec.template.metadata.annotations[clamav-sidecar/injct]: Invalid value: "true": unknown annotation; did you mean clamav-sidecar/inject?`,
	})
}

func TestFaultsOfCarriedAnnotationsNameTheirPlaceOnThePod(t *testing.T) {
	document := podWith(map[string]string{"workload-annotations": `{"clamav-sidecar/inject":"true","clamav-sidecar/mode":"fast"}`})
	_, faults := newInjector().Inject(read(t, document, kindOf(t, "Pod")), false)
	sameParts(t, faultsOf(faults), []string{
		`metadata.annotations[clamav-sidecar/workload-annotations][clamav-sidecar/mode]: Invalid value: "fast"`,
	})
}

func TestForgedAnnotations(t *testing.T) {
	t.Run("garbage for the workload's is refused", func(t *testing.T) {
		for _, garbage := range []string{"", "x", "[]", `{"a":1}`, `"{}"`, `{"inject":"true"}`, `{"clamav-sidecar/inject":"true","a/b":"c"}`} {
			document := podWith(map[string]string{"inject": "true", "workload-annotations": garbage})
			_, faults := newInjector().Inject(read(t, document, kindOf(t, "Pod")), false)
			sameParts(t, faultsOf(faults), []string{"metadata.annotations[clamav-sidecar/workload-annotations]: Invalid value: "})
		}
	})
	t.Run("garbage for the status is refused, by both ways", func(t *testing.T) {
		for _, garbage := range []string{"", "x", "[]", "null", "{}", `{"containers":["app"]}`, `{"containers":1}`, `{"kept":[]}`} {
			object := read(t, podWith(map[string]string{"inject": "true", "status": garbage}), kindOf(t, "Pod"))
			_, faults := newInjector().Inject(object, false)
			sameParts(t, faultsOf(faults), []string{"metadata.annotations[clamav-sidecar/status]: Invalid value: "})
			if patch, err := inject.Uninject(object); err == nil {
				t.Errorf("got the patch %s", patch.JSON())
			}
		}
	})
	t.Run("a status without an injection does not keep it off", func(t *testing.T) {
		for _, status := range []string{`{"hash":"1"}`, `{"hash":"1","containers":["app"]}`, `{"hash":"1","containers":["gone"],"empty":["/a"],"kept":{"app":["CLAMAV_SCAN_URL"]}}`} {
			document := podWith(map[string]string{"inject": "true", "status": status})
			kind := kindOf(t, "Pod")
			result := mustInject(t, newInjector(), document, kind)
			injected := apply(t, document, result.Patch)
			if got := sidecarOf(t, injected); got.Image != testImage {
				t.Errorf("got the image %s", got.Image)
			}
			if again := mustInject(t, newInjector(), injected, kind); len(again.Patch) > 0 {
				t.Errorf("got the second patch %s", again.Patch.JSON())
			}
		}
	})
	t.Run("a status alone asks for nothing", func(t *testing.T) {
		result := mustInject(t, newInjector(), podWith(map[string]string{"status": `{"containers":["app"]}`}), kindOf(t, "Pod"))
		if result.Wanted || len(result.Patch) > 0 || len(result.Warnings) > 0 {
			t.Errorf("got %+v", result)
		}
	})
}

func TestAnInjectionOfAnotherTime(t *testing.T) {
	kind := kindOf(t, "Pod")
	document := podWith(map[string]string{"inject": "true"})
	injected := apply(t, document, mustInject(t, newInjector(), document, kind).Patch)
	t.Run("with other settings is left, with a warning", func(t *testing.T) {
		i := newInjector()
		i.Version, i.Defaults.Image = "2.0", "registry.example/clamav-sidecar:2.0"
		result := mustInject(t, i, injected, kind)
		if !result.Wanted || len(result.Patch) > 0 {
			t.Errorf("got wanted %t and the patch %s", result.Wanted, result.Patch.JSON())
		}
		sameParts(t, result.Warnings, []string{`injected before, by version "1.0" with other settings, and left so; for the present ones run kubectl clamav uninject on it first`})
	})
	t.Run("by another version with the same settings is left without a word", func(t *testing.T) {
		i := newInjector()
		i.Version = "2.0"
		if result := mustInject(t, i, injected, kind); len(result.Patch) > 0 || len(result.Warnings) > 0 {
			t.Errorf("got the patch %s and warnings %q", result.Patch.JSON(), result.Warnings)
		}
	})
	for name, operation := range map[string]string{
		"that lost its sidecar":                      `[{"op":"remove","path":"/spec/initContainers/0"}]`,
		"that lost its volume":                       `[{"op":"remove","path":"/spec/volumes/0"}]`,
		"that lost all but its mounts and variables": `[{"op":"remove","path":"/spec/volumes"},{"op":"remove","path":"/spec/initContainers"}]`,
	} {
		t.Run(name+" is made whole", func(t *testing.T) {
			partial := applyJSON(t, injected, []byte(operation))
			whole := apply(t, partial, mustInject(t, newInjector(), partial, kind).Patch)
			pod := inspect(t, whole)
			if len(equipped(pod)) != 1 || len(pod.Spec.InitContainers) != 1 || len(pod.Spec.Volumes) != 1 || len(pod.Spec.Containers[0].Env) != 2 || len(pod.Spec.Containers[0].VolumeMounts) != 1 {
				t.Errorf("got %s", whole)
			}
		})
	}
}
