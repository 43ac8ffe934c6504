package inject_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestAStatusThatWasCopiedFromElsewhereDoesNotKeepContainersFromScanning(t *testing.T) {
	document := []byte(`{"metadata":{"annotations":{"clamav-sidecar/inject":"true",
		"clamav-sidecar/status":"{\"hash\":\"1\",\"containers\":[\"other\"],\"mode\":\"native\"}"}},"spec":{"containers":[{"name":"app"}]}}`)
	pod := kindOf(t, "Pod")
	got := string(apply(t, document, mustInject(t, newInjector(), document, pod).Patch))
	for _, want := range []string{`"mountPath":"/etc/clamav"`, "CLAMAV_SCAN_URL", `\"containers\":[\"app\"]`} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %s in it", got, want)
		}
	}
}

func TestAPodOfALabelledNamespaceThatCannotKeepItsInjectionIsAsBefore(t *testing.T) {
	document := []byte(`{"metadata":{"name":"web"},"spec":{"containers":[{"name":"app","env":[]}]}}`)
	pod := kindOf(t, "Pod")
	result, faults := newInjector().Inject(read(t, document, pod), true)
	if len(faults) > 0 || len(result.Patch) == 0 {
		t.Fatalf("got the patch %v, faults %v, want it injected", result.Patch, faults)
	}
	// Another webhook does this, and the API server asks again.
	const onHost = `,"hostNetwork":true}}`
	injected := strings.TrimSuffix(string(apply(t, document, result.Patch)), "}}") + onHost
	result, faults = newInjector().Inject(read(t, []byte(injected), pod), true)
	if len(faults) > 0 || len(result.Skipped) == 0 || result.Wanted {
		t.Fatalf("got faults %v, skipped %v, wanted %v, want it skipped", faults, result.Skipped, result.Wanted)
	}
	sameDocument(t, apply(t, []byte(injected), result.Patch), []byte(strings.TrimSuffix(string(document), "}}")+onHost))
}

func TestWhatNobodyWritesCostsLittleToRefuse(t *testing.T) {
	const many = 100_000
	annotations := func(count int) string {
		var text strings.Builder
		for i := range count {
			fmt.Fprintf(&text, `,"clamav-sidecar/x%d":""`, i)
		}
		return text.String()
	}
	for name, test := range map[string]struct{ annotations, container string }{
		"many ports that clash":  {"", `"ports":[` + strings.Repeat(`{"containerPort":3311},`, many) + `{"containerPort":1}]`},
		"many mounts that clash": {"", `"volumeMounts":[` + strings.Repeat(`{"name":"v","mountPath":"/etc/clamav"},`, many) + `{"name":"v","mountPath":"/v"}]`},
		"many annotations":       {annotations(many), `"image":"app"`},
		"many names":             {`,"clamav-sidecar/containers":"` + strings.Repeat("a,", many) + `b"`, `"image":"app"`},
		"a long name":            {`,"clamav-sidecar/` + strings.Repeat("a", many) + `":""`, `"image":"app"`},
		"a long copy":            {`,"clamav-sidecar/workload-annotations":"{\"clamav-sidecar/mode\":\"` + strings.Repeat("a", many) + `\"}"`, `"image":"app"`},
		"a status of many":       {`,"clamav-sidecar/status":"{\"hash\":\"1\",\"containers\":[` + strings.Repeat(`\"a\",`, many) + `\"b\"]}"`, `"image":"app"`},
	} {
		t.Run(name, func(t *testing.T) {
			document := fmt.Appendf(nil, `{"metadata":{"annotations":{"clamav-sidecar/inject":"true"%s}},"spec":{"containers":[{"name":"app",%s}]}}`,
				test.annotations, test.container)
			_, faults := newInjector().Inject(read(t, document, kindOf(t, "Pod")), false)
			size := 0
			for _, fault := range faults {
				size += len(fault.Error())
			}
			if len(faults) == 0 || len(faults) > 30 || size > 16<<10 {
				t.Errorf("got %d faults of %d bytes, want some, and not many", len(faults), size)
			}
		})
	}
}

func TestUninjectLeavesVariablesWithOtherValues(t *testing.T) {
	document := []byte(`{"metadata":{"annotations":{"clamav-sidecar/status":"{\"hash\":\"1\",\"containers\":[\"app\"]}"}},
		"spec":{"containers":[{"name":"app","env":[{"name":"CLAMD_CONF_FILENAME","value":"/mine"},{"name":"CLAMAV_SCAN_URL","value":"http://127.0.0.1:4000/v1/scan"}]}]}}`)
	got := string(mustUninject(t, document, kindOf(t, "Pod")))
	if !strings.Contains(got, `"/mine"`) || strings.Contains(got, "4000") {
		t.Errorf("got %s, want the team's own value, and not ours", got)
	}
}
