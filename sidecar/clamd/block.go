package clamd

import (
	"encoding/binary"
	"math/bits"
)

const (
	// BlockSize is how many bytes of a body a Block holds: somewhat more than
	// 64 KiB, so that a body of 64 KiB, and the look for its end, fit in one.
	BlockSize = blockMemory - intSize - headroom - tailroom

	// blockMemory is what a Block takes: nine pages of Go's allocator.
	blockMemory = 72 << 10
	intSize     = bits.UintSize / 8

	begin    = "zIDSESSION\x00"
	instream = "zINSTREAM\x00"
	lengthOf = 4 // bytes of a chunk's length
	headroom = len(begin) + len(instream) + lengthOf
	tailroom = lengthOf // the end marker: a chunk of length 0
)

// Block is a piece of a body, with room before and behind it for the
// protocol's framing. The zero Block is empty. A Block has one owner at a time.
type Block struct {
	n   int
	buf [headroom + BlockSize + tailroom]byte
}

// Len is the number of bytes in the block.
func (b *Block) Len() int { return b.n }

// Bytes are the bytes in the block.
func (b *Block) Bytes() []byte { return b.buf[headroom : headroom+b.n] }

// Free is the room that is left, to be read into; [Block.Grow] then takes in
// what was read.
func (b *Block) Free() []byte { return b.buf[headroom+b.n : headroom+BlockSize] }

// Grow adds the first n bytes of Free to the block.
func (b *Block) Grow(n int) {
	if n < 0 || n > BlockSize-b.n {
		panic("clamd: a block cannot grow over its size")
	}
	b.n += n
}

// Reset empties the block.
func (b *Block) Reset() { b.n = 0 }

// framed is the block with prefix and a chunk length in front of it and, at
// the end of a body, the end marker behind it. It overwrites nothing but the
// room left for this, so that a block can be framed again for another replica.
func (b *Block) framed(prefix string, chunk int, last bool) []byte {
	from, to := headroom, headroom+b.n
	if chunk > 0 {
		from -= lengthOf
		binary.BigEndian.PutUint32(b.buf[from:], uint32(chunk)) //nolint:gosec // far below 4 GiB: it is what is held in memory
	}
	from -= len(prefix)
	copy(b.buf[from:], prefix)
	if last {
		to += tailroom
		clear(b.buf[headroom+b.n : to])
	}
	return b.buf[from:to]
}
