package manifest

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// context is the number of unchanged lines around a change.
const context = 3

// lineChange puts lines in the place of those from to before to, which count
// from 0.
type lineChange struct {
	from, to int
	with     [][]byte
}

// unified makes a unified diff. What changed is known, so nothing is compared.
func unified(f *File) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", f.Name, f.Name)
	lines := slices.Collect(bytes.Lines(f.Text))
	changes := lineChanges(f, lines)
	moved := 0 // by how many lines the text behind has moved
	for len(changes) > 0 {
		n := 1
		for n < len(changes) && changes[n].from-changes[n-1].to <= 2*context {
			n++
		}
		moved += hunk(&b, lines, changes[:n], moved)
		changes = changes[n:]
	}
	return b.Bytes()
}

// lineChanges widens splices to whole lines.
func lineChanges(f *File, lines [][]byte) []lineChange {
	starts := make([]int, len(lines)+1)
	for i, line := range lines {
		starts[i+1] = starts[i] + len(line)
	}
	// lineOf gives the line that a place is in.
	lineOf := func(offset int) int {
		i, found := slices.BinarySearch(starts, offset)
		if !found || i == len(lines) && i > 0 && !bytes.HasSuffix(lines[i-1], []byte("\n")) {
			i--
		}
		return i
	}
	var changes []lineChange
	for i := 0; i < len(f.Splices); {
		first, from := i, lineOf(f.Splices[i].From)
		to := from
		for ; i < len(f.Splices) && (i == first || lineOf(f.Splices[i].From) < to); i++ {
			to = min(lineOf(f.Splices[i].To)+1, len(lines))
		}
		within := File{Input: Input{Text: f.Text[:starts[to]]}, Splices: f.Splices[first:i]}
		with := slices.Collect(bytes.Lines(within.After()[starts[from]:]))
		changes = append(changes, lineChange{from, to, with}.trimmed(lines))
	}
	return changes
}

// trimmed leaves out the lines at the edges that stay as they are.
func (c lineChange) trimmed(lines [][]byte) lineChange {
	for c.from < c.to && len(c.with) > 0 && bytes.Equal(lines[c.from], c.with[0]) {
		c.from, c.with = c.from+1, c.with[1:]
	}
	for c.from < c.to && len(c.with) > 0 && bytes.Equal(lines[c.to-1], c.with[len(c.with)-1]) {
		c.to, c.with = c.to-1, c.with[:len(c.with)-1]
	}
	return c
}

// hunk writes changes that are near each other, and gives by how many lines
// they move what is behind.
func hunk(w io.Writer, lines [][]byte, changes []lineChange, moved int) int {
	from := max(0, changes[0].from-context)
	to := min(len(lines), changes[len(changes)-1].to+context)
	more := 0
	for _, c := range changes {
		more += len(c.with) - (c.to - c.from)
	}
	fmt.Fprintf(w, "@@ -%s +%s @@\n", extent(from, to-from), extent(from+moved, to-from+more))
	at := from
	for _, c := range changes {
		diffLines(w, " ", lines[at:c.from])
		diffLines(w, "-", lines[c.from:c.to])
		diffLines(w, "+", c.with)
		at = c.to
	}
	diffLines(w, " ", lines[at:to])
	return more
}

// extent is that of a hunk. An empty one is behind the line that it names.
func extent(from, length int) string {
	if length > 0 {
		from++
	}
	return fmt.Sprintf("%d,%d", from, length)
}

func diffLines(w io.Writer, mark string, lines [][]byte) {
	for _, line := range lines {
		fmt.Fprintf(w, "%s%s", mark, line)
		if !bytes.HasSuffix(line, []byte("\n")) {
			fmt.Fprint(w, "\n\\ No newline at end of file\n")
		}
	}
}
