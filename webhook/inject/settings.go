package inject

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Mode is the way in which the sidecar runs.
type Mode string

// The modes.
const (
	// Auto is Native where every kubelet supports it, else Container.
	Auto Mode = "auto"
	// Native is an init container with restartPolicy Always: it starts before
	// the app's containers, stops after them, and lets Jobs complete.
	Native Mode = "native"
	// Container is one more container beside the app's.
	Container Mode = "container"
)

// Clamdscan tells where CLAMD_CONF_FILENAME points clients.
type Clamdscan string

// The two ways.
const (
	ToService Clamdscan = "service" // to the clamav service itself
	ToSidecar Clamdscan = "local"   // to the sidecar
)

// Settings are what a team may choose by annotations; the webhook's own
// configuration gives the defaults. The zero Settings are not valid: begin with
// [DefaultSettings].
type Settings struct {
	Image           string
	ImagePullPolicy corev1.PullPolicy // "": Kubernetes' default for the image
	Mode            Mode
	Clamdscan       Clamdscan
	// MaxFileSize in bytes; ScanTimeout is what clamd may take for one file.
	MaxFileSize    int64
	ScanTimeout    time.Duration
	LogLevel       string
	RequireScanner bool
	// ConfigMap is the name of the one with the client configuration.
	ConfigMap string
	// HTTPPort and ClamdPort are on localhost, OpsPort on every address of the
	// pod. ClamdPort 0 turns that endpoint off.
	HTTPPort, ClamdPort, OpsPort                     int32
	CPURequest, CPULimit, MemoryRequest, MemoryLimit resource.Quantity
}

// DefaultSettings are complete but for the image.
func DefaultSettings() Settings {
	return Settings{
		Mode:          Auto,
		Clamdscan:     ToService,
		MaxFileSize:   100 << 20,
		ScanTimeout:   2 * time.Minute,
		LogLevel:      "info",
		ConfigMap:     "clamav-configuration",
		HTTPPort:      3311,
		ClamdPort:     3310,
		OpsPort:       3312,
		CPURequest:    resource.MustParse("10m"),
		CPULimit:      resource.MustParse("1"),
		MemoryRequest: resource.MustParse("32Mi"),
		MemoryLimit:   resource.MustParse("128Mi"),
	}
}

// setting is one that has a name: an annotation's, without the prefix, and the
// same in the webhook's configuration file.
type setting struct {
	name string
	// set parses a value. The error tells what is wanted.
	set func(s *Settings, text string) error
	// fileOnly is not to be set by annotation.
	fileOnly bool
}

// settingsTable has every setting.
var settingsTable = []setting{
	{name: "clamdscan", set: func(s *Settings, text string) error {
		return oneOf(&s.Clamdscan, text, ToService, ToSidecar)
	}},
	{name: "clamd-port", set: func(s *Settings, text string) error { return port(&s.ClamdPort, text, true) }},
	{name: "config-map", set: func(s *Settings, text string) error { return objectName(&s.ConfigMap, text) }},
	{name: "cpu-limit", set: func(s *Settings, text string) error { return quantity(&s.CPULimit, text) }},
	{name: "cpu-request", set: func(s *Settings, text string) error { return quantity(&s.CPURequest, text) }},
	{name: "http-port", set: func(s *Settings, text string) error { return port(&s.HTTPPort, text, false) }},
	{name: "image", set: func(s *Settings, text string) error { return imageName(&s.Image, text) }},
	{name: "image-pull-policy", fileOnly: true, set: func(s *Settings, text string) error {
		return oneOf(&s.ImagePullPolicy, text, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
	}},
	{name: "log-level", set: func(s *Settings, text string) error {
		return oneOf(&s.LogLevel, text, "debug", "info", "warn", "error")
	}},
	{name: "max-file-size", set: func(s *Settings, text string) error { return fileSize(&s.MaxFileSize, text) }},
	{name: "memory-limit", set: func(s *Settings, text string) error { return memory(&s.MemoryLimit, text) }},
	{name: "memory-request", set: func(s *Settings, text string) error { return memory(&s.MemoryRequest, text) }},
	{name: "mode", set: func(s *Settings, text string) error { return oneOf(&s.Mode, text, Auto, Native, Container) }},
	{name: "ops-port", set: func(s *Settings, text string) error { return port(&s.OpsPort, text, false) }},
	{name: "require-scanner", set: func(s *Settings, text string) error { return boolean(&s.RequireScanner, text) }},
	{name: "scan-timeout", set: func(s *Settings, text string) error { return scanTimeout(&s.ScanTimeout, text) }},
}

// Set takes the defaults of annotations from the webhook's configuration file,
// under the annotations' names without the prefix. It gives every fault; what
// is at fault keeps its value.
func (s *Settings) Set(values map[string]string, path *field.Path) field.ErrorList {
	var faults field.ErrorList
	for _, name := range sortedKeys(values) {
		i := slices.IndexFunc(settingsTable, func(known setting) bool { return known.name == name })
		if i < 0 {
			faults = append(faults, field.Invalid(path.Child(name), clip(values[name]), "unknown setting"+
				didYouMean(Nearest(name, settingNames()))))
			continue
		}
		if err := settingsTable[i].set(s, values[name]); err != nil {
			faults = append(faults, field.Invalid(path.Child(name), clip(values[name]), err.Error()))
		}
	}
	return faults
}

// Validate looks at what is missing, and at values that do not go together.
// Names maps the name of a setting to its path.
func (s *Settings) Validate(path func(name string) *field.Path) field.ErrorList {
	var faults field.ErrorList
	if s.Image == "" {
		faults = append(faults, field.Required(path("image"), "the sidecar's image, such as registry.example/clamav-sidecar:1.0"))
	}
	faults = append(faults, s.validatePorts(path)...)
	if s.Clamdscan == ToSidecar && s.ClamdPort == 0 {
		faults = append(faults, field.Invalid(path("clamdscan"), s.Clamdscan,
			`clamd-port "0" turns off the port that clamdscan would use; want clamdscan "service", or a port`))
	}
	atMost := func(request, limit string, least, most *resource.Quantity) {
		if least.Cmp(*most) > 0 {
			faults = append(faults, field.Invalid(path(request), least.String(),
				"want at most "+limit+", which is "+most.String()))
		}
	}
	atMost("cpu-request", "cpu-limit", &s.CPURequest, &s.CPULimit)
	atMost("memory-request", "memory-limit", &s.MemoryRequest, &s.MemoryLimit)
	if floor := resource.MustParse(leastMemory); s.MemoryLimit.Cmp(floor) < 0 {
		faults = append(faults, field.Invalid(path("memory-limit"), s.MemoryLimit.String(),
			"want at least "+leastMemory+", which the sidecar needs"))
	}
	return faults
}

// leastMemory is below what the sidecar takes for a few scans at a time
// (docs/benchmarks.md). Less than this is most often a forgotten unit: 64 are
// 64 bytes.
const leastMemory = "32Mi"

func (s *Settings) validatePorts(path func(name string) *field.Path) field.ErrorList {
	var faults field.ErrorList
	owner := map[int32]string{}
	for _, p := range s.ports() {
		if other, taken := owner[p.number]; taken {
			faults = append(faults, field.Invalid(path(p.setting), p.number, other+" is the same; want a port of its own"))
		}
		owner[p.number] = p.setting
	}
	return faults
}

// usedPort is one that the sidecar listens on.
type usedPort struct {
	setting string
	number  int32
}

func (s *Settings) ports() []usedPort {
	ports := []usedPort{{"http-port", s.HTTPPort}, {"ops-port", s.OpsPort}}
	if s.ClamdPort != 0 {
		ports = append(ports, usedPort{"clamd-port", s.ClamdPort})
	}
	return ports
}

func settingNames() []string {
	names := make([]string, len(settingsTable))
	for i, known := range settingsTable {
		names[i] = known.name
	}
	return names
}

func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return "; did you mean " + name + "?"
}

// clip bounds a value of somebody else's in a message.
func clip(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
