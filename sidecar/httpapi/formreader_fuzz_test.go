package httpapi

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"strings"
	"testing"
)

// FuzzMultipart compares with mime/multipart: a form that is read to its end is
// the same form there, and what is read of any other is the beginning of what
// is read there. Such a form also has its boundary nowhere but around the parts,
// whatever a reader takes for the end of a line.
func FuzzMultipart(f *testing.F) {
	for _, seed := range []string{
		"--b\n" + fileHeader + "hello\n--b--\n",
		"--b\n" + fileHeader + "one\n--b\n" + fieldLine + "\n--b\n" + fieldLine + "X: y\n\n\n--b--",
		"\n\n--b\n" + fieldLine + "\n\r--c\r\r\n--\n--b\n" + fieldLine + "\n--b--\n\n",
		"--b\n" + fieldLine + "\nx\r--b\n\ny\n--b \n--b--",
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
		if borders := bytes.Count(body, []byte("--"+boundary)); err == nil && borders != len(ours)+1 {
			t.Fatalf("read to the end: %s\nthe boundary is there %d times, want %d", ours, borders, len(ours)+1)
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
