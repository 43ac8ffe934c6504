package main

import (
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"clamav-sidecar/webhook/inject"
)

// newWays gives ours first, then the plain way of a webhook written with
// controller-runtime (decode into the type, change it, write it, have the two
// texts compared) with each of the two decoders, and the parts that decode.
func newWays(injector *inject.Injector, s subject) ([]way, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	decoder := admission.NewDecoder(scheme)
	universal := func(pod []byte, into *corev1.Pod) error {
		return decoder.DecodeRaw(runtime.RawExtension{Raw: pod}, into)
	}
	standard := func(pod []byte, into *corev1.Pod) error { return json.Unmarshal(pod, into) }
	added, err := newAdditions(injector, s.json)
	if err != nil {
		return nil, err
	}
	return []way{
		{"inject (ours)", func(pod []byte) error {
			_, err := ours(injector, pod)
			return err
		}},
		{"plain, universal decoder", func(pod []byte) error { return plain(pod, universal, added) }},
		{"plain, encoding/json", func(pod []byte) error { return plain(pod, standard, added) }},
		{"universal decoder alone", func(pod []byte) error { return universal(pod, &corev1.Pod{}) }},
		{"encoding/json alone", func(pod []byte) error { return standard(pod, &corev1.Pod{}) }},
	}, nil
}

// ours is what the webhook does between request and answer.
func ours(injector *inject.Injector, pod []byte) (patch []byte, err error) {
	kind, _ := inject.KindOf("", "Pod")
	object, err := inject.Read(pod, kind)
	if err != nil {
		return nil, err
	}
	result, faults := injector.Inject(object, false)
	if len(faults) > 0 {
		return nil, faults.ToAggregate()
	}
	if len(result.Patch) == 0 {
		return nil, errors.New("nothing was injected")
	}
	return result.Patch.JSON(), nil
}

// additions are what an injection adds, ready made, so that the plain way has
// nothing to do for them.
type additions struct {
	sidecar corev1.Container
	status  string
}

// newAdditions takes them from a patch of ours, for a pod without init
// containers.
func newAdditions(injector *inject.Injector, pod []byte) (*additions, error) {
	patch, err := ours(injector, pod)
	if err != nil {
		return nil, err
	}
	var operations []inject.Operation
	if err := json.Unmarshal(patch, &operations); err != nil {
		return nil, err
	}
	var sidecars []corev1.Container
	var status string
	for _, operation := range operations {
		switch operation.Path {
		case "/spec/initContainers":
			err = json.Unmarshal(operation.Value, &sidecars)
		case "/metadata/annotations/clamav-sidecar~1status":
			err = json.Unmarshal(operation.Value, &status)
		}
		if err != nil {
			return nil, fmt.Errorf("failed to read the operation at %s: %w", operation.Path, err)
		}
	}
	if len(sidecars) != 1 || status == "" {
		return nil, fmt.Errorf("the patch adds %d sidecars and the status %q", len(sidecars), status)
	}
	return &additions{sidecars[0], status}, nil
}

// plain is the plain way, with a decoder.
func plain(pod []byte, decode func([]byte, *corev1.Pod) error, added *additions) error {
	var decoded corev1.Pod
	if err := decode(pod, &decoded); err != nil {
		return err
	}
	added.to(&decoded)
	changed, err := json.Marshal(&decoded)
	if err != nil {
		return err
	}
	response := admission.PatchResponseFromRaw(pod, changed)
	if len(response.Patches) == 0 {
		return errors.New("nothing was injected")
	}
	_, err = json.Marshal(response.Patches)
	return err
}

// to does to a pod what the injection does.
func (a *additions) to(pod *corev1.Pod) {
	spec := &pod.Spec
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: inject.VolumeName, VolumeSource: corev1.VolumeSource{
		ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "clamav-configuration"}},
	}})
	for i := range spec.Containers {
		c := &spec.Containers[i]
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: inject.VolumeName, MountPath: inject.MountPath, ReadOnly: true})
		c.Env = append(c.Env, corev1.EnvVar{Name: inject.ConfVariable, Value: inject.MountPath + "/" + inject.ServiceConf},
			corev1.EnvVar{Name: inject.URLVariable, Value: "http://127.0.0.1:3311/v1/scan"})
	}
	spec.InitContainers = append(spec.InitContainers, a.sidecar)
	pod.Annotations[inject.StatusAnnotation] = a.status
	pod.Labels[inject.InjectedLabel] = inject.Injected
}
