package edit

import (
	"bytes"
	"encoding/json"
	"strings"
)

// gap is the white space between two tokens.
type gap []byte

func (g gap) hasBreak() bool { return bytes.IndexByte(g, '\n') >= 0 }

// indent is the white space after the last line break.
func (g gap) indent() string { return string(g[bytes.LastIndexByte(g, '\n')+1:]) }

// flow changes a collection in flow style.
func (w *writer) flow(n *node, at place) {
	old := n.old()
	if len(old) == 0 {
		w.splice(n.from, n.to, w.value(n, n.from, at))
		return
	}
	w.removeFlow(n, old)
	between := w.between(n, old)
	var before, behind strings.Builder
	target := &before
	for _, e := range n.entries {
		switch {
		case !e.isNew():
			target = &behind
		case !e.removed && target == &before:
			before.WriteString(w.flowEntry(n, e, between) + "," + string(between))
		case !e.removed:
			behind.WriteString("," + string(between) + w.flowEntry(n, e, between))
		}
	}
	w.splice(old[0].from, old[0].from, before.String())
	w.splice(old[len(old)-1].to, old[len(old)-1].to, behind.String())
}

// value writes the new value of an entry in flow style: over several lines if
// the entry has a line of its own.
func (w *writer) value(n *node, from int, at place) string {
	if !w.blankBefore(at.from) {
		return string(n.json())
	}
	line := w.text[lineStart(w.text, from):from]
	return w.indented(n, string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))]))
}

// between is the white space that stands, or would stand, between two entries.
func (w *writer) between(n *node, old []*entry) gap {
	if g := gap(w.text[n.from+1 : old[0].from]); g.hasBreak() && len(bytes.TrimSpace(g)) == 0 {
		return g
	}
	if len(old) > 1 {
		if _, g, found := bytes.Cut(w.text[old[0].to:old[1].from], []byte(",")); found && len(bytes.TrimSpace(g)) == 0 {
			return g
		}
	}
	return nil
}

// flowEntry writes a new entry: over several lines if the others are so.
func (w *writer) flowEntry(n *node, e *entry, between gap) string {
	if !between.hasBreak() {
		if n.kind == sequence {
			return string(e.value.json())
		}
		return string(jsonString(e.key)) + ":" + string(e.value.json())
	}
	value := w.indented(e.value, between.indent())
	if n.kind == sequence {
		return value
	}
	return string(jsonString(e.key)) + ": " + value
}

func (w *writer) indented(n *node, indent string) string {
	var b bytes.Buffer
	_ = json.Indent(&b, n.json(), indent, w.style.unit) // it is valid
	return b.String()
}

// removeFlow takes entries out, each with its comma.
func (w *writer) removeFlow(n *node, old []*entry) {
	if len(n.live()) == 0 {
		w.splice(n.from+1, n.to-1, "")
		return
	}
	kept := -1
	for i, e := range old {
		switch {
		case !e.removed:
			kept = i
		case kept >= 0:
			w.splice(old[i-1].to, e.to, "")
		case i+1 < len(old):
			w.splice(e.from, old[i+1].from, "")
		default:
			w.lost = true
		}
	}
}
