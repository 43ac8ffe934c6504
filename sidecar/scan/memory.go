package scan

import (
	"sync"
	"sync/atomic"

	"clamav-sidecar/sidecar/clamd"
)

// memory hands out the blocks that bodies are read into. The one block that
// every scan needs is not counted; those that hold more of a body, so that it
// can be scanned again on another replica, are, and are bounded.
type memory struct {
	most int64 // blocks
	held atomic.Int64
	pool sync.Pool
}

// newMemory bounds the replay memory to size bytes, rounded down to blocks.
func newMemory(size int64) *memory {
	return &memory{
		most: size / int64(clamd.BlockSize),
		pool: sync.Pool{New: func() any { return new(clamd.Block) }},
	}
}

// reserve sets n blocks of replay memory aside; false when so many are not left.
func (m *memory) reserve(n int64) bool {
	if m.held.Add(n) > m.most {
		m.held.Add(-n)
		return false
	}
	return true
}

func (m *memory) unreserve(n int64) { m.held.Add(-n) }

// block gives an empty block.
func (m *memory) block() *clamd.Block {
	b := m.pool.Get().(*clamd.Block)
	b.Reset()
	return b
}

func (m *memory) free(b *clamd.Block) { m.pool.Put(b) }
