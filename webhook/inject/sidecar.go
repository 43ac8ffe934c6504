package inject

import (
	"encoding/json"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"clamav-sidecar/sidecar/clamd"
)

// mount is the one for the client configuration.
func mount() json.RawMessage {
	return json.RawMessage(`{"name":"` + VolumeName + `","readOnly":true,"mountPath":"` + MountPath + `"}`)
}

// isOurMount tells whether a mount is the one that an injection makes.
func isOurMount(m mountView) bool { return m.volume == VolumeName && m.path == MountPath }

// userID is that of the sidecar's process, which needs no privilege at all: the
// nobody of distroless images.
const userID = 65532

func (p *plan) volume() json.RawMessage {
	return object(member{"name", quote(nil, VolumeName)},
		member{"configMap", object(member{"name", quote(nil, p.settings.ConfigMap)})})
}

// confPath is the clamd.conf for clients.
func (p *plan) confPath() string {
	if p.settings.Clamdscan == ToSidecar {
		return MountPath + "/" + LocalConf
	}
	return MountPath + "/" + ServiceConf
}

func (p *plan) scanURL() string {
	return fmt.Sprintf("http://127.0.0.1:%d/v1/scan", p.settings.HTTPPort)
}

// newSidecar makes the container. It passes Pod Security "restricted", which is
// https://kubernetes.io/docs/concepts/security/pod-security-standards/.
func (p *plan) newSidecar() json.RawMessage {
	s := &p.settings
	c := corev1.Container{
		Name:            ContainerName,
		Image:           s.Image,
		ImagePullPolicy: s.ImagePullPolicy,
		Args:            s.arguments(),
		Env: []corev1.EnvVar{{
			// The collector works harder, and does not go to the limit, where the
			// kernel ends the process. https://pkg.go.dev/runtime: GOMEMLIMIT
			Name: "GOMEMLIMIT", Value: strconv.FormatInt(s.MemoryLimit.Value()/10*9, 10),
		}},
		Ports: []corev1.ContainerPort{{Name: "clamav-ops", ContainerPort: s.OpsPort, Protocol: corev1.ProtocolTCP}},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: s.CPURequest, corev1.ResourceMemory: s.MemoryRequest},
			Limits:   corev1.ResourceList{corev1.ResourceCPU: s.CPULimit, corev1.ResourceMemory: s.MemoryLimit},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: VolumeName, MountPath: MountPath, ReadOnly: true}},
		// The app starts when the process listens, which takes milliseconds. Nobody
		// waits for clamd: it answers here when every port of its is bound.
		StartupProbe:             s.probe("/livez", 1, 60),
		LivenessProbe:            s.probe("/livez", 10, 3),
		ReadinessProbe:           s.probe("/readyz", 5, 3),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			ReadOnlyRootFilesystem:   new(true),
			RunAsGroup:               new(int64(userID)),
			RunAsNonRoot:             new(true),
			RunAsUser:                new(int64(userID)),
			SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
	if p.mode() == Native {
		c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	}
	return marshal(c)
}

// arguments are the sidecar's flags (docs/sidecar.md).
func (s *Settings) arguments() []string {
	local := func(port int32) string {
		if port == 0 {
			return ""
		}
		return fmt.Sprintf("127.0.0.1:%d", port)
	}
	arguments := []string{
		"--clamd-conf=" + MountPath + "/" + ServiceConf,
		"--listen=" + local(s.HTTPPort),
		"--clamd-listen=" + local(s.ClamdPort),
		fmt.Sprintf("--ops-listen=:%d", s.OpsPort),
		"--max-file-size=" + clamd.FormatSize(s.MaxFileSize),
		"--scan-timeout=" + s.ScanTimeout.String(),
		"--log-level=" + s.LogLevel,
	}
	if s.RequireScanner {
		arguments = append(arguments, "--require-scanner")
	}
	return arguments
}

// probe asks the ops port. Periods are in seconds.
func (s *Settings) probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: path, Port: intstr.FromInt32(s.OpsPort), Scheme: corev1.URISchemeHTTP,
		}},
		TimeoutSeconds: 3, PeriodSeconds: period, FailureThreshold: failures,
	}
}
