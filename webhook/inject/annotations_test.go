package inject_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"clamav-sidecar/webhook/inject"
)

// podWith is a pod with one container, app, and these annotations. Their names
// are without the prefix.
func podWith(annotations map[string]string) []byte {
	prefixed := map[string]string{}
	for name, value := range annotations {
		prefixed[inject.Prefix+name] = value
	}
	written, err := json.Marshal(prefixed)
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, `{"metadata":{"name":"web","annotations":%s},"spec":{"containers":[{"name":"app","image":"app:1"}]}}`, written)
}

// faultsOf gives the faults as text.
func faultsOf(faults field.ErrorList) []string {
	texts := make([]string, len(faults))
	for i, fault := range faults {
		texts[i] = fault.Error()
	}
	return texts
}

// sameParts compares texts in part: each wanted one is a part of the one
// got at its place.
func sameParts(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d: %s\nwant %d: %s", len(got), strings.Join(got, "\n"), len(want), strings.Join(want, "\n"))
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}

// values are those that annotations may have, and may not.
var values = map[string]struct{ good, bad []string }{
	"inject":        {[]string{"true", "false"}, []string{"", "True", "yes", "1", " true"}},
	"containers":    {[]string{"app", " app "}, []string{"", ",", "app,", "app,app", "app,,app", "app app", "web", "clamav-sidecar", "APP"}},
	"clamdscan":     {[]string{"service", "local"}, []string{"", "Local", "sidecar"}},
	"mode":          {[]string{"auto", "native", "container"}, []string{"", "plain", "Native"}},
	"log-level":     {[]string{"debug", "info", "warn", "error"}, []string{"", "trace", "INFO", "warning"}},
	"max-file-size": {[]string{"1", "50M", "50m", "1k", "1G", "2047M", "2146435072"}, []string{"", "0", "-1", "lots", "50Mi", "50 M", "1.5M", "2G", "2048M", "2146435073", "1e6", "+1", "99999999999999999999"}},
	"scan-timeout":  {[]string{"1ms", "30s", "2m", "1h30m", "1.5s", "24h"}, []string{"", "0", "30", "999us", "-1s", "24h1ns", "2 m", "1d", "99999999999999h"}},
	"require-scanner": {[]string{"true", "false"},
		[]string{"", "yes", "TRUE"}},
	"http-port":  {[]string{"1024", "8080", "65535", "03311"}, []string{"", "0", "1023", "65536", "-1", "http", "1e4", "0x1000", "3310", "3312"}},
	"clamd-port": {[]string{"1024", "65535", "0"}, []string{"", "1", "1023", "65536", "off", "3311", "3312"}},
	"ops-port":   {[]string{"1024", "65535"}, []string{"", "0", "80", "65536", "3310", "3311"}},
	"cpu-request": {[]string{"1m", "0.5", "1", "1000m"},
		[]string{"", "0", "-1", "x", "2", "1e-9", "1e1000000000", "1e-1000000000", "1E3", "1E+1000000000", strings.Repeat("1", 31)}},
	"cpu-limit":      {[]string{"10m", "2", "0.01"}, []string{"", "0", "9m", "-1", "1e1000000000", "1Ei"}},
	"memory-request": {[]string{"1Mi", "128Mi", "64M", "1048576"}, []string{"", "0", "-1Mi", "129Mi", "64MB", "64mi", "100m", "33554433.5"}},
	"memory-limit":   {[]string{"32Mi", "1Gi", "100M", "1P", "1E"}, []string{"", "64", "0", "15Mi", "31Mi", "999E", "1Ei", "9223372036854775808", "1e30", "67108864.5"}},
	"image": {[]string{"a", "registry.example:5000/a/b@sha256:0123", "é"},
		[]string{"", " ", "a b", "a\n", "\u0000", strings.Repeat("a", 1001)}},
	"config-map": {[]string{"a", "team-a.conf", strings.Repeat("a", 253)}, []string{"", "A", "a_b", "-a", "a/b", strings.Repeat("a", 254)}},
}

func TestAnnotationsWithGoodValuesAreTaken(t *testing.T) {
	for name, tests := range values {
		for _, value := range tests.good {
			t.Run(name+" "+value, func(t *testing.T) {
				annotations := map[string]string{"inject": "true"}
				annotations[name] = value
				result, faults := newInjector().Inject(read(t, podWith(annotations), kindOf(t, "Pod")), false)
				if len(faults) > 0 {
					t.Fatalf("got faults %v", faults.ToAggregate())
				}
				if want := annotations["inject"] == "true"; result.Wanted != want || (len(result.Patch) > 0) != want {
					t.Errorf("got wanted %t and a patch of %d operations, want %t", result.Wanted, len(result.Patch), want)
				}
			})
		}
	}
}

func TestAnnotationsWithBadValuesAreRefused(t *testing.T) {
	for name, tests := range values {
		for _, value := range tests.bad {
			t.Run(name+" "+value[:min(len(value), 30)], func(t *testing.T) {
				annotations := map[string]string{"inject": "true"}
				annotations[name] = value
				result, faults := newInjector().Inject(read(t, podWith(annotations), kindOf(t, "Pod")), false)
				if len(faults) == 0 {
					t.Fatalf("got no fault and the patch %s", result.Patch.JSON())
				}
				if result.Wanted || len(result.Patch) > 0 {
					t.Errorf("got the patch %s beside faults", result.Patch.JSON())
				}
				// A bound between two settings may be told of the other one.
				kind, _, _ := strings.Cut(name, "-")
				if !strings.Contains(faults[0].Field, inject.Prefix+kind) && !strings.HasSuffix(name, "-port") {
					t.Errorf("got the fault %v, want it to name %s", faults[0], name)
				}
				if len(faults[0].Error()) > 700 {
					t.Errorf("got %d bytes of message", len(faults[0].Error()))
				}
			})
		}
	}
}

func TestEveryAnnotationIsTested(t *testing.T) {
	_, faults := newInjector().Inject(read(t, podWith(map[string]string{"xxxxxxxxxxxxxxxx": ""}), kindOf(t, "Pod")), false)
	_, known, found := strings.Cut(faults[0].Detail, "known are ")
	if !found {
		t.Fatalf("got %v, want the known annotations in it", faults)
	}
	names := strings.Split(known, ", ")
	if len(names) != len(values) {
		t.Errorf("got %d known annotations: %s; want %d", len(names), known, len(values))
	}
	for _, name := range names {
		if _, found := values[name]; !found {
			t.Errorf("%s is not tested", name)
		}
	}
}

func TestFaultsOfAnnotations(t *testing.T) {
	const own = "metadata.annotations[clamav-sidecar/"
	tests := map[string]struct {
		annotations map[string]string
		want        []string
	}{
		"an unknown one gives the nearest": {
			map[string]string{"inject": "true", "max-filesize": "50M"},
			[]string{own + `max-filesize]: Invalid value: "50M": unknown annotation; did you mean clamav-sidecar/max-file-size?`},
		},
		"injct is inject": {
			map[string]string{"injct": "true"},
			[]string{own + `injct]: Invalid value: "true": unknown annotation; did you mean clamav-sidecar/inject?`},
		},
		"one that is like none gives all": {
			map[string]string{"inject": "true", "colour": "red"},
			[]string{own + `colour]: Invalid value: "red": unknown annotation; known are clamd-port, clamdscan, config-map, containers, cpu-limit`},
		},
		"one that only the configuration file may set": {
			map[string]string{"inject": "true", "image-pull-policy": "Always"},
			[]string{own + `image-pull-policy]: Invalid value: "Always": unknown annotation`},
		},
		"without a name": {
			map[string]string{"inject": "true", "": "x"},
			[]string{own + `]: Invalid value: "x": unknown annotation`},
		},
		"all at once": {
			map[string]string{"injct": "true", "inject": "maybe", "max-file-size": "lots", "http-port": "80", "cpu-request": "5", "mode": "fast",
				"containers": "app,app", "ops-port": "3310"},
			[]string{
				own + `containers]: Invalid value: "app,app": want names of containers`,
				own + `cpu-request]: Invalid value: "5": want at most cpu-limit, which is 1`,
				own + `http-port]: Invalid value: "80": want a port from 1024 to 65535`,
				own + `injct]: Invalid value: "true": unknown annotation`,
				own + `inject]: Invalid value: "maybe": want "true" or "false"`,
				own + `max-file-size]: Invalid value: "lots": want a size from 1 to 2047M, such as 50M`,
				own + `mode]: Invalid value: "fast": want "auto", "native" or "container"`,
				"is the same; want a port of its own",
			},
		},
		"a port twice": {
			map[string]string{"inject": "true", "http-port": "4000", "ops-port": "4000"},
			[]string{own + `ops-port]: Invalid value: 4000: http-port is the same`},
		},
		"the local port of clamdscan is off": {
			map[string]string{"inject": "true", "clamdscan": "local", "clamd-port": "0"},
			[]string{own + `clamdscan]: Invalid value: "local": clamd-port "0" turns off the port that clamdscan would use`},
		},
		"memory without a unit": {
			map[string]string{"inject": "true", "memory-limit": "64", "memory-request": "32"},
			[]string{own + `memory-limit]: Invalid value: "64": want at least 32Mi, which the sidecar needs`},
		},
		"a request above the limit that is the default": {
			map[string]string{"inject": "true", "memory-request": "1Gi"},
			[]string{own + `memory-request]: Invalid value: "1Gi": want at most memory-limit, which is 128Mi`},
		},
		"even though nothing is asked for": {
			map[string]string{"max-file-size": "lots"},
			[]string{own + `max-file-size]: Invalid value: "lots"`},
		},
		"even though it is forbidden": {
			map[string]string{"inject": "false", "ops-port": "x"},
			[]string{own + `ops-port]: Invalid value: "x"`},
		},
		"a long value is cut": {
			map[string]string{"inject": strings.Repeat("é", 1000)},
			[]string{own + `inject]: Invalid value: "` + strings.Repeat("é", 50) + `...": want`},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, faults := newInjector().Inject(read(t, podWith(test.annotations), kindOf(t, "Pod")), false)
			got, want := faultsOf(faults), test.want
			slices.SortFunc(got, func(a, b string) int { return strings.Compare(part(a, want), part(b, want)) })
			sameParts(t, got, want)
		})
	}
}

// part gives the place of the wanted text that is in this one, so that the test
// does not depend on the order of faults.
func part(text string, want []string) string {
	return fmt.Sprintf("%3d", slices.IndexFunc(want, func(w string) bool { return strings.Contains(text, w) }))
}

func TestSettingsWithoutTheAnnotationHaveNoEffectAndSaySo(t *testing.T) {
	result := mustInject(t, newInjector(), podWith(map[string]string{"mode": "native", "containers": "app"}), kindOf(t, "Pod"))
	if result.Wanted || len(result.Patch) > 0 {
		t.Errorf("got wanted %t and the patch %s", result.Wanted, result.Patch.JSON())
	}
	sameParts(t, result.Warnings, []string{
		`metadata.annotations[clamav-sidecar/containers] has no effect without clamav-sidecar/inject: "true", unless the namespace has the label clamav-sidecar/inject=enabled`,
		`metadata.annotations[clamav-sidecar/mode] has no effect`,
	})
}

func TestAPodThatForbidsItIsLeftWithoutAWord(t *testing.T) {
	object := read(t, podWith(map[string]string{"inject": "false", "mode": "native"}), kindOf(t, "Pod"))
	result, faults := newInjector().Inject(object, true)
	if len(faults) > 0 || result.Wanted || len(result.Patch) > 0 || len(result.Warnings) > 0 || len(result.Skipped) > 0 {
		t.Errorf("got %+v and faults %v", result, faults)
	}
}

func TestSettingsOfTheConfigurationFile(t *testing.T) {
	path := field.NewPath("defaults")
	t.Run("are taken under the annotations' names", func(t *testing.T) {
		s := inject.DefaultSettings()
		faults := s.Set(map[string]string{"image": testImage, "image-pull-policy": "Always", "memory-limit": "1Gi", "clamd-port": "0"}, path)
		if len(faults) > 0 || s.Image != testImage || s.ImagePullPolicy != "Always" || s.MemoryLimit.String() != "1Gi" || s.ClamdPort != 0 {
			t.Errorf("got %+v and faults %v", s, faults)
		}
	})
	t.Run("are refused all at once, and what is at fault is left", func(t *testing.T) {
		s := inject.DefaultSettings()
		faults := s.Set(map[string]string{"imag": "x", "memory-limit": "lots", "image-pull-policy": "Sometimes", "zzzzzzzzzzz": "", "inject": "true"}, path)
		sameParts(t, faultsOf(faults), []string{
			`defaults.imag: Invalid value: "x": unknown setting; did you mean image?`,
			`defaults.image-pull-policy: Invalid value: "Sometimes": want "Always", "IfNotPresent" or "Never"`,
			`defaults.inject: Invalid value: "true": unknown setting`,
			`defaults.memory-limit: Invalid value: "lots"`,
			`defaults.zzzzzzzzzzz: Invalid value: "": unknown setting`,
		})
		if got := s.MemoryLimit.String(); got != "128Mi" {
			t.Errorf("got the memory limit %s", got)
		}
	})
	t.Run("need an image", func(t *testing.T) {
		s := inject.DefaultSettings()
		sameParts(t, faultsOf(s.Validate(func(name string) *field.Path { return path.Child(name) })), []string{"defaults.image: Required value"})
	})
}
