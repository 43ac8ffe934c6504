package inject_test

import (
	"strings"
	"testing"
)

func TestAStatusThatWasCopiedFromElsewhereDoesNotKeepContainersFromScanning(t *testing.T) {
	document := []byte(`{"metadata":{"annotations":{"clamav-sidecar/inject":"true",
		"clamav-sidecar/status":"{\"containers\":[\"other\"],\"mode\":\"native\"}"}},"spec":{"containers":[{"name":"app"}]}}`)
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
