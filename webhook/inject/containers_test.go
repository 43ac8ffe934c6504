package inject_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"clamav-sidecar/webhook/inject"
)

// inspect decodes an injected pod.
func inspect(t *testing.T, injected []byte) corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	if err := json.Unmarshal(injected, &pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// equipped names the containers, but for the sidecar, that have both variables
// and the mount.
func equipped(pod corev1.Pod) []string {
	var names []string
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		env := func(name, value string) bool {
			return slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == name && v.Value == value })
		}
		mount := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
			return m.Name == inject.VolumeName && m.MountPath == inject.MountPath && m.ReadOnly
		})
		if mount && c.Name != inject.ContainerName && env(inject.ConfVariable, "/etc/clamav/clamd.conf") && env(inject.URLVariable, "http://127.0.0.1:3311/v1/scan") {
			names = append(names, c.Name)
		}
	}
	return names
}

func TestContainersThatScan(t *testing.T) {
	const spec = `{"containers":[{"name":"app"},{"name":"log"}],"initContainers":[{"name":"setup"},{"name":"mesh","restartPolicy":"Always"}]}`
	tests := map[string]struct {
		chosen string
		want   []string
	}{
		"are all of the app's, and no init container": {"", []string{"app", "log"}},
		"are one that is named":                       {"log", []string{"log"}},
		"are several, in any order, with blanks":      {" log , app", []string{"app", "log"}},
		"are init containers that are named":          {"setup,mesh,app", []string{"app", "setup", "mesh"}},
		"are an init container only":                  {"setup", []string{"setup"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			annotations := `"clamav-sidecar/inject":"true"`
			if test.chosen != "" {
				annotations += fmt.Sprintf(`,"clamav-sidecar/containers":%q`, test.chosen)
			}
			document := fmt.Appendf(nil, `{"metadata":{"annotations":{%s}},"spec":%s}`, annotations, spec)
			result := mustInject(t, newInjector(), document, kindOf(t, "Pod"))
			pod := inspect(t, apply(t, document, result.Patch))
			if got := equipped(pod); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			var status inject.Status
			if err := json.Unmarshal([]byte(pod.Annotations[inject.StatusAnnotation]), &status); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(status.Containers, test.want) || status.Version != "1.0" || status.Mode != inject.Native || status.Hash == "" {
				t.Errorf("got the status %+v", status)
			}
			sameDocument(t, mustUninject(t, apply(t, document, result.Patch), kindOf(t, "Pod")), document)
		})
	}
	t.Run("are refused where they are not there, with the nearest", func(t *testing.T) {
		document := fmt.Appendf(nil, `{"metadata":{"annotations":{"clamav-sidecar/inject":"true","clamav-sidecar/containers":"ap,clamav-sidecar,zzzzzzzz"}},"spec":%s}`, spec)
		_, faults := newInjector().Inject(read(t, document, kindOf(t, "Pod")), false)
		sameParts(t, faultsOf(faults), []string{
			`metadata.annotations[clamav-sidecar/containers]: Invalid value: "ap": no container has this name; did you mean app?`,
			`metadata.annotations[clamav-sidecar/containers]: Invalid value: "clamav-sidecar": no container has this name; there are app, log, setup, mesh`,
			`Invalid value: "zzzzzzzz": no container has this name; there are app, log, setup, mesh`,
		})
	})
}

func TestVariablesThatAreSetAlreadyAreKept(t *testing.T) {
	tests := map[string]struct {
		env  string
		want []string // warnings
	}{
		"with another value": {
			`[{"name":"A"},{"name":"CLAMD_CONF_FILENAME","value":"/mine.conf"}]`,
			[]string{"spec.containers[0].env[1]: CLAMD_CONF_FILENAME is set already and kept; ours would be /etc/clamav/clamd.conf"},
		},
		"both of them": {
			`[{"name":"CLAMAV_SCAN_URL","value":""},{"name":"CLAMD_CONF_FILENAME","value":"/mine.conf"}]`,
			[]string{"spec.containers[0].env[1]: CLAMD_CONF_FILENAME is set", "spec.containers[0].env[0]: CLAMAV_SCAN_URL is set already and kept; ours would be http://127.0.0.1:3311/v1/scan"},
		},
		"without a value": {
			`[{"name":"CLAMAV_SCAN_URL"}]`,
			[]string{"spec.containers[0].env[0]: CLAMAV_SCAN_URL is set already"},
		},
		"from elsewhere": {
			`[{"name":"CLAMAV_SCAN_URL","valueFrom":{"configMapKeyRef":{"name":"a","key":"b"}}}]`,
			[]string{"spec.containers[0].env[0]: CLAMAV_SCAN_URL is set already"},
		},
		"twice": {
			`[{"name":"CLAMAV_SCAN_URL","value":"a"},{"name":"CLAMAV_SCAN_URL","value":"b"}]`,
			[]string{"spec.containers[0].env[0]: CLAMAV_SCAN_URL is set already"},
		},
		"and ours is theirs": {
			`[{"name":"CLAMD_CONF_FILENAME","value":"/etc/clamav/clamd.conf"}]`, nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			document := askingPod(`{"containers":[{"name":"app","env":` + test.env + `}]}`)
			kind, i := kindOf(t, "Pod"), newInjector()
			result := mustInject(t, i, document, kind)
			sameParts(t, result.Warnings, test.want)
			injected := apply(t, document, result.Patch)
			var before, after []json.RawMessage
			for to, from := range map[*[]json.RawMessage][]byte{&before: []byte(test.env), &after: at(t, injected, "/spec/containers/0/env")} {
				if err := json.Unmarshal(from, to); err != nil {
					t.Fatal(err)
				}
			}
			for i, variable := range before {
				if string(after[i]) != string(variable) {
					t.Errorf("%s has become %s", variable, after[i])
				}
			}
			for _, name := range []string{inject.ConfVariable, inject.URLVariable} {
				if want := max(1, strings.Count(test.env, name)); strings.Count(string(at(t, injected, "/spec/containers/0/env")), name) != want {
					t.Errorf("%s is not there %d times: %s", name, want, injected)
				}
			}
			if again := mustInject(t, i, injected, kind); len(again.Patch) > 0 {
				t.Errorf("got the second patch %s", again.Patch.JSON())
			}
			sameDocument(t, mustUninject(t, injected, kind), document)
		})
	}
}

func TestEmptyListsAreEmptyAgain(t *testing.T) {
	for _, mode := range []string{"native", "container"} {
		document := []byte(`{"metadata":{"annotations":{"clamav-sidecar/inject":"true","clamav-sidecar/containers":"setup,app","clamav-sidecar/mode":"` + mode + `"}},
			"spec":{"volumes":[],"initContainers":[{"name":"first"},{"name":"setup","env":[],"volumeMounts":[]}],"containers":[{"name":"app","env":[],"volumeMounts":[]}]}}`)
		injected := apply(t, document, mustInject(t, newInjector(), document, kindOf(t, "Pod")).Patch)
		sameDocument(t, mustUninject(t, injected, kindOf(t, "Pod")), document)
	}
}

func TestInitContainersThatScanBesideAPlainSidecar(t *testing.T) {
	const spec = `{"containers":[{"name":"app"}],"initContainers":[{"name":"mesh","restartPolicy":"Always"},{"name":"setup"}]}`
	for name, test := range map[string]struct {
		mode, chosen string
		want         []string
	}{
		"are warned about":                         {"container", "app,mesh,setup", []string{"spec.initContainers[1]: ends before the sidecar starts, which is not native here"}},
		"are not warned about if they stay":        {"container", "app,mesh", nil},
		"are not warned about beside a native one": {"native", "app,mesh,setup", nil},
	} {
		t.Run(name, func(t *testing.T) {
			document := fmt.Appendf(nil, `{"metadata":{"annotations":{"clamav-sidecar/inject":"true","clamav-sidecar/mode":%q,"clamav-sidecar/containers":%q}},"spec":%s}`, test.mode, test.chosen, spec)
			sameParts(t, mustInject(t, newInjector(), document, kindOf(t, "Pod")).Warnings, test.want)
		})
	}
}
