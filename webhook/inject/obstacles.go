package inject

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The origins ([field.Error.Origin]) of faults that are obstacles. Faults of
// annotations have none.
const (
	NoContainers     = "no-containers"
	HostNetwork      = "host-network"
	Windows          = "windows"
	StaticPod        = "static-pod"
	NeverEnds        = "never-ends"
	UnknownContainer = "unknown-container"
	NameClash        = "name-clash"
	PortClash        = "port-clash"
	MountClash       = "mount-clash"
)

// obstacles are all that keep the pod from being injected. Each names both
// parties and the remedy.
func (p *plan) obstacles() field.ErrorList {
	faults := p.podObstacles()
	faults = append(faults, p.unknownContainers()...)
	if p.earlier == nil {
		faults = append(faults, p.nameClashes()...)
	}
	for _, c := range p.all() {
		if p.earlier != nil && c.name == ContainerName || len(faults) > mostFaults {
			continue
		}
		faults = append(faults, p.portClashes(c)...)
	}
	for _, c := range p.chosen() {
		if len(faults) > mostFaults {
			break
		}
		faults = append(faults, p.mountClashes(c)...)
	}
	if len(faults) > mostFaults {
		faults = append(faults[:mostFaults], field.Forbidden(p.Object.path().Child("spec"), "there are more faults, which are not listed"))
	}
	return faults
}

// podObstacles are of the pod as a whole.
func (p *plan) podObstacles() field.ErrorList {
	var faults field.ErrorList
	spec := p.Object.path().Child("spec")
	if p.pod.containers.length == 0 {
		faults = append(faults, field.Required(spec.Child("containers"), "there is nothing to inject").WithOrigin(NoContainers))
	}
	if p.pod.hostNetwork {
		faults = append(faults, field.Invalid(spec.Child("hostNetwork"), true,
			"the sidecar's ports, without authentication, would be the node's; "+p.optOut()).WithOrigin(HostNetwork))
	}
	if strings.EqualFold(p.pod.os, "windows") {
		faults = append(faults, field.Invalid(spec.Child("os", "name"), clip(p.pod.os), "the sidecar runs on Linux only; "+p.optOut()).WithOrigin(Windows))
	}
	if p.pod.mirror {
		faults = append(faults, field.Invalid(p.Object.path().Child("metadata", "annotations").Key("kubernetes.io/config.mirror"), "",
			"a static pod cannot use ConfigMaps; "+p.optOut()).WithOrigin(StaticPod))
	}
	if p.mode() == Container && p.pod.restartPolicy != "" && p.pod.restartPolicy != "Always" {
		faults = append(faults, field.Invalid(p.request.path("mode"), string(p.settings.Mode), fmt.Sprintf(
			"a sidecar that is not native never ends, nor would this pod with %s %s; want mode %q, which needs Kubernetes 1.29",
			spec.Child("restartPolicy"), p.pod.restartPolicy, Native)).WithOrigin(NeverEnds))
	}
	return faults
}

func (p *plan) optOut() string {
	return fmt.Sprintf("set %s: \"false\"", InjectAnnotation)
}

// unknownContainers are named by annotation and not there.
func (p *plan) unknownContainers() field.ErrorList {
	var faults field.ErrorList
	var names []string
	for _, c := range p.all() {
		if c.name != ContainerName {
			names = append(names, c.name)
		}
	}
	for _, name := range p.request.containers {
		if len(faults) > mostFaults {
			break
		}
		if !slices.Contains(names, name) {
			hint := didYouMean(Nearest(name, names))
			if hint == "" {
				hint = "; there are " + clip(strings.Join(names, ", "))
			}
			faults = append(faults, field.Invalid(p.request.path("containers"), clip(name), "no container has this name"+hint).WithOrigin(UnknownContainer))
		}
	}
	return faults
}

// strippedHint is for the rare case in which a pod comes back from another
// webhook with all that we have added but the annotation that says so.
const strippedHint = " (if it is the injection's own, something has removed the annotation " + StatusAnnotation + ")"

// nameClashes are with the volume and the container of the injection.
func (p *plan) nameClashes() field.ErrorList {
	var faults field.ErrorList
	spec := p.Object.path().Child("spec")
	if i := slices.Index(p.pod.volumes.items, VolumeName); i >= 0 {
		faults = append(faults, field.Invalid(spec.Child("volumes").Index(i).Child("name"), VolumeName,
			"the injection adds a volume of this name, for the client configuration; remove yours, or rename it"+strippedHint).WithOrigin(NameClash))
	}
	for _, c := range p.all() {
		if c.name == ContainerName && len(faults) <= mostFaults {
			faults = append(faults, field.Invalid(spec.Child(c.list).Index(c.index).Child("name"), ContainerName,
				"the injection adds a container of this name, the sidecar; remove yours, or rename it"+strippedHint).WithOrigin(NameClash))
		}
	}
	return faults
}

// portClashes are with the sidecar's ports, for the containers of a pod share
// their addresses.
func (p *plan) portClashes(c container) field.ErrorList {
	var faults field.ErrorList
	for _, port := range c.ports {
		for _, ours := range p.settings.ports() {
			if port.number == int64(ours.number) && len(faults) <= mostFaults {
				faults = append(faults, field.Invalid(p.field(c, "ports").Index(port.index).Child("containerPort"), port.number, fmt.Sprintf(
					"the sidecar listens on this port; choose another for container %q, or for the sidecar by %s", clip(c.name), Prefix+ours.setting)).WithOrigin(PortClash))
			}
		}
	}
	return faults
}

// mountClashes are with our mount: another one at its place, or below it, where
// the container would not start since ours is read-only.
func (p *plan) mountClashes(c container) field.ErrorList {
	var faults field.ErrorList
	for i, m := range c.mounts.items {
		if p.earlier != nil && isOurMount(m) || len(faults) > mostFaults {
			continue
		}
		// A path without the first slash means the same to Kubernetes.
		if at := path.Clean("/" + m.path); at == MountPath || strings.HasPrefix(at, MountPath+"/") {
			faults = append(faults, field.Invalid(p.field(c, "volumeMounts").Index(i).Child("mountPath"), clip(m.path), fmt.Sprintf(
				"the injection mounts the client configuration at %s; mount volume %q of container %q elsewhere, or leave the container out of %s",
				MountPath, clip(m.volume), clip(c.name), ContainersAnnotation)).WithOrigin(MountClash))
		}
	}
	return faults
}

// field is the path of a container's field.
func (p *plan) field(c container, name string) *field.Path {
	return p.Object.path().Child("spec", c.list).Index(c.index).Child(name)
}
