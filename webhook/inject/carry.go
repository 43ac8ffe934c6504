package inject

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Check is for a workload that somebody applies: it gives every fault that would
// keep its pods from being injected, while there is somebody to read it, and the
// operations that carry the annotations on the workload's own metadata to its
// pod template. One that was made from another workload's template is left as it
// is. The template itself is not injected: its pods are, later.
func (i *Injector) Check(o *Object) (Result, field.ErrorList) {
	result, faults := i.Inject(o, false)
	if len(faults) > 0 {
		return Result{}, faults
	}
	p := newPlan(o)
	p.carry()
	result.Patch = p.patch
	if len(o.workload) > 0 && !o.copied() {
		result.Warnings = append([]string{o.carryWarning()}, result.Warnings...)
	}
	return result, nil
}

func (o *Object) carryWarning() string {
	return fmt.Sprintf("%s on the %s itself: carried to %s for its pods; better write them to %s.metadata.annotations",
		strings.Join(sortedKeys(o.workload), ", "), o.kind.Name, o.path(), o.path())
}

// carry brings the template's copy of the workload's own annotations up to date.
func (p *plan) carry() {
	if p.kind.IsPod() || !p.pod.present {
		return
	}
	present, found := p.pod.annotations[WorkloadAnnotation]
	p.done.HadCopy = found
	if p.copied() {
		return
	}
	if len(p.workload) == 0 {
		if found {
			p.patch.remove(p.pointer("metadata", "annotations", escapePointer(WorkloadAnnotation)))
		}
		return
	}
	values := make(map[string]string, len(p.workload))
	for key, of := range p.workload {
		values[key] = of.value
	}
	if want := string(marshal(values)); !found || present != want {
		p.annotate(WorkloadAnnotation, func() string { return want })
	}
}
