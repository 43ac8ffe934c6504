package corpus

import (
	"encoding/binary"
	"io"
)

// Body is a reader of pseudo-random bytes. Two bodies with the same seed are
// equal, two with different seeds are not, so that clamd's cache of clean files
// never answers for a scan. No signature that looks for four or more ASCII
// characters in a row can match: of any four bytes in a row at least one is
// 0x80 or more. Making it costs a fraction of a nanosecond per byte.
//
// A Body is for one goroutine.
type Body struct {
	state     uint64
	remaining int64

	word [8]byte // the last word, of which the bytes from at on are not yet read
	at   int
}

// NewBody returns a body of size bytes.
func NewBody(seed uint64, size int64) *Body {
	return &Body{state: seed, remaining: size, at: len(Body{}.word)}
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	if b.remaining <= 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > b.remaining {
		p = p[:b.remaining]
	}
	n := copy(p, b.word[b.at:])
	b.at += n
	for ; len(p)-n >= len(b.word); n += len(b.word) {
		binary.LittleEndian.PutUint64(p[n:], b.next())
	}
	if n < len(p) {
		binary.LittleEndian.PutUint64(b.word[:], b.next())
		b.at = copy(p[n:], b.word[:])
		n += b.at
	}
	b.remaining -= int64(n)
	return n, nil
}

// next is SplitMix64 (Steele, Lea and Flood, 2014) with the high bit of the
// bytes 0, 3 and 7 set.
func (b *Body) next() uint64 {
	b.state += 0x9e3779b97f4a7c15
	z := b.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return (z ^ z>>31) | 0x8000_0000_8000_0080
}
