package manifest_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clamav-sidecar/webhook/inject"
	"clamav-sidecar/webhook/manifest"
)

func injector() *inject.Injector {
	settings := inject.DefaultSettings()
	settings.Image = "registry.example/clamav-sidecar:1.0"
	return &inject.Injector{Defaults: settings, Native: true, Version: "1.0"}
}

func input(text string) []manifest.Input {
	return []manifest.Input{{Name: "in.yaml", Text: []byte(text)}}
}

// printed gives the output, which must have no fault.
func printed(t *testing.T, output manifest.Output) string {
	t.Helper()
	if len(output.Faults) > 0 {
		t.Fatalf("got the faults %v", output.Faults)
	}
	var b bytes.Buffer
	if err := output.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func messages(list []manifest.Message) []string {
	var texts []string
	for _, m := range list {
		texts = append(texts, m.String())
	}
	return texts
}

// pod scans, and is the shortest.
const pod = `apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations:
    clamav-sidecar/inject: "true"
spec:
  containers:
    - name: app
      image: x
`

// service is none of the injection's business.
const service = "apiVersion: v1\nkind: Service # as it is:   spaces,\n\nmetadata: {name:   'web'}\n"

func TestInjectionIsTakenBackToTheByte(t *testing.T) {
	tests := map[string]string{
		"a pod":                                      pod,
		"a pod with lines that end in CRLF":          strings.ReplaceAll(pod, "\n", "\r\n"),
		"a pod without an end of its last line":      strings.TrimSuffix(pod, "\n"),
		"a pod behind a byte order mark":             "\uFEFF" + pod,
		"a pod between documents, empty ones too":    "# first\n---\n" + service + "--- # second\n" + pod + "---\n---\n# nothing\n---\n" + service,
		"a pod with --- in a block scalar":           strings.Replace(pod, "      image: x\n", "      image: x\n      command:\n        - |\n          ---\n          # x\n", 1),
		"a pod with empty lists":                     strings.Replace(pod, "spec:\n", "spec:\n  volumes: [] # none\n  initContainers: []\n", 1),
		"a pod with an empty container list of env":  pod + "      env: []\n      volumeMounts: []\n",
		"a pod with its own volumes and comments":    pod + "      env:\n        # one\n        - name: A\n          value: \"1\" # two\n\n  # three\n  volumes:\n    - name: v\n\n# four\n",
		"a pod with init containers":                 pod + "  initContainers:\n    # waits\n    - name: wait\n      image: y\n",
		"lists that are not indented":                strings.ReplaceAll(pod, "\n    - name: app\n      image: x", "\n  - image: x\n    name: app\n    args:\n    - a"),
		"a pod in flow style":                        `{apiVersion: v1, kind: Pod, metadata: {annotations: {clamav-sidecar/inject: "true"}}, spec: {containers: [{name: app}]}}` + "\n",
		"JSON in one line":                           `{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"clamav-sidecar/inject":"true"}},"spec":{"containers":[{"name":"app","env":[]}]}}`,
		"a row of JSON documents":                    jsonPod + jsonPod + "\n" + `{"kind":"Service","apiVersion":"v1"}` + "\n",
		"a List of a pod, a service and a List":      list(pod, service, list(pod)),
		"a typed list whose items tell no kind":      typedList,
		"a workload annotated on itself only":        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  annotations:\n    clamav-sidecar/inject: \"true\"\nspec:\n  template:\n    spec:\n      containers:\n      - name: app\n",
		"keys in the order of kubectl get -o yaml":   "apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:\n    clamav-sidecar/inject: \"true\"\nspec:\n  containers:\n  - env:\n    - name: A\n      value: a\n    image: x\n    name: app\n  dnsPolicy: ClusterFirst\n",
		"a pod that shares values it keeps by alias": pod + "      securityContext: &s {runAsUser: 5}\n    - name: two\n      securityContext: *s\n",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			output := manifest.Inject(injector(), input(text))
			injected := printed(t, output)
			if output.Injected == 0 || injected == text {
				t.Fatalf("nothing was injected into\n%s", text)
			}
			checkDiff(t, output.Files[0])
			if got := printed(t, manifest.Inject(injector(), input(injected))); got != injected {
				t.Errorf("injected again it is\n%s\nwant\n%s", got, injected)
			}
			if got := printed(t, manifest.Uninject(input(injected))); got != text {
				t.Errorf("taken back it is\n%s\nwant\n%s", got, text)
			}
		})
	}
}

const jsonPod = `{
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "annotations": {
            "clamav-sidecar/inject": "true"
        }
    },
    "spec": {
        "containers": [
            {
                "name": "app"
            }
        ]
    }
}
`

const typedList = `apiVersion: batch/v1
kind: CronJobList
items:
- metadata:
    name: nightly
  spec:
    jobTemplate:
      spec:
        template:
          metadata:
            annotations: {clamav-sidecar/inject: "true"}
          spec:
            restartPolicy: Never
            containers:
            - name: app
`

// list puts documents into a List.
func list(documents ...string) string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: List\nitems:\n")
	for _, document := range documents {
		lines := strings.ReplaceAll(strings.TrimSuffix(document, "\n"), "\n", "\n  ")
		b.WriteString("- " + lines + "\n")
	}
	return b.String()
}

func TestExamplesAreInjectedAndTakenBack(t *testing.T) {
	paths, err := filepath.Glob("../../manifests/examples/*.yaml")
	if err != nil || len(paths) < 5 {
		t.Fatalf("got the examples %q (%v)", paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		output := manifest.Inject(injector(), []manifest.Input{{Name: path, Text: text}})
		injected := printed(t, output)
		if output.Injected != 1 || len(output.Warnings) > 0 {
			t.Errorf("%s: got %d injected, warnings %v; want 1 and none", path, output.Injected, output.Warnings)
		}
		checkDiff(t, output.Files[0])
		if got := printed(t, manifest.Uninject(input(injected))); got != string(text) {
			t.Errorf("%s: taken back it is\n%s", path, got)
		}
	}
}

func TestWhatDoesNotAskStaysAsItIs(t *testing.T) {
	tests := map[string]string{
		"another kind":                        service,
		"nothing":                             "",
		"comments":                            "# nothing\n---\n\n---\n",
		"a pod that does not ask":             strings.ReplaceAll(pod, `clamav-sidecar/inject: "true"`, "other: x"),
		"a pod that says no":                  strings.ReplaceAll(pod, `"true"`, `"false"`),
		"a pod with a place for another tool": strings.ReplaceAll(strings.ReplaceAll(pod, `clamav-sidecar/inject: "true"`, "other: x"), "spec:", "spec:\n  hostNetwork: ${HOST_NETWORK}"),
		"values of a chart":                   "replicas: 2\nkind:\n  of: fruit\nitems: 3\n",
		"a pod of an unknown API group":       strings.Replace(strings.ReplaceAll(pod, `clamav-sidecar/inject: "true"`, "other: x"), "v1", "example.com/v1", 1),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			output := manifest.Inject(injector(), input(text))
			if got := printed(t, output); got != text || output.Injected != 0 || len(output.Warnings) > 0 {
				t.Errorf("got %d injected, warnings %v and\n%s\nwant none of it and\n%s", output.Injected, output.Warnings, got, text)
			}
		})
	}
}

func TestAllFaultsComeAtOnceWithTheirPlaces(t *testing.T) {
	text := service + "---\n" + strings.Replace(pod, `"true"`, "true", 1) +
		"---\n" + strings.Replace(strings.Replace(pod, "name: web", "name: web\n  namespace: shop", 1), "    clamav", "    clamav-sidecar/injct: x\n    clamav-sidecar/max-file-size: lots\n    clamav", 1) +
		"---\na: 1\na: 2\n---\n- no object\n---\n" + list(service, strings.Replace(pod, "spec:", "spec:\n  hostNetwork: true", 1)) +
		"---\n" + pod + "      env: &e []\n    - name: two\n      env: *e\n"
	got := messages(manifest.Inject(injector(), input(text)).Faults)
	want := []string{
		`in.yaml, document 4 (line 31): line 32: key "a" already set in map`,
		`in.yaml, document 5 (line 34): want an object, with apiVersion and kind`,
		`in.yaml, document 2 (line 6), Pod web: failed to read the Pod: /metadata/annotations/clamav-sidecar~1inject: want a string, in quotes, not true`,
		`in.yaml, document 3 (line 17), Pod shop/web: metadata.annotations[clamav-sidecar/injct]: Invalid value: "x": unknown annotation; did you mean clamav-sidecar/inject?`,
		`in.yaml, document 3 (line 17), Pod shop/web: metadata.annotations[clamav-sidecar/max-file-size]: Invalid value: "lots": want a size from 1 to 2047M, such as 50M (bytes, K, M or G)`,
		`in.yaml, document 6 (line 36), items/1, Pod web: spec.hostNetwork: Invalid value: true: the sidecar's ports, without authentication, would be the node's; set clamav-sidecar/inject: "false"`,
		`in.yaml, document 7 (line 55), Pod web: line 65: &e is used in line 67 too, which would change too; write it out there`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestInputsThatAreNoDocuments(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"a document behind the separator": {"a: 1\n--- {b: 1}\n", "in.yaml: line 2: nothing but a comment may stand behind the --- between documents"},
		"UTF-16":                          {"\xff\xfea\x00", "in.yaml: want text in UTF-8"},
		"a template":                      {service + "---\n{{ .Values.x }}: 1\nb: 2\n", `in.yaml, document 2 (line 6): line 6: a key that is no text; is this a template that is still to be filled in?`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := messages(manifest.Inject(injector(), input(test.text)).Faults); !slices.Equal(got, []string{test.want}) {
				t.Errorf("got %q, want %s", got, test.want)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"an annotation on a kind that we do not know": {
			"apiVersion: example.com/v1\nkind: Rollout\nmetadata: {name: web}\nspec:\n  template:\n    metadata:\n      annotations: {clamav-sidecar/inject: \"true\"}\n",
			"in.yaml, document 1 (line 1), Rollout web: left as it is: kubectl clamav does not know this kind of object, which has clamav-sidecar/inject; the webhook looks at its pods when they are created"},
		"a variable that is set": {
			pod + "      env:\n        - name: CLAMD_CONF_FILENAME\n          value: /mine\n",
			"in.yaml, document 1 (line 1), Pod web: spec.containers[0].env[0]: CLAMD_CONF_FILENAME is set already and kept; ours would be /etc/clamav/clamd.conf"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := messages(manifest.Inject(injector(), input(test.text)).Warnings); !slices.Equal(got, []string{test.want}) {
				t.Errorf("got %q, want %s", got, test.want)
			}
		})
	}
}

func TestANamespaceInTheInputAsksForItsPods(t *testing.T) {
	namespace := "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels:\n    clamav-sidecar/inject: enabled\n"
	silent := strings.Replace(pod, "  annotations:\n    clamav-sidecar/inject: \"true\"\n", "", 1)
	within := strings.Replace(silent, "name: web", "name: web\n  namespace: shop", 1)
	inputs := []manifest.Input{
		{Name: "pods.yaml", Text: []byte(within + "---\n" + silent + "---\n" + strings.Replace(within, "spec:", "spec:\n  hostNetwork: true", 1))},
		{Name: "namespace.yaml", Text: []byte(namespace)},
	}
	output := manifest.Inject(injector(), inputs)
	got := printed(t, output)
	if output.Injected != 1 || strings.Count(got, "image: registry.example/clamav-sidecar:1.0") != 1 {
		t.Errorf("got %d injected and\n%s\nwant only the first", output.Injected, got)
	}
	want := []string{`pods.yaml, document 3 (line 20), Pod shop/web: left as it is, although its namespace asks for the injection: spec.hostNetwork: ` +
		`Invalid value: true: the sidecar's ports, without authentication, would be the node's; set clamav-sidecar/inject: "false"`}
	if warnings := messages(output.Warnings); !slices.Equal(warnings, want) {
		t.Errorf("got the warnings %q, want %q", warnings, want)
	}
}

func TestSeveralInputsBecomeOneStream(t *testing.T) {
	tests := map[string]struct {
		texts []string
		want  string
	}{
		"YAML":                                {[]string{"a: 1", "---\nb: 2\n", "# c\nc: 3\n"}, "---\na: 1\n---\nb: 2\n---\n# c\nc: 3\n"},
		"JSON":                                {[]string{`{"a":1}`, "{\"b\":2}\n"}, "{\"a\":1}\n{\"b\":2}\n"},
		"both, with a byte order mark within": {[]string{"{\"a\":1}\n", "\uFEFFb: 2\n"}, "---\n{\"a\":1}\n---\nb: 2\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var inputs []manifest.Input
			for i, text := range test.texts {
				inputs = append(inputs, manifest.Input{Name: fmt.Sprint(i), Text: []byte(text)})
			}
			if got := printed(t, manifest.Inject(injector(), inputs)); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}
