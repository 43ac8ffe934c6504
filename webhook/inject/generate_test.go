package inject_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"clamav-sidecar/webhook/inject"
)

// generator writes pods and workloads that ask for the injection and can be
// injected, as raw JSON.
type generator struct {
	*rand.Rand
	// odd allows fields that Kubernetes does not know, with any values.
	odd bool
}

func newGenerator(seed uint64, odd bool) generator {
	return generator{rand.New(rand.NewPCG(seed, 1)), odd}
}

// often is true n times out of ten.
func (g generator) often(n int) bool { return g.IntN(10) < n }

func pick[T any](g generator, choices ...T) T { return choices[g.IntN(len(choices))] }

// members makes an object. Those that are "" are left out.
func (g generator) members(members ...string) string {
	var present []string
	for _, m := range members {
		if m != "" {
			present = append(present, m)
		}
	}
	for g.odd && g.often(3) {
		unknown := pick(g, `"x-future"`, `"a/b~c"`, `""`, `"\u00e9\""`, `"Containers"`, `"ENV"`, `"~0~1"`, `"spec "`) + ":" + g.value(0)
		if key, _, _ := strings.Cut(unknown, ":"); !strings.Contains(strings.Join(present, ","), key) {
			present = append(present, unknown)
		}
	}
	g.Shuffle(len(present), func(i, j int) { present[i], present[j] = present[j], present[i] })
	return "{" + strings.Join(present, ",") + "}"
}

// value is any JSON.
func (g generator) value(depth int) string {
	if depth < 4 && g.often(2) {
		return "[" + g.value(depth+1) + "," + g.value(depth+1) + "]"
	}
	if depth < 4 && g.often(2) {
		return `{"env":` + g.value(depth+1) + `,"k/~":` + g.value(depth+1) + "}"
	}
	return pick(g, "1e400", "12345678901234567890", "-0", "0.10", "1E+2", "-1.5e-300", `"\u00e9\n\/"`, `"\ud83d\ude00"`, `"é😀"`,
		`""`, "null", "true", "[]", "{}", "[[],{},null]", `"<&>\u2028"`, `"clamav-sidecar/inject"`,
		strings.Repeat("[", 60)+strings.Repeat("]", 60))
}

func member(name, value string) string { return fmt.Sprintf("%q:%s", name, value) }

func text(name, value string) string { return fmt.Sprintf("%q:%q", name, value) }

// list makes a member of up to most items; it may be absent, null or empty.
func (g generator) list(name string, least, most int, item func(i int) string) string {
	n := least + g.IntN(most-least+1)
	if n == 0 {
		return pick(g, "", member(name, "null"), member(name, "[]"))
	}
	items := make([]string, n)
	for i := range items {
		items[i] = item(i)
	}
	return member(name, "["+strings.Join(items, ",")+"]")
}

func (g generator) env(i int) string {
	name := fmt.Sprintf("VAR_%d", i)
	if g.often(1) {
		name = pick(g, inject.ConfVariable, inject.URLVariable)
	}
	value := pick(g, text("value", "x"), text("value", ""), "",
		member("valueFrom", `{"fieldRef":{"fieldPath":"metadata.name"}}`))
	return g.members(text("name", name), value)
}

func (g generator) mount(i int) string {
	return g.members(text("name", fmt.Sprintf("volume-%d", i)), text("mountPath", fmt.Sprint("/data/", i)),
		pick(g, "", member("readOnly", "true"), text("subPath", "a/b")))
}

func (g generator) port(i int) string {
	return pick(g, fmt.Sprintf(`{"containerPort":%d}`, 8000+i), fmt.Sprintf(`{"containerPort":%d,"protocol":"TCP","name":"p%d"}`, 9000+i, i),
		fmt.Sprintf(`{"containerPort":%d,"protocol":"UDP"}`, 3310+i))
}

func (g generator) container(name string, mayBeSidecar bool) string {
	policy := ""
	if mayBeSidecar && g.often(3) {
		policy = text("restartPolicy", "Always")
	}
	return g.members(text("name", name), text("image", "app:1"), policy,
		g.list("env", 0, 5, g.env), g.list("volumeMounts", 0, 3, g.mount), g.list("ports", 0, 3, g.port),
		pick(g, "", member("envFrom", `[{"configMapRef":{"name":"c"}}]`)),
		pick(g, "", member("resources", `{"limits":{"cpu":"1","memory":"1e3"},"requests":null}`)),
		pick(g, "", member("command", `["sh","-c","echo \u003cb\u003e \"x\""]`)),
		pick(g, "", member("securityContext", `{"runAsUser":0}`)))
}

// podMembers are a pod's (template's): metadata with these annotations, and spec.
func (g generator) podMembers(annotations map[string]string, named bool) []string {
	name := ""
	if named {
		name = pick(g, text("name", "web"), text("generateName", "web-"))
	}
	keys := ""
	if len(annotations) > 0 {
		if g.often(5) {
			annotations["example/owner"] = "a <b> & c"
		}
		written, _ := json.Marshal(annotations)
		keys = member("annotations", string(written))
	} else {
		keys = pick(g, "", member("annotations", "null"), member("annotations", "{}"), member("annotations", `{"a/b":"c"}`))
	}
	labels := g.labels()
	metadata := member("metadata", g.members(name, keys, labels, pick(g, "", member("creationTimestamp", "null"))))
	if keys == "" && name == "" && labels == "" && g.often(5) {
		metadata = pick(g, "", member("metadata", "null"), member("metadata", "{}"))
	}
	spec := g.members(
		g.list("containers", 1, 4, func(i int) string { return g.container(fmt.Sprintf("app-%d", i), false) }),
		g.list("initContainers", 0, 3, func(i int) string { return g.container(fmt.Sprintf("init-%d", i), true) }),
		g.list("volumes", 0, 3, func(i int) string {
			return g.members(text("name", fmt.Sprintf("volume-%d", i)), member("emptyDir", "{}"))
		}),
		pick(g, "", text("restartPolicy", "Always")), pick(g, "", member("hostNetwork", "false")),
		pick(g, "", member("os", `{"name":"linux"}`), member("nodeSelector", `{"kubernetes.io/os":"linux","a":"b"}`)),
		pick(g, "", member("tolerations", `[{"operator":"Exists"}]`)))
	return []string{metadata, member("spec", spec)}
}

// labels are absent, null or empty, somebody's own, or have the injection's with
// any value.
func (g generator) labels() string {
	return pick(g, "", member("labels", "null"), member("labels", "{}"), member("labels", `{"app":"web","version":null}`),
		member("labels", fmt.Sprintf("{%s}", text(inject.InjectedLabel, pick(g, "true", "false", "")))),
		member("labels", fmt.Sprintf(`{%s,"app":"web"}`, pick(g, text(inject.InjectedLabel, "true"), member(inject.InjectedLabel, "null")))))
}

// annotations ask for the injection.
func (g generator) annotations() map[string]string {
	annotations := map[string]string{inject.InjectAnnotation: "true"}
	for key, values := range map[string][]string{
		"mode": {"native", "container", "auto"}, "clamdscan": {"service", "local"}, "containers": {"app-0"},
		"max-file-size": {"50M", "1"}, "scan-timeout": {"30s", "1h"}, "log-level": {"debug"}, "require-scanner": {"true"},
		"memory-limit": {"1Gi"}, "ops-port": {"4001"}, "clamd-port": {"4002"},
	} {
		if g.often(2) {
			annotations[inject.Prefix+key] = pick(g, values...)
		}
	}
	if annotations[inject.Prefix+"clamdscan"] == "local" {
		delete(annotations, inject.Prefix+"clamd-port") // which is in clamd.local.conf
	}
	return annotations
}

// templates has the way to each workload's pod template.
var templates = map[string]string{
	"Deployment": "spec/template", "StatefulSet": "spec/template", "DaemonSet": "spec/template", "ReplicaSet": "spec/template",
	"ReplicationController": "spec/template", "Job": "spec/template", "CronJob": "spec/jobTemplate/spec/template", "PodTemplate": "template",
}

func (g generator) pod() []byte {
	annotations := g.annotations()
	return []byte(g.members(append(g.podMembers(annotations, true), text("kind", "Pod"))...))
}

// workload asks by its template's annotations, by its own, or by both.
func (g generator) workload(kind string) []byte {
	own, template := map[string]string{}, map[string]string{}
	for key, value := range g.annotations() {
		switch g.IntN(3) {
		case 0:
			own[key] = value
		case 1:
			template[key] = value
		default:
			own[key], template[key] = value, value
		}
	}
	ownMembers, _ := json.Marshal(own)
	inner := g.members(g.podMembers(template, false)...)
	way := strings.Split(templates[kind], "/")
	for i := len(way) - 1; i > 0; i-- {
		inner = g.members(member(way[i], inner), pick(g, "", member("replicas", "2"), member("suspend", "null")))
	}
	metadata := text("name", "web")
	if len(own) > 0 || g.often(3) {
		metadata += "," + member("annotations", string(ownMembers))
	}
	return []byte(g.members(member(way[0], inner), text("kind", kind), member("metadata", "{"+metadata+"}")))
}
