package main

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"clamav-sidecar/webhook/inject"
)

// subject is a pod that asks for the injection.
type subject struct {
	name                  string
	containers, variables int // of the pod; variables of each container
	json                  []byte
}

// newSubjects makes the pods of the benchmark, as an API server sends them.
func newSubjects() ([]subject, error) {
	subjects := []subject{
		{name: "typical", containers: 2, variables: 25},
		{name: "large", containers: 10, variables: 150},
	}
	for i := range subjects {
		s := &subjects[i]
		text, err := json.Marshal(newPod(s.containers, s.variables))
		if err != nil {
			return nil, err
		}
		s.json = text
	}
	return subjects, nil
}

func (s subject) describe() string {
	return fmt.Sprintf("%s: %d containers, %d variables, %.1f KB", s.name, s.containers, s.containers*s.variables,
		float64(len(s.json))/1e3)
}

// newPod is one of a Deployment, with the defaults that an API server fills in.
func newPod(containers, variables int) *corev1.Pod {
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "checkout-6d5f8c7b9d-",
			Labels:       map[string]string{"app": "checkout", "pod-template-hash": "6d5f8c7b9d"},
			Annotations:  map[string]string{inject.InjectAnnotation: "true", "prometheus.io/scrape": "true"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "checkout-6d5f8c7b9d",
				UID: types.UID("5b0a4c54-3c3c-4e0e-9d0b-3f6f6f0f6a51"), Controller: new(true), BlockOwnerDeletion: new(true),
			}},
		},
		Spec: corev1.PodSpec{
			Volumes:                       []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
			RestartPolicy:                 corev1.RestartPolicyAlways,
			TerminationGracePeriodSeconds: new(int64(30)),
			DNSPolicy:                     corev1.DNSClusterFirst,
			ServiceAccountName:            "default",
			DeprecatedServiceAccount:      "default",
			SecurityContext:               &corev1.PodSecurityContext{},
			SchedulerName:                 corev1.DefaultSchedulerName,
			EnableServiceLinks:            new(true),
		},
	}
	for i := range containers {
		pod.Spec.Containers = append(pod.Spec.Containers, newContainer(i, variables))
	}
	return pod
}

// newContainer gets a tenth of its variables from a Secret.
func newContainer(number, variables int) corev1.Container {
	name := fmt.Sprintf("app-%d", number)
	c := corev1.Container{
		Name:  name,
		Image: "registry.example/shop/" + name + ":1.4.2",
		Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: int32(8080 + number), Protocol: corev1.ProtocolTCP}},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "tmp", MountPath: "/tmp"}},
		ReadinessProbe: &corev1.Probe{
			ProbeHandler:   corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromString("http"), Scheme: corev1.URISchemeHTTP}},
			TimeoutSeconds: 1, PeriodSeconds: 10, SuccessThreshold: 1, FailureThreshold: 3,
		},
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		ImagePullPolicy:          corev1.PullIfNotPresent,
	}
	for i := range variables {
		v := corev1.EnvVar{Name: fmt.Sprintf("SETTING_%03d", i), Value: fmt.Sprintf("value %d of %s", i, name)}
		if i%10 == 9 {
			v.Value = ""
			v.ValueFrom = &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "checkout"}, Key: fmt.Sprintf("key-%d", i),
			}}
		}
		c.Env = append(c.Env, v)
	}
	return c
}
