package edit

import (
	"fmt"

	"go.yaml.in/yaml/v3"
	kubeyaml "sigs.k8s.io/yaml"
)

// distinct refuses keys that differ in YAML and are the same in JSON, such as 1
// and "1", of which kubectl would take either. Equal ones are the library's to
// refuse.
func distinct(n *yaml.Node) error {
	seen := map[string]bool{}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if child.Kind == yaml.MappingNode || child.Kind == yaml.SequenceNode {
				return &Error{child.Line, "a key that is no text; is this a template that is still to be filled in?"}
			}
			key := jsonKey(child)
			if seen[key] {
				return &Error{child.Line, fmt.Sprintf("key %q already set in map", key)}
			}
			seen[key] = true
		}
		if err := distinct(child); err != nil {
			return err
		}
	}
	return nil
}

// jsonKey is what kubectl makes of a key.
func jsonKey(n *yaml.Node) string {
	if n.Style != 0 || isPlainString(n.Value) || n.Value == mergeKey {
		return n.Value
	}
	var members map[string]int
	if err := kubeyaml.Unmarshal([]byte(n.Value+": 0"), &members); err != nil {
		return n.Value
	}
	for key := range members {
		return key
	}
	return n.Value
}
