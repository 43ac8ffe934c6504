package clamdapi

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"

	"clamav-sidecar/sidecar/scan"
)

// lengthSize is the size of the length before each chunk, in bytes; a length
// of zero is the end marker.
const lengthSize = 4

// chunks reads the body of an INSTREAM: chunks, each behind its length, up to
// the end marker. io.EOF means that the end marker has been read, and comes
// with the last bytes when the marker is there already; a connection that ends
// before it is io.ErrUnexpectedEOF.
//
// A read waits only for its first byte. Where it asks for more than is
// buffered, and for more than the buffer's size, it reads from the connection
// into the caller's memory.
type chunks struct {
	r *bufio.Reader
	// quota is how much longer the body may become, in bytes. A chunk whose
	// length is over it is scan.ErrTooLarge at once, as in clamd, though none
	// of its data has come.
	quota int64

	chunk int64 // bytes of the current chunk that have not been read
	err   error // why there is no more to read; io.EOF: the end marker was read
}

// ended says whether the body has been read to its end marker.
func (c *chunks) ended() bool { return errors.Is(c.err, io.EOF) }

func (c *chunks) Read(p []byte) (n int, err error) {
	for c.err == nil {
		if c.chunk == 0 {
			if n > 0 && c.r.Buffered() < lengthSize {
				return n, nil
			}
			c.err = c.begin()
			continue
		}
		if n == len(p) || n > 0 && c.r.Buffered() == 0 {
			return n, nil
		}
		k, err := c.r.Read(p[n:min(int64(len(p)), int64(n)+c.chunk)])
		n += k
		c.chunk -= int64(k)
		c.err = withinBody(err)
	}
	return n, c.err
}

// begin reads the length of the next chunk; io.EOF if it is the end marker.
func (c *chunks) begin() error {
	length, err := c.r.Peek(lengthSize)
	if err != nil {
		return withinBody(err)
	}
	c.chunk = int64(binary.BigEndian.Uint32(length))
	if _, err := c.r.Discard(lengthSize); err != nil {
		return err
	}
	switch {
	case c.chunk == 0:
		return io.EOF
	case c.chunk > c.quota:
		return scan.ErrTooLarge
	}
	c.quota -= c.chunk
	return nil
}

// withinBody is err as it reads within a body, where no end is in order.
func withinBody(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
