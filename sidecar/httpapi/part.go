package httpapi

import (
	"bufio"
	"bytes"
	"fmt"
	"mime"
	"net/textproto"
	"strings"
)

// maxName bounds the name of a file or of a form field, in bytes.
const maxName = 1 << 10

// part is what the header of one part of a form says.
type part struct {
	// file is the file's name, field that of the form field; either may be "".
	file, field string
	// empty says that the content has no bytes.
	empty bool
}

// parsePart reads a part's header, without the line end behind its last line.
// It refuses what would make the content something else than its bytes, and
// what readers do not all see as the same part.
func parsePart(header []byte) (part, error) {
	if err := checkLines(header); err != nil {
		return part{}, err
	}
	lines := bufio.NewReaderSize(bytes.NewReader(append(header[:len(header):len(header)], "\r\n\r\n"...)), 512)
	fields, err := textproto.NewReader(lines).ReadMIMEHeader()
	if err != nil {
		return part{}, fmt.Errorf("%w: a part's header: %w", errForm, err)
	}
	for _, name := range []string{"Content-Disposition", "Content-Type", "Content-Transfer-Encoding"} {
		if len(fields[name]) > 1 {
			return part{}, fmt.Errorf("%w: a part has more than one %s", errForm, name)
		}
	}
	for _, coding := range fields.Values("Content-Transfer-Encoding") {
		switch strings.ToLower(coding) {
		case "binary", "8bit", "7bit":
		default:
			return part{}, fmt.Errorf("%w: a part has the Content-Transfer-Encoding %.40q; send the file's own bytes", errForm, coding)
		}
	}
	for _, coding := range fields.Values("Content-Encoding") {
		if !strings.EqualFold(coding, "identity") {
			return part{}, fmt.Errorf("%w: a part has the Content-Encoding %.40q; send the file's own bytes", errForm, coding)
		}
	}
	if kind := fields.Get("Content-Type"); mentionsMultipart(kind) {
		return part{}, fmt.Errorf("%w: a part is of type %.40q; send its files as parts of the form", errForm, kind)
	}
	return parseDisposition(fields.Get("Content-Disposition"))
}

// checkLines makes sure that every reader sees the same fields.
func checkLines(header []byte) error {
	count := 0
	for line := range bytes.SplitSeq(header, []byte("\r\n")) {
		if count++; count > maxPartFields {
			return fmt.Errorf("%w: a part's header has more than %d fields", errForm, maxPartFields)
		}
		if bytes.ContainsAny(line, "\r\n\x00") {
			return fmt.Errorf("%w: a part's header has a bare CR, LF or NUL", errForm)
		}
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			return fmt.Errorf("%w: a part's header has a field of several lines", errForm)
		}
		if name, _, found := strings.Cut(string(line), ":"); !found || !isPlain(name) {
			return fmt.Errorf("%w: the line %.40q of a part's header is not a field", errForm, line)
		}
	}
	return nil
}

func parseDisposition(value string) (part, error) {
	kind, params, err := mime.ParseMediaType(value)
	if value == "" || err == nil && kind != "form-data" {
		return part{}, fmt.Errorf("%w: a part has the Content-Disposition %.40q, and not form-data", errForm, value)
	}
	if err != nil {
		return part{}, fmt.Errorf("%w: a part's Content-Disposition %.100q: %w", errForm, value, err)
	}
	p := part{file: params["filename"], field: params["name"]}
	for _, name := range []string{p.file, p.field} {
		if len(name) > maxName {
			return part{}, fmt.Errorf("%w: the name %.40q... of a part is longer than %d bytes", errForm, name, maxName)
		}
		for i := range len(name) {
			if name[i] < ' ' || name[i] == 0x7f {
				return part{}, fmt.Errorf("%w: the name %.100q of a part has a control character", errForm, name)
			}
		}
	}
	return p, nil
}
