package edit

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// jsonTree finds the values of a JSON document.
func jsonTree(text []byte) (*tree, error) {
	r := jsonReader{text, jsontext.NewDecoder(bytes.NewBuffer(text))}
	root, err := r.node()
	if err != nil {
		return nil, fmt.Errorf("failed to read JSON: %w", err)
	}
	t := &tree{text: text, root: root}
	t.style.unit = jsonUnit(t)
	return t, nil
}

// jsonUnit is the indentation of one level, as the first member tells.
func jsonUnit(t *tree) string {
	if len(t.root.entries) == 0 {
		return defaultUnit
	}
	if between := gap(t.text[t.root.from+1 : t.root.entries[0].from]); between.hasBreak() && between.indent() != "" {
		return between.indent()
	}
	return defaultUnit
}

type jsonReader struct {
	text []byte
	*jsontext.Decoder
}

// begin is where the next token begins.
func (r jsonReader) begin() int {
	offset := int(r.InputOffset())
	return offset + len(r.text[offset:]) - len(bytes.TrimLeft(r.text[offset:], " \t\r\n,:"))
}

func (r jsonReader) node() (*node, error) {
	n := &node{flow: true}
	kind := r.PeekKind()
	n.from = r.begin()
	switch kind {
	case '{':
		n.kind = mapping
	case '[':
		n.kind = sequence
	default:
		_, err := r.ReadValue()
		n.to = int(r.InputOffset())
		return n, err
	}
	if _, err := r.ReadToken(); err != nil {
		return nil, err
	}
	for r.PeekKind() != '}' && r.PeekKind() != ']' {
		e := &entry{from: r.begin()}
		if n.kind == mapping {
			key, err := r.ReadToken()
			if err != nil {
				return nil, err
			}
			e.key = key.String()
		}
		value, err := r.node()
		if err != nil {
			return nil, err
		}
		e.head, e.to, e.value = value.from, value.to, value
		n.entries = append(n.entries, e)
	}
	_, err := r.ReadToken()
	n.to = int(r.InputOffset())
	return n, err
}
