package edit

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scalarEnd is where a scalar that begins at from ends. Indent is the column of
// the key or dash it belongs to.
func (r *yamlReader) scalarEnd(n *yaml.Node, from, indent int) int {
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return quotedEnd(r.text, from, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		return quotedEnd(r.text, from, '\'')
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return blockScalarEnd(r.text, from, indent)
	}
	return r.plainEnd(from, n.Value)
}

func quotedEnd(text []byte, from int, quote byte) int {
	for at := from + 1; at < len(text); at++ {
		switch {
		case quote == '"' && text[at] == '\\':
			at++
		case quote == '\'' && text[at] == quote && at+1 < len(text) && text[at+1] == quote:
			at++
		case text[at] == quote:
			return at + 1
		}
	}
	return len(text)
}

// plainEnd passes a scalar without quotes, which is in the text as it is in the
// value, but that each white space may be any other.
func (r *yamlReader) plainEnd(from int, value string) int {
	at := from
	for i := 0; i < len(value) && at < len(r.text); i++ {
		if c := value[i]; c != ' ' && c != '\t' && c != '\n' {
			at++
			continue
		}
		if i+1 < len(value) && strings.IndexByte(" \t\n", value[i+1]) >= 0 {
			continue // the last one of a row passes all of it
		}
		for at < len(r.text) && strings.IndexByte(" \t\r\n", r.text[at]) >= 0 {
			at++
		}
	}
	return at
}

// blockScalarEnd is the end of the last line of a block scalar, without the
// line end. Blank lines behind it belong to it if the header says so ("+").
func blockScalarEnd(text []byte, from, indent int) int {
	header, _, _ := bytes.Cut(text[from:], []byte("\n"))
	header, _, _ = bytes.Cut(header, []byte("#"))
	keep := bytes.ContainsRune(header, '+')
	if i := bytes.IndexAny(header, "123456789"); i >= 0 {
		indent += int(header[i] - '0')
	} else {
		indent = 0 // that of the first line with something on it
	}
	end := lineEnd(text, from)
	for at := nextLine(text, from); at < len(text); at = nextLine(text, at) {
		line := text[at:lineEnd(text, at)]
		spaces := len(line) - len(bytes.TrimLeft(line, " "))
		blank := len(bytes.TrimSpace(line)) == 0
		if indent == 0 && !blank {
			indent = spaces
		}
		if !blank && (spaces < indent || indent == 0) {
			break
		}
		if !blank || keep {
			end = lineEnd(text, at)
		}
	}
	return end
}

// lineStart is where the line of a place begins.
func lineStart(text []byte, at int) int { return bytes.LastIndexByte(text[:at], '\n') + 1 }

// lineEnd is where it ends, without CR and LF.
func lineEnd(text []byte, at int) int {
	end := len(text)
	if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
		end = at + i
	}
	return max(at, len(bytes.TrimSuffix(text[:end], []byte("\r"))))
}

// nextLine is where the next line begins, or the end of the text.
func nextLine(text []byte, at int) int {
	if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(text)
}
