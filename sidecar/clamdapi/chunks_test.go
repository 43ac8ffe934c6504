package clamdapi

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"clamav-sidecar/sidecar/scan"
)

// newChunks reads the body that wire holds.
func newChunks(wire io.Reader, quota int64) *chunks {
	return &chunks{r: bufio.NewReaderSize(wire, readerSize), quota: quota}
}

func TestLastBytesComeWithTheEndOfTheBody(t *testing.T) {
	const data = "hello world"
	for _, size := range []int{len(data), 100} {
		body := newChunks(strings.NewReader(chunk(data[:6])+chunk(data[6:])+endMarker+"next"), 100)
		p := make([]byte, size)
		n, err := body.Read(p)
		if got := string(p[:n]); got != data || err != io.EOF {
			t.Errorf("into %d bytes: got %q and %v, want %q and %v", size, got, err, data, io.EOF)
		}
		if !body.ended() {
			t.Errorf("into %d bytes: the body has not ended", size)
		}
	}
}

func TestReadDoesNotWaitForMoreThanItsFirstByte(t *testing.T) {
	sent := []string{chunk("one")[:5], "ne" + chunk("two")[:3], chunk("two")[3:], endMarker[:1], endMarker[1:]}
	r, w := io.Pipe()
	defer r.Close()
	ready := make(chan string)
	go func() {
		for piece := range ready {
			io.WriteString(w, piece)
		}
	}()
	defer close(ready)
	body := newChunks(r, 100)
	p := make([]byte, 100)
	for i, want := range []string{"o", "ne", "two"} {
		ready <- sent[i]
		n, err := body.Read(p)
		if got := string(p[:n]); got != want || err != nil {
			t.Errorf("got %q and %v, want %q", got, err, want)
		}
	}
	go func() {
		ready <- sent[3]
		ready <- sent[4]
	}()
	if n, err := body.Read(p); n != 0 || err != io.EOF {
		t.Errorf("got %d bytes and %v, want the end", n, err)
	}
	if n, err := body.Read(p); n != 0 || err != io.EOF {
		t.Errorf("behind the end: got %d bytes and %v, want the end", n, err)
	}
}

func TestBodyOverTheQuotaIsRefusedAtTheLengthOfItsChunk(t *testing.T) {
	length := func(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }
	for name, test := range map[string]struct {
		wire string
		want string
		err  error
	}{
		"up to the quota":              {chunk("12345") + chunk("67890") + endMarker, "1234567890", nil},
		"one byte more":                {chunk("12345") + chunk("67890") + length(1), "1234567890", scan.ErrTooLarge},
		"one chunk of one byte more":   {length(11), "", scan.ErrTooLarge},
		"the largest length there is":  {length(1<<32 - 1), "", scan.ErrTooLarge},
		"the largest, behind a chunk":  {chunk("1") + length(1<<32-1), "1", scan.ErrTooLarge},
		"an end within a length":       {chunk("1") + "\x00\x00", "1", io.ErrUnexpectedEOF},
		"an end before the end marker": {chunk("1"), "1", io.ErrUnexpectedEOF},
		"an end within a chunk":        {length(10) + "123", "123", io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			body := newChunks(iotest.OneByteReader(strings.NewReader(test.wire)), 10)
			got, err := io.ReadAll(body)
			if string(got) != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %q and %v, want %q and %v", got, err, test.want, test.err)
			}
			if ended := test.err == nil; body.ended() != ended {
				t.Errorf("got ended %v, want %v", body.ended(), ended)
			}
		})
	}
}

func TestLargeReadsGoPastTheBuffer(t *testing.T) {
	const size = 64 << 10
	sizes := &readSizes{r: strings.NewReader(chunk(strings.Repeat("x", size)) + endMarker)}
	body := newChunks(sizes, size)
	p := make([]byte, size)
	for {
		if _, err := body.Read(p); err != nil {
			break
		}
	}
	if want := size - readerSize; len(sizes.got) < 2 || sizes.got[1] < want {
		t.Errorf("got reads of %d bytes, want the second to be of %d", sizes.got, want)
	}
}

// readSizes notes how much each read asks for.
type readSizes struct {
	r   io.Reader
	got []int
}

func (s *readSizes) Read(p []byte) (int, error) {
	s.got = append(s.got, len(p))
	return s.r.Read(p)
}

func TestReadingABodyTakesNoMemory(t *testing.T) {
	wire := strings.NewReader("")
	body := newChunks(wire, 0)
	p := make([]byte, 4<<10)
	text := strings.Repeat(chunk(strings.Repeat("x", 100)), 1000) + endMarker
	allocations := testing.AllocsPerRun(10, func() {
		wire.Reset(text)
		body.r.Reset(wire)
		body.quota, body.err = 1<<20, nil
		for body.err == nil {
			body.Read(p)
		}
	})
	if allocations > 0 {
		t.Errorf("got %v allocations for 1000 chunks, want none", allocations)
	}
}
