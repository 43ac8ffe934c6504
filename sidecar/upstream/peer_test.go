package upstream

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// peer is a replica that gives the replies that a real clamd gives rarely. It
// answers VERSION, reads each body as clamd does, and then does as it is told.
type peer struct {
	t        *testing.T
	listener *net.TCPListener
	does     behaviour

	mu       sync.Mutex
	version  string
	conns    map[*net.TCPConn]bool
	versions int      // how often it was asked
	sessions int      // how many brought a body
	bodies   []string // those that came to their end
	open     sync.WaitGroup
}

// startPeers starts a peer for each behaviour, on one port of 127.0.0.2,
// 127.0.0.3 and so on.
func startPeers(t *testing.T, all ...behaviour) []*peer {
	t.Helper()
	var err error
	for range 20 {
		var peers []*peer
		if peers, err = listen(t, all); err == nil {
			for _, p := range peers {
				p.open.Go(p.serve)
				t.Cleanup(p.stop)
			}
			return peers
		}
	}
	t.Fatalf("find a port that is free on %d addresses: %v; on macOS add them: sudo ifconfig lo0 alias 127.0.0.2 up", len(all), err)
	return nil
}

func listen(t *testing.T, all []behaviour) (peers []*peer, err error) {
	address := net.TCPAddr{}
	for i, does := range all {
		address.IP = net.IPv4(127, 0, 0, byte(2+i))
		listener, err := net.ListenTCP("tcp", &address)
		if err != nil {
			for _, p := range peers {
				p.listener.Close()
			}
			return nil, err
		}
		address.Port = listener.Addr().(*net.TCPAddr).Port
		peers = append(peers, &peer{t: t, listener: listener, does: does, version: "ClamAV 9.9.9", conns: map[*net.TCPConn]bool{}})
	}
	return peers, nil
}

// confOfPeers writes a clamd.conf that names the peers and gives its path.
func confOfPeers(t *testing.T, peers ...*peer) string {
	t.Helper()
	lines := []string{"TCPSocket " + peers[0].port()}
	for _, p := range peers {
		lines = append(lines, "TCPAddr "+p.listener.Addr().(*net.TCPAddr).IP.String())
	}
	return confPath(t, lines...)
}

func (p *peer) addr() string { return p.listener.Addr().String() }

func (p *peer) port() string { return fmt.Sprint(p.listener.Addr().(*net.TCPAddr).Port) }

func (p *peer) serve() {
	for {
		conn, err := p.listener.AcceptTCP()
		if err != nil {
			return // stopped
		}
		p.mu.Lock()
		p.conns[conn] = true
		p.mu.Unlock()
		p.open.Go(func() {
			p.converse(conn)
			conn.Close()
			p.mu.Lock()
			delete(p.conns, conn)
			p.mu.Unlock()
		})
	}
}

// stop closes the listener and all connections, and waits for their ends.
func (p *peer) stop() {
	p.listener.Close()
	p.hangUp()
	p.open.Wait()
}

// hangUp closes all connections.
func (p *peer) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
}

// converse serves one connection to its end.
func (p *peer) converse(conn *net.TCPConn) {
	r := bufio.NewReader(conn)
	id := 0
	for {
		first, err := r.Peek(1)
		if err != nil {
			return
		}
		end := byte(0)
		if first[0] == 'n' {
			end = '\n'
		}
		command, err := r.ReadString(end)
		if err != nil {
			return
		}
		switch command[1 : len(command)-1] {
		case "VERSION":
			p.mu.Lock()
			p.versions++
			version := p.version
			p.mu.Unlock()
			if version != "" {
				fmt.Fprintf(conn, "%s%c", version, end)
				return
			}
		case "IDSESSION":
		case "INSTREAM":
			body, err := readBody(r)
			if err != nil {
				return
			}
			id++
			if isSample(body) {
				writes("%d: stream: Heuristics.Sample FOUND\x00")(conn, id, body)
				continue
			}
			p.mu.Lock()
			p.bodies = append(p.bodies, body)
			if id == 1 {
				p.sessions++
			}
			p.mu.Unlock()
			p.does(conn, id, body)
		default:
			p.t.Errorf("a peer: got the command %q, want VERSION, IDSESSION or INSTREAM", command)
			return
		}
	}
}

// isSample says whether a body is one that the pool examines replicas with.
func isSample(body string) bool {
	return slices.ContainsFunc(samples(), func(s sample) bool { return string(s.body) == body })
}

// readBody reads chunks up to the end marker.
func readBody(r io.Reader) (string, error) {
	var body strings.Builder
	for {
		var length uint32
		if err := binary.Read(r, binary.BigEndian, &length); err != nil {
			return "", err
		}
		if length == 0 {
			return body.String(), nil
		}
		if _, err := io.CopyN(&body, r, int64(length)); err != nil {
			return "", err
		}
	}
}

// say sets the reply to VERSION; "" keeps silent and the connection open.
func (p *peer) say(version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.version = version
}

// got counts the bodies that came to their end and hold part.
func (p *peer) got(part string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, b := range p.bodies {
		if strings.Contains(b, part) {
			n++
		}
	}
	return n
}

func (p *peer) count() (versions, sessions, conns int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.versions, p.sessions, len(p.conns)
}

// behaviour is what a peer does with the id-th body of a connection. It is
// called concurrently.
type behaviour func(conn *net.TCPConn, id int, body string)

// writes writes text, with the body's number where it has %d.
func writes(text string) behaviour {
	return func(conn *net.TCPConn, id int, _ string) {
		io.WriteString(conn, strings.ReplaceAll(text, "%d", fmt.Sprint(id)))
	}
}

var ok = writes("%d: stream: OK\x00")

func hangUp(conn *net.TCPConn, _ int, _ string) { conn.Close() }

func reset(conn *net.TCPConn, _ int, _ string) {
	if err := conn.SetLinger(0); err == nil {
		conn.Close()
	}
}

// then does one thing after the other.
func then(all ...behaviour) behaviour {
	return func(conn *net.TCPConn, id int, body string) {
		for _, does := range all {
			does(conn, id, body)
		}
	}
}

// says writes text and closes.
func says(text string) behaviour { return then(writes(text), hangUp) }

// held keeps every body waiting until released is closed.
func held(released <-chan struct{}) behaviour {
	return func(*net.TCPConn, int, string) {
		select {
		case <-released:
		case <-time.After(patience):
		}
	}
}
