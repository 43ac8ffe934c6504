package service_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

// ask sends clamd a command and gives its one reply. The reader, unless nil, is
// the body of an INSTREAM.
func ask(address, command string, body io.Reader) (string, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	sent := sendCommand(conn, command, body)
	// clamd may have refused a body before it has read it all.
	reply, err := bufio.NewReader(conn).ReadString(0)
	if err != nil {
		return "", errors.Join(sent, err)
	}
	return strings.TrimSuffix(reply, "\x00"), nil
}

func sendCommand(conn net.Conn, command string, body io.Reader) error {
	if _, err := io.WriteString(conn, "z"+command+"\x00"); err != nil || body == nil {
		return err
	}
	chunk := make([]byte, 4+64<<10)
	for {
		n, err := io.ReadFull(body, chunk[4:])
		if n > 0 {
			binary.BigEndian.PutUint32(chunk, uint32(n))
			if _, err := conn.Write(chunk[:4+n]); err != nil {
				return err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			_, err := conn.Write([]byte{0, 0, 0, 0})
			return err
		}
		if err != nil {
			return err
		}
	}
}

// scan has clamd scan a body and gives its reply.
func scan(address string, body io.Reader) (string, error) { return ask(address, "INSTREAM", body) }
