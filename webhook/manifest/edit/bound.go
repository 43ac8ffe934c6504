package edit

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// What a document may become when its aliases are written out. An API server
// takes about 3 MiB at a time, and etcd half of that for an object; a List may
// hold many.
const (
	maxBytes = 64 << 20
	maxDepth = 1000
)

// extent is that of a node with everything below it.
type extent struct{ bytes, depth int }

// bound refuses documents in which aliases of aliases make more than anybody
// can hold, and anchors that contain themselves.
func bound(root *yaml.Node) error {
	b := bounding{known: map[*yaml.Node]extent{}, open: map[*yaml.Node]bool{}}
	_, err := b.extent(root, 0)
	return err
}

type bounding struct {
	known map[*yaml.Node]extent // of anchors
	open  map[*yaml.Node]bool   // the anchors that we are in
}

func (b *bounding) extent(n *yaml.Node, depth int) (extent, error) {
	if depth > maxDepth {
		return extent{}, &Error{n.Line, fmt.Sprintf("more than %d levels deep", maxDepth)}
	}
	if n.Kind == yaml.AliasNode {
		return b.alias(n, depth)
	}
	if n.Anchor != "" {
		b.open[n] = true
		defer delete(b.open, n)
	}
	sum := extent{bytes: len(n.Value) + 1}
	for _, child := range n.Content {
		e, err := b.extent(child, depth+1)
		if err != nil {
			return extent{}, err
		}
		sum.bytes += e.bytes
		sum.depth = max(sum.depth, e.depth+1)
		if sum.bytes > maxBytes {
			return extent{}, &Error{n.Line, fmt.Sprintf("with its aliases written out this is larger than %d MiB", maxBytes>>20)}
		}
	}
	if n.Anchor != "" {
		b.known[n] = sum
	}
	return sum, nil
}

func (b *bounding) alias(n *yaml.Node, depth int) (extent, error) {
	if b.open[n.Alias] {
		return extent{}, &Error{n.Line, fmt.Sprintf("the anchor %s contains itself", n.Value)}
	}
	e := b.known[n.Alias]
	if depth+e.depth > maxDepth {
		return extent{}, &Error{n.Line, fmt.Sprintf("more than %d levels deep", maxDepth)}
	}
	return e, nil
}
