package inject_test

import (
	"fmt"
	"testing"
)

func TestAGuaranteedPodIsWarnedAbout(t *testing.T) {
	const guaranteed = `"resources":{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"1","memory":"1Gi"}}`
	const toSidecar = `,"clamav-sidecar/cpu-request":"1","clamav-sidecar/memory-request":"128Mi"`
	warning := []string{"the pod's quality of service changes from Guaranteed to Burstable: to keep it set clamav-sidecar/cpu-request and " +
		"clamav-sidecar/memory-request to the sidecar's limits, 1 and 128Mi"}
	for name, test := range map[string]struct {
		annotations, containers string
		want                    []string
	}{
		"whose requests are its limits":          {"", `{"name":"app",` + guaranteed + `}`, warning},
		"which has limits alone":                 {"", `{"name":"app","resources":{"limits":{"cpu":"1","memory":"1Gi"}}}`, warning},
		"written as numbers":                     {"", `{"name":"app","resources":{"limits":{"cpu":1,"memory":1e9},"requests":{"cpu":1,"memory":1e9}}}`, warning},
		"but not where the sidecar is so too":    {toSidecar, `{"name":"app",` + guaranteed + `}`, nil},
		"but not where one container is not so":  {"", `{"name":"app",` + guaranteed + `},{"name":"log"}`, nil},
		"but not where a request is lower":       {"", `{"name":"app","resources":{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"1m","memory":"1Gi"}}}`, nil},
		"but not where only one resource is set": {"", `{"name":"app","resources":{"limits":{"cpu":"1"},"requests":{"cpu":"1"}}}`, nil},
		"but not where they are null":            {"", `{"name":"app","resources":{"limits":{"cpu":null,"memory":null},"requests":null}}`, nil},
		"but not without resources":              {"", `{"name":"app"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			document := fmt.Appendf(nil, `{"metadata":{"annotations":{"clamav-sidecar/inject":"true"%s}},"spec":{"containers":[%s]}}`, test.annotations, test.containers)
			sameParts(t, mustInject(t, newInjector(), document, kindOf(t, "Pod")).Warnings, test.want)
		})
	}
}

func TestAContainerAddedAfterTheInjectionIsWarnedAbout(t *testing.T) {
	kind := kindOf(t, "Pod")
	for name, test := range map[string]struct {
		annotations map[string]string
		want        []string
	}{
		"where all scan": {map[string]string{"inject": "true"},
			[]string{`spec.containers[1].name: container "late" was added after the injection and does not scan`}},
		"but not where those that scan are named": {map[string]string{"inject": "true", "containers": "app"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			document := podWith(test.annotations)
			injected := apply(t, document, mustInject(t, newInjector(), document, kind).Patch)
			later := applyJSON(t, injected, []byte(`[{"op":"add","path":"/spec/containers/-","value":{"name":"late"}}]`))
			result := mustInject(t, newInjector(), later, kind)
			if len(result.Patch) > 0 {
				t.Errorf("got the patch %s", result.Patch.JSON())
			}
			sameParts(t, result.Warnings, test.want)
		})
	}
}

// In one admission the webhook is asked again after others, whose additions can
// be in its way.
func TestObstaclesThatOthersAddAreFoundInTheSecondTurn(t *testing.T) {
	kind := kindOf(t, "Pod")
	document := podWith(map[string]string{"inject": "true"})
	injected := apply(t, document, mustInject(t, newInjector(), document, kind).Patch)
	for name, test := range map[string]struct{ operation, want string }{
		"a port":      {`{"op":"add","path":"/spec/containers/-","value":{"name":"late","ports":[{"containerPort":3312}]}}`, "spec.containers[1].ports[0].containerPort"},
		"hostNetwork": {`{"op":"add","path":"/spec/hostNetwork","value":true}`, "spec.hostNetwork"},
		"a mount":     {`{"op":"add","path":"/spec/containers/0/volumeMounts/-","value":{"name":"x","mountPath":"/etc/clamav/x"}}`, "spec.containers[0].volumeMounts[1].mountPath"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := applyJSON(t, injected, []byte("["+test.operation+"]"))
			_, faults := newInjector().Inject(read(t, changed, kind), false)
			sameParts(t, faultsOf(faults), []string{test.want})
		})
	}
}

func TestWhatOnlyTheWebhookWritesIsNotCarried(t *testing.T) {
	document := deployment(`"clamav-sidecar/status":"{}","clamav-sidecar/workload-annotations":"{}"`, `"annotations":{}`)
	result, faults := newInjector().Check(read(t, document, kindOf(t, "Deployment")))
	if len(faults) > 0 || len(result.Patch) > 0 || len(result.Warnings) > 0 || result.Wanted {
		t.Errorf("got warnings %q, faults %v and the patch %s", result.Warnings, faults, result.Patch.JSON())
	}
}

// A status can be copied from another pod, together with some of what stands in it.
func TestVariablesOfAPodWithACopiedStatusAreKept(t *testing.T) {
	kind := kindOf(t, "Pod")
	document := []byte(`{"metadata":{"annotations":{"clamav-sidecar/inject":"true","clamav-sidecar/status":"{\"hash\":\"1\",\"containers\":[\"other\"]}"}},
		"spec":{"containers":[{"name":"app","env":[{"name":"CLAMD_CONF_FILENAME","value":"/mine"}]}]}}`)
	result := mustInject(t, newInjector(), document, kind)
	restored := mustUninject(t, apply(t, document, result.Patch), kind)
	if got, want := string(at(t, restored, "/spec/containers/0/env")), `[{"name":"CLAMD_CONF_FILENAME","value":"/mine"}]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestResourcesOfThePodAsAWholeAreWarnedAbout(t *testing.T) {
	document := []byte(`{"metadata":{"annotations":{"clamav-sidecar/inject":"true"}},
		"spec":{"resources":{"requests":{"cpu":"1"}},"containers":[{"name":"app"}]}}`)
	sameParts(t, mustInject(t, newInjector(), document, kindOf(t, "Pod")).Warnings,
		[]string{"spec.resources: pods are refused unless this leaves room for the sidecar's requests, 10m of cpu and 32Mi of memory"})
}
