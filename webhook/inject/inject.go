package inject

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Injector turns pods into pods that scan. It holds no state: its methods may be
// called from any number of goroutines, as long as nobody changes its fields.
type Injector struct {
	// Defaults are for what a team has not set by annotation.
	Defaults Settings
	// Native tells that every kubelet of the cluster supports native sidecars.
	Native bool
	// Version of this build, for the status annotation.
	Version string
}

// Result of an injection.
type Result struct {
	// Patch for the whole object, empty where nothing is to be changed.
	Patch Patch
	// Wanted tells that the pod is to be injected, or is so already.
	Wanted bool
	// Skipped says why a pod is left as it is that its namespace, and not the pod
	// itself, asked to inject; "" if that is not the case.
	Skipped string
	// Warnings are for whoever applies the object.
	Warnings []string
	// ConfigMap is the name of the client configuration that the pod mounts.
	ConfigMap string
}

// Inject gives the operations that make an object's pods scan. What asks for it
// is the annotation, or, where there is none, the pod's namespace. A pod that
// has been injected before is left as it is.
//
// The faults are all that stand in the way, each with its path and the remedy;
// there is no result then. A pod that did not itself ask for the injection is
// skipped instead, unless its annotations are at fault.
func (i *Injector) Inject(o *Object, namespaceAsks bool) (Result, field.ErrorList) {
	r, faults := i.read(o)
	result := Result{ConfigMap: r.settings.ConfigMap, Warnings: o.overriddenWarnings()}
	if r.inject != "true" && (r.inject != "" || !namespaceAsks) {
		result.Warnings = append(result.Warnings, r.idleWarnings()...)
		return result, faults
	}
	status, err := o.status()
	if err != nil {
		faults = append(faults, err)
	}
	p := plan{Object: o, request: r, earlier: status, injector: i}
	obstacles := p.obstacles()
	if r.inject == "" && len(faults) == 0 && len(obstacles) > 0 {
		result.Skipped = obstacles.ToAggregate().Error()
		return result, nil
	}
	if faults = append(faults, obstacles...); len(faults) > 0 {
		return Result{}, faults
	}
	result.Wanted = true
	p.carry()
	p.inject()
	result.Patch = p.patch
	result.Warnings = append(result.Warnings, p.warnings...)
	return result, nil
}

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
	var warnings []string
	for _, key := range sortedKeys(o.workload) {
		if own, found := o.pod.annotations[key]; found && own != o.workload[key] {
			warnings = append(warnings, fmt.Sprintf("metadata.annotations[%s]: %q has no effect: the pod template has %q",
				key, clip(o.workload[key]), clip(own)))
		}
	}
	return warnings
}

// plan is an injection in the making.
type plan struct {
	*Object
	request
	injector *Injector
	earlier  *Status // an earlier injection; nil: none
	done     Status  // what this one does
	patch    Patch
	warnings []string
}

// chosen are the containers that scan. The sidecar itself is none of them.
func (p *plan) chosen() []container {
	wanted := p.request.containers
	if p.earlier != nil {
		wanted = p.earlier.Containers
	}
	var chosen []container
	for _, c := range p.all() {
		if c.name != ContainerName && (slices.Contains(wanted, c.name) || len(wanted) == 0 && c.list == containersList) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// container is one of the pod, and where it stands.
type container struct {
	*containerView
	list  string // containersList or initContainersList
	index int
}

const (
	containersList     = "containers"
	initContainersList = "initContainers"
)

// all are the pod's containers, the app's first.
func (o *Object) all() []container {
	all := make([]container, 0, len(o.pod.containers.items)+len(o.pod.initContainers.items))
	for i := range o.pod.containers.items {
		all = append(all, container{&o.pod.containers.items[i], containersList, i})
	}
	for i := range o.pod.initContainers.items {
		all = append(all, container{&o.pod.initContainers.items[i], initContainersList, i})
	}
	return all
}

// path is that of the pod (template) in the object, for messages.
func (o *Object) path() *field.Path {
	if o.kind.IsPod() {
		return nil
	}
	return field.NewPath(o.kind.template[0], o.kind.template[1:]...)
}

// pointer is the same for operations.
func (o *Object) pointer(parts ...string) string {
	return o.kind.Pointer() + "/" + strings.Join(parts, "/")
}

// mode is Native or Container.
func (p *plan) mode() Mode {
	if p.settings.Mode != Auto {
		return p.settings.Mode
	}
	if p.injector.Native {
		return Native
	}
	return Container
}

// inject makes the operations for what is not there yet.
func (p *plan) inject() {
	sidecar := p.sidecar()
	settings := hash(sidecar, p.settings.ConfigMap, p.confPath())
	if p.injected() {
		if p.earlier.Hash != settings {
			p.warnings = append(p.warnings, fmt.Sprintf("injected before, by version %q with other settings, and left so; "+
				"for the present ones run kubectl clamav uninject on it first", clip(p.earlier.Version)))
		}
		return
	}
	if p.earlier != nil {
		p.done = *p.earlier
	}
	p.done.Version, p.done.Hash, p.done.Mode, p.done.Containers = p.injector.Version, settings, p.mode(), nil
	if slices.Index(p.pod.volumes.items, VolumeName) < 0 {
		p.extend(p.pod.volumes.extent, p.pointer("spec", "volumes"), p.volume())
	}
	for _, c := range p.chosen() {
		p.done.Containers = append(p.done.Containers, c.name)
		p.equip(c)
	}
	p.addSidecar(sidecar)
	p.annotate(StatusAnnotation, func() string { return string(marshal(p.done)) })
}

// injected tells whether an earlier injection is complete. (What an earlier one
// has made may have been changed by others since; that is theirs to do.)
func (p *plan) injected() bool {
	return p.earlier != nil && slices.Contains(p.pod.volumes.items, VolumeName) && p.hasSidecar()
}

func (p *plan) hasSidecar() bool {
	return slices.ContainsFunc(p.all(), func(c container) bool { return c.name == ContainerName })
}

// extend appends values to a list of the object, which is made if it is absent.
func (p *plan) extend(present extent, pointer string, values ...json.RawMessage) {
	if !present.present {
		p.patch.add(pointer, array(values))
		return
	}
	p.note(present, pointer)
	for _, value := range values {
		p.patch.add(pointer+"/-", value)
	}
}

// note remembers a list or an object that is there and empty, and must be so
// again when the injection is taken back.
func (p *plan) note(present extent, pointer string) {
	if present.present && present.length == 0 {
		p.done.Empty = append(p.done.Empty, pointer)
	}
}

// equip gives a container the mount and the variables.
func (p *plan) equip(c container) {
	pointer := func(name string) string { return p.pointer("spec", c.list, strconv.Itoa(c.index), name) }
	if !slices.ContainsFunc(c.mounts.items, isOurMount) {
		p.extend(c.mounts.extent, pointer("volumeMounts"), mount())
	}
	var missing []json.RawMessage
	for _, ours := range []variable{{name: ConfVariable, value: p.confPath()}, {name: URLVariable, value: p.scanURL()}} {
		i := slices.IndexFunc(c.env.items, func(v variable) bool { return v.name == ours.name })
		if i < 0 {
			missing = append(missing, object(member{"name", quote(nil, ours.name)}, member{"value", quote(nil, ours.value)}))
			continue
		}
		if p.earlier == nil {
			p.done.keep(c.name, ours.name)
		}
		if v := c.env.items[i]; !v.literal || v.value != ours.value {
			p.warnings = append(p.warnings, fmt.Sprintf("%s: %s is set already and kept; ours would be %s",
				p.field(c, "env").Index(v.index), ours.name, ours.value))
		}
	}
	if len(missing) > 0 {
		p.extend(c.env.extent, pointer("env"), missing...)
	}
}

// addSidecar comes last of all that is done to containers: it moves the init
// containers.
func (p *plan) addSidecar(sidecar json.RawMessage) {
	if p.hasSidecar() {
		return
	}
	if p.mode() == Container {
		p.extend(p.pod.containers.extent, p.pointer("spec", containersList), sidecar)
		return
	}
	pointer := p.pointer("spec", initContainersList)
	if p.pod.initContainers.length == 0 {
		p.extend(p.pod.initContainers.extent, pointer, sidecar)
		return
	}
	p.patch.add(pointer+"/0", sidecar)
}

// annotate sets an annotation of the pod (template). The value is asked for when
// all else is known.
func (p *plan) annotate(key string, value func() string) {
	metadata, annotations := p.pointer("metadata"), p.pointer("metadata", "annotations")
	switch {
	case p.pod.allAnnotations.present:
		p.note(p.pod.allAnnotations, annotations)
		p.patch.add(annotations+"/"+escapePointer(key), quote(nil, value()))
	case p.pod.metadata.present:
		p.note(p.pod.metadata, metadata)
		p.patch.add(annotations, object(member{key, quote(nil, value())}))
	default:
		p.patch.add(metadata, object(member{"annotations", object(member{key, quote(nil, value())})}))
	}
	// Another annotation finds it so.
	p.pod.metadata = extent{present: true, length: p.pod.metadata.length + 1}
	p.pod.allAnnotations = extent{present: true, length: p.pod.allAnnotations.length + 1}
}
