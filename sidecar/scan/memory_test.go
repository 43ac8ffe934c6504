package scan

import (
	"sync"
	"testing"
)

func TestReplayMemoryIsBounded(t *testing.T) {
	for size, want := range map[int64]int64{0: 0, 1: 0, int64(blockSize) - 1: 0, int64(blockSize): 1, 3*int64(blockSize) + 1: 3} {
		m := newMemory(size)
		got := int64(0)
		for m.reserve(1) {
			got++
		}
		if got != want || m.held.Load() != want {
			t.Errorf("%d bytes: got %d blocks and %d held, want %d", size, got, m.held.Load(), want)
		}
		m.unreserve(got)
		if want > 0 && (!m.reserve(want) || m.reserve(1)) {
			t.Errorf("%d bytes: got not all %d blocks at once, or more than these", size, want)
		}
	}
}

func TestReplayMemoryIsSharedByAllScans(t *testing.T) {
	m := newMemory(4 * int64(blockSize))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 2000 {
				h := held{memory: m}
				h.first()
				if h.reserve(1) && m.held.Load() < 1 {
					t.Error("got less than one block held, want the one that was reserved")
				}
				for h.more() != nil {
					if len(h.blocks) > 5 {
						t.Errorf("got %d blocks, want at most the first and four more", len(h.blocks))
					}
				}
				h.free()
				h.free()
			}
		})
	}
	all.Wait()
	if got := m.held.Load(); got != 0 {
		t.Errorf("afterwards: got %d blocks held, want none", got)
	}
}

func TestABlockComesBackEmpty(t *testing.T) {
	m := newMemory(0)
	for range 100 {
		block := m.block()
		if block.Len() != 0 {
			t.Fatalf("got a block with %d bytes, want an empty one", block.Len())
		}
		block.Grow(10)
		m.free(block)
	}
}
