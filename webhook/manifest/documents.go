package manifest

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"clamav-sidecar/webhook/manifest/edit"
)

// document is one of an input.
type document struct {
	input  *Input
	number int // from 1; empty documents do not count
	line   int // of its first one, from 1
	offset int // in the input
	text   []byte
	format edit.Format
}

// maxDocuments of an input.
const maxDocuments = 100_000

var byteOrderMark = []byte("\uFEFF")

// split finds the documents of an input as kubectl does: a row of JSON values,
// or else YAML documents between lines that begin with ---.
func split(input *Input) ([]document, []Message) {
	if !utf8.Valid(input.Text) {
		return nil, []Message{{Place: input.Name, Text: "want text in UTF-8"}}
	}
	documents := splitJSON(input)
	if documents == nil {
		var fault *Message
		if documents, fault = splitYAML(input); fault != nil {
			return nil, []Message{*fault}
		}
	}
	if len(documents) > maxDocuments {
		return nil, []Message{{Place: input.Name, Text: fmt.Sprintf("more than %d documents; give fewer at a time", maxDocuments)}}
	}
	return documents, nil
}

// splitJSON gives nil if the input is anything but JSON objects.
func splitJSON(input *Input) []document {
	if !bytes.HasPrefix(bytes.TrimSpace(input.Text), []byte("{")) {
		return nil
	}
	var documents []document
	decoder := jsontext.NewDecoder(bytes.NewBuffer(input.Text))
	lines := lineCounter{text: input.Text}
	for kind := decoder.PeekKind(); kind != 0; kind = decoder.PeekKind() {
		value, err := decoder.ReadValue()
		if err != nil || kind != '{' {
			return nil
		}
		end := int(decoder.InputOffset())
		begin := end - len(value)
		documents = append(documents, document{input, len(documents) + 1, lines.at(begin), begin, input.Text[begin:end], edit.JSON})
	}
	if len(bytes.TrimSpace(input.Text[decoder.InputOffset():])) > 0 {
		return nil
	}
	return documents
}

// splitYAML leaves the separators, and what is in their lines, to nobody.
func splitYAML(input *Input) ([]document, *Message) {
	var documents []document
	begin := len(input.Text) - len(bytes.TrimPrefix(input.Text, byteOrderMark))
	line, first, at := 0, 1, begin
	end := func(to int) {
		documents = append(documents, document{input, len(documents) + 1, first, begin, input.Text[begin:to], edit.YAML})
	}
	for text := range bytes.Lines(input.Text[begin:]) {
		line++
		next := at + len(text)
		if rest, found := bytes.CutPrefix(text, []byte("---")); found {
			if rest = bytes.TrimSpace(rest); len(rest) > 0 && rest[0] != '#' {
				return nil, &Message{Place: input.Name, Text: fmt.Sprintf(
					"line %d: nothing but a comment may stand behind the --- between documents", line)}
			}
			end(at)
			begin, first = next, line+1
		}
		at = next
	}
	end(at)
	return documents, nil
}

// lineCounter gives the lines of places, which come in the order of the text.
type lineCounter struct {
	text         []byte
	offset, line int
}

func (c *lineCounter) at(offset int) int {
	c.line += bytes.Count(c.text[c.offset:offset], []byte("\n"))
	c.offset = offset
	return c.line + 1
}
