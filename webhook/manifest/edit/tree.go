package edit

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"clamav-sidecar/webhook/inject"
)

// tree tells where the values of a document stand in its text, and what is to
// become of them.
type tree struct {
	text  []byte
	root  *node
	style style
}

// node is a value.
type node struct {
	kind kind
	// flow tells [] and {} from block style.
	flow bool
	// from and to are the place in the text, without anchor and tag. A
	// collection in block style goes from its first key or dash to the end of
	// what is in it. Of a new node both are 0.
	from, to int
	isNew    bool
	entries  []*entry
	scalar   jsontext.Value // of a new one; of an old one only null is known
	// shared says why no change may be made here or below; "": it may.
	shared string
}

type kind int

const (
	scalar kind = iota
	mapping
	sequence
)

// entry is a member of a mapping or an item of a sequence.
type entry struct {
	key string // of a mapping
	// from is where the key or the dash begins, head behind the colon or the
	// dash, to the end of the value. In flow style an item begins with its value.
	from, head, to int
	value          *node
	removed        bool
	// replaced is the value that was there before.
	replaced *node
}

func (e *entry) isNew() bool { return e.value.isNew && e.replaced == nil }

// live are the entries that remain.
func (n *node) live() []*entry {
	return slices.DeleteFunc(slices.Clone(n.entries), func(e *entry) bool { return e.removed })
}

// old are the entries that stand in the text.
func (n *node) old() []*entry {
	return slices.DeleteFunc(slices.Clone(n.entries), func(e *entry) bool { return e.isNew() })
}

var unescapePointer = strings.NewReplacer("~1", "/", "~0", "~")

// apply does an operation to the tree; the text is left for later.
func (t *tree) apply(operation inject.Operation) error {
	parts := strings.Split(operation.Path, "/")
	n := t.root
	for _, part := range parts[1 : len(parts)-1] {
		if err := t.mayChange(n); err != nil {
			return err
		}
		e, err := t.find(n, unescapePointer.Replace(part))
		if err != nil {
			return err
		}
		n = e.value
	}
	if err := t.mayChange(n); err != nil {
		return err
	}
	last := unescapePointer.Replace(parts[len(parts)-1])
	if operation.Op == "remove" {
		e, err := t.find(n, last)
		if err != nil {
			return err
		}
		e.removed = true
		return t.mayChange(e.value)
	}
	value, err := newNode(jsontext.NewDecoder(bytes.NewReader(operation.Value)))
	if err != nil {
		return fmt.Errorf("failed to read a new value: %w", err)
	}
	return t.add(n, last, value)
}

func (t *tree) mayChange(n *node) error {
	if n.shared == "" {
		return nil
	}
	return &Error{t.line(n.from), n.shared}
}

// find gives the entry of a key or an index.
func (t *tree) find(n *node, part string) (*entry, error) {
	live := n.live()
	if n.kind == sequence {
		if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(live) {
			return live[i], nil
		}
	}
	if i := slices.IndexFunc(live, func(e *entry) bool { return e.key == part }); n.kind == mapping && i >= 0 {
		return live[i], nil
	}
	if n.kind == mapping && slices.ContainsFunc(live, func(e *entry) bool { return e.key == mergeKey }) {
		return nil, &Error{t.line(n.from), fmt.Sprintf("%s comes from elsewhere by <<, and would be changed there too; write it out here", part)}
	}
	return nil, errDiffers
}

// mergeKey brings in the members of another mapping.
const mergeKey = "<<"

func (t *tree) add(n *node, part string, value *node) error {
	added := &entry{key: part, value: value}
	switch {
	case n.kind == mapping:
		i := slices.IndexFunc(n.entries, func(e *entry) bool { return !e.removed && e.key == part })
		if i < 0 {
			n.entries = append(n.entries, added)
			return nil
		}
		e := n.entries[i]
		if err := t.mayChange(e.value); err != nil {
			return err
		}
		if e.value.kind != scalar {
			return errDiffers
		}
		if !e.isNew() && e.replaced == nil {
			e.replaced = e.value
		}
		e.value = value
	case n.kind == sequence && part == "-":
		n.entries = append(n.entries, added)
	case n.kind == sequence && part == "0":
		n.entries = slices.Insert(n.entries, 0, added)
	default:
		return errDiffers
	}
	return nil
}

// newNode makes a node of the JSON value that comes next.
func newNode(decoder *jsontext.Decoder) (*node, error) {
	n := &node{isNew: true}
	switch decoder.PeekKind() {
	case '{':
		n.kind = mapping
	case '[':
		n.kind = sequence
	default:
		value, err := decoder.ReadValue()
		n.scalar = value.Clone()
		return n, err
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, err
	}
	for decoder.PeekKind() != '}' && decoder.PeekKind() != ']' {
		var e entry
		if n.kind == mapping {
			key, err := decoder.ReadToken()
			if err != nil {
				return nil, err
			}
			e.key = key.String()
		}
		var err error
		if e.value, err = newNode(decoder); err != nil {
			return nil, err
		}
		n.entries = append(n.entries, &e)
	}
	_, err := decoder.ReadToken()
	return n, err
}

// line is that of a place in the text, from 1.
func (t *tree) line(offset int) int { return bytes.Count(t.text[:offset], []byte("\n")) + 1 }
