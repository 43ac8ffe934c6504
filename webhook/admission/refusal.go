package admission

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// unchanged lets an object pass.
func unchanged(reason string) decision {
	return decision{response: admission.Allowed(""), result: Unchanged, reason: reason}
}

// refused names the object, and each fault with its field and the remedy. It has
// the form that the API server gives its own validation errors, so that kubectl
// lists them one by one.
func refused(request admission.Request, faults field.ErrorList) decision {
	causes := make([]metav1.StatusCause, len(faults))
	for i, fault := range faults {
		causes[i] = metav1.StatusCause{
			Type:    metav1.CauseType(fault.Type),
			Message: fault.ErrorBody(),
			Field:   fault.Field,
		}
	}
	reason := faults[0].Origin
	if reason == "" {
		reason = "annotation"
	}
	return denied(Refused, reason, metav1.Status{
		Code:    http.StatusUnprocessableEntity,
		Reason:  metav1.StatusReasonInvalid,
		Message: describe(request) + " cannot be injected: " + describeFaults(faults),
		Details: &metav1.StatusDetails{
			Name: name(request), Group: request.Kind.Group, Kind: request.Kind.Kind, Causes: causes,
		},
	})
}

// unreadable is for an object that no API server sends. Whether it asked for the
// injection is not known, so it must not pass as one that did not.
func unreadable(request admission.Request, err error) decision {
	return denied(Failed, "unreadable", metav1.Status{
		Code:    http.StatusBadRequest,
		Reason:  metav1.StatusReasonBadRequest,
		Message: fmt.Sprintf("%s: %v", describe(request), err),
	})
}

// withoutConfigMap is for a pod that would wait, without a word, for a ConfigMap
// that could not be made. Its controller tries again.
func withoutConfigMap(request admission.Request, err error) decision {
	return denied(Failed, "config-map", metav1.Status{
		Code:    http.StatusServiceUnavailable,
		Reason:  metav1.StatusReasonServiceUnavailable,
		Message: fmt.Sprintf("%s cannot be injected: %v", describe(request), err),
	})
}

func denied(result Result, reason string, status metav1.Status) decision {
	status.Status = metav1.StatusFailure
	var response admission.Response
	response.Result = &status
	return decision{response: response, result: result, reason: reason}
}

// describe names the object: its kind, namespace and name.
func describe(request admission.Request) string {
	return fmt.Sprintf("%s %s/%s", request.Kind.Kind, request.Namespace, name(request))
}

// name is the object's, or, before the API server makes one up, what it will
// begin with.
func name(request admission.Request) string {
	if request.Name != "" {
		return request.Name
	}
	if prefix := metadataOf(request).GenerateName; prefix != "" {
		return prefix + "*"
	}
	return "(unnamed)"
}

func describeFaults(faults field.ErrorList) string {
	texts := make([]string, len(faults))
	for i, fault := range faults {
		texts[i] = fault.Error()
	}
	return strings.Join(texts, "; ")
}

// metadataOf reads what the answers that are not usual need.
func metadataOf(request admission.Request) metav1.ObjectMeta {
	var object struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
	}
	// What cannot be read is told by those who read the whole.
	_ = json.Unmarshal(request.Object.Raw, &object)
	return object.Metadata
}

// subject is what an event is about: whatever owns the pod, which has no name
// yet, or else the pod.
func subject(request admission.Request) *corev1.ObjectReference {
	metadata := metadataOf(request)
	if owner := metav1.GetControllerOf(&metadata); owner != nil {
		return &corev1.ObjectReference{
			APIVersion: owner.APIVersion, Kind: owner.Kind, Namespace: request.Namespace, Name: owner.Name, UID: owner.UID,
		}
	}
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: request.Namespace, Name: name(request), UID: metadata.UID,
	}
}
