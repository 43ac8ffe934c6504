package scan

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"clamav-sidecar/sidecar/clamd"
)

const (
	// minScanned is the fewest bytes that clamd looks at: it calls five or less
	// OK unseen. Source: seen with clamd 1.4.6, and a test.
	minScanned = 6
	// sendEvery bounds how long what was read waits for more of it. clamd drops
	// a stream that is silent for ReadTimeout, 120 s by default (seen with 1.4.6).
	sendEvery = 5 * time.Second
	// maxEmptyReads is how many reads in a row may give nothing.
	maxEmptyReads = 100
)

// upload is a body while it is read.
type upload struct {
	body  io.Reader
	limit int64 // bytes
	size  int64 // bytes read
	ended bool  // body has said io.EOF
	held  held
}

// hold reads the body into replay memory, until it ends (true) or no more
// memory is to be had. When its declared size does not fit, nothing is held.
func (u *upload) hold(declared int64) (whole bool, err error) {
	block := u.held.first()
	if more := (declared - 1) / int64(clamd.BlockSize); more > 0 && !u.held.reserve(more) {
		return false, nil
	}
	for {
		if len(block.Free()) == 0 {
			if block = u.held.more(); block == nil {
				return false, nil
			}
		}
		if err := u.read(block); err != nil {
			return false, err
		}
		if u.ended {
			return true, nil
		}
	}
}

// next reads on into block, which it empties first, until the body ends (true)
// or there is enough for a write to be worth its while.
func (u *upload) next(block *clamd.Block) (ended bool, err error) {
	block.Reset()
	begin := time.Now()
	for !u.ended && block.Len() < clamd.BlockSize/2 {
		if err := u.read(block); err != nil {
			return false, err
		}
		if block.Len() > 0 && time.Since(begin) > sendEvery {
			break
		}
	}
	return u.ended, nil
}

// read reads something into block, or finds the end.
func (u *upload) read(block *clamd.Block) error {
	for range maxEmptyReads {
		n, err := u.body.Read(block.Free())
		block.Grow(n)
		u.size += int64(n)
		switch {
		case u.size > u.limit:
			return u.tooLarge()
		case err == io.EOF: // and nothing that wraps it: only the reader itself knows the end
			u.ended = true
			return nil
		case errors.Is(err, ErrTooLarge):
			return err // what the sender has announced is over the limit
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("%w after %d bytes", ErrUploadTimeout, u.size)
		case err != nil:
			return fmt.Errorf("%w after %d bytes: %w", ErrUpload, u.size, err)
		case n > 0:
			return nil
		}
	}
	return fmt.Errorf("%w after %d bytes: %w", ErrUpload, u.size, io.ErrNoProgress)
}

// pad makes a body long enough for clamd to scan it; last is its last block.
func (u *upload) pad(last *clamd.Block) {
	if u.size < minScanned {
		clear(last.Free()[:minScanned-u.size])
		last.Grow(int(minScanned - u.size))
	}
}

func (u *upload) tooLarge() error {
	return fmt.Errorf("%w of %s", ErrTooLarge, clamd.FormatSize(u.limit))
}

// held is what is held of a body: one block that every scan has, and more from
// the replay memory.
type held struct {
	memory   *memory
	blocks   []*clamd.Block
	reserved int64 // blocks of replay memory, in use or not
}

// first is the block that every scan has.
func (h *held) first() *clamd.Block {
	h.blocks = append(h.blocks, h.memory.block())
	return h.blocks[0]
}

// reserve sets n more blocks aside.
func (h *held) reserve(n int64) bool {
	if !h.memory.reserve(n) {
		return false
	}
	h.reserved += n
	return true
}

// more gives another block, nil when there is no memory left.
func (h *held) more() *clamd.Block {
	if h.reserved < int64(len(h.blocks)) && !h.reserve(1) {
		return nil
	}
	b := h.memory.block()
	h.blocks = append(h.blocks, b)
	return b
}

// shrink gives all blocks back but the first.
func (h *held) shrink() *clamd.Block {
	for _, b := range h.blocks[1:] {
		h.memory.free(b)
	}
	h.blocks = h.blocks[:1]
	h.memory.unreserve(h.reserved)
	h.reserved = 0
	return h.blocks[0]
}

// free gives all blocks back.
func (h *held) free() {
	if len(h.blocks) > 0 {
		h.memory.free(h.shrink())
		h.blocks = nil
	}
}
