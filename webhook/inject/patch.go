package inject

import (
	"encoding/json"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Operation is one of RFC 6902: "add" with a value, or "remove" without.
type Operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

// Patch is a list of operations, to be applied in this order.
type Patch []Operation

func (p *Patch) add(path string, value json.RawMessage) {
	*p = append(*p, Operation{Op: "add", Path: path, Value: value})
}

func (p *Patch) remove(path string) {
	*p = append(*p, Operation{Op: "remove", Path: path})
}

// JSON writes the patch as RFC 6902 wants it, in one pass: the values are taken
// as they are.
func (p Patch) JSON() []byte {
	size := 2
	for _, operation := range p {
		size += len(operation.Path) + len(operation.Value) + 48
	}
	b := append(make([]byte, 0, size), '[')
	for i, operation := range p {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"op":"`...)
		b = append(b, operation.Op...)
		b = append(b, `","path":`...)
		b = quote(b, operation.Path)
		if operation.Value != nil {
			b = append(b, `,"value":`...)
			b = append(b, operation.Value...)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// quote appends a JSON string. Bytes that are no UTF-8 become U+FFFD.
func quote(b []byte, text string) []byte {
	b, _ = jsontext.AppendQuote(b, text)
	return b
}

// escapePointer makes a key a part of a JSON pointer (RFC 6901, section 3).
func escapePointer(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}
