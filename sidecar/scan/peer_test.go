package scan

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"clamav-sidecar/sidecar/upstream"
	daemon "clamav-sidecar/test/clamd"
)

// peer is a replica that has the same reply for every body, and then hangs up:
// what a real clamd does rarely.
type peer struct {
	listener net.Listener
	reply    string // "": none

	mu    sync.Mutex
	conns map[net.Conn]bool
	open  sync.WaitGroup
}

// startPeer starts a peer on host, where port 0 is one that is free.
func startPeer(t *testing.T, host string, port int, reply string) *peer {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{listener: listener, reply: reply, conns: map[net.Conn]bool{}}
	p.open.Go(p.serve)
	t.Cleanup(func() {
		listener.Close()
		p.mu.Lock()
		for conn := range p.conns {
			conn.Close()
		}
		p.mu.Unlock()
		p.open.Wait()
	})
	return p
}

// confOfPeer writes a clamd.conf that names the peer and daemons on the same
// port, and gives its path.
func confOfPeer(t *testing.T, p *peer, daemons ...*daemon.Daemon) string {
	t.Helper()
	host, port, err := net.SplitHostPort(p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	lines := fmt.Sprintf("TCPSocket %s\nTCPAddr %s\n", port, host)
	for _, d := range daemons {
		lines += "TCPAddr " + strings.TrimSuffix(d.Addr(), ":"+port) + "\n"
	}
	path := filepath.Join(t.TempDir(), "clamd.conf")
	writeFile(t, path, lines)
	return path
}

func healthy(s *Scanner) int {
	n := 0
	for _, r := range s.Replicas() {
		if r.State == upstream.Healthy {
			n++
		}
	}
	return n
}

func (p *peer) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // the test has ended
		}
		p.mu.Lock()
		p.conns[conn] = true
		p.mu.Unlock()
		p.open.Go(func() {
			p.converse(conn)
			conn.Close()
		})
	}
}

// converse answers VERSION, or takes in one body.
func (p *peer) converse(conn net.Conn) {
	r := bufio.NewReader(conn)
	if command, err := r.Peek(len("zVERSION\x00")); err != nil || string(command) == "zVERSION\x00" {
		io.WriteString(conn, "ClamAV 9.9.9\x00")
		return
	}
	if _, err := r.Discard(len("zIDSESSION\x00zINSTREAM\x00")); err != nil {
		return
	}
	for {
		var length uint32
		if err := binary.Read(r, binary.BigEndian, &length); err != nil {
			return
		}
		if length == 0 {
			io.WriteString(conn, p.reply)
			return
		}
		if _, err := r.Discard(int(length)); err != nil {
			return
		}
	}
}
