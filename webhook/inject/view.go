package inject

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podView is what the injection has to know of a pod or a pod template. It is
// read straight from the JSON: fields that are not listed here are skipped, and
// none is ever written back, so that fields newer than this program survive.
type podView struct {
	present        bool
	metadata       extent            // all of its members
	annotations    map[string]string // those with our prefix
	allAnnotations extent
	label          *string // the value of InjectedLabel; nil: it is absent
	allLabels      extent
	mirror         bool // made by a kubelet of a static pod
	hostNetwork    bool
	os             string // spec.os.name, or the node selector for it
	restartPolicy  string
	resources      bool         // has requests or limits of the pod as a whole
	volumes        list[string] // names
	containers     list[containerView]
	initContainers list[containerView]
}

// extent is that of a list or an object. One that is absent and one that is null
// are the same; an empty one is not, since it need not be made.
type extent struct {
	present bool
	length  int
}

// list is one of the pod's lists: the items that are of interest.
type list[T any] struct {
	extent
	items []T
}

type containerView struct {
	name    string
	sidecar bool // restartPolicy Always: runs as long as the app does
	// guaranteed: it has limits of cpu and memory, and no other requests.
	guaranteed bool
	ports      []portView
	mounts     list[mountView]
	// env's items are the variables that are ours to set; its length counts all.
	env list[variable]
}

// portView is a TCP port; index is its place among all of the container's.
type portView struct {
	index  int
	number int64
}

type mountView struct{ volume, path string }

// variable is one of a container's environment. Literal tells a value from one
// that Kubernetes gets elsewhere.
type variable struct {
	index       int
	name, value string
	literal     bool
}

// Object is a pod or a workload, as far as the injection has to know it.
type Object struct {
	kind Kind
	// workload has the annotations with our prefix that stand on the workload
	// itself, or, in a CronJob, on its Jobs.
	workload map[string]annotation
	// made tells a workload that was made from the template of another one, such
	// as the Job of a CronJob. What was carried to that template is all it has.
	made bool
	pod  podView // it, or the workload's pod template
}

// annotation is one of a workload, and its path.
type annotation struct {
	value string
	path  *field.Path
}

// Read reads the JSON of an object of this kind. Only what the injection looks
// at must have the right types; an error names the place as a JSON pointer.
func Read(document []byte, kind Kind) (*Object, error) {
	o := &Object{kind: kind}
	o.pod.present = kind.IsPod()
	r := newReader(document)
	if err := r.object(o.member); err != nil {
		return nil, fmt.Errorf("failed to read the %s: %w", kind.Name, err)
	}
	if _, err := r.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("failed to read the %s: something follows the object", kind.Name)
	}
	return o, nil
}

func (o *Object) member(r reader, key []byte) (known bool, err error) {
	switch {
	case o.kind.IsPod():
		return o.pod.member(r, key)
	case string(key) == "metadata":
		return true, r.object(o.readMetadata)
	}
	return o.descend(r, key, o.kind.template)
}

// descend reads the pod template at the end of the way.
func (o *Object) descend(r reader, key []byte, way []string) (known bool, err error) {
	if string(key) != way[0] {
		return false, nil
	}
	if len(way) == 1 {
		o.pod.present = r.PeekKind() == '{'
		return true, r.object(o.pod.member)
	}
	return true, r.object(func(r reader, key []byte) (bool, error) {
		if way[0] == "jobTemplate" && string(key) == "metadata" {
			return true, r.object(func(r reader, key []byte) (bool, error) {
				return o.readAnnotations(r, key, field.NewPath("spec", "jobTemplate", "metadata", "annotations"), true)
			})
		}
		return o.descend(r, key, way[1:])
	})
}

// readMetadata reads that of a workload.
func (o *Object) readMetadata(r reader, key []byte) (known bool, err error) {
	if string(key) != "ownerReferences" {
		return o.readAnnotations(r, key, field.NewPath("metadata", "annotations"), false)
	}
	return true, r.array(func(r reader) error {
		var version, kind string
		err := r.object(func(r reader, key []byte) (bool, error) {
			switch string(key) {
			case "apiVersion":
				return true, r.text(&version)
			case "kind":
				return true, r.text(&kind)
			}
			return false, nil
		})
		group, _, _ := strings.Cut(version, "/")
		if _, isWorkload := KindOf(group, kind); isWorkload {
			o.made = true
		}
		return err
	})
}

// readAnnotations reads those with our prefix. A CronJob can have some twice: on
// itself, and on its Jobs, which are nearer to the pods and win.
func (o *Object) readAnnotations(r reader, key []byte, path *field.Path, wins bool) (known bool, err error) {
	if string(key) != "annotations" {
		return false, nil
	}
	var annotations map[string]string
	err = r.object(func(r reader, key []byte) (bool, error) { return readOurs(&annotations, r, key) })
	for key, value := range annotations {
		if key == StatusAnnotation || key == WorkloadAnnotation {
			continue // the webhook's, copied from elsewhere
		}
		if o.workload == nil {
			o.workload = map[string]annotation{}
		}
		if _, found := o.workload[key]; wins || !found {
			o.workload[key] = annotation{value, path.Key(clip(key))}
		}
	}
	return true, err
}

func (p *podView) member(r reader, key []byte) (known bool, err error) {
	switch string(key) {
	case "metadata":
		p.metadata.present = r.PeekKind() == '{'
		return true, r.object(p.readMetadata)
	case "spec":
		return true, r.object(p.readSpec)
	}
	return false, nil
}

func (p *podView) readMetadata(r reader, key []byte) (known bool, err error) {
	p.metadata.length++
	switch string(key) {
	case "annotations":
		p.allAnnotations.present = r.PeekKind() == '{'
		return true, r.object(p.readAnnotation)
	case "labels":
		p.allLabels.present = r.PeekKind() == '{'
		return true, r.object(p.readLabel)
	}
	return false, nil
}

func (p *podView) readAnnotation(r reader, key []byte) (known bool, err error) {
	p.allAnnotations.length++
	if string(key) == "kubernetes.io/config.mirror" {
		p.mirror = true
	}
	return readOurs(&p.annotations, r, key)
}

func (p *podView) readLabel(r reader, key []byte) (known bool, err error) {
	p.allLabels.length++
	if string(key) != InjectedLabel {
		return false, nil
	}
	p.label = new(string)
	return true, r.text(p.label)
}

// readOurs reads an annotation with our prefix.
func readOurs(annotations *map[string]string, r reader, key []byte) (known bool, err error) {
	if !bytes.HasPrefix(key, []byte(Prefix)) {
		return false, nil
	}
	name, value := string(key), ""
	if err := r.text(&value); err != nil {
		return true, err
	}
	if *annotations == nil {
		*annotations = map[string]string{}
	}
	(*annotations)[name] = value
	return true, nil
}

func (p *podView) readSpec(r reader, key []byte) (known bool, err error) {
	switch string(key) {
	case "hostNetwork":
		return true, r.boolean(&p.hostNetwork)
	case "restartPolicy":
		return true, r.text(&p.restartPolicy)
	case "resources":
		p.resources = r.PeekKind() == '{'
	case "os":
		return true, r.object(func(r reader, key []byte) (bool, error) {
			return string(key) == "name", r.textIf(string(key) == "name", &p.os)
		})
	case "nodeSelector":
		return true, r.object(func(r reader, key []byte) (bool, error) {
			isOS := (string(key) == "kubernetes.io/os" || string(key) == "beta.kubernetes.io/os") && p.os == ""
			return isOS, r.textIf(isOS, &p.os)
		})
	case "volumes":
		return true, readList(r, &p.volumes, func(name *string, r reader, key []byte) (bool, error) {
			return string(key) == "name", r.textIf(string(key) == "name", name)
		})
	case "containers":
		return true, readList(r, &p.containers, (*containerView).read)
	case "initContainers":
		return true, readList(r, &p.initContainers, (*containerView).read)
	}
	return false, nil
}

func (c *containerView) read(r reader, key []byte) (known bool, err error) {
	switch string(key) {
	case "name":
		return true, r.text(&c.name)
	case "restartPolicy":
		var policy string
		err := r.text(&policy)
		c.sidecar = policy == "Always"
		return true, err
	case "resources":
		return true, c.readResources(r)
	case "ports":
		return true, c.readPorts(r)
	case "volumeMounts":
		return true, readList(r, &c.mounts, (*mountView).read)
	case "env":
		return true, c.readEnv(r)
	}
	return false, nil
}

// readResources compares requests and limits as they are written, which is how
// an API server gives equal ones.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/
func (c *containerView) readResources(r reader) error {
	var requests, limits struct{ cpu, memory string }
	err := r.object(func(r reader, key []byte) (bool, error) {
		quantities := &requests
		switch string(key) {
		case "limits":
			quantities = &limits
		case "requests":
		default:
			return false, nil
		}
		return true, r.object(func(r reader, key []byte) (bool, error) {
			switch string(key) {
			case "cpu":
				return true, r.raw(&quantities.cpu)
			case "memory":
				return true, r.raw(&quantities.memory)
			}
			return false, nil
		})
	})
	c.guaranteed = limits.cpu != "" && limits.memory != "" &&
		(requests.cpu == "" || requests.cpu == limits.cpu) && (requests.memory == "" || requests.memory == limits.memory)
	return err
}

// readPorts keeps the TCP ports: a UDP port of the same number is another one.
func (c *containerView) readPorts(r reader) error {
	index := 0
	return r.array(func(r reader) error {
		number, protocol := int64(0), ""
		err := r.object(func(r reader, key []byte) (bool, error) {
			switch string(key) {
			case "containerPort":
				return true, r.integer(&number)
			case "protocol":
				return true, r.text(&protocol)
			}
			return false, nil
		})
		if protocol == "" || protocol == "TCP" { // which is the default
			c.ports = append(c.ports, portView{index, number})
		}
		index++
		return err
	})
}

func (m *mountView) read(r reader, key []byte) (known bool, err error) {
	switch string(key) {
	case "name":
		return true, r.text(&m.volume)
	case "mountPath":
		return true, r.text(&m.path)
	}
	return false, nil
}

// readEnv keeps the variables that are ours to set. A pod can have thousands of
// others, which cost next to nothing: no text is made of them.
func (c *containerView) readEnv(r reader) error {
	c.env.present = r.PeekKind() == '['
	return r.array(func(r reader) error {
		var v variable
		err := r.object(func(r reader, key []byte) (bool, error) {
			switch string(key) {
			case "name":
				return true, r.oneOf(&v.name, ConfVariable, URLVariable)
			case "value":
				if v.name == "" {
					// Somebody else's, or of ours with its name behind it, which
					// no API server writes.
					return false, nil
				}
				v.literal = true
				return true, r.text(&v.value)
			}
			return false, nil
		})
		if v.name != "" {
			v.index = c.env.length
			c.env.items = append(c.env.items, v)
		}
		c.env.length++
		return err
	})
}
