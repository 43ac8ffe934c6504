package inject

// Prefix begins the key of each of our annotations.
const Prefix = "clamav-sidecar/"

// Annotations that carry no setting. Those that do are in the table of
// settings.go.
const (
	// InjectAnnotation asks for the injection ("true") or forbids it ("false").
	InjectAnnotation = Prefix + "inject"
	// ContainersAnnotation names the containers that scan, comma-separated.
	ContainersAnnotation = Prefix + "containers"
	// StatusAnnotation is on each injected pod: a [Status] in JSON.
	StatusAnnotation = Prefix + "status"
	// WorkloadAnnotation is on a pod template whose workload has annotations of
	// ours on its own metadata: these, as a JSON object. They stand under one
	// key, apart from the template's own, so that it is always plain which of
	// the two somebody wrote: what is taken off the workload leaves the template
	// too, and what a team has moved to the template itself stays there.
	WorkloadAnnotation = Prefix + "workload-annotations"
)

// NamespaceLabel with the value NamespaceEnabled asks for the injection of all
// pods of a namespace that do not ask for anything themselves.
const (
	NamespaceLabel   = Prefix + "inject"
	NamespaceEnabled = "enabled"
)

// InjectedLabel with the value Injected is on each injected pod, since some can
// select pods by their labels alone, and not by annotations: the peers of a
// NetworkPolicy, a PodMonitor, kubectl get --selector. A pod or a template that
// has this label already, with any value, keeps it as it is.
const (
	InjectedLabel = Prefix + "injected"
	Injected      = "true"
)

// What an injected pod has.
const (
	// ContainerName is the sidecar's.
	ContainerName = "clamav-sidecar"
	// VolumeName is that of the volume with the client configuration, MountPath
	// where it is mounted, read-only.
	VolumeName = "clamav-configuration"
	MountPath  = "/etc/clamav"
	// ServiceConf is the clamd.conf that points clients at the clamav service,
	// LocalConf the one that points them at the sidecar. Both are keys of the
	// ConfigMap.
	ServiceConf = "clamd.conf"
	LocalConf   = "clamd.local.conf"
	// ConfVariable tells clamdscan's callers the path of their clamd.conf,
	// URLVariable HTTP clients where to send files.
	ConfVariable = "CLAMD_CONF_FILENAME"
	URLVariable  = "CLAMAV_SCAN_URL"
)
