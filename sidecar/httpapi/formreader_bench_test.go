package httpapi

import (
	"errors"
	"io"
	"mime/multipart"
	"strings"
	"testing"

	"clamav-sidecar/test/corpus"
)

// formSource is a form with one large random file, given in pieces as large as
// the reader asks for. Making the bytes is not part of it.
type formSource struct {
	head, tail string
	random     []byte
	size       int64
	at         int64
}

func newFormSource(size int64) *formSource {
	random := make([]byte, 1<<20)
	if _, err := io.ReadFull(corpus.NewBody(1, int64(len(random))), random); err != nil {
		panic(err)
	}
	const boundary = "------------------------d74496d66958873e"
	return &formSource{
		head:   "--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n",
		tail:   "\r\n--" + boundary + "--\r\n",
		random: random,
		size:   size,
	}
}

func (s *formSource) boundary() string {
	return strings.TrimPrefix(s.head[:strings.Index(s.head, "\r\n")], "--")
}

func (s *formSource) Read(p []byte) (int, error) {
	head, body := int64(len(s.head)), int64(len(s.head))+s.size
	n := 0
	switch {
	case s.at < head:
		n = copy(p, s.head[s.at:])
	case s.at < body:
		at := (s.at - head) % int64(len(s.random))
		n = copy(p[:min(int64(len(p)), body-s.at)], s.random[at:])
	default:
		n = copy(p, s.tail[s.at-body:])
	}
	s.at += int64(n)
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

const benchmarkFile = 64 << 20

func BenchmarkForm(b *testing.B) {
	block := make([]byte, formBuffer)
	drain := func(b *testing.B, r io.Reader) {
		for {
			if _, err := r.Read(block); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("plain copy", func(b *testing.B) {
		b.SetBytes(benchmarkFile)
		s := newFormSource(benchmarkFile)
		for b.Loop() {
			s.at = 0
			drain(b, s)
		}
	})
	b.Run("formReader", func(b *testing.B) {
		b.SetBytes(benchmarkFile)
		s := newFormSource(benchmarkFile)
		buf := make([]byte, formBuffer)
		for b.Loop() {
			s.at = 0
			form, err := newFormReader(s, s.boundary(), 1, buf)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := form.Next(); err != nil {
				b.Fatal(err)
			}
			drain(b, form)
		}
	})
	b.Run("mime multipart", func(b *testing.B) {
		b.SetBytes(benchmarkFile)
		s := newFormSource(benchmarkFile)
		for b.Loop() {
			s.at = 0
			part, err := multipart.NewReader(s, s.boundary()).NextPart()
			if err != nil {
				b.Fatal(err)
			}
			drain(b, part)
		}
	})
}
