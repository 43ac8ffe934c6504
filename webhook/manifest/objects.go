package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"clamav-sidecar/webhook/inject"
)

// object is one of a document: all of it, or an item of a List.
type object struct {
	value               json.RawMessage
	pointer             string // to it, in the document
	apiVersion, kind    string
	namespace, fullName string
	members             map[string]json.RawMessage
}

// maxNesting of Lists in Lists.
const maxNesting = 10

// objects gives the objects of a document. Items of a typed list, such as a
// DeploymentList, need not tell their kind.
func objects(value json.RawMessage) ([]object, error) {
	return appendObjects(nil, object{value: value}, maxNesting)
}

func appendObjects(found []object, o object, nesting int) ([]object, error) {
	if err := json.Unmarshal(o.value, &o.members); err != nil || o.members == nil {
		return nil, fmt.Errorf("%swant an object, with apiVersion and kind", at(o.pointer))
	}
	if own := text(o.members["kind"]); own != "" {
		o.apiVersion, o.kind = text(o.members["apiVersion"]), own
	}
	var items []json.RawMessage
	if !strings.HasSuffix(o.kind, "List") || json.Unmarshal(o.members["items"], &items) != nil {
		metadata := members(o.members["metadata"])
		o.namespace, o.fullName = text(metadata["namespace"]), text(metadata["name"])
		if o.fullName == "" {
			o.fullName = text(metadata["generateName"])
		}
		if o.namespace != "" {
			o.fullName = o.namespace + "/" + o.fullName
		}
		return append(found, o), nil
	}
	if nesting == 0 {
		return nil, fmt.Errorf("%sa List in more than %d others", at(o.pointer), maxNesting-1)
	}
	for i, value := range items {
		item := object{value: value, pointer: fmt.Sprintf("%s/items/%d", o.pointer, i)}
		if kind := strings.TrimSuffix(o.kind, "List"); kind != "" {
			item.apiVersion, item.kind = o.apiVersion, kind
		}
		var err error
		if found, err = appendObjects(found, item, nesting-1); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func at(pointer string) string {
	if pointer == "" {
		return ""
	}
	return pointer + ": "
}

// members gives those of a JSON object; nothing else has any. (Their case
// counts, as it does for an API server.)
func members(value json.RawMessage) map[string]json.RawMessage {
	var found map[string]json.RawMessage
	if json.Unmarshal(value, &found) != nil {
		return nil
	}
	return found
}

// text gives a JSON string, and "" of anything else.
func text(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

// name is for messages.
func (o *object) name() string {
	name := strings.TrimSpace(o.kind + " " + o.fullName)
	if o.pointer != "" {
		return strings.TrimPrefix(o.pointer, "/") + ", " + name
	}
	return name
}

// injectKind looks the object's kind up among those with pods.
func (o *object) injectKind() (inject.Kind, bool) {
	group, _, found := strings.Cut(o.apiVersion, "/")
	if !found {
		group = ""
	}
	return inject.KindOf(group, o.kind)
}

// asksAsNamespace tells whether this is a Namespace that asks for the injection
// of its pods.
func (o *object) asksAsNamespace() bool {
	labels := members(members(o.members["metadata"])["labels"])
	return o.kind == "Namespace" && o.apiVersion == "v1" && text(labels[inject.NamespaceLabel]) == inject.NamespaceEnabled
}

// annotations are the keys of ours on the object and on its pod template.
func (o *object) annotations() []string {
	var keys []string
	template := members(members(o.members["spec"])["template"])
	for _, metadata := range []json.RawMessage{o.members["metadata"], template["metadata"]} {
		for key := range maps.Keys(members(members(metadata)["annotations"])) {
			if strings.HasPrefix(key, inject.Prefix) && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// mentionsUs tells whether an annotation of ours could be in the object.
func (o *object) mentionsUs() bool {
	return strings.Contains(string(o.value), strings.TrimSuffix(inject.Prefix, "/"))
}
