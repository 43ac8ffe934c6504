package inject

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
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

// Bounds of what is read, far above what anybody needs: objects come from
// whoever may create pods, and a fault costs a message.
const (
	mostAnnotations = 100     // with our prefix, of an object
	longestValue    = 4 << 10 // bytes of one that a team writes
	longestCopy     = 64 << 10
	mostFaults      = 20 // told at once, of obstacles
	mostWarnings    = 20
)

// read takes the annotations of a pod, or of a pod template and its workload.
// The former win. All faults are given, and the request then is as good as it
// can be.
func (i *Injector) read(o *Object) (request, field.ErrorList) {
	own := o.path().Child("metadata", "annotations")
	r := request{settings: i.Defaults, source: map[string]*field.Path{}, own: own}
	workload, faults := o.workloadAnnotations()
	if n := len(workload) + len(o.pod.annotations); n > mostAnnotations {
		return r, field.ErrorList{field.TooMany(own, n, mostAnnotations)}
	}
	for key, of := range workload {
		if _, overridden := o.pod.annotations[key]; !overridden {
			faults = append(faults, r.take(key, of.value, of.path)...)
		}
	}
	for key, value := range o.pod.annotations {
		faults = append(faults, r.take(key, value, own.Key(clip(key)))...)
	}
	faults = append(faults, r.settings.Validate(r.path)...)
	faults = append(faults, i.validateLocal(&r)...)
	slices.SortStableFunc(faults, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
	return r, faults
}

// validateLocal looks at whether clamdscan finds the sidecar: the ConfigMap that
// we keep names the port of our own configuration.
func (i *Injector) validateLocal(r *request) field.ErrorList {
	s := &r.settings
	if s.Clamdscan != ToSidecar || s.ConfigMap != i.Defaults.ConfigMap || s.ClamdPort == i.Defaults.ClamdPort || s.ClamdPort == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(r.path("clamd-port"), s.ClamdPort, fmt.Sprintf(
		"clamdscan %q uses %s of ConfigMap %q, which has port %d; want that port, or a ConfigMap of your own (%sconfig-map)",
		ToSidecar, LocalConf, s.ConfigMap, i.Defaults.ClamdPort, Prefix))}
}

// workloadAnnotations are those that stand on the workload: read from it, or
// from what was made of its template.
func (o *Object) workloadAnnotations() (map[string]annotation, field.ErrorList) {
	if !o.copied() {
		return o.workload, nil
	}
	carried, found := o.pod.annotations[WorkloadAnnotation]
	if !found {
		return nil, nil
	}
	path := o.path().Child("metadata", "annotations").Key(WorkloadAnnotation)
	var values map[string]string
	isOther := func(key string) bool { return !strings.HasPrefix(key, Prefix) }
	if err := json.Unmarshal([]byte(carried), &values); err != nil || len(carried) > longestCopy || slices.ContainsFunc(sortedKeys(values), isOther) {
		return nil, field.ErrorList{field.Invalid(path, clip(carried), "this annotation is the webhook's; remove it")}
	}
	annotations := make(map[string]annotation, len(values))
	for key, value := range values {
		annotations[key] = annotation{value, path.Key(clip(key))}
	}
	return annotations, nil
}

// copied tells an object whose pod (template) is a copy of a workload's. A Job
// of a CronJob that nobody has checked, because it is older than the webhook, has
// got nothing from it but annotations of its own.
func (o *Object) copied() bool {
	_, carried := o.pod.annotations[WorkloadAnnotation]
	return o.kind.IsPod() || o.made && carried
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

// errTooLong is for values that nobody writes.
var errTooLong = fmt.Errorf("want at most %d bytes", longestValue)

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
		if len(value) > longestValue {
			return errTooLong
		}
		return containerNames(&r.containers, value)
	case StatusAnnotation, WorkloadAnnotation:
		return nil // read where they are used
	}
	if len(value) > longestValue {
		return errTooLong
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
