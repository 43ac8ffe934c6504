package clamd_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"clamav-sidecar/sidecar/clamd"
)

// patience bounds each wait of a test; a healthy run needs a fraction of it.
const patience = 10 * time.Second

func soon() time.Time { return time.Now().Add(patience) }

// dialPeer connects to a peer that plays its script on one connection and then
// closes it. The test waits for the script's end.
func dialPeer(t *testing.T, script func(conn *net.TCPConn)) net.Conn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := listener.Accept()
		if err != nil {
			return // the test closed the listener
		}
		defer conn.Close()
		if err := conn.SetDeadline(soon()); err != nil {
			t.Error(err)
			return
		}
		script(conn.(*net.TCPConn))
	}()
	t.Cleanup(func() {
		listener.Close()
		<-ended
	})
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// session is a session with a peer, see dialPeer.
func session(t *testing.T, script func(conn *net.TCPConn)) *clamd.Session {
	t.Helper()
	return clamd.NewSession(dialPeer(t, script))
}

// readBody reads one INSTREAM as clamd does: the commands, the chunks, the end
// marker. It gives an error when the stream ends before, with what came.
func readBody(r *bufio.Reader) (body []byte, err error) {
	for command := ""; command != "zINSTREAM\x00"; {
		if command, err = r.ReadString(0); err != nil {
			return nil, err
		}
		if command != "zINSTREAM\x00" && command != "zIDSESSION\x00" {
			return nil, fmt.Errorf("got the command %q, want IDSESSION or INSTREAM", command)
		}
	}
	for {
		var length uint32
		if err := binary.Read(r, binary.BigEndian, &length); err != nil {
			return body, err
		}
		if length == 0 {
			return body, nil
		}
		chunk := make([]byte, length)
		n, err := io.ReadFull(r, chunk)
		body = append(body, chunk[:n]...)
		if err != nil {
			return body, err
		}
	}
}

// says is a peer that reads one body and then writes each text with a pause
// behind it, so that each arrives by itself.
func says(texts ...string) func(conn *net.TCPConn) {
	return func(conn *net.TCPConn) {
		if _, err := readBody(bufio.NewReader(conn)); err != nil {
			return
		}
		for i, text := range texts {
			if i > 0 {
				time.Sleep(time.Millisecond)
			}
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
		}
	}
}

// reset makes the close of conn a RST.
func reset(conn *net.TCPConn) {
	if err := conn.SetLinger(0); err == nil {
		conn.Close()
	}
}
