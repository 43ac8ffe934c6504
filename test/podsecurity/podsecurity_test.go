package podsecurity

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"clamav-sidecar/webhook/inject"
)

// versions of the standards: the newest one, those of the Kubernetes versions
// that have native sidecars, and the first.
func versions() []api.Version {
	all := []api.Version{api.LatestVersion(), api.MajorMinorVersion(1, 0)}
	newest := api.GetAPIVersion()
	for minor := 28; minor <= newest.Minor(); minor++ {
		all = append(all, api.MajorMinorVersion(1, minor))
	}
	return all
}

// violations gives what a pod violates, as text; none: it is admitted.
func violations(t *testing.T, evaluator policy.Evaluator, level api.Level, version api.Version, pod *corev1.Pod) []string {
	t.Helper()
	var found []string
	for _, result := range evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: version}, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			found = append(found, result.ForbiddenReason+": "+result.ForbiddenDetail)
		}
	}
	return found
}

func newEvaluator(t *testing.T) policy.Evaluator {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return evaluator
}

func injectInto(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	document, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	kind, _ := inject.KindOf("", "Pod")
	object, err := inject.Read(document, kind)
	if err != nil {
		t.Fatal(err)
	}
	defaults := inject.DefaultSettings()
	defaults.Image = "registry.example/clamav-sidecar:1.0"
	injector := inject.Injector{Defaults: defaults, Native: true, Version: "1.0"}
	result, faults := injector.Inject(object, false)
	if len(faults) > 0 {
		t.Fatalf("%v: %s", faults.ToAggregate(), document)
	}
	patch, err := jsonpatch.DecodePatch(result.Patch.JSON())
	if err != nil {
		t.Fatal(err)
	}
	if document, err = patch.Apply(document); err != nil {
		t.Fatal(err)
	}
	var injected corev1.Pod
	if err := json.Unmarshal(document, &injected); err != nil {
		t.Fatal(err)
	}
	if sidecar(&injected) == nil {
		t.Fatalf("no sidecar in %s", document)
	}
	return &injected
}

// sidecar of the pod, nil if there is none.
func sidecar(pod *corev1.Pod) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		if i := slices.IndexFunc(list, func(c corev1.Container) bool { return c.Name == inject.ContainerName }); i >= 0 {
			return &list[i]
		}
	}
	return nil
}

// generator makes pods between privileged and restricted.
type generator struct{ *rand.Rand }

func pick[T any](g generator, choices ...T) T { return choices[g.IntN(len(choices))] }

func (g generator) often(n int) bool { return g.IntN(10) < n }

func (g generator) seccomp() *corev1.SeccompProfile {
	return pick(g, nil, &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}, &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined})
}

// container is restricted, but for what it leaves to the pod, and now and then
// for one thing or another.
func (g generator) container(name string) corev1.Container {
	s := &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		RunAsNonRoot:             pick(g, nil, new(true)),
		RunAsUser:                pick(g, nil, new(int64(1000))),
	}
	if g.often(1) {
		s.AllowPrivilegeEscalation = nil
	}
	if g.often(1) {
		s.Capabilities = &corev1.Capabilities{Add: []corev1.Capability{pick[corev1.Capability](g, "CHOWN", "SYS_ADMIN")}}
	}
	if g.often(1) {
		s.Privileged = new(true)
		s.AllowPrivilegeEscalation = nil
	}
	if g.often(1) {
		s.SeccompProfile = g.seccomp()
	}
	if g.often(1) {
		s.RunAsUser = new(int64(0))
	}
	return corev1.Container{Name: name, Image: "app:1", SecurityContext: s}
}

func (g generator) pod() *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: map[string]string{
			inject.InjectAnnotation: "true", inject.Prefix + "mode": pick(g, "native", "container", "auto"),
		}},
		Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   new(g.often(9)),
			RunAsUser:      pick(g, nil, nil, new(int64(2000))),
			FSGroup:        pick(g, nil, new(int64(3000))),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}},
	}
	if g.often(1) {
		pod.Spec.SecurityContext.SeccompProfile = g.seccomp()
	}
	if g.often(1) {
		pod.Spec.HostPID = true
	}
	if g.often(1) {
		pod.Spec.Volumes = []corev1.Volume{{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
	}
	for i := range 1 + g.IntN(2) {
		pod.Spec.Containers = append(pod.Spec.Containers, g.container(fmt.Sprint("app-", i)))
	}
	for i := range g.IntN(2) {
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, g.container(fmt.Sprint("init-", i)))
	}
	return pod
}

func TestAnInjectedPodKeepsTheStandardThatItHad(t *testing.T) {
	evaluator := newEvaluator(t)
	for _, level := range []api.Level{api.LevelRestricted, api.LevelBaseline} {
		for _, version := range versions() {
			t.Run(fmt.Sprintf("%s %s", level, version.String()), func(t *testing.T) {
				admitted, refused := 0, 0
				for seed := range uint64(300) {
					pod := generator{rand.New(rand.NewPCG(seed, 1))}.pod()
					before := violations(t, evaluator, level, version, pod)
					after := violations(t, evaluator, level, version, injectInto(t, pod))
					if len(before) > 0 {
						refused++
						continue
					}
					admitted++
					if len(after) > 0 {
						t.Errorf("pod %d: got %q", seed, after)
					}
				}
				// Both kinds of pods must be there, or nothing is tested.
				if admitted < 30 || refused < 30 {
					t.Errorf("got %d admitted and %d refused pods", admitted, refused)
				}
			})
		}
	}
}

// The sidecar stands on its own: the pod says nothing.
func TestTheSidecarAloneIsRestricted(t *testing.T) {
	evaluator := newEvaluator(t)
	for _, mode := range []inject.Mode{inject.Native, inject.Container} {
		injected := injectInto(t, generator{rand.New(rand.NewPCG(1, 1))}.podWithMode(mode))
		alone := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{*sidecar(injected)}, Volumes: injected.Spec.Volumes}}
		for _, version := range versions() {
			if found := violations(t, evaluator, api.LevelRestricted, version, alone); len(found) > 0 {
				t.Errorf("%s, %s: got %q", mode, version.String(), found)
			}
		}
	}
}

func (g generator) podWithMode(mode inject.Mode) *corev1.Pod {
	pod := g.pod()
	pod.Annotations[inject.Prefix+"mode"] = string(mode)
	return pod
}

// sabotages make a sidecar that no longer is restricted.
var sabotages = map[string]func(c *corev1.Container){
	"privileged":                   func(c *corev1.Container) { c.SecurityContext.Privileged = new(true) },
	"with privilege escalation":    func(c *corev1.Container) { c.SecurityContext.AllowPrivilegeEscalation = nil },
	"with capabilities":            func(c *corev1.Container) { c.SecurityContext.Capabilities = nil },
	"as root":                      func(c *corev1.Container) { c.SecurityContext.RunAsUser = new(int64(0)) },
	"perhaps as root":              func(c *corev1.Container) { c.SecurityContext.RunAsNonRoot = new(false) },
	"without seccomp":              func(c *corev1.Container) { c.SecurityContext.SeccompProfile = nil },
	"without a security context":   func(c *corev1.Container) { c.SecurityContext = nil },
	"with a port of the node":      func(c *corev1.Container) { c.Ports[0].HostPort = 3312 },
	"with a probe of another host": func(c *corev1.Container) { c.StartupProbe.HTTPGet.Host = "169.254.169.254" },
	"with an unconfined AppArmor": func(c *corev1.Container) {
		c.SecurityContext.AppArmorProfile = &corev1.AppArmorProfile{Type: "Unconfined"}
	},
	"with an unmasked /proc":         func(c *corev1.Container) { c.SecurityContext.ProcMount = new(corev1.UnmaskedProcMount) },
	"with a SELinux user of its own": func(c *corev1.Container) { c.SecurityContext.SELinuxOptions = &corev1.SELinuxOptions{User: "root"} },
}

func TestASidecarThatIsNotRestrictedIsFound(t *testing.T) {
	evaluator := newEvaluator(t)
	for _, mode := range []inject.Mode{inject.Native, inject.Container} {
		for name, sabotage := range sabotages {
			t.Run(fmt.Sprintf("%s %s", mode, name), func(t *testing.T) {
				// A pod with nothing of its own to violate, and nothing for the
				// sidecar to inherit.
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
					inject.InjectAnnotation: "true", inject.Prefix + "mode": string(mode),
				}}}
				pod.Spec.Containers = []corev1.Container{{Name: "app", SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
					RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
				}}}
				injected := injectInto(t, pod)
				if found := violations(t, evaluator, api.LevelRestricted, api.LatestVersion(), injected); len(found) > 0 {
					t.Fatalf("before: got %q", found)
				}
				sabotage(sidecar(injected))
				if found := violations(t, evaluator, api.LevelRestricted, api.LatestVersion(), injected); len(found) == 0 {
					t.Error("got no violation")
				}
			})
		}
	}
}
