package clamdapi

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"clamav-sidecar/sidecar/scan"
)

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// endMarker ends a body.
const endMarker = "\x00\x00\x00\x00"

// chunk is data as one chunk of a body.
func chunk(data string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(data)))) + data
}

// scripted is a Scanner that finds EICAR in what holds that word, and nothing
// in other bodies that it could read to their end.
type scripted struct {
	down    bool
	max     int64                        // 1 MiB if zero
	scan    func(io.Reader) error        // is called first, if set
	verdict *scan.Verdict                // is given, if set
	command func(string) ([]byte, error) // answers commands, if set

	mu     sync.Mutex
	bodies []string // those that came to their end
}

func (s *scripted) Ready() bool { return !s.down }

func (s *scripted) MaxFileSize() int64 {
	if s.max > 0 {
		return s.max
	}
	return 1 << 20
}

func (s *scripted) Command(_ context.Context, name string) ([]byte, error) {
	if s.command != nil {
		return s.command(name)
	}
	return []byte("reply to " + name), nil
}

func (s *scripted) Scan(_ context.Context, body io.Reader, opt scan.Options) (scan.Verdict, error) {
	if opt.Endpoint != scan.Clamd {
		return scan.Verdict{}, errors.New("the endpoint is not named")
	}
	if s.scan != nil {
		if err := s.scan(body); err != nil {
			return scan.Verdict{}, err
		}
	}
	data, err := io.ReadAll(body)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return scan.Verdict{}, scan.ErrUploadTimeout
	case err != nil:
		return scan.Verdict{}, errors.Join(scan.ErrUpload, err)
	}
	s.mu.Lock()
	s.bodies = append(s.bodies, string(data))
	s.mu.Unlock()
	switch {
	case s.verdict != nil:
		return *s.verdict, nil
	case bytes.Contains(data, []byte("EICAR")):
		return scan.Verdict{Outcome: scan.Infected, Signature: "Eicar"}, nil
	}
	return scan.Verdict{Outcome: scan.Clean}, nil
}

// scanned are the bodies that came to their end so far.
func (s *scripted) scanned() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.bodies...)
}

// newServer makes a Server that lingers only briefly.
func newServer(config Config) *Server {
	config.Log = slog.New(slog.DiscardHandler)
	s := New(config)
	s.limits.linger, s.limits.goodbye = 200*time.Millisecond, 50*time.Millisecond
	return s
}

// serve runs s on a free port until the test ends.
func serve(t *testing.T, s *Server) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("got %v from Shutdown, want nil", err)
		}
		if err := <-served; err != nil {
			t.Errorf("got %v from Serve, want nil", err)
		}
	})
	return l.Addr().String()
}

// serveScripted runs an endpoint with scanner behind it.
func serveScripted(t *testing.T, scanner *scripted) (address string) {
	t.Helper()
	return serve(t, newServer(Config{Scanner: scanner}))
}

// dial connects to an endpoint.
func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// send writes text.
func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatalf("send %.40q: %v", text, err)
	}
}

// rest is everything up to the end of the connection.
func rest(t *testing.T, conn net.Conn) string {
	t.Helper()
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("read the reply, after %q: %v", all, err)
	}
	return string(all)
}

// next is the reply up to the byte that ends it.
func next(t *testing.T, conn net.Conn, end byte) string {
	t.Helper()
	var reply strings.Builder
	for one := make([]byte, 1); ; {
		if _, err := io.ReadFull(conn, one); err != nil {
			t.Fatalf("read the reply, after %q: %v", reply.String(), err)
		}
		reply.WriteByte(one[0])
		if one[0] == end {
			return reply.String()
		}
	}
}

// ask sends text on a connection of its own and gives all that comes back.
func ask(t *testing.T, address, text string) string {
	t.Helper()
	conn := dial(t, address)
	send(t, conn, text)
	return rest(t, conn)
}

// awaitState waits until so many connections are in each state.
func awaitState(t *testing.T, s *Server, want map[uint32]int) {
	t.Helper()
	await(t, fmt.Sprintf("connections by state are %v", want), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		got := map[uint32]int{}
		for c := range s.clients {
			got[c.state.Load()]++
		}
		return fmt.Sprint(got) == fmt.Sprint(want)
	})
}

// await waits until what is said holds.
func await(t *testing.T, said string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v and never found that %s", patience, said)
		}
	}
}
