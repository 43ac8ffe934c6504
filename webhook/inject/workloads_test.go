package inject_test

import (
	"fmt"
	"testing"
)

// jobOf is a Job made from a CronJob's template, with these annotations of its
// own and of its template.
func jobOf(own, template string) []byte {
	return fmt.Appendf(nil, `{"metadata":{"name":"import-1","annotations":{%s},
		"ownerReferences":[{"apiVersion":"batch/v1","kind":"CronJob","name":"import","uid":"1","controller":true}]},
		"spec":{"template":{"metadata":{"annotations":{%s}},"spec":{"restartPolicy":"Never","containers":[{"name":"app"}]}}}}`, own, template)
}

func TestJobsOfACronJob(t *testing.T) {
	const carried = `"clamav-sidecar/workload-annotations":"{\"clamav-sidecar/inject\":\"true\",\"clamav-sidecar/mode\":\"native\"}"`
	i, kind := newInjector(), kindOf(t, "Job")
	for name, own := range map[string]string{
		"keep what the CronJob has carried":                     `"cronjob.kubernetes.io/instantiate":"manual"`,
		"keep it though their own annotations are a part of it": `"clamav-sidecar/mode":"native"`,
	} {
		t.Run(name, func(t *testing.T) {
			document := jobOf(own, carried)
			result, faults := i.Check(read(t, document, kind))
			if len(faults) > 0 || len(result.Patch) > 0 || !result.Wanted || len(result.Warnings) > 0 {
				t.Errorf("got wanted %t, warnings %q, faults %v and the patch %s", result.Wanted, result.Warnings, faults, result.Patch.JSON())
			}
			whole := mustInject(t, i, document, kind)
			sameDocument(t, mustUninject(t, apply(t, document, whole.Patch), kind), document)
		})
	}
	t.Run("carry what they have from a CronJob that was never checked", func(t *testing.T) {
		document := jobOf(`"clamav-sidecar/inject":"true"`, ``)
		result, faults := i.Check(read(t, document, kind))
		if len(faults) > 0 || len(result.Patch) != 1 || !result.Wanted {
			t.Fatalf("got wanted %t, faults %v and the patch %s", result.Wanted, faults, result.Patch.JSON())
		}
		if again, faults := i.Check(read(t, apply(t, document, result.Patch), kind)); len(faults) > 0 || len(again.Patch) > 0 || !again.Wanted {
			t.Errorf("got wanted %t, faults %v and the second patch %s", again.Wanted, faults, again.Patch.JSON())
		}
	})
}

func TestAnnotationsOfTheJobsOfACronJob(t *testing.T) {
	const (
		metadata = `"metadata":{"name":"import","annotations":{"clamav-sidecar/inject":"false","clamav-sidecar/log-level":"debug"}}`
		spec     = `"spec":{"jobTemplate":{"metadata":{"annotations":{"clamav-sidecar/inject":"true"}},"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"app"}]}}}}}`
	)
	i, kind := newInjector(), kindOf(t, "CronJob")
	for name, document := range map[string]string{
		"win over the CronJob's":                           "{" + metadata + "," + spec + "}",
		"win over the CronJob's that stand in front":       "{" + spec + "," + metadata + "}",
		"are carried where the CronJob itself has nothing": "{" + spec + "}",
	} {
		t.Run(name, func(t *testing.T) {
			result, faults := i.Check(read(t, []byte(document), kind))
			if len(faults) > 0 || !result.Wanted || len(result.Patch) != 1 {
				t.Fatalf("got wanted %t, faults %v and the patch %s", result.Wanted, faults, result.Patch.JSON())
			}
			template := at(t, apply(t, []byte(document), result.Patch), "/spec/jobTemplate/spec/template")
			if pod := mustInject(t, i, template, kindOf(t, "Pod")); len(pod.Patch) == 0 {
				t.Error("its pod is not injected")
			}
		})
	}
	t.Run("are refused at their own place", func(t *testing.T) {
		document := `{"spec":{"jobTemplate":{"metadata":{"annotations":{"clamav-sidecar/injct":"true"}},"spec":{"template":{"spec":{"containers":[{"name":"app"}]}}}}}}`
		_, faults := i.Check(read(t, []byte(document), kind))
		sameParts(t, faultsOf(faults), []string{`spec.jobTemplate.metadata.annotations[clamav-sidecar/injct]: Invalid value: "true": unknown annotation`})
	})
}

func TestClamdscanLocalNeedsThePortThatTheConfigMapHas(t *testing.T) {
	kind := kindOf(t, "Pod")
	inject := func(annotations map[string]string) []string {
		annotations["inject"], annotations["clamdscan"] = "true", "local"
		_, faults := newInjector().Inject(read(t, podWith(annotations), kind), false)
		return faultsOf(faults)
	}
	sameParts(t, inject(map[string]string{"clamd-port": "4000"}), []string{
		`metadata.annotations[clamav-sidecar/clamd-port]: Invalid value: 4000: clamdscan "local" uses clamd.local.conf of ConfigMap "clamav-configuration", which has port 3310`,
	})
	sameParts(t, inject(map[string]string{"clamd-port": "4000", "config-map": "mine"}), nil)
	sameParts(t, inject(map[string]string{"clamd-port": "3310"}), nil)
}

// What is injected is left as it is, so other settings cannot be in its way.
func TestWhatIsInjectedIsNotHeldAgainstOtherSettings(t *testing.T) {
	kind := kindOf(t, "Pod")
	document := []byte(`{"metadata":{"annotations":{"clamav-sidecar/inject":"true"}},"spec":{"restartPolicy":"Never","containers":[{"name":"app","ports":[{"containerPort":4311}]}]}}`)
	injected := apply(t, document, mustInject(t, newInjector(), document, kind).Patch)
	i := newInjector()
	i.Native = false
	if result, faults := i.Inject(read(t, injected, kind), false); len(faults) > 0 || !result.Wanted || len(result.Patch) > 0 {
		t.Errorf("in a cluster without native sidecars: got faults %v", faults)
	}
	i = newInjector()
	i.Defaults.HTTPPort = 4311
	if result, faults := i.Inject(read(t, injected, kind), false); len(faults) > 0 || !result.Wanted || len(result.Patch) > 0 {
		t.Errorf("with another http-port: got faults %v", faults)
	}
}
