package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"clamav-sidecar/webhook/inject"
)

// Tags of YAML's scalars, as [yaml.Node.ShortTag] gives them.
const (
	stringTag = "!!str"
	intTag    = "!!int"
	floatTag  = "!!float"
	boolTag   = "!!bool"
	nullTag   = "!!null"
)

// reader reads a document and gathers its faults.
type reader struct{ faults field.ErrorList }

func (r *reader) fault(faults ...*field.Error) { r.faults = append(r.faults, faults...) }

// section gives the values of a mapping by key. One that is missing or null is
// empty. Keys have to be known, unless none are given; those with the value null
// are left out, as if they were not there.
func (r *reader) section(node *yaml.Node, path *field.Path, known ...string) map[string]*yaml.Node {
	if node == nil || node.ShortTag() == nullTag {
		return nil
	}
	if node.Kind != yaml.MappingNode {
		r.fault(field.TypeInvalid(orWhole(path), describe(node), "want keys and values"))
		return nil
	}
	values := map[string]*yaml.Node{}
	lines := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode || clip(key.Value) != key.Value {
			r.fault(field.TypeInvalid(orWhole(path), describe(key), fmt.Sprintf("want a name as the key on line %d", key.Line)))
			continue
		}
		at := child(path, key.Value)
		if line, twice := lines[key.Value]; twice {
			r.fault(field.Forbidden(at, fmt.Sprintf("it stands on line %d and again on line %d; want it once", line, key.Line)))
			continue
		}
		lines[key.Value] = key.Line
		switch {
		case len(known) > 0 && !slices.Contains(known, key.Value):
			r.fault(field.Forbidden(at, "unknown key"+didYouMean(key.Value, known)))
		case value.ShortTag() != nullTag:
			values[key.Value] = value
		}
	}
	return values
}

// scalar gives the text of a value that has one of the tags; want is these in
// words. Of the ways to write true and false, it gives these two.
func (r *reader) scalar(node *yaml.Node, path *field.Path, want string, tags ...string) (string, bool) {
	tag, text := node.ShortTag(), node.Value
	if tag == boolTag {
		text = strings.ToLower(text)
	}
	forced := tag == boolTag && text != "true" && text != "false" // by a tag in the file
	if node.Kind != yaml.ScalarNode || !slices.Contains(tags, tag) || forced {
		r.fault(field.TypeInvalid(path, describe(node), "want "+want))
		return "", false
	}
	return text, true
}

func (r *reader) objectName(text string, path *field.Path) {
	if problems := validation.IsDNS1123Subdomain(text); len(problems) > 0 {
		r.fault(field.Invalid(path, clip(text), "want the name of a ConfigMap: "+problems[0]))
	}
}

// isHost says whether text is a DNS name, perhaps with the dot at its end, or an
// IP address.
func isHost(text string) bool {
	if address, err := netip.ParseAddr(text); err == nil {
		return address.Zone() == ""
	}
	return len(validation.IsDNS1123Subdomain(strings.TrimSuffix(text, "."))) == 0
}

// child is the path of a key, be it of the document itself.
func child(path *field.Path, key string) *field.Path {
	if path == nil {
		return field.NewPath(key)
	}
	return path.Child(key)
}

// orWhole gives the document itself a name to be called by in a message.
func orWhole(path *field.Path) *field.Path {
	if path == nil {
		return field.NewPath("the file")
	}
	return path
}

// describe shows a value of the wrong type.
func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias, which is not supported"
	}
	return clip(node.Value)
}

func didYouMean(key string, known []string) string {
	nearest := inject.Nearest(key, known)
	if nearest == "" {
		return "; want one of " + strings.Join(known, ", ")
	}
	return "; did you mean " + nearest + "?"
}

// clip bounds what is shown of a text, and keeps it on one line.
func clip(text string) string {
	const most = 100 // bytes
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, text)
}
