package httpapi

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// scannedPart is a part as a formReader gives it.
type scannedPart struct {
	part
	content string
}

func (p scannedPart) String() string {
	return fmt.Sprintf("{file %.40q, field %.40q, empty %t, %d bytes %.80q}", p.file, p.field, p.empty, len(p.content), p.content)
}

// readForm reads a form to its end or first error, with reads of the given
// size, and gives what came before the error too.
func readForm(src io.Reader, boundary string, readSize int) ([]scannedPart, error) {
	form, err := newFormReader(src, boundary, 100, make([]byte, formBuffer))
	if err != nil {
		return nil, err
	}
	var parts []scannedPart
	buf := make([]byte, readSize)
	for {
		p, err := form.Next()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return parts, err
		}
		var content strings.Builder
		for err == nil {
			var n int
			n, err = form.Read(buf)
			content.Write(buf[:n])
		}
		parts = append(parts, scannedPart{p, content.String()})
		if !errors.Is(err, io.EOF) {
			return parts, err
		}
	}
}

// crlf turns the line feeds of a readable test body into CR LF.
func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

const fileHeader = "Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\n\n"

// fieldLine is the header of a part without a file name, and not yet its end.
const fieldLine = "Content-Disposition: form-data; name=x\n"

// open is the beginning of such a part, as it is sent.
const open = "--b\r\nContent-Disposition: form-data; name=x\r\n"

func TestFormReaderGivesEveryPart(t *testing.T) {
	field := func(content string) scannedPart { return scannedPart{part{field: "x", empty: content == ""}, content} }
	file := func(content string) scannedPart {
		return scannedPart{part{file: "a.txt", field: "f", empty: content == ""}, content}
	}
	long := strings.Repeat("0123456789\r\n--", 20_000)
	for name, test := range map[string]struct {
		body string
		want []scannedPart
	}{
		"one part":                              {crlf("--b\n" + fileHeader + "hello\n--b--\n"), []scannedPart{file("hello")}},
		"no line end at the very end":           {crlf("--b\n" + fileHeader + "hello\n--b--"), []scannedPart{file("hello")}},
		"two parts":                             {crlf("--b\n" + fileHeader + "one\n--b\n" + fileHeader + "two\n--b--\n"), []scannedPart{file("one"), file("two")}},
		"no part":                               {crlf("--b--\n"), nil},
		"an empty part":                         {crlf("--b\n" + fileHeader + "\n--b--\n"), []scannedPart{file("")}},
		"content of line ends":                  {crlf("--b\n" + fileHeader + "\n\n\n--b--\n"), []scannedPart{file("\r\n\r\n")}},
		"content that looks like a delimiter":   {crlf("--b\n" + fileHeader + "\n--\n-b\n--\r\r\n--B\n--b--\n"), []scannedPart{file(crlf("\n--\n-b\n--\r\r\n--B"))}},
		"content longer than the buffer":        {crlf("--b\n"+fileHeader) + long + crlf("\n--b--\n"), []scannedPart{file(long)}},
		"empty lines around":                    {crlf("\n\n--b\n" + fileHeader + "hello\n--b--\n\n\n"), []scannedPart{file("hello")}},
		"a field that is no file":               {crlf("--b\nContent-Disposition: form-data; name=x\n\n1\n--b--"), []scannedPart{{part{field: "x"}, "1"}}},
		"a name in RFC 8187's coding":           {crlf("--b\nContent-Disposition: form-data; name=x; filename*=utf-8''%c3%a4\n\n1\n--b--"), []scannedPart{{part{field: "x", file: "ä"}, "1"}}},
		"codings that change nothing":           {crlf("--b\n" + fieldLine + "Content-Transfer-Encoding: BINARY\nContent-Encoding: identity\n\n1\n--b--"), []scannedPart{field("1")}},
		"a type that is not known to anybody":   {crlf("--b\n" + fieldLine + "Content-Type: x/y\n\n1\n--b--"), []scannedPart{field("1")}},
		"a header as long as it is allowed":     {crlf("--b\n" + fieldLine + "X: " + strings.Repeat("x", maxPartHeader-len(fieldLine)-4) + "\n\n1\n--b--"), []scannedPart{field("1")}},
		"as many fields as a header may have":   {crlf("--b\n" + fieldLine + strings.Repeat("X: y\n", maxPartFields-1) + "\n1\n--b--"), []scannedPart{field("1")}},
		"as many parts as are allowed":          {strings.Repeat(open+"\r\nx\r\n", 100) + "--b--", repeat(field("x"), 100)},
		"a name as long as it is allowed":       {crlf("--b\nContent-Disposition: form-data; name=" + strings.Repeat("x", maxName) + "\n\n1\n--b--"), []scannedPart{{part{field: strings.Repeat("x", maxName)}, "1"}}},
		"two bytes that are CR LF":              {open + "\r\n\r\n\r\n--b--", []scannedPart{field("\r\n")}},
		"content that ends in CR":               {open + "\r\nx\r\r\n--b--", []scannedPart{field("x\r")}},
		"content that is all CR":                {open + "\r\n\r\r\r\r\r\n--b--", []scannedPart{field("\r\r\r\r")}},
		"content that ends in half a delimiter": {open + "\r\n\r\n-\r\n--b--", []scannedPart{field("\r\n-")}},
		"content of NUL":                        {open + "\r\n\x00\r\n--b--", []scannedPart{field("\x00")}},
		"content that begins with the dashes ":  {open + "\r\n--x\r\n--b--", []scannedPart{field("--x")}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, readSize := range []int{1, 7, directRead, formBuffer, 2 * formBuffer} {
				for how, src := range map[string]io.Reader{
					"at once":           strings.NewReader(test.body),
					"byte by byte":      iotest.OneByteReader(strings.NewReader(test.body)),
					"with its EOF":      iotest.DataErrReader(strings.NewReader(test.body)),
					"in halves of that": iotest.HalfReader(strings.NewReader(test.body)),
				} {
					got, err := readForm(src, "b", readSize)
					if err != nil {
						t.Fatalf("received %s, read by %d: got error %v", how, readSize, err)
					}
					if !slices.Equal(got, test.want) {
						t.Errorf("received %s, read by %d:\n got %s\nwant %s", how, readSize, got, test.want)
					}
				}
			}
		})
	}
}

func repeat(p scannedPart, n int) []scannedPart {
	var parts []scannedPart
	for range n {
		parts = append(parts, p)
	}
	return parts
}

func TestFormReaderRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		want string // part of the message
	}{
		"nothing":                               {"", "ends before its last boundary"},
		"a body with another boundary":          {"--c\r\n\r\nx\r\n--c--", "does not begin with its boundary"},
		"text before the first boundary":        {"x\r\n" + open + "\r\nx\r\n--b--", "does not begin with its boundary"},
		"a blank before the first boundary":     {" " + open + "\r\nx\r\n--b--", "does not begin with its boundary"},
		"too many empty lines at the beginning": {strings.Repeat("\r\n", 2000) + "--b--", "empty lines before"},
		"text behind the last boundary":         {open + "\r\nx\r\n--b--\r\nx", "something behind its last boundary"},
		"text on the last boundary's line":      {open + "\r\nx\r\n--b--x", "something behind its last boundary"},
		"a CR behind the last boundary":         {open + "\r\nx\r\n--b--\r", "something behind its last boundary"},
		"too many empty lines at the end":       {open + "\r\nx\r\n--b--" + strings.Repeat("\r\n", 2000), "empty lines behind"},
		"a header that never ends":              {"--b\r\nX: " + strings.Repeat("x", 1<<20), "longer than 16384 bytes"},
		"too many fields":                       {"--b\r\n" + strings.Repeat("X: y\r\n", maxPartFields+1) + "\r\nx\r\n--b--", "more than 32 fields"},
		"a folded field":                        {"--b\r\nX: y\r\n z\r\n\r\nx\r\n--b--", "several lines"},
		"a bare line feed in a header":          {"--b\r\nX: y\nZ: z\r\n\r\nx\r\n--b--", "bare CR, LF or NUL"},
		"an early end in a header":              {"--b\r\nX: y\n\nZ: z\r\n\r\nx\r\n--b--", "bare CR, LF or NUL"},
		"NUL in a header":                       {"--b\r\nX: y\x00\r\n\r\nx\r\n--b--", "bare CR, LF or NUL"},
		"quoted-printable":                      {open + "Content-Transfer-Encoding: quoted-printable\r\n\r\n=41\r\n--b--", "Content-Transfer-Encoding"},
		"a second coding":                       {open + "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: base64\r\n\r\nQQ==\r\n--b--", "more than one Content-Transfer-Encoding"},
		"a packed part":                         {open + "Content-Encoding: br\r\n\r\nx\r\n--b--", "Content-Encoding"},
		"a form in a form":                      {open + "Content-Type: Multipart/mixed; boundary=c\r\n\r\nx\r\n--b--", "send its files as parts"},
		"a name with a line feed":               {"--b\r\nContent-Disposition: form-data; filename*=utf-8''a%0ab\r\n\r\nx\r\n--b--", "control character"},
		"a name with NUL":                       {"--b\r\nContent-Disposition: form-data; name*=utf-8''a%00b\r\n\r\nx\r\n--b--", "control character"},
		"a name that is too long":               {"--b\r\nContent-Disposition: form-data; name=" + strings.Repeat("x", maxName+1) + "\r\n\r\nx\r\n--b--", "longer than 1024 bytes"},
		"a disposition that cannot be read":     {"--b\r\nContent-Disposition: form-data; name=\"x\r\n\r\nx\r\n--b--", "Content-Disposition"},
		"a boundary after a bare CR":            {open + "\r\nx\r--b\r\n\r\nx\r\n--b--", "CR LF of its own"},
		"a boundary after a bare line feed":     {open + "\r\nx\n--b\r\n\r\nx\r\n--b--", "CR LF of its own"},
		"a bare line feed at the very front":    {open + "\r\n\n--b--", "CR LF of its own"},
		"a boundary within a line":              {open + "\r\nx--b\r\nx\r\n--b--", "CR LF of its own"},
		"a boundary after one dash":             {open + "\r\nx\r\n---b\r\nx\r\n--b--", "CR LF of its own"},
		"a boundary far behind":                 {open + "\r\n" + strings.Repeat("x", 3*formBuffer-3) + "\r--b--\r\n--b--", "CR LF of its own"},
		"an empty part without its line end":    {open + "\r\n--b--", "CR LF of its own"},
		"a boundary before a header's end":      {open + "--b--\r\n\r\n", "has a boundary in it"},
		"a boundary for a header":               {"--b\r\n" + open + "\r\nx\r\n--b--", "has a boundary in it"},
		"a boundary within a name":              {"--b\r\nContent-Disposition: form-data; name=x--b\r\n\r\nx\r\n--b--", "has a boundary in it"},
		"line feeds alone":                      {"--b\n\nx\n--b--", "behind the boundary"},
		"a CR alone":                            {"--b\rX: y\r\n\r\nx\r\n--b--", "behind the boundary"},
		"a longer boundary":                     {open + "\r\nx\r\n--bc\r\n\r\nx\r\n--b--", "behind the boundary"},
		"a blank behind a boundary":             {open + "\r\nx\r\n--b \r\n\r\nx\r\n--b--", "behind the boundary"},
		"a tab behind the first boundary":       {"--b\t\r\n\r\nx\r\n--b--", "behind the boundary"},
		"a blank behind the last boundary":      {open + "\r\nx\r\n--b-- \r\n", "something behind its last boundary"},
		"a part without a header":               {"--b\r\n\r\nx\r\n--b--", "has no header"},
		"an empty part without a header":        {"--b\r\n\r\n\r\n--b--", "has no header"},
		"a header behind an empty line":         {"--b\r\n\r\n" + crlf(fileHeader) + "x\r\n--b--", "has no header"},
		"a part without a disposition":          {"--b\r\nX: y\r\n\r\nx\r\n--b--", "not form-data"},
		"an attachment":                         {"--b\r\nContent-Disposition: attachment; filename=x\r\n\r\nx\r\n--b--", "not form-data"},
		"two dispositions":                      {open + crlf(fileHeader) + "x\r\n--b--", "more than one Content-Disposition"},
		"two types":                             {open + "Content-Type: x/y\r\nContent-TYPE: x/y\r\n\r\nx\r\n--b--", "more than one Content-Type"},
		"a type that mentions a form":           {open + "Content-Type: x/y, multipart/mixed\r\n\r\nx\r\n--b--", "send its files as parts"},
		"a coding with a blank":                 {open + "Content-Transfer-Encoding : base64\r\n\r\nQQ==\r\n--b--", "not a field"},
		"a field without a name":                {open + ": y\r\n\r\nx\r\n--b--", "not a field"},
		"a field without a colon":               {"--b\r\nxyz\r\n\r\nx\r\n--b--", "not a field"},
		"too many parts":                        {strings.Repeat(open+"\r\nx\r\n", 101) + "--b--", "a request may have 100"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, readSize := range []int{1, formBuffer} {
				for how, src := range map[string]io.Reader{
					"at once":      strings.NewReader(test.body),
					"byte by byte": iotest.OneByteReader(strings.NewReader(test.body)),
				} {
					_, err := readForm(src, "b", readSize)
					if !errors.Is(err, errForm) && !errors.Is(err, errTooManyParts) || !strings.Contains(err.Error(), test.want) {
						t.Errorf("received %s, read by %d: got error %v, want one with %q", how, readSize, err, test.want)
					}
				}
			}
		})
	}
}

func TestFormReaderRefusesBoundaries(t *testing.T) {
	for _, boundary := range []string{"", strings.Repeat("x", 71), "a\nb", "a\"b", "ä", "a "} {
		if _, err := readForm(strings.NewReader(""), boundary, 1); !errors.Is(err, errForm) {
			t.Errorf("boundary %q: got error %v, want errForm", boundary, err)
		}
	}
}

func TestFormReaderNoticesEveryCut(t *testing.T) {
	body := crlf("--b\n" + fileHeader + "one\n--b\n" + fileHeader + "\n--b\n" + fieldLine + "\nthree\n--b--")
	for n := range len(body) {
		if parts, err := readForm(strings.NewReader(body[:n]), "b", formBuffer); !errors.Is(err, errForm) {
			t.Errorf("cut off after %d bytes: got %s and error %v, want errForm", n, parts, err)
		}
	}
}

func TestFormReaderPassesTheSourcesErrorOn(t *testing.T) {
	lost := errors.New("connection lost")
	body := crlf("--b\n" + fileHeader + "one\n--b\n" + fileHeader + "\n--b\n" + fieldLine + "\nthree\n--b--\n")
	for n := range len(body) + 1 {
		src := io.MultiReader(strings.NewReader(body[:n]), iotest.ErrReader(lost))
		if parts, err := readForm(src, "b", formBuffer); !errors.Is(err, lost) {
			t.Errorf("lost after %d bytes: got %s and error %v, want the source's", n, parts, err)
		}
	}
}

func TestFormReaderKeepsToTheOrder(t *testing.T) {
	form, err := newFormReader(strings.NewReader(open+"\r\nx\r\n--b--"), "b", 1, make([]byte, formBuffer))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := form.Read(make([]byte, 8)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("Read before Next: got %d, %v, want 0, EOF", n, err)
	}
	if _, err := form.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := form.Next(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("Next before the end of a part: got error %v, want one", err)
	}
}
