package admission

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"clamav-sidecar/webhook/inject"
)

// Workloads checks what somebody applies while there is somebody to read the
// answer: pods are made later, by a controller.
type Workloads struct{ config Config }

func (w *Workloads) decide(ctx context.Context, request admission.Request) decision {
	kind, known := inject.KindOf(request.Kind.Group, request.Kind.Kind)
	if !known || kind.IsPod() || request.SubResource != "" ||
		request.Operation != admissionv1.Create && request.Operation != admissionv1.Update {
		return unchanged("not-ours")
	}
	object, err := inject.Read(request.Object.Raw, kind)
	if err != nil {
		return unreadable(request, err)
	}
	result, faults := w.config.Injector().Check(object)
	if len(faults) > 0 {
		return refused(request, faults)
	}
	if len(result.Patch) > 0 && kind.Name == "Job" && request.Operation == admissionv1.Update {
		// https://kubernetes.io/docs/concepts/workloads/controllers/job/: the pod
		// template of a Job cannot be changed.
		result.Patch = nil
		result.Warnings = []string{fmt.Sprintf("the pods of a Job cannot be changed: the %s* annotations will have an effect "+
			"when the Job is deleted and created again", inject.Prefix)}
	}
	if result.Wanted {
		if warning := w.config.ClientConfig.Missing(ctx, request.Namespace, result.ConfigMap); warning != "" {
			result.Warnings = append(result.Warnings, warning)
		}
	}
	if len(result.Patch) == 0 {
		return decision{response: patched(nil, result.Warnings), result: Unchanged, reason: "checked"}
	}
	return decision{response: patched(result.Patch, result.Warnings), result: Carried, reason: "annotations-on-workload"}
}
