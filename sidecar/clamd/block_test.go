package clamd_test

import (
	"bytes"
	"testing"

	"clamav-sidecar/sidecar/clamd"
	"clamav-sidecar/test/corpus"
)

func TestBlockTakesInWhatWasReadIntoIt(t *testing.T) {
	var block clamd.Block
	if block.Len() != 0 || len(block.Bytes()) != 0 || len(block.Free()) != clamd.BlockSize {
		t.Fatalf("the zero Block: got %d bytes and room for %d, want none and room for %d", block.Len(), len(block.Free()), clamd.BlockSize)
	}
	block.Grow(copy(block.Free(), "one "))
	block.Grow(0)
	block.Grow(copy(block.Free(), "two"))
	if got, want := string(block.Bytes()), "one two"; got != want || block.Len() != len(want) || len(block.Free()) != clamd.BlockSize-len(want) {
		t.Errorf("got %q and room for %d, want %q and room for %d", got, len(block.Free()), want, clamd.BlockSize-len(want))
	}
	block.Reset()
	if block.Len() != 0 || len(block.Free()) != clamd.BlockSize {
		t.Errorf("after Reset: got %d bytes and room for %d, want none and room for %d", block.Len(), len(block.Free()), clamd.BlockSize)
	}
	block.Grow(clamd.BlockSize)
	if len(block.Free()) != 0 || len(block.Bytes()) != clamd.BlockSize {
		t.Errorf("a full block: got %d bytes and room for %d, want %d and none", len(block.Bytes()), len(block.Free()), clamd.BlockSize)
	}
}

func TestBlockHoldsSixtyFourKibibytesAndTheLookForTheirEnd(t *testing.T) {
	if clamd.BlockSize <= 64<<10 {
		t.Errorf("got blocks of %d bytes, want more than 64 KiB", clamd.BlockSize)
	}
}

func TestBlockNeverGrowsOverItsSize(t *testing.T) {
	for _, n := range []int{-1, clamd.BlockSize - 2, clamd.BlockSize + 1} {
		func() {
			var block clamd.Block
			block.Grow(3)
			defer func() {
				if recover() == nil {
					t.Errorf("3 bytes and %d more: got a block of %d bytes, want a panic", n, block.Len())
				}
			}()
			block.Grow(n)
		}()
	}
}

// blocksOf fills blocks with body, each but the last one to size bytes.
func blocksOf(body []byte, size int) []*clamd.Block {
	blocks := []*clamd.Block{{}}
	for len(body) > 0 {
		last := blocks[len(blocks)-1]
		if last.Len() == size {
			last = &clamd.Block{}
			blocks = append(blocks, last)
		}
		n := copy(last.Free()[:size-last.Len()], body)
		last.Grow(n)
		body = body[n:]
	}
	return blocks
}

// bodyOf is size bytes of the random body with that seed.
func bodyOf(t *testing.T, seed uint64, size int) []byte {
	t.Helper()
	var body bytes.Buffer
	if _, err := body.ReadFrom(corpus.NewBody(seed, int64(size))); err != nil {
		t.Fatal(err)
	}
	return body.Bytes()
}
