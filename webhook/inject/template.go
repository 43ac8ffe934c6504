package inject

import (
	"slices"
	"strings"
)

// Kind is one of the kinds of objects that hold a pod template, or a pod.
type Kind struct {
	Group, Name string
	// template is the way from the object to the pod template; none for a pod.
	template []string
}

// The kinds that the webhook looks at, and, from ReplicaSet on, those that only
// the command line does: their pods are injected when they are created.
var kinds = []Kind{
	{"", "Pod", nil},
	{"apps", "Deployment", []string{"spec", "template"}},
	{"apps", "StatefulSet", []string{"spec", "template"}},
	{"apps", "DaemonSet", []string{"spec", "template"}},
	{"batch", "Job", []string{"spec", "template"}},
	{"batch", "CronJob", []string{"spec", "jobTemplate", "spec", "template"}},
	{"apps", "ReplicaSet", []string{"spec", "template"}},
	{"", "ReplicationController", []string{"spec", "template"}},
	{"", "PodTemplate", []string{"template"}},
}

// KindOf looks a kind up. Group is the API group, "" for the core one.
func KindOf(group, name string) (Kind, bool) {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Group == group && k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}

// IsPod tells a pod from a workload with a pod template.
func (k Kind) IsPod() bool { return len(k.template) == 0 }

// Pointer is the JSON pointer (RFC 6901) of the pod template in the object, ""
// for a pod.
func (k Kind) Pointer() string {
	if k.IsPod() {
		return ""
	}
	return "/" + strings.Join(k.template, "/")
}

// SupportsNative tells whether every kubelet of a cluster with this API server
// has native sidecars: they are on by default since 1.29, and kubelets may be
// three minor versions older than the API server.
// https://kubernetes.io/releases/version-skew-policy/
func SupportsNative(major, minor int) bool { return major > 1 || major == 1 && minor >= 32 }
