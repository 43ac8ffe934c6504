package clamd_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"clamav-sidecar/sidecar/clamd"
)

func TestSessionFramesBodiesForClamd(t *testing.T) {
	const begin, instream, end = "zIDSESSION\x00", "zINSTREAM\x00", "\x00\x00\x00\x00"
	block := func(text string) *clamd.Block { return blocksOf([]byte(text), clamd.BlockSize)[0] }
	full := bodyOf(t, 1, clamd.BlockSize)
	twoBlocks := binary.BigEndian.AppendUint32(nil, uint32(2*clamd.BlockSize))
	tests := map[string]struct {
		send func(s *clamd.Session) error
		want string
	}{
		"a body in one block": {
			func(s *clamd.Session) error { return s.Send([]*clamd.Block{block("abc")}, true, soon()) },
			begin + instream + "\x00\x00\x00\x03abc" + end,
		},
		"an empty body": {
			func(s *clamd.Session) error { return s.Send([]*clamd.Block{block("")}, true, soon()) },
			begin + instream + end,
		},
		"a body in several blocks, which make one chunk": {
			func(s *clamd.Session) error {
				return s.Send([]*clamd.Block{block("abc"), block("de"), block("f")}, true, soon())
			},
			begin + instream + "\x00\x00\x00\x06abcdef" + end,
		},
		"full blocks": {
			func(s *clamd.Session) error {
				return s.Send(blocksOf(append(full, full...), clamd.BlockSize), true, soon())
			},
			begin + instream + string(twoBlocks) + string(full) + string(full) + end,
		},
		"a body in a block that held more before": {
			func(s *clamd.Session) error {
				block := blocksOf(full, clamd.BlockSize)[0]
				block.Reset()
				block.Grow(copy(block.Free(), "abc"))
				return s.Send([]*clamd.Block{block}, true, soon())
			},
			begin + instream + "\x00\x00\x00\x03abc" + end,
		},
		"a body that comes in pieces": {
			func(s *clamd.Session) error {
				return errors.Join(
					s.Send([]*clamd.Block{block("abc")}, false, soon()),
					s.Send([]*clamd.Block{block("de"), block("f")}, false, soon()),
					s.Send([]*clamd.Block{block("g")}, true, soon()))
			},
			begin + instream + "\x00\x00\x00\x03abc" + "\x00\x00\x00\x03def" + "\x00\x00\x00\x01g" + end,
		},
		"a body whose last piece is empty": {
			func(s *clamd.Session) error {
				return errors.Join(
					s.Send([]*clamd.Block{block("abc")}, false, soon()),
					s.Send([]*clamd.Block{block("")}, true, soon()))
			},
			begin + instream + "\x00\x00\x00\x03abc" + end,
		},
		"two bodies": {
			func(s *clamd.Session) error {
				return errors.Join(
					s.Send([]*clamd.Block{block("abc")}, true, soon()),
					s.Send([]*clamd.Block{block("de")}, true, soon()))
			},
			begin + instream + "\x00\x00\x00\x03abc" + end + instream + "\x00\x00\x00\x02de" + end,
		},
		"a body whose end never came": {
			func(s *clamd.Session) error { return s.Send([]*clamd.Block{block("abc")}, false, soon()) },
			begin + instream + "\x00\x00\x00\x03abc",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := make(chan []byte, 1)
			s := session(t, func(conn *net.TCPConn) {
				all, err := io.ReadAll(conn)
				if err != nil {
					t.Error(err)
				}
				got <- all
			})
			if err := test.send(s); err != nil {
				t.Fatal(err)
			}
			s.Close()
			if got := <-got; string(got) != test.want {
				t.Errorf("got %d bytes on the wire that begin %.60q, want %d that begin %.60q", len(got), got, len(test.want), test.want)
			}
		})
	}
}

func TestBlocksAreTheSameForEveryReplica(t *testing.T) {
	for _, size := range []int{0, 1, 7, clamd.BlockSize - 1, clamd.BlockSize, clamd.BlockSize + 1, 3 * clamd.BlockSize} {
		body := bodyOf(t, 7, size)
		blocks := blocksOf(body, clamd.BlockSize)
		var wire []byte
		for replica := range 3 {
			got := make(chan []byte, 1)
			s := session(t, func(conn *net.TCPConn) {
				all, err := io.ReadAll(conn)
				if err != nil {
					t.Error(err)
				}
				got <- all
			})
			if err := s.Send(blocks, true, soon()); err != nil {
				t.Fatal(err)
			}
			s.Close()
			bytesOf := <-got
			if replica == 0 {
				wire = bytesOf
			}
			if !bytes.Equal(bytesOf, wire) {
				t.Errorf("%d bytes, replica %d: got other bytes on the wire than replica 0, want the same", size, replica)
			}
			if sent, err := readBody(bufio.NewReader(bytes.NewReader(bytesOf))); err != nil || !bytes.Equal(sent, body) {
				t.Errorf("%d bytes, replica %d: got a body of %d bytes and error %v, want the body", size, replica, len(sent), err)
			}
		}
		var held []byte
		for _, b := range blocks {
			held = append(held, b.Bytes()...)
		}
		if !bytes.Equal(held, body) {
			t.Errorf("%d bytes: the blocks have changed, want them left alone", size)
		}
	}
}
