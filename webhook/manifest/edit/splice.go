package edit

import (
	"bytes"
	"slices"
	"strings"
)

// Splice puts Text in the place of the bytes from From to before To.
type Splice struct {
	From, To int
	Text     string
}

// Apply makes a new text. The splices are in the order of the text, and do not
// overlap.
func Apply(text []byte, splices []Splice) []byte {
	var changed []byte
	last := 0
	for _, s := range splices {
		changed = append(changed, text[last:s.From]...)
		changed = append(changed, s.Text...)
		last = s.To
	}
	return append(changed, text[last:]...)
}

// order sorts splices and joins those that touch, and gives new lines the line
// ends of the text.
func order(text []byte, splices []Splice) ([]Splice, error) {
	slices.SortStableFunc(splices, func(a, b Splice) int { return a.From - b.From })
	var joined []Splice
	for _, s := range splices {
		if len(joined) > 0 {
			last := &joined[len(joined)-1]
			if s.From < last.To {
				return nil, errDiffers
			}
			if s.From == last.To {
				last.To, last.Text = s.To, last.Text+s.Text
				continue
			}
		}
		joined = append(joined, s)
	}
	if n := len(joined); n > 0 {
		joined[n-1] = keepEnd(text, joined[n-1])
	}
	if first := bytes.IndexByte(text, '\n'); first > 0 && text[first-1] == '\r' {
		for i := range joined {
			joined[i].Text = strings.ReplaceAll(strings.ReplaceAll(joined[i].Text, "\r", ""), "\n", "\r\n")
		}
	}
	return joined, nil
}

// keepEnd lets a text whose last line has no line end have none again when that
// line is taken away.
func keepEnd(text []byte, s Splice) Splice {
	if s.To != len(text) || s.Text != "" || bytes.HasSuffix(text, []byte("\n")) {
		return s
	}
	before := bytes.TrimSuffix(text[:s.From], []byte("\n"))
	s.From = len(bytes.TrimSuffix(before, []byte("\r")))
	return s
}
