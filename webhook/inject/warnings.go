package inject

import (
	"fmt"
	"slices"
)

// idleWarnings tell of annotations that do nothing.
func (r *request) idleWarnings() []string {
	if r.inject == "false" {
		return nil
	}
	var warnings []string
	for _, name := range sortedKeys(r.source) {
		if key := Prefix + name; key != StatusAnnotation && key != WorkloadAnnotation {
			warnings = append(warnings, fmt.Sprintf("%s has no effect without %s: \"true\", unless the namespace has the label %s=%s",
				r.source[name], InjectAnnotation, NamespaceLabel, NamespaceEnabled))
		}
	}
	return warnings
}

// overriddenWarnings tell of annotations of a workload that its template
// contradicts.
func (o *Object) overriddenWarnings() []string {
	if o.copied() {
		return nil
	}
	var warnings []string
	for _, key := range sortedKeys(o.workload) {
		if own, found := o.pod.annotations[key]; found && own != o.workload[key].value {
			warnings = append(warnings, fmt.Sprintf("%s: %q has no effect: the pod template has %q",
				o.workload[key].path, clip(o.workload[key].value), clip(own)))
		}
	}
	return warnings
}

// warnOfEarlier tells what is not as the present settings would have it, in a
// pod that is left as it is.
func (p *plan) warnOfEarlier() {
	if p.injectedOtherwise() {
		p.warn("injected before, by version %q with other settings, and left so; for the present ones "+
			"run kubectl clamav uninject on it first", clip(p.earlier.Version))
	}
	if len(p.request.containers) > 0 {
		return
	}
	for _, c := range p.all() {
		if c.list == containersList && c.name != ContainerName && !slices.Contains(p.earlier.Containers, c.name) {
			p.warn("%s: container %q was added after the injection and does not scan", p.field(c, "name"), clip(c.name))
		}
	}
}

// warnOfSurprises tells what the injection changes, or does not do, that nobody
// may expect.
func (p *plan) warnOfSurprises() {
	if p.guaranteed() && (p.settings.CPURequest.Cmp(p.settings.CPULimit) != 0 || p.settings.MemoryRequest.Cmp(p.settings.MemoryLimit) != 0) {
		p.warn("the pod's quality of service changes from Guaranteed to Burstable: to keep it set %[1]scpu-request and %[1]smemory-request "+
			"to the sidecar's limits, %[2]s and %[3]s", Prefix, &p.settings.CPULimit, &p.settings.MemoryLimit)
	}
	if p.pod.resources {
		// https://kubernetes.io/docs/tasks/configure-pod-container/assign-pod-level-resources/
		p.warn("%s: pods are refused unless this leaves room for the sidecar's requests, %s of cpu and %s of memory",
			p.Object.path().Child("spec", "resources"), &p.settings.CPURequest, &p.settings.MemoryRequest)
	}
	for _, c := range p.chosen() {
		if p.mode() == Container && c.list == initContainersList && !c.sidecar {
			p.warn("%s: ends before the sidecar starts, which is not native here: only clamdscan with the clamav service itself works in it",
				p.Object.path().Child("spec", c.list).Index(c.index))
		}
	}
}

// guaranteed tells a pod whose containers all have limits that are their
// requests.
func (p *plan) guaranteed() bool {
	for _, c := range p.all() {
		if !c.guaranteed {
			return false
		}
	}
	return true
}

// warn adds a warning, if there is room for one more.
func (p *plan) warn(format string, values ...any) {
	if len(p.warnings) == mostWarnings {
		return
	}
	p.warnings = append(p.warnings, fmt.Sprintf(format, values...))
}
