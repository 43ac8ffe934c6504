package inject_test

import (
	"fmt"
	"strings"
	"testing"

	"clamav-sidecar/webhook/inject"
)

// askingPod is a pod that asks for the injection, with this spec.
func askingPod(spec string) []byte {
	return fmt.Appendf(nil, `{"metadata":{"annotations":{"clamav-sidecar/inject":"true"}},"spec":%s}`, spec)
}

const hostNetwork = "would be the node's; set clamav-sidecar/inject: \"false\""

// obstacles are pods that cannot be injected.
var obstacles = map[string]struct {
	spec   string
	want   []string
	origin string
}{
	"no spec":           {`null`, []string{"spec.containers: Required value"}, inject.NoContainers},
	"no container":      {`{"containers":[]}`, []string{"spec.containers: Required value"}, inject.NoContainers},
	"hostNetwork":       {`{"hostNetwork":true,"containers":[{"name":"app"}]}`, []string{"spec.hostNetwork: Invalid value: true: the sidecar's ports, without authentication, " + hostNetwork}, inject.HostNetwork},
	"Windows":           {`{"os":{"name":"windows"},"containers":[{"name":"app"}]}`, []string{`spec.os.name: Invalid value: "windows": the sidecar runs on Linux only`}, inject.Windows},
	"Windows by a node": {`{"nodeSelector":{"kubernetes.io/os":"windows"},"containers":[{"name":"app"}]}`, []string{`"windows": the sidecar runs on Linux only`}, inject.Windows},
	"Windows by a node, in the old way": {`{"nodeSelector":{"beta.kubernetes.io/os":"Windows"},"containers":[{"name":"app"}]}`,
		[]string{`"Windows": the sidecar runs on Linux only`}, inject.Windows},
	"a volume of our name": {`{"volumes":[{"name":"a"},{"name":"clamav-configuration"}],"containers":[{"name":"app"}]}`,
		[]string{`spec.volumes[1].name: Invalid value: "clamav-configuration": the injection adds a volume of this name, for the client configuration`}, inject.NameClash},
	"a container of our name": {`{"containers":[{"name":"app"},{"name":"clamav-sidecar"}]}`,
		[]string{`spec.containers[1].name: Invalid value: "clamav-sidecar": the injection adds a container of this name, the sidecar`}, inject.NameClash},
	"an init container of our name": {`{"containers":[{"name":"app"}],"initContainers":[{"name":"clamav-sidecar"}]}`,
		[]string{`spec.initContainers[0].name: Invalid value: "clamav-sidecar"`}, inject.NameClash},
	"each of our ports": {`{"containers":[{"name":"app","ports":[{"containerPort":3310},{"containerPort":8080},{"containerPort":3311,"protocol":"TCP"}]},{"name":"ops","ports":[{"containerPort":3312}]}]}`,
		[]string{
			`spec.containers[0].ports[0].containerPort: Invalid value: 3310: the sidecar listens on this port; choose another for container "app", or for the sidecar by clamav-sidecar/clamd-port`,
			`spec.containers[0].ports[2].containerPort: Invalid value: 3311: the sidecar listens on this port; choose another for container "app", or for the sidecar by clamav-sidecar/http-port`,
			`spec.containers[1].ports[0].containerPort: Invalid value: 3312: the sidecar listens on this port; choose another for container "ops", or for the sidecar by clamav-sidecar/ops-port`,
		}, inject.PortClash},
	"our port behind a UDP port": {`{"containers":[{"name":"app","ports":[{"containerPort":53,"protocol":"UDP"},{"containerPort":3311,"protocol":null}]}]}`,
		[]string{`spec.containers[0].ports[1].containerPort: Invalid value: 3311`}, inject.PortClash},
	"our port with the protocol left empty": {`{"containers":[{"name":"app","ports":[{"protocol":"","containerPort":3310}]}]}`,
		[]string{`spec.containers[0].ports[0].containerPort: Invalid value: 3310`}, inject.PortClash},
	"our port in another's sidecar": {`{"containers":[{"name":"app"}],"initContainers":[{"name":"proxy","restartPolicy":"Always","ports":[{"containerPort":3312}]}]}`,
		[]string{`spec.initContainers[0].ports[0].containerPort: Invalid value: 3312: the sidecar listens on this port; choose another for container "proxy"`}, inject.PortClash},
	"a mount at our place": {`{"containers":[{"name":"web"},{"name":"app","volumeMounts":[{"name":"a","mountPath":"/a"},{"name":"conf","mountPath":"/etc/clamav"}]}]}`,
		[]string{`spec.containers[1].volumeMounts[1].mountPath: Invalid value: "/etc/clamav": the injection mounts the client configuration at /etc/clamav; ` +
			`mount volume "conf" of container "app" elsewhere, or leave the container out of clamav-sidecar/containers`}, inject.MountClash},
	"a mount at our place in other words": {`{"containers":[{"name":"app","volumeMounts":[{"name":"b","mountPath":"/etc/clamav/"},{"name":"c","mountPath":"//etc/./x/../clamav"},{"name":"d","mountPath":"etc/clamav"}]}]}`,
		[]string{`volumeMounts[0].mountPath: Invalid value: "/etc/clamav/"`, `volumeMounts[1].mountPath`, `volumeMounts[2].mountPath: Invalid value: "etc/clamav"`}, inject.MountClash},
	"a mount below our place": {`{"containers":[{"name":"app","volumeMounts":[{"name":"conf","mountPath":"/etc/clamav/clamd.conf","subPath":"clamd.conf"}]}]}`,
		[]string{`spec.containers[0].volumeMounts[0].mountPath: Invalid value: "/etc/clamav/clamd.conf"`}, inject.MountClash},
	"all at once": {`{"hostNetwork":true,"os":{"name":"windows"},"volumes":[{"name":"clamav-configuration"}],"containers":[{"name":"clamav-sidecar","ports":[{"containerPort":3310}]},{"name":"app","volumeMounts":[{"name":"x","mountPath":"/etc/clamav"}]}]}`,
		[]string{"spec.hostNetwork", "spec.os.name", "spec.volumes[0].name", "spec.containers[0].name", "spec.containers[0].ports[0]", "spec.containers[1].volumeMounts[0]"}, ""},
}

func TestWhatCannotBeInjectedIsRefused(t *testing.T) {
	for name, test := range obstacles {
		t.Run(name, func(t *testing.T) {
			result, faults := newInjector().Inject(read(t, askingPod(test.spec), kindOf(t, "Pod")), false)
			sameParts(t, faultsOf(faults), test.want)
			for _, fault := range faults {
				if test.origin != "" && fault.Origin != test.origin {
					t.Errorf("got the origin %q, want %q", fault.Origin, test.origin)
				}
			}
			if result.Wanted || len(result.Patch) > 0 {
				t.Errorf("got the patch %s", result.Patch.JSON())
			}
		})
		t.Run(name+", in a Deployment", func(t *testing.T) {
			document := fmt.Appendf(nil, `{"spec":{"template":%s}}`, askingPod(test.spec))
			_, faults := newInjector().Check(read(t, document, kindOf(t, "Deployment")))
			if len(faults) != len(test.want) {
				t.Fatalf("got %v", faults)
			}
			for _, fault := range faults {
				if !strings.HasPrefix(fault.Field, "spec.template.spec.") {
					t.Errorf("got the path %s", fault.Field)
				}
			}
		})
		t.Run(name+", where only the namespace asks", func(t *testing.T) {
			document := fmt.Appendf(nil, `{"spec":%s}`, test.spec)
			result, faults := newInjector().Inject(read(t, document, kindOf(t, "Pod")), true)
			if len(faults) > 0 || result.Wanted || len(result.Patch) > 0 {
				t.Errorf("got faults %v and the patch %s", faults, result.Patch.JSON())
			}
			sameParts(t, faultsOf(result.Skipped), test.want)
		})
		t.Run(name+", where nobody asks", func(t *testing.T) {
			document := fmt.Appendf(nil, `{"spec":%s}`, test.spec)
			result, faults := newInjector().Inject(read(t, document, kindOf(t, "Pod")), false)
			if len(faults) > 0 || result.Wanted || len(result.Patch) > 0 || len(result.Skipped) > 0 || len(result.Warnings) > 0 {
				t.Errorf("got %+v and faults %v", result, faults)
			}
		})
	}
}

func TestAStaticPodIsRefused(t *testing.T) {
	document := []byte(`{"metadata":{"annotations":{"clamav-sidecar/inject":"true","kubernetes.io/config.mirror":"x"}},"spec":{"containers":[{"name":"app"}]}}`)
	_, faults := newInjector().Inject(read(t, document, kindOf(t, "Pod")), false)
	sameParts(t, faultsOf(faults), []string{"metadata.annotations[kubernetes.io/config.mirror]: Invalid value: \"\": a static pod cannot use ConfigMaps"})
}

func TestAPodWhoseNamespaceAsksIsRefusedForItsOwnAnnotations(t *testing.T) {
	document := []byte(`{"metadata":{"annotations":{"clamav-sidecar/mode":"fast"}},"spec":{"hostNetwork":true,"containers":[{"name":"app"}]}}`)
	result, faults := newInjector().Inject(read(t, document, kindOf(t, "Pod")), true)
	sameParts(t, faultsOf(faults), []string{`metadata.annotations[clamav-sidecar/mode]: Invalid value: "fast"`, "spec.hostNetwork"})
	if len(result.Skipped) > 0 {
		t.Errorf("got it skipped: %v", result.Skipped)
	}
}

func TestWhatOnlyLooksLikeAnObstacleIsInjected(t *testing.T) {
	for name, spec := range map[string]string{
		"UDP ports of the same numbers":      `{"containers":[{"name":"app","ports":[{"containerPort":3310,"protocol":"UDP"},{"protocol":"SCTP","containerPort":3311}]}]}`,
		"a mount beside our place":           `{"containers":[{"name":"app","volumeMounts":[{"name":"a","mountPath":"/etc/clamav-extra"},{"name":"b","mountPath":"/etc"},{"name":"c","mountPath":"/data/etc/clamav"}]}]}`,
		"Linux":                              `{"os":{"name":"linux"},"nodeSelector":{"kubernetes.io/os":"linux"},"containers":[{"name":"app"}]}`,
		"another node selector":              `{"nodeSelector":{"team":"windows"},"containers":[{"name":"app"}]}`,
		"hostNetwork off":                    `{"hostNetwork":false,"containers":[{"name":"app"}]}`,
		"hostNetwork null":                   `{"hostNetwork":null,"containers":[{"name":"app"}]}`,
		"a volume named like the sidecar":    `{"volumes":[{"name":"clamav-sidecar"}],"containers":[{"name":"clamav-configuration"}]}`,
		"fields in another case":             `{"HostNetwork":true,"Containers":7,"containers":[{"name":"app","Ports":[{"containerPort":3310}]}]}`,
		"the mount in a container left out":  `{"containers":[{"name":"app"}],"initContainers":[{"name":"init","volumeMounts":[{"name":"a","mountPath":"/etc/clamav"}]}]}`,
		"hostPorts of the same numbers":      `{"containers":[{"name":"app","ports":[{"containerPort":80,"hostPort":3311}]}]}`,
		"a pod that is to be restarted":      `{"restartPolicy":"Always","containers":[{"name":"app"}]}`,
		"a pod that ends, and native":        `{"restartPolicy":"Never","containers":[{"name":"app"}]}`,
		"an ephemeral container of our name": `{"ephemeralContainers":[{"name":"clamav-sidecar","ports":[{"containerPort":3310}]}],"containers":[{"name":"app"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if result := mustInject(t, newInjector(), askingPod(spec), kindOf(t, "Pod")); len(result.Patch) == 0 {
				t.Error("got no patch")
			}
		})
	}
}

func TestModes(t *testing.T) {
	tests := map[string]struct {
		mode, restartPolicy string
		native              bool // what the cluster supports
		want                string
	}{
		"auto is native where the cluster supports it":       {"auto", "", true, "initContainers"},
		"auto is native for what ends as well":               {"auto", "Never", true, "initContainers"},
		"auto is a container in an old cluster":              {"auto", "Always", false, "containers"},
		"native is so even there":                            {"native", "OnFailure", false, "initContainers"},
		"container is so where native could be":              {"container", "Always", true, "containers"},
		"container without a restart policy":                 {"container", "", true, "containers"},
		"container is refused for a pod that ends":           {"container", "Never", true, "refused"},
		"container is refused for a pod restarted on errors": {"container", "OnFailure", true, "refused"},
		"auto is refused for these in an old cluster":        {"auto", "Never", false, "refused"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			policy := ""
			if test.restartPolicy != "" {
				policy = fmt.Sprintf(`"restartPolicy":%q,`, test.restartPolicy)
			}
			document := fmt.Appendf(nil, `{"metadata":{"annotations":{"clamav-sidecar/inject":"true","clamav-sidecar/mode":%q}},"spec":{%s"containers":[{"name":"app"}],"initContainers":[{"name":"init"}]}}`, test.mode, policy)
			i := newInjector()
			i.Native = test.native
			result, faults := i.Inject(read(t, document, kindOf(t, "Pod")), false)
			if test.want == "refused" {
				sameParts(t, faultsOf(faults), []string{`metadata.annotations[clamav-sidecar/mode]: Invalid value: "` + test.mode +
					`": a sidecar that is not native never ends, nor would this pod with spec.restartPolicy ` + test.restartPolicy + `; want mode "native", which needs Kubernetes 1.29`})
				return
			}
			if len(faults) > 0 {
				t.Fatal(faults.ToAggregate())
			}
			injected := apply(t, document, result.Patch)
			place, policyOf := "/spec/initContainers/0", `"Always"`
			if test.want == "containers" {
				place, policyOf = "/spec/containers/1", ""
			}
			if got := string(at(t, injected, place+"/name")); got != `"clamav-sidecar"` {
				t.Errorf("got the container %s at %s", got, place)
			}
			if got := string(at(t, injected, place+"/restartPolicy")); got != policyOf {
				t.Errorf("got the restart policy %q, want %q", got, policyOf)
			}
		})
	}
}
