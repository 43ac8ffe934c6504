package inject

import (
	"encoding/json"
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
	// Skipped says why a pod is left, or made again, as it was that its namespace, and not the pod
	// itself, asked to inject; empty if that is not the case.
	Skipped field.ErrorList
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
	p := newPlan(o)
	p.request, p.injector = r, i
	p.follow(status)
	var obstacles field.ErrorList
	if !p.injectedOtherwise() {
		obstacles = p.obstacles()
	}
	if r.inject == "" && len(faults) == 0 && len(obstacles) > 0 {
		result.Skipped = obstacles
		// What has come up since an injection a moment ago: another webhook's doing.
		if p.injected() {
			result.Patch = uninject(o, p.earlier)
		}
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

// plan is an injection in the making.
type plan struct {
	*Object
	request
	injector *Injector
	sidecar  json.RawMessage // the container
	earlier  *Status         // an earlier injection; nil: none
	done     Status          // what there is after this one
	patch    Patch
	warnings []string
	// metadata, annotations and labels are those of the pod (template) as the patch
	// so far has made them.
	metadata, annotations, labels extent
}

func newPlan(o *Object) *plan {
	return &plan{Object: o, metadata: o.pod.metadata, annotations: o.pod.allAnnotations, labels: o.pod.allLabels}
}

// follow makes this the plan of an injection after an earlier one, if there was
// one.
func (p *plan) follow(earlier *Status) {
	p.sidecar = p.newSidecar()
	if p.earlier = earlier; earlier != nil {
		p.done = *earlier
	}
	p.done.Version, p.done.Mode = p.injector.Version, p.mode()
	p.done.Hash = hash(p.sidecar, p.settings.ConfigMap, p.confPath())
}

// injected tells whether an earlier injection is complete. (What an earlier one
// has made may have been changed by others since; that is theirs to do.)
func (p *plan) injected() bool {
	return p.earlier != nil && slices.Contains(p.pod.volumes.items, VolumeName) && p.hasSidecar()
}

// injectedOtherwise tells whether it was made with other settings: then the
// present ones say nothing about the pod.
func (p *plan) injectedOtherwise() bool { return p.injected() && p.earlier.Hash != p.done.Hash }

// chosen are the containers that scan. The sidecar itself is none of them.
func (p *plan) chosen() []container {
	wanted := p.request.containers
	if p.injected() {
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

// The lists and objects that the injection adds to.
const (
	metadataObject     = "metadata"
	annotationsObject  = "annotations"
	labelsObject       = "labels"
	volumesList        = "volumes"
	containersList     = "containers"
	initContainersList = "initContainers"
	mountsList         = "volumeMounts"
	envList            = "env"
)

// place is what [Status].Empty calls a list of the container. It has no index:
// others add containers, and so does the injection.
func (c container) place(list string) string { return c.name + "/" + list }

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
	if p.injected() {
		p.warnOfEarlier()
		return
	}
	p.warnOfSurprises()
	if slices.Index(p.pod.volumes.items, VolumeName) < 0 {
		p.extend(p.pod.volumes.extent, volumesList, p.pointer("spec", volumesList), p.volume())
	}
	p.done.Containers = nil
	for _, c := range p.chosen() {
		p.done.Containers = append(p.done.Containers, c.name)
		p.equip(c)
	}
	p.addSidecar()
	p.label()
	p.annotate(StatusAnnotation, func() string { return string(marshal(p.done)) })
}

func (p *plan) hasSidecar() bool {
	return slices.ContainsFunc(p.all(), func(c container) bool { return c.name == ContainerName })
}

// extend appends values to a list of the object, which is made if it is absent.
func (p *plan) extend(present extent, place, pointer string, values ...json.RawMessage) {
	if !present.present {
		p.patch.add(pointer, array(values))
		return
	}
	p.note(present, place)
	for _, value := range values {
		p.patch.add(pointer+"/-", value)
	}
}

// note remembers a list or an object that is there and empty, and must be so
// again when the injection is taken back.
func (p *plan) note(present extent, place string) {
	if present.present && present.length == 0 {
		p.done.Empty = append(p.done.Empty, place)
	}
}

// equip gives a container the mount and the variables.
func (p *plan) equip(c container) {
	pointer := func(name string) string { return p.pointer("spec", c.list, strconv.Itoa(c.index), name) }
	if !slices.ContainsFunc(c.mounts.items, isOurMount) {
		p.extend(c.mounts.extent, c.place(mountsList), pointer(mountsList), mount())
	}
	var missing []json.RawMessage
	for _, ours := range []variable{{name: ConfVariable, value: p.confPath()}, {name: URLVariable, value: p.scanURL()}} {
		i := slices.IndexFunc(c.env.items, func(v variable) bool { return v.name == ours.name })
		if i < 0 {
			missing = append(missing, object(member{"name", quote(nil, ours.name)}, member{"value", quote(nil, ours.value)}))
			continue
		}
		if p.earlier == nil || !slices.Contains(p.earlier.Containers, c.name) {
			p.done.keep(c.name, ours.name)
		}
		if v := c.env.items[i]; !v.literal || v.value != ours.value {
			p.warn("%s: %s is set already and kept; ours would be %s", p.field(c, envList).Index(v.index), ours.name, ours.value)
		}
	}
	if len(missing) > 0 {
		p.extend(c.env.extent, c.place(envList), pointer(envList), missing...)
	}
}

// addSidecar comes last of all that is done to containers: it moves the init
// containers.
func (p *plan) addSidecar() {
	if p.hasSidecar() {
		return
	}
	if p.mode() == Container {
		p.extend(p.pod.containers.extent, containersList, p.pointer("spec", containersList), p.sidecar)
		return
	}
	pointer := p.pointer("spec", initContainersList)
	if p.pod.initContainers.length == 0 {
		p.extend(p.pod.initContainers.extent, initContainersList, pointer, p.sidecar)
		return
	}
	p.patch.add(pointer+"/0", p.sidecar)
}

// label gives the pod (template) the label by which others select it.
func (p *plan) label() {
	present := p.pod.label
	if present == nil {
		p.done.HadLabel = false // or it has been taken off since
		p.extendMetadata(&p.labels, labelsObject, InjectedLabel, func() string { return Injected })
		return
	}
	if p.earlier == nil { // whose status would tell
		p.done.HadLabel = true
	}
	if *present != Injected {
		p.warn("%s: %q is set already and kept; the chart's NetworkPolicy and monitoring go by %q and leave the pods out unless you remove it",
			p.Object.path().Child(metadataObject, labelsObject).Key(InjectedLabel), clip(*present), Injected)
	}
}

// annotate sets an annotation of the pod (template). The value is asked for when
// all else is known.
func (p *plan) annotate(key string, value func() string) {
	p.extendMetadata(&p.annotations, annotationsObject, key, value)
}

// extendMetadata sets a member of the annotations or the labels, which are made
// if they are absent.
func (p *plan) extendMetadata(present *extent, place, key string, value func() string) {
	metadata, pointer := p.pointer(metadataObject), p.pointer(metadataObject, place)
	switch {
	case present.present:
		p.note(*present, place)
		p.patch.add(pointer+"/"+escapePointer(key), quote(nil, value()))
	case p.metadata.present:
		p.note(p.metadata, metadataObject)
		p.patch.add(pointer, object(member{key, quote(nil, value())}))
	default:
		p.patch.add(metadata, object(member{place, object(member{key, quote(nil, value())})}))
	}
	p.metadata = extent{present: true, length: p.metadata.length + 1}
	*present = extent{present: true, length: present.length + 1}
}
