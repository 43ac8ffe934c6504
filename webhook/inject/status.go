package inject

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Status tells what an injection has done: enough to see which pods run an old
// sidecar, and to undo it to the byte.
type Status struct {
	Version string `json:"version"`
	// Hash of all that the settings have made of the pod.
	Hash string `json:"hash"`
	Mode Mode   `json:"mode"`
	// Containers that scan.
	Containers []string `json:"containers"`
	// Kept has, by container, the variables that were set already.
	Kept map[string][]string `json:"kept,omitempty"`
	// Empty has the lists and objects of the pod that were there without an item:
	// their names, with the container's and a slash before them where it is one
	// of a container.
	Empty []string `json:"empty,omitempty"`
	// HadCopy tells that the template had a copy of the workload's annotations
	// already.
	HadCopy bool `json:"hadCopy,omitempty"`
	// HadLabel tells that [InjectedLabel] was there already.
	HadLabel bool `json:"hadLabel,omitempty"`
}

func (s *Status) keep(container, variable string) {
	if s.Kept == nil {
		s.Kept = map[string][]string{}
	}
	s.Kept[container] = append(s.Kept[container], variable)
}

// mostContainers of a status is more than any pod has.
const mostContainers = 1000

// status reads the annotation of an earlier injection; nil: there is none.
func (o *Object) status() (*Status, *field.Error) {
	text, found := o.pod.annotations[StatusAnnotation]
	if !found {
		return nil, nil
	}
	var status Status
	if err := json.Unmarshal([]byte(text), &status); err != nil || status.Hash == "" ||
		len(text) > longestCopy || len(status.Containers) > mostContainers {
		return nil, field.Invalid(o.path().Child("metadata", "annotations").Key(StatusAnnotation), clip(text),
			"this annotation is the webhook's; remove it")
	}
	return &status, nil
}

// hash is short: it tells settings apart, and protects nothing.
func hash(sidecar []byte, rest ...string) string {
	sum := sha256.New()
	sum.Write(sidecar)
	for _, text := range rest {
		sum.Write([]byte{0})
		sum.Write([]byte(text))
	}
	return hex.EncodeToString(sum.Sum(nil)[:6])
}
