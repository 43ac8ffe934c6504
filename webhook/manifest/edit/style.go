package edit

import (
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// style is how a document is indented.
type style struct {
	step int // spaces of one level
	// compact lists have their dashes below the first letter of their key.
	compact bool
	unit    string // one level in flow style that goes over several lines
}

const (
	defaultStep = 2
	defaultUnit = "  "
)

// styleOf looks at the first mapping within a mapping, and at the first list.
func styleOf(root *yaml.Node) style {
	s := style{unit: defaultUnit}
	found := false
	var look func(n *yaml.Node)
	look = func(n *yaml.Node) {
		for i, child := range n.Content {
			block := len(child.Content) > 0 && child.Style&yaml.FlowStyle == 0
			if n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle == 0 && i%2 == 1 && block {
				deeper := child.Column - n.Content[0].Column
				if child.Kind == yaml.MappingNode && s.step == 0 && deeper > 0 {
					s.step = deeper
				}
				if child.Kind == yaml.SequenceNode && !found {
					found, s.compact = true, deeper == 0
				}
			}
			if s.step > 0 && found {
				return
			}
			look(child)
		}
	}
	look(root)
	if s.step == 0 {
		s.step = defaultStep
	}
	return s
}

// lines writes the entries of a new collection in block style.
func (s style) lines(b *strings.Builder, n *node, column int) {
	for _, e := range n.live() {
		s.entry(b, n.kind, e, column)
	}
}

// entry writes one entry, with its lines indented to the column.
func (s style) entry(b *strings.Builder, in kind, e *entry, column int) {
	b.WriteString(strings.Repeat(" ", column))
	if in == sequence {
		b.WriteString("-")
	} else {
		b.WriteString(quote(jsonString(e.key)) + ":")
	}
	switch v := e.value; {
	case v.kind == scalar || len(v.live()) == 0:
		b.WriteString(" " + inline(v) + "\n")
	case in == sequence:
		// The first line stands behind the dash.
		var nested strings.Builder
		s.lines(&nested, v, column+2)
		b.WriteString(" " + strings.TrimLeft(nested.String(), " "))
	default:
		b.WriteString("\n")
		s.lines(b, v, s.below(v, column))
	}
}

// below is the column for what is in a collection whose key is in this column.
func (s style) below(n *node, column int) int {
	if n.kind == sequence && s.compact {
		return column
	}
	return column + s.step
}

// inline writes a new value that fits behind a key.
func inline(n *node) string {
	if n.kind != scalar {
		return string(n.json())
	}
	if n.scalar.Kind() == '"' {
		return quote(n.scalar)
	}
	return n.scalar.String()
}

// json writes a new value.
func (n *node) json() jsontext.Value {
	if n.kind == scalar {
		return n.scalar
	}
	brackets := map[kind]string{mapping: "{}", sequence: "[]"}[n.kind]
	b := jsontext.Value(brackets[:1])
	for i, e := range n.live() {
		if i > 0 {
			b = append(b, ',')
		}
		if n.kind == mapping {
			b = append(append(b, jsonString(e.key)...), ':')
		}
		b = append(b, e.value.json()...)
	}
	return append(b, brackets[1])
}

func jsonString(text string) jsontext.Value {
	quoted, _ := jsontext.AppendQuote(nil, text)
	return quoted
}

// plain are strings that need no quotes, in block style, unless they are words
// that mean something else in YAML 1.1.
var plain = regexp.MustCompile(`^(--)?[A-Za-z/]([A-Za-z0-9_./:=-]*[A-Za-z0-9_./=-])?$`)

var wordsOfYAML = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}

// isPlainString tells whether this, without quotes, is a string.
func isPlainString(s string) bool {
	return plain.MatchString(s) && !slices.Contains(wordsOfYAML, strings.ToLower(s))
}

// quote writes a JSON string as one writes strings in manifests: with quotes
// only if need be, and with single ones where that saves backslashes.
func quote(text jsontext.Value) string {
	b, _ := jsontext.AppendUnquote(nil, text)
	s := string(b)
	if isPlainString(s) {
		return s
	}
	printable := !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' || c == '\'' })
	if printable && strings.ContainsAny(s, `"\`) {
		return "'" + s + "'"
	}
	return text.String()
}
