package inject_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"clamav-sidecar/webhook/inject"
)

// sidecarOf is the sidecar of an injected pod.
func sidecarOf(t testing.TB, injected []byte) corev1.Container {
	t.Helper()
	var pod corev1.Pod
	if err := json.Unmarshal(injected, &pod); err != nil {
		t.Fatalf("%v: %s", err, injected)
	}
	all := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	i := slices.IndexFunc(all, func(c corev1.Container) bool { return c.Name == inject.ContainerName })
	if i < 0 {
		t.Fatalf("no sidecar in %s", injected)
	}
	return all[i]
}

// ask gives the flags that somebody would write who wants of the sidecar what
// the annotations say.
func ask(annotations map[string]string) []string {
	var flags []string
	for name, value := range annotations {
		port := func(host string) string {
			number, err := strconv.Atoi(value)
			if err != nil || number == 0 {
				return ""
			}
			return host + ":" + strconv.Itoa(number)
		}
		switch name {
		case "http-port":
			flags = append(flags, "--listen="+port("127.0.0.1"))
		case "clamd-port":
			flags = append(flags, "--clamd-listen="+port("127.0.0.1"))
		case "ops-port":
			flags = append(flags, "--ops-listen="+port(""))
		case "max-file-size", "scan-timeout", "log-level", "require-scanner":
			flags = append(flags, "--"+name+"="+value)
		}
	}
	return flags
}

func TestTheSidecarTakesItsArguments(t *testing.T) {
	for name, tests := range values {
		for _, value := range tests.good {
			t.Run(name+" "+value, func(t *testing.T) {
				annotations := map[string]string{"inject": "true"}
				if name != "inject" {
					annotations[name] = value
				}
				document := podWith(annotations)
				result := mustInject(t, newInjector(), document, kindOf(t, "Pod"))
				checkArguments(t, annotations, apply(t, document, result.Patch))
			})
		}
	}
}

func TestTheSidecarsLogLevelIsTheAnnotations(t *testing.T) {
	for _, level := range values["log-level"].good {
		document := podWith(map[string]string{"inject": "true", "log-level": level})
		c := sidecarOf(t, apply(t, document, mustInject(t, newInjector(), document, kindOf(t, "Pod")).Patch))
		if !slices.Contains(c.Args, "--log-level="+level) {
			t.Errorf("got %q, want the log level %s", c.Args, level)
		}
	}
}

func TestTheSidecarsMemory(t *testing.T) {
	document := podWith(map[string]string{"inject": "true", "memory-limit": "64Mi"})
	c := sidecarOf(t, apply(t, document, mustInject(t, newInjector(), document, kindOf(t, "Pod")).Patch))
	limit, err := strconv.ParseInt(c.Env[0].Value, 10, 64)
	if c.Env[0].Name != "GOMEMLIMIT" || err != nil || limit < 50<<20 || limit >= 64<<20 {
		t.Errorf("got %v, want GOMEMLIMIT below 64Mi", c.Env)
	}
	if got := c.Resources.Limits.Memory().String(); got != "64Mi" {
		t.Errorf("got the limit %s", got)
	}
}

func TestTheSidecarRunsOnlyWhatIsSaidInFull(t *testing.T) {
	document := podWith(map[string]string{"inject": "true"})
	c := sidecarOf(t, apply(t, document, mustInject(t, newInjector(), document, kindOf(t, "Pod")).Patch))
	if len(c.Command) > 0 || c.Image != testImage || !strings.HasPrefix(c.Args[0], "--") {
		t.Errorf("got the command %q of %s with %q", c.Command, c.Image, c.Args)
	}
}

// A clamd that is down must not keep the app from starting, nor make the kubelet
// restart the sidecar; with require-scanner only readiness follows it.
func TestProbes(t *testing.T) {
	document := podWith(map[string]string{"inject": "true", "require-scanner": "true"})
	c := sidecarOf(t, apply(t, document, mustInject(t, newInjector(), document, kindOf(t, "Pod")).Patch))
	for probe, want := range map[*corev1.Probe]string{c.StartupProbe: "/livez", c.LivenessProbe: "/livez", c.ReadinessProbe: "/readyz"} {
		if got := probe.HTTPGet; got.Path != want || got.Port.IntVal != 3312 || got.Host != "" {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}
