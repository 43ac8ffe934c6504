package edit

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// splices turns what has become of the tree into changes of the text.
func (t *tree) splices() ([]Splice, error) {
	w := writer{tree: t}
	w.node(t.root, place{flow: t.root.flow})
	if w.lost {
		return nil, errDiffers
	}
	return order(t.text, w.done)
}

type writer struct {
	*tree
	done []Splice
	lost bool // something cannot be written
}

func (w *writer) splice(from, to int, text string) {
	if from < to || text != "" {
		w.done = append(w.done, Splice{from, to, text})
	}
}

// place is where a value stands.
type place struct {
	from int  // of its key or dash
	head int  // behind the colon or the dash
	flow bool // in a collection in flow style
}

// node writes what changed in a value that stands in the text. What is within
// comes first: of two changes at one place, that of the inner value does.
func (w *writer) node(n *node, at place) {
	for _, e := range n.entries {
		if e.removed || e.isNew() {
			continue
		}
		within := place{e.from, e.head, at.flow || n.flow}
		if e.replaced != nil {
			w.replace(e, within)
		} else {
			w.node(e.value, within)
		}
	}
	if !n.changed() {
		return
	}
	switch {
	case at.flow || n.flow && len(n.old()) > 0:
		w.flow(n, at)
	case n.flow:
		w.below(n, n, at)
	default:
		w.block(n, at)
	}
}

func (n *node) changed() bool {
	for _, e := range n.entries {
		if e.removed || e.isNew() {
			return true
		}
	}
	return false
}

// blankBefore tells whether a place is the first in its line.
func (w *writer) blankBefore(at int) bool {
	return len(bytes.TrimLeft(w.text[lineStart(w.text, at):at], " \t")) == 0
}

func (w *writer) column(at int) int { return utf8.RuneCount(w.text[lineStart(w.text, at):at]) }

// replace writes a new value in the place of a scalar.
func (w *writer) replace(e *entry, at place) {
	old := e.replaced
	switch {
	case !at.flow && e.value.kind != scalar && len(e.value.live()) > 0:
		w.below(e.value, old, at)
	case at.flow:
		w.splice(old.from, old.to, w.space(old)+w.value(e.value, old.from, at))
	default:
		w.splice(old.from, old.to, w.space(old)+inline(e.value))
	}
}

// space stands between a colon and a value where nothing stood.
func (w *writer) space(old *node) string {
	if old.from == old.to {
		return " "
	}
	return ""
}

// below takes a value in one line away and writes the collection that comes
// instead into the lines below.
func (w *writer) below(n, instead *node, at place) {
	from := at.head + len(bytes.TrimRight(w.text[at.head:instead.from], " \t"))
	w.splice(from, instead.to, "")
	var b strings.Builder
	w.style.lines(&b, n, w.style.below(n, w.column(at.from)))
	w.insertLines(nextLine(w.text, instead.to), b.String())
}

// insertLines inserts whole lines where a line begins, or the text ends.
func (w *writer) insertLines(at int, lines string) {
	if at == len(w.text) && !bytes.HasSuffix(w.text, []byte("\n")) {
		lines = "\n" + strings.TrimSuffix(lines, "\n")
	}
	w.splice(at, at, lines)
}

// block changes a collection in block style.
func (w *writer) block(n *node, at place) {
	if len(n.live()) == 0 {
		w.splice(at.head, at.head, map[kind]string{mapping: " {}", sequence: " []"}[n.kind])
	}
	old := n.old()
	first, last := old[0], old[len(old)-1]
	column := w.column(first.from)
	var before, behind strings.Builder
	target := &before
	for _, e := range n.entries {
		switch {
		case !e.isNew():
			target = &behind
		case !e.removed:
			w.style.entry(target, n.kind, e, column)
		}
	}
	for i, e := range old {
		if e.removed {
			w.removeLines(n, old, i)
		}
	}
	if before.Len() > 0 {
		w.insertLines(w.above(first.from, at.head), before.String())
	}
	if behind.Len() > 0 {
		w.insertLines(nextLine(w.text, last.to), behind.String())
	}
}

// removeLines takes an entry out of a collection in block style.
func (w *writer) removeLines(n *node, old []*entry, i int) {
	e := old[i]
	switch {
	case w.blankBefore(e.from):
		w.splice(lineStart(w.text, e.from), nextLine(w.text, e.to), "")
	case i+1 < len(old) && len(bytes.TrimSpace(w.text[e.to:old[i+1].from])) == 0:
		w.splice(e.from, old[i+1].from, "") // the next one moves behind the dash
	case len(n.live()) == 0:
		w.splice(e.from, e.to, "")
	default:
		w.lost = true
	}
}

// above is the line below the one of the collection's key: comments and blank
// lines between them stay with the first entry.
func (w *writer) above(first, head int) int {
	at := lineStart(w.text, first)
	w.lost = w.lost || !w.blankBefore(first)
	for at > head {
		start := lineStart(w.text, at-1)
		line := bytes.TrimSpace(w.text[start:at])
		if start <= head || len(line) > 0 && line[0] != '#' {
			break
		}
		at = start
	}
	return at
}
