package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
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

func TestFormReaderGivesEveryPart(t *testing.T) {
	file := func(content string) scannedPart {
		return scannedPart{part{file: "a.txt", field: "f", empty: content == ""}, content}
	}
	long := strings.Repeat("0123456789\r\n--", 20_000)
	for name, test := range map[string]struct {
		body string
		want []scannedPart
	}{
		"one part":                             {crlf("--b\n" + fileHeader + "hello\n--b--\n"), []scannedPart{file("hello")}},
		"no line end at the very end":          {crlf("--b\n" + fileHeader + "hello\n--b--"), []scannedPart{file("hello")}},
		"two parts":                            {crlf("--b\n" + fileHeader + "one\n--b\n" + fileHeader + "two\n--b--\n"), []scannedPart{file("one"), file("two")}},
		"no part":                              {crlf("--b--\n"), nil},
		"an empty part":                        {crlf("--b\n" + fileHeader + "\n--b--\n"), []scannedPart{file("")}},
		"an empty part without its line end":   {crlf("--b\n" + fileHeader + "--b--\n"), []scannedPart{file("")}},
		"a part without a header":              {crlf("--b\n\nhello\n--b--\n"), []scannedPart{{content: "hello"}}},
		"an empty part without a header":       {crlf("--b\n\n--b--\n"), []scannedPart{{part: part{empty: true}}}},
		"content of line ends":                 {crlf("--b\n" + fileHeader + "\n\n\n--b--\n"), []scannedPart{file("\r\n\r\n")}},
		"content that looks like a delimiter":  {crlf("--b\n" + fileHeader + "\n--\n-b\n--\r\r\n--B\n--b--\n"), []scannedPart{file(crlf("\n--\n-b\n--\r\r\n--B"))}},
		"the boundary within a line":           {crlf("--b\n" + fileHeader + "x--b\nx\n--b--\n"), []scannedPart{file("x--b\r\nx")}},
		"content longer than the buffer":       {crlf("--b\n"+fileHeader) + long + crlf("\n--b--\n"), []scannedPart{file(long)}},
		"blanks behind boundaries":             {crlf("--b \t\n" + fileHeader + "hello\n--b-- \t\n"), []scannedPart{file("hello")}},
		"empty lines around":                   {crlf("\n\n--b\n" + fileHeader + "hello\n--b--\n\n\n"), []scannedPart{file("hello")}},
		"a field that is no file":              {crlf("--b\nContent-Disposition: form-data; name=x\n\n1\n--b--"), []scannedPart{{part{field: "x"}, "1"}}},
		"a name in RFC 8187's coding":          {crlf("--b\nContent-Disposition: form-data; name=x; filename*=utf-8''%c3%a4\n\n1\n--b--"), []scannedPart{{part{field: "x", file: "ä"}, "1"}}},
		"codings that change nothing":          {crlf("--b\nContent-Transfer-Encoding: BINARY\nContent-Encoding: identity\n\n1\n--b--"), []scannedPart{{content: "1"}}},
		"a type that is not known to anybody":  {crlf("--b\nContent-Type: x/y\n\n1\n--b--"), []scannedPart{{content: "1"}}},
		"a header as long as it is allowed":    {crlf("--b\nX: " + strings.Repeat("x", maxPartHeader-3) + "\n\n1\n--b--"), []scannedPart{{content: "1"}}},
		"as many fields as a header may have":  {crlf("--b\n" + strings.Repeat("X: y\n", maxPartFields) + "\n1\n--b--"), []scannedPart{{content: "1"}}},
		"as many parts as are allowed":         {crlf(strings.Repeat("--b\n\nx\n", 100) + "--b--"), repeat(scannedPart{content: "x"}, 100)},
		"a name as long as it is allowed":      {crlf("--b\nContent-Disposition: form-data; name=" + strings.Repeat("x", maxName) + "\n\n1\n--b--"), []scannedPart{{part{field: strings.Repeat("x", maxName)}, "1"}}},
		"two bytes that are CR LF":             {"--b\r\n\r\n\r\n\r\n--b--", []scannedPart{{content: "\r\n"}}},
		"content that ends in CR":              {"--b\r\n\r\nx\r\r\n--b--", []scannedPart{{content: "x\r"}}},
		"content that is all CR":               {"--b\r\n\r\n\r\r\r\r\r\n--b--", []scannedPart{{content: "\r\r\r\r"}}},
		"content of NUL":                       {"--b\r\n\r\n\x00\r\n--b--", []scannedPart{{content: "\x00"}}},
		"content that begins with the dashes ": {"--b\r\n\r\n--x\r\n--b--", []scannedPart{{content: "--x"}}},
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
		"text before the first boundary":        {"x\r\n--b\r\n\r\nx\r\n--b--", "does not begin with its boundary"},
		"a blank before the first boundary":     {" --b\r\n\r\nx\r\n--b--", "does not begin with its boundary"},
		"too many empty lines at the beginning": {strings.Repeat("\r\n", 2000) + "--b--", "empty lines before"},
		"text behind the last boundary":         {"--b\r\n\r\nx\r\n--b--\r\nx", "something behind its last boundary"},
		"text on the last boundary's line":      {"--b\r\n\r\nx\r\n--b--x", "something behind its last boundary"},
		"a CR behind the last boundary":         {"--b\r\n\r\nx\r\n--b--\r", "something behind its last boundary"},
		"too many empty lines at the end":       {"--b\r\n\r\nx\r\n--b--" + strings.Repeat("\r\n", 2000), "empty lines behind"},
		"too many blanks":                       {"--b" + strings.Repeat(" ", 2000), "spaces and tabs"},
		"a longer boundary":                     {"--b\r\n\r\nx\r\n--bc\r\n\r\nx\r\n--b--", "only begins with the boundary"},
		"a boundary after a bare line feed":     {"--b\r\n\r\nx\n--b\r\n\r\nx\r\n--b--", "does not end in CR LF"},
		"a bare line feed at the very front":    {"--b\r\n\r\n\n--b--", "does not end in CR LF"},
		"line feeds alone":                      {"--b\n\nx\n--b--", "only begins with the boundary"},
		"a header without its end":              {"--b\r\nX: y\r\n--b--\r\n\r\n", "no empty line"},
		"a delimiter for a header":              {"--b\r\n--b\r\n\r\nx\r\n--b--", "no empty line"},
		"a header that never ends":              {"--b\r\nX: " + strings.Repeat("x", 1<<20), "longer than 16384 bytes"},
		"too many fields":                       {"--b\r\n" + strings.Repeat("X: y\r\n", maxPartFields+1) + "\r\nx\r\n--b--", "more than 32 fields"},
		"a field without a colon":               {"--b\r\nxyz\r\n\r\nx\r\n--b--", "malformed MIME header"},
		"a folded field":                        {"--b\r\nX: y\r\n z\r\n\r\nx\r\n--b--", "several lines"},
		"a bare line feed in a header":          {"--b\r\nX: y\nZ: z\r\n\r\nx\r\n--b--", "bare CR, LF or NUL"},
		"an early end in a header":              {"--b\r\nX: y\n\nZ: z\r\n\r\nx\r\n--b--", "bare CR, LF or NUL"},
		"NUL in a header":                       {"--b\r\nX: y\x00\r\n\r\nx\r\n--b--", "bare CR, LF or NUL"},
		"quoted-printable":                      {"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=41\r\n--b--", "Content-Transfer-Encoding"},
		"a second coding":                       {"--b\r\nContent-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: base64\r\n\r\nQQ==\r\n--b--", "Content-Transfer-Encoding"},
		"a packed part":                         {"--b\r\nContent-Encoding: br\r\n\r\nx\r\n--b--", "Content-Encoding"},
		"a form in a form":                      {"--b\r\nContent-Type: Multipart/mixed; boundary=c\r\n\r\nx\r\n--b--", "send its files as parts"},
		"a name with a line feed":               {"--b\r\nContent-Disposition: form-data; filename*=utf-8''a%0ab\r\n\r\nx\r\n--b--", "control character"},
		"a name with NUL":                       {"--b\r\nContent-Disposition: form-data; name*=utf-8''a%00b\r\n\r\nx\r\n--b--", "control character"},
		"a name that is too long":               {"--b\r\nContent-Disposition: form-data; name=" + strings.Repeat("x", maxName+1) + "\r\n\r\nx\r\n--b--", "longer than 1024 bytes"},
		"a disposition that cannot be read":     {"--b\r\nContent-Disposition: form-data; name=\"x\r\n\r\nx\r\n--b--", "Content-Disposition"},
		"too many parts":                        {strings.Repeat("--b\r\n\r\nx\r\n", 101) + "--b--", "a request may have 100"},
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
	body := crlf("--b\n" + fileHeader + "one\n--b\n" + fileHeader + "\n--b\n\nthree\n--b--")
	for n := range len(body) {
		if parts, err := readForm(strings.NewReader(body[:n]), "b", formBuffer); !errors.Is(err, errForm) {
			t.Errorf("cut off after %d bytes: got %s and error %v, want errForm", n, parts, err)
		}
	}
}

func TestFormReaderPassesTheSourcesErrorOn(t *testing.T) {
	lost := errors.New("connection lost")
	body := crlf("--b\n" + fileHeader + "one\n--b\n" + fileHeader + "\n--b\n\nthree\n--b--\n")
	for n := range len(body) + 1 {
		src := io.MultiReader(strings.NewReader(body[:n]), iotest.ErrReader(lost))
		if parts, err := readForm(src, "b", formBuffer); !errors.Is(err, lost) {
			t.Errorf("lost after %d bytes: got %s and error %v, want the source's", n, parts, err)
		}
	}
}

func TestFormReaderKeepsToTheOrder(t *testing.T) {
	form, err := newFormReader(strings.NewReader("--b\r\n\r\nx\r\n--b--"), "b", 1, make([]byte, formBuffer))
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

// FuzzMultipart compares with mime/multipart: a form that is read to its end is
// the same form there, and what is read of any other is the beginning of what
// is read there.
func FuzzMultipart(f *testing.F) {
	for _, seed := range []string{
		"--b\n" + fileHeader + "hello\n--b--\n",
		"--b\n" + fileHeader + "one\n--b\n\n--b \t\nX: y\n\n\n--b--",
		"\n\n--b\n\n\r--b\r\r\n--\n--b\n--b--  \n\n",
		"--b\n\nx\n--bc\n\ny\n--b\n--b--",
		"--b--",
	} {
		f.Add([]byte(crlf(seed)), "b", uint8(3), uint16(1))
		f.Add([]byte(seed), "b", uint8(100), uint16(formBuffer-1))
		f.Add([]byte(strings.ReplaceAll(crlf(seed), "b", "a:'b c")), "a:'b c", uint8(1), uint16(directRead))
	}
	f.Fuzz(func(t *testing.T, body []byte, boundary string, receive uint8, read uint16) {
		ours, err := readForm(&steps{rest: body, size: int(receive) + 1}, boundary, int(read)+1)
		if errors.Is(err, io.ErrNoProgress) {
			t.Fatalf("got no progress")
		}
		theirs, theirErr := readStandard(body, boundary)
		if err == nil && (theirErr != nil || len(ours) != len(theirs)) {
			t.Fatalf("read to the end: %s\nmime/multipart gives: %q and error %v", ours, theirs, theirErr)
		}
		for i, p := range ours {
			last := i == len(ours)-1
			switch {
			case i >= len(theirs):
				t.Fatalf("part %d: got %q, mime/multipart has only %q and error %v", i, p.content, theirs, theirErr)
			case (err == nil || !last) && p.content != theirs[i]:
				t.Fatalf("part %d: got %q, mime/multipart gives %q", i, p.content, theirs[i])
			case !strings.HasPrefix(theirs[i], p.content):
				t.Fatalf("part %d: got %q, which does not begin mime/multipart's %q", i, p.content, theirs[i])
			}
		}
	})
}

// readStandard gives the contents of a form as mime/multipart sees them, up to
// its error.
func readStandard(body []byte, boundary string) (contents []string, err error) {
	reader := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return contents, nil
		}
		if err != nil {
			return contents, err
		}
		content, err := io.ReadAll(part)
		contents = append(contents, string(content))
		if err != nil {
			return contents, err
		}
	}
}

// steps is a reader that gives size bytes at a time.
type steps struct {
	rest []byte
	size int
}

func (s *steps) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.size)], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
