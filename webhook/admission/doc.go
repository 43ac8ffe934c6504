// Package admission answers the API server's admission requests: [Pods] has
// pods injected as they are created, [Workloads] checks workloads as they are
// applied and carries their annotations to the pod template.
//
// What an injected pod is, package inject decides; this one reads requests,
// writes answers, counts, and says why. On the way of a pod no API call is made,
// but for the ConfigMap of a namespace that does not have it yet.
package admission
