package inject

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// request is what the annotations of a pod, or of a pod template and its
// workload, ask for.
type request struct {
	settings Settings
	// inject is the value of that annotation, "" where there is none.
	inject string
	// containers are those named; none means all app containers.
	containers []string
	// source is the path of the annotation that set something, by its name
	// without the prefix.
	source map[string]*field.Path
	// own is the path of the pod's annotations.
	own *field.Path
}

// path is that of an annotation, whether it is there or not: where something is
// wrong with a default, the annotation is the remedy.
func (r *request) path(name string) *field.Path {
	if path, set := r.source[name]; set {
		return path
	}
	return r.own.Key(Prefix + name)
}

// read takes the annotations of a pod, or of a pod template and its workload.
// The former win. All faults are given, and the request then is as good as it
// can be.
func (i *Injector) read(o *Object) (request, field.ErrorList) {
	own := o.path().Child("metadata", "annotations")
	r := request{settings: i.Defaults, source: map[string]*field.Path{}, own: own}
	workload, path, faults := o.workloadAnnotations()
	for key, value := range workload {
		if _, overridden := o.pod.annotations[key]; !overridden {
			faults = append(faults, r.take(key, value, path.Key(key))...)
		}
	}
	for key, value := range o.pod.annotations {
		faults = append(faults, r.take(key, value, own.Key(key))...)
	}
	faults = append(faults, r.settings.Validate(r.path)...)
	slices.SortStableFunc(faults, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
	return r, faults
}

// workloadAnnotations are those that stand on the workload: read from it, or
// from the pod that got them from it.
func (o *Object) workloadAnnotations() (map[string]string, *field.Path, field.ErrorList) {
	if !o.kind.IsPod() {
		return o.workload, field.NewPath("metadata", "annotations"), nil
	}
	carried, found := o.pod.annotations[WorkloadAnnotation]
	if !found {
		return nil, nil, nil
	}
	path := field.NewPath("metadata", "annotations").Key(WorkloadAnnotation)
	var annotations map[string]string
	if err := json.Unmarshal([]byte(carried), &annotations); err != nil {
		return nil, nil, field.ErrorList{field.Invalid(path, clip(carried), "this annotation is the webhook's; remove it")}
	}
	return annotations, path, nil
}

// take takes one annotation.
func (r *request) take(key, value string, path *field.Path) field.ErrorList {
	name := strings.TrimPrefix(key, Prefix)
	r.source[name] = path
	if err := r.set(name, value); err != nil {
		return field.ErrorList{field.Invalid(path, clip(value), err.Error())}
	}
	return nil
}

// set takes one annotation.
func (r *request) set(name, value string) error {
	switch Prefix + name {
	case InjectAnnotation:
		var inject bool
		if err := boolean(&inject, value); err != nil {
			return err
		}
		r.inject = value
		return nil
	case ContainersAnnotation:
		return containerNames(&r.containers, value)
	case StatusAnnotation, WorkloadAnnotation:
		return nil // read where they are used
	}
	i := slices.IndexFunc(settingsTable, func(known setting) bool { return known.name == name && !known.fileOnly })
	if i < 0 {
		return unknown(name)
	}
	return settingsTable[i].set(&r.settings, value)
}

// unknown is the error for an annotation with our prefix that we do not know.
func unknown(name string) error {
	nearest := Nearest(name, annotationNames())
	if nearest == "" {
		return errors.New("unknown annotation; known are " + strings.Join(annotationNames(), ", "))
	}
	return errors.New("unknown annotation" + didYouMean(Prefix+nearest))
}

// annotationNames are those that a team may write, without the prefix.
func annotationNames() []string {
	names := []string{strings.TrimPrefix(InjectAnnotation, Prefix), strings.TrimPrefix(ContainersAnnotation, Prefix)}
	for _, known := range settingsTable {
		if !known.fileOnly {
			names = append(names, known.name)
		}
	}
	slices.Sort(names)
	return names
}

func containerNames(target *[]string, text string) error {
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if name == "" || slices.Contains(names, name) {
			return errors.New("want names of containers, each once, separated by commas")
		}
		names = append(names, name)
	}
	*target = names
	return nil
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
