package inject

import (
	"fmt"
	"slices"
	"strings"
)

// Uninject gives the operations that take an injection back, to the byte: with
// them an injected object is again what it was before. The patch is empty for an
// object that is not injected.
func Uninject(o *Object) (Patch, error) {
	status, fault := o.status()
	if fault != nil {
		return nil, fault
	}
	return uninject(o, status), nil
}

// uninject takes back what the status tells; nil is nothing.
func uninject(o *Object, status *Status) Patch {
	if status == nil {
		return nil
	}
	u := undoing{Object: o, status: status}
	u.list(o.pod.volumes.length, volumesList, o.pointer("spec", volumesList), indexes(o.pod.volumes.items, func(name string) bool {
		return name == VolumeName
	}))
	for _, c := range o.all() {
		if slices.Contains(status.Containers, c.name) {
			u.strip(c)
		}
	}
	isSidecar := func(c containerView) bool { return c.name == ContainerName }
	u.list(o.pod.containers.length, containersList, o.pointer("spec", containersList), indexes(o.pod.containers.items, isSidecar))
	u.list(o.pod.initContainers.length, initContainersList, o.pointer("spec", initContainersList), indexes(o.pod.initContainers.items, isSidecar))
	u.metadata()
	return u.patch
}

type undoing struct {
	*Object
	status *Status
	patch  Patch
}

// list removes items, and the list if the injection has made it.
func (u *undoing) list(length int, place, pointer string, remove []int) {
	if len(remove) == length && length > 0 && !slices.Contains(u.status.Empty, place) {
		u.patch.remove(pointer)
		return
	}
	for _, index := range slices.Backward(remove) {
		u.patch.remove(fmt.Sprintf("%s/%d", pointer, index))
	}
}

// strip takes the mount and the variables from a container.
func (u *undoing) strip(c container) {
	pointer := func(name string) string { return u.pointer("spec", c.list, fmt.Sprint(c.index), name) }
	u.list(c.mounts.length, c.place(mountsList), pointer(mountsList), indexes(c.mounts.items, isOurMount))
	var remove []int
	for _, v := range c.env.items {
		if v.isOurs() && !slices.Contains(u.status.Kept[c.name], v.name) {
			remove = append(remove, v.index)
		}
	}
	u.list(c.env.length, c.place(envList), pointer(envList), remove)
}

// isOurs tells whether a variable has a value that an injection gives it.
func (v *variable) isOurs() bool {
	if v.name == ConfVariable {
		return v.literal && (v.value == MountPath+"/"+ServiceConf || v.value == MountPath+"/"+LocalConf)
	}
	return v.literal && strings.HasPrefix(v.value, "http://127.0.0.1:") && strings.HasSuffix(v.value, "/v1/scan")
}

// metadata takes off the annotations and the label that the injection has put on
// the pod (template), and what it has made for them.
func (u *undoing) metadata() {
	annotations := []string{StatusAnnotation}
	if _, found := u.pod.annotations[WorkloadAnnotation]; found && !u.kind.IsPod() && !u.status.HadCopy {
		annotations = append(annotations, WorkloadAnnotation)
	}
	var labels []string
	if label := u.pod.label; label != nil && *label == Injected && !u.status.HadLabel {
		labels = append(labels, InjectedLabel)
	}
	var patch Patch
	made := 0 // members of the metadata that the injection has made
	for _, part := range []struct {
		place  string
		length int
		ours   []string
	}{
		{annotationsObject, u.pod.allAnnotations.length, annotations},
		{labelsObject, u.pod.allLabels.length, labels},
	} {
		pointer := u.pointer(metadataObject, part.place)
		if len(part.ours) > 0 && len(part.ours) == part.length && !slices.Contains(u.status.Empty, part.place) {
			patch.remove(pointer)
			made++
			continue
		}
		for _, key := range part.ours {
			patch.remove(pointer + "/" + escapePointer(key))
		}
	}
	if made == u.pod.metadata.length && !slices.Contains(u.status.Empty, metadataObject) {
		patch = nil
		patch.remove(u.pointer(metadataObject))
	}
	u.patch = append(u.patch, patch...)
}

// indexes gives those of the items that match, in ascending order.
func indexes[T any](items []T, match func(T) bool) []int {
	var found []int
	for i, item := range items {
		if match(item) {
			found = append(found, i)
		}
	}
	return found
}
