package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// invite prints commands to try.
func (d *demo) invite() {
	ops := "http://" + dialable(d.ports.ops)
	fmt.Fprintf(d.out, `
Everything keeps running. Try it with files of yours:
  curl -T FILE %[1]s
  curl -F file=@FILE -F file=@OTHER %[1]s
  clamdscan -c %[2]s --stream FILE
  %[3]s scan --clamd-conf %[4]s FILE...
  curl %[5]s/metrics
  curl -i %[5]s/readyz
`, d.scanURL(), d.file("clamdscan.conf"), d.file("sidecar"), d.file("clamd.conf"), ops)
}

// warnIfTest says that nothing is protected, so that nobody overlooks it.
func (d *demo) warnIfTest(signatures database) {
	if signatures.path != "" {
		return
	}
	fmt.Fprint(d.err, "\n", box("WARNING: TEST SIGNATURES ONLY. THIS FINDS NO REAL MALWARE.\n"+
		"\n"+
		"clamd knows the EICAR test file and ClamAV's own test file, and nothing else.\n"+
		"Real viruses pass as clean. Why these signatures:\n"+
		signatures.reason+"\n"+
		"\n"+
		"Install the official signatures with freshclam and run this again."))
}

// box draws a frame around the lines of text.
func box(text string) string {
	const most = 100 // columns
	var lines []string
	width := 0
	for _, line := range strings.Split(text, "\n") {
		for _, piece := range wrap(line, most) {
			lines = append(lines, piece)
			width = max(width, utf8.RuneCountInString(piece))
		}
	}
	rule := strings.Repeat("#", width+6) + "\n"
	var framed strings.Builder
	framed.WriteString(rule)
	for _, line := range lines {
		fmt.Fprintf(&framed, "## %s%s ##\n", line, strings.Repeat(" ", width-utf8.RuneCountInString(line)))
	}
	framed.WriteString(rule)
	return framed.String()
}

// wrap breaks a line at its spaces.
func wrap(line string, most int) []string {
	pieces := []string{""}
	for _, word := range strings.Fields(line) {
		last := &pieces[len(pieces)-1]
		switch {
		case *last == "":
			*last = word
		case utf8.RuneCountInString(*last)+1+utf8.RuneCountInString(word) > most:
			pieces = append(pieces, word)
		default:
			*last += " " + word
		}
	}
	return pieces
}
