package clamdapi

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzServer lets a client send any bytes, in packets of any size, and checks
// that the bodies which reach the scanner whole are those that a plain reading
// of the bytes finds, and that there is no OK but for these.
func FuzzServer(f *testing.F) {
	for _, c := range conversations {
		if text := strings.Join(c.send, ""); len(text) < 64<<10 {
			f.Add([]byte(text), uint16(1<<15))
			f.Add([]byte(text), uint16(1))
		}
	}
	f.Fuzz(func(t *testing.T, sent []byte, packet uint16) {
		scanner := &scripted{max: fuzzQuota}
		server := newServer(Config{Scanner: scanner})
		conn := &fakeConn{sent: sent, packet: max(int(packet), 1)}
		server.awaitPlace()
		server.admit(conn).run()

		want := wholeBodies(sent)
		if got := scanner.scanned(); !slices.Equal(got, want) {
			t.Errorf("got the bodies %q, want %q", got, want)
		}
		infected := 0
		for _, body := range want {
			if strings.Contains(body, "EICAR") {
				infected++
			}
		}
		reply := conn.got.String()
		if got, want := strings.Count(reply, "stream: OK"), len(want)-infected; got != want {
			t.Errorf("got %d times OK in %q, want %d", got, reply, want)
		}
		if got := strings.Count(reply, " FOUND"); got != infected {
			t.Errorf("got %d times FOUND in %q, want %d", got, reply, infected)
		}
		if most := 64 + 64*len(sent); len(reply) > most {
			t.Errorf("got %d bytes of reply to %d bytes, want at most %d", len(reply), len(sent), most)
		}
		if !conn.closed {
			t.Error("the connection is still open")
		}
	})
}

// fuzzQuota is the largest body in bytes.
const fuzzQuota = 1000

// wholeBodies are the bodies in what a client sends that may be scanned: those
// of the first command, or of the first session, that come to their end marker.
func wholeBodies(sent []byte) (bodies []string) {
	command := func() (name string, ok bool) {
		end := map[byte]string{'z': "\x00", 'n': "\n"}
		if len(sent) == 0 || end[sent[0]] == "" {
			return "", false
		}
		line, rest, ok := bytes.Cut(sent, []byte(end[sent[0]]))
		if !ok || len(line)+1 > maxCommand {
			return "", false
		}
		name = string(line[1:])
		if sent[0] == 'n' {
			name, _, _ = strings.Cut(name, "\x00")
			name = strings.TrimRight(name, "\r")
		}
		sent = rest
		return name, true
	}
	body := func() (data string, ok bool) {
		for {
			if len(sent) < lengthSize {
				return "", false
			}
			n := int(binary.BigEndian.Uint32(sent))
			sent = sent[lengthSize:]
			if n == 0 {
				return data, true
			}
			if len(data)+n > fuzzQuota || n > len(sent) {
				return "", false
			}
			data += string(sent[:n])
			sent = sent[n:]
		}
	}
	name, ok := command()
	session := ok && name == "IDSESSION"
	if session {
		name, ok = command()
	}
	for ok {
		switch name {
		case "INSTREAM":
			data, whole := body()
			if !whole {
				return bodies
			}
			bodies = append(bodies, data)
		case "PING", "VERSION", "VERSIONCOMMANDS", "STATS":
		default:
			return bodies
		}
		if !session {
			return bodies
		}
		name, ok = command()
	}
	return bodies
}

// fakeConn is a connection over which a client sends its bytes and then closes
// its sending side.
type fakeConn struct {
	sent   []byte
	packet int // bytes a read gives at most
	got    bytes.Buffer
	closed bool
}

func (c *fakeConn) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), c.packet)], c.sent)
	c.sent = c.sent[n:]
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (c *fakeConn) Write(p []byte) (int, error) { return c.got.Write(p) }

func (c *fakeConn) Close() error {
	c.closed = true
	return nil
}

func (c *fakeConn) CloseWrite() error                { return nil }
func (c *fakeConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *fakeConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *fakeConn) SetDeadline(time.Time) error      { return nil }
func (c *fakeConn) SetReadDeadline(time.Time) error  { return nil }
func (c *fakeConn) SetWriteDeadline(time.Time) error { return nil }
