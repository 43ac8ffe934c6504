package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	goclamd "github.com/dutchcoders/go-clamd"

	"clamav-sidecar/test/corpus"
)

// bodyCounter is the number of bytes at the start of each body that make it
// unique, since clamd remembers clean files by their hash.
const bodyCounter = 8

// client sends bodies, one at a time.
type client interface {
	// scan sends the body with this number and fails unless it is called clean.
	scan(number uint64) error
	close()
}

// way is one way to have a body scanned.
type way struct {
	name string
	// sidecar says whether the sidecar is in the path.
	sidecar bool
	open    func(s *setup, body []byte) (client, error)
}

func ways() []way {
	return []way{
		{name: "direct", open: func(s *setup, body []byte) (client, error) {
			return newSocket(s.clamd, instream(body), clamdReply), nil
		}},
		{name: "go-clamd", open: newGoClamd},
		{name: "clamdscan", open: newClamdscan},
		{name: "http", sidecar: true, open: func(s *setup, body []byte) (client, error) {
			return newSocket(s.http, httpRaw(body), httpReply), nil
		}},
		{name: "multipart", sidecar: true, open: func(s *setup, body []byte) (client, error) {
			return newSocket(s.http, httpMultipart(body), httpReply), nil
		}},
		{name: "clamd endpoint", sidecar: true, open: func(s *setup, body []byte) (client, error) {
			return newSocket(s.clamdEndpoint, instream(body), clamdReply), nil
		}},
	}
}

func wayNames() []string {
	var names []string
	for _, w := range ways() {
		names = append(names, w.name)
	}
	return names
}

func knownWay(name string) bool { return slices.Contains(wayNames(), name) }

// request is all that a client sends for a body; at is where the body begins.
type request struct {
	wire []byte
	at   int
}

// instream is the body in chunks of 128 KiB on a connection of its own.
func instream(body []byte) request {
	const chunk = 128 << 10
	const command = "zINSTREAM\x00"
	wire := append(make([]byte, 0, len(body)+len(body)/chunk*4+64), command...)
	for part := range slices.Chunk(body, chunk) {
		wire = binary.BigEndian.AppendUint32(wire, uint32(len(part)))
		wire = append(wire, part...)
	}
	return request{append(wire, 0, 0, 0, 0), len(command) + 4}
}

func httpRaw(body []byte) request {
	head := "POST /v1/scan HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\n\r\n"
	return request{slices.Concat([]byte(head), body), len(head)}
}

func httpMultipart(body []byte) request {
	const boundary = "------------------------d74496d66958873e"
	part := "--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file.bin\"\r\n" +
		"Content-Type: application/octet-stream\r\n\r\n"
	end := "\r\n--" + boundary + "--\r\n"
	head := "POST /v1/scan HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=" + boundary +
		"\r\nContent-Length: " + strconv.Itoa(len(part)+len(body)+len(end)) + "\r\n\r\n" + part
	return request{slices.Concat([]byte(head), body, []byte(end)), len(head)}
}

// socket sends prepared bytes over a socket and looks at the reply.
type socket struct {
	address string
	request request
	// reply reads a reply; keep says whether the connection serves again.
	reply func(conn net.Conn, buf []byte) (keep bool, err error)
	conn  net.Conn
	buf   []byte
}

func newSocket(address string, r request, reply func(net.Conn, []byte) (bool, error)) *socket {
	return &socket{address: address, request: r, reply: reply, buf: make([]byte, 4<<10)}
}

func (s *socket) scan(number uint64) error {
	binary.LittleEndian.PutUint64(s.request.wire[s.request.at:], number)
	return s.send()
}

func (s *socket) send() error {
	if s.conn == nil {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			return err
		}
		s.conn = conn
	}
	if _, err := s.conn.Write(s.request.wire); err != nil {
		return err
	}
	keep, err := s.reply(s.conn, s.buf)
	if !keep || err != nil {
		s.close()
	}
	return err
}

func (s *socket) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

func clamdReply(conn net.Conn, buf []byte) (bool, error) {
	n := 0
	for {
		got, err := conn.Read(buf[n:])
		n += got
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, err
		}
	}
	if string(buf[:n]) != "stream: OK\x00" {
		return false, fmt.Errorf("reply %q, want OK", buf[:n])
	}
	return false, nil
}

func httpReply(conn net.Conn, buf []byte) (bool, error) {
	n := 0
	for {
		got, err := conn.Read(buf[n:])
		if err != nil {
			return false, err
		}
		n += got
		head, body, whole := bytes.Cut(buf[:n], []byte("\r\n\r\n"))
		if !whole {
			continue
		}
		if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
			return false, fmt.Errorf("answer %q, want 200", buf[:n])
		}
		_, length, ok := bytes.Cut(head, []byte("Content-Length: "))
		if !ok {
			return false, fmt.Errorf("answer %q has no Content-Length", buf[:n])
		}
		length, _, _ = bytes.Cut(length, []byte("\r\n"))
		if want, err := strconv.Atoi(string(length)); err != nil || len(body) >= want {
			return true, err
		}
	}
}

// goClamd scans with go-clamd's ScanStream.
type goClamd struct {
	clamd *goclamd.Clamd
	body  []byte
}

func newGoClamd(s *setup, body []byte) (client, error) {
	return &goClamd{goclamd.NewClamd("tcp://" + s.clamd), body}, nil
}

func (g *goClamd) scan(number uint64) error {
	binary.LittleEndian.PutUint64(g.body, number)
	abort := make(chan bool)
	defer close(abort)
	results, err := g.clamd.ScanStream(bytes.NewReader(g.body), abort)
	if err != nil {
		return err
	}
	err = errors.New("no reply")
	for r := range results {
		err = nil
		if r.Status != goclamd.RES_OK {
			err = fmt.Errorf("reply %q, want OK", r.Raw)
		}
	}
	return err
}

func (g *goClamd) close() {}

// clamdscan runs clamdscan, once for each body, as the existing apps do.
type clamdscan struct {
	exe, conf, file string
	body            []byte
}

func newClamdscan(s *setup, body []byte) (client, error) {
	f, err := os.CreateTemp(s.dir, "body-")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := os.WriteFile(f.Name(), body, 0o600); err != nil {
		return nil, err
	}
	return &clamdscan{exe: s.clamdscan, conf: filepath.Join(s.dir, "client.conf"), file: f.Name(), body: body}, nil
}

func (c *clamdscan) scan(number uint64) error {
	binary.LittleEndian.PutUint64(c.body, number)
	f, err := os.OpenFile(c.file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(c.body[:bodyCounter])
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	out, err := exec.Command(c.exe, "-c", c.conf, "--stream", "--no-summary", c.file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("clamdscan: %w: %s", err, out)
	}
	return nil
}

func (c *clamdscan) close() { os.Remove(c.file) }

// newBody makes the body that a client begins with.
func newBody(seed uint64, size int64) ([]byte, error) {
	body := make([]byte, size)
	_, err := io.ReadFull(corpus.NewBody(seed, size), body)
	return body, err
}
