package edit

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// yamlTree finds the values of a YAML document. The library tells where each
// value begins; where it ends is read from the text.
func yamlTree(text []byte, root *yaml.Node, line int) (*tree, error) {
	r := yamlReader{text: text, line: line, lines: lineStarts(text), aliases: map[*yaml.Node]int{}}
	r.findAliases(root)
	n, err := r.node(root, 0)
	if err != nil {
		return nil, err
	}
	return &tree{text: text, root: n, style: styleOf(root)}, nil
}

type yamlReader struct {
	text  []byte
	line  int   // of the first one, in messages
	lines []int // where each begins
	// aliases has the line of an alias of each anchored node that has one.
	aliases map[*yaml.Node]int
	last    position // the last one that was looked up
}

// position is a line and a column, both from 1, and where they are in the text.
type position struct{ line, column, offset int }

func (r *yamlReader) findAliases(n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		r.aliases[n.Alias] = n.Line
		return
	}
	for _, child := range n.Content {
		r.findAliases(child)
	}
}

// lineStarts splits lines as YAML does (YAML 1.1, section 4.2): at CR LF, LF,
// CR, NEL, LS and PS.
func lineStarts(text []byte) []int {
	starts := []int{0}
	for i := 0; i < len(text); {
		c, size := utf8.DecodeRune(text[i:])
		i += size
		switch {
		case c == '\r' && i < len(text) && text[i] == '\n':
			i++
			starts = append(starts, i)
		case c == '\n' || c == '\r' || c == '\u0085' || c == '\u2028' || c == '\u2029':
			starts = append(starts, i)
		}
	}
	return starts
}

// offset is where a node begins. Its column counts characters.
func (r *yamlReader) offset(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(r.lines) {
		return len(r.text)
	}
	// All of a document may be one line.
	if n.Line != r.last.line || n.Column < r.last.column {
		r.last = position{n.Line, 1, r.lines[n.Line-1]}
	}
	for ; r.last.column < n.Column && r.last.offset < len(r.text); r.last.column++ {
		_, size := utf8.DecodeRune(r.text[r.last.offset:])
		r.last.offset += size
	}
	return r.last.offset
}

// node finds a value. Indent is the column of the key or dash it belongs to,
// from 0.
func (r *yamlReader) node(n *yaml.Node, indent int) (*node, error) {
	found := &node{from: r.properties(n)}
	if n.Kind == yaml.AliasNode {
		found.shared = fmt.Sprintf("*%s is the same as in line %d, which would change too; write it out here", n.Value, n.Alias.Line+r.line-1)
		found.to = found.from + 1 + len(n.Value)
		return found, nil
	}
	if line, aliased := r.aliases[n]; aliased {
		found.shared = fmt.Sprintf("&%s is used in line %d too, which would change too; write it out there", n.Anchor, line+r.line-1)
	}
	found.flow = n.Kind != yaml.ScalarNode && n.Style&yaml.FlowStyle != 0
	var err error
	switch n.Kind {
	case yaml.MappingNode:
		found.kind = mapping
		err = r.members(found, n)
	case yaml.SequenceNode:
		found.kind = sequence
		err = r.items(found, n)
	default:
		found.to = r.scalarEnd(n, found.from, indent)
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	found.to = found.from
	if len(found.entries) > 0 {
		found.to = found.entries[len(found.entries)-1].to
	}
	if found.flow {
		err = r.closeFlow(found)
	}
	return found, err
}

// properties skips the anchor and the tag of a value.
func (r *yamlReader) properties(n *yaml.Node) int {
	at := r.offset(n)
	for n.Kind != yaml.AliasNode && (n.Anchor != "" || n.Style&yaml.TaggedStyle != 0) &&
		at < len(r.text) && (r.text[at] == '&' || r.text[at] == '!') {
		end := at + bytes.IndexAny(append(bytes.Clone(r.text[at:min(at+maxProperty, len(r.text))]), '\n'), " \t\r\n,[]{}")
		if n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&^yaml.TaggedStyle == 0 {
			return end
		}
		at = r.skip(end, "")
	}
	return at
}

// maxProperty is longer than any anchor or tag may be here.
const maxProperty = 1 << 10

// skip passes white space, comments and the given characters.
func (r *yamlReader) skip(at int, also string) int {
	for at < len(r.text) {
		switch c := r.text[at]; {
		case c == '#':
			for at < len(r.text) && r.text[at] != '\n' && r.text[at] != '\r' {
				at++
			}
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || strings.IndexByte(also, c) >= 0:
			at++
		default:
			return at
		}
	}
	return at
}

// expect passes white space and comments, and the character that must follow.
func (r *yamlReader) expect(at int, c byte) (int, error) {
	at = r.skip(at, "")
	if at >= len(r.text) || r.text[at] != c {
		return 0, errDiffers
	}
	return at + 1, nil
}

func (r *yamlReader) members(found *node, n *yaml.Node) error {
	if found.flow && found.from < len(r.text) && r.text[found.from] != '{' {
		return errDiffers // a pair in a list: [a: b]
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		e := &entry{key: key.Value, from: r.offset(key)}
		indent := r.indent(found, e)
		name, err := r.node(key, indent)
		if err != nil {
			return err
		}
		if e.head, err = r.expect(name.to, ':'); err != nil {
			return err
		}
		if err := r.value(e, value, indent); err != nil {
			return err
		}
		found.entries = append(found.entries, e)
	}
	return nil
}

func (r *yamlReader) items(found *node, n *yaml.Node) error {
	at := found.from
	for _, item := range n.Content {
		e := &entry{}
		if found.flow {
			e.from = r.offset(item)
			e.head = e.from
		} else {
			head, err := r.expect(at, '-')
			if err != nil {
				return err
			}
			e.from, e.head = head-1, head
		}
		if err := r.value(e, item, r.indent(found, e)); err != nil {
			return err
		}
		found.entries = append(found.entries, e)
		at = e.to
	}
	return nil
}

// value finds the value of an entry.
func (r *yamlReader) value(e *entry, n *yaml.Node, indent int) (err error) {
	if n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0 && n.Anchor == "" {
		e.to, e.value = e.head, &node{from: e.head, to: e.head} // nothing is written
		return nil
	}
	if e.value, err = r.node(n, indent); err != nil {
		return err
	}
	e.to = e.value.to
	return nil
}

// indent is the column of an entry, from 0. In flow style nobody asks for it.
func (r *yamlReader) indent(in *node, e *entry) int {
	if in.flow {
		return 0
	}
	return utf8.RuneCount(r.text[lineStart(r.text, e.from):e.from])
}

// closeFlow finds the bracket at the end.
func (r *yamlReader) closeFlow(n *node) error {
	bracket := byte(']')
	if n.kind == mapping {
		bracket = '}'
	}
	if len(n.entries) == 0 {
		n.to++
	}
	at, err := r.expect(r.skip(n.to, ","), bracket)
	n.to = at
	return err
}
