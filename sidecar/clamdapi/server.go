package clamdapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"clamav-sidecar/sidecar/scan"
)

// Scanner is what the endpoint needs of a [scan.Scanner], whose contracts hold.
type Scanner interface {
	Scan(ctx context.Context, body io.Reader, opt scan.Options) (scan.Verdict, error)
	Command(ctx context.Context, name string) ([]byte, error)
	MaxFileSize() int64
	Ready() bool
}

// Config for a Server. Where a field says so, zero means its default.
type Config struct {
	Scanner Scanner
	// UploadIdle is the time within which some of a body has to come, as in
	// [scan.Paced]; 30 seconds if zero.
	UploadIdle time.Duration
	// MaxConnections bounds the open connections; 1024 if zero. One more is
	// closed as soon as it is accepted, so that its client fails at once and
	// does not wait for a turn that may not come.
	MaxConnections int
	Log            *slog.Logger
}

// Server answers clamd's protocol. Its methods are safe for concurrent use.
type Server struct {
	config Config
	limits limits
	// readers holds *bufio.Reader.
	readers sync.Pool

	// stopping ends with the call of Shutdown, running with that call's context.
	stopping, running context.Context
	stop, abort       context.CancelFunc

	// open counts the connections, which clients holds.
	open    sync.WaitGroup
	mu      sync.Mutex
	clients map[*client]struct{}
	warned  time.Time // when a connection too many was logged last
}

// limits are how long a connection may take for what.
type limits struct {
	command time.Duration // for the first command, from the connection on
	session time.Duration // for a further command, from the reply before it on
	reply   time.Duration // for a reply to be taken
	linger  time.Duration // for a client to read why it was refused
}

// readerSize is the size of a connection's read buffer in bytes: one read takes
// in a small body together with its command, or several chunks of a client that
// writes small ones. Reads larger than this go past the buffer.
const readerSize = 16 << 10

// New makes a Server.
func New(config Config) *Server {
	if config.UploadIdle == 0 {
		config.UploadIdle = 30 * time.Second
	}
	if config.MaxConnections == 0 {
		config.MaxConnections = 1024
	}
	s := &Server{
		config: config,
		// The first two are the defaults of clamd's CommandReadTimeout and
		// ReadTimeout.
		limits: limits{
			command: 30 * time.Second,
			session: 2 * time.Minute,
			reply:   30 * time.Second,
			linger:  5 * time.Second,
		},
		readers: sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readerSize) }},
		clients: make(map[*client]struct{}),
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.running, s.abort = context.WithCancel(context.Background())
	return s
}

// Serve takes in the connections that come through l until Shutdown is called,
// then closes l and returns nil; the connections may go on. Its error is that l
// was closed by somebody else.
func (s *Server) Serve(l net.Listener) error {
	release := context.AfterFunc(s.stopping, func() { l.Close() })
	defer release()
	defer l.Close()
	for {
		conn, err := s.accept(l)
		switch {
		case s.stopping.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case err != nil:
			return fmt.Errorf("accept clamd clients on %s: %w", l.Addr(), err)
		}
		if c := s.admit(conn); c != nil {
			go c.run()
		}
	}
}

// accept waits for a connection. What fails for want of memory or of file
// descriptors is tried again, ever more slowly.
func (s *Server) accept(l net.Listener) (net.Conn, error) {
	const shortest, longest = 5 * time.Millisecond, time.Second
	for wait := shortest; ; wait = min(2*wait, longest) {
		conn, err := l.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		s.config.Log.Warn("cannot accept a clamd client, trying again", "error", err, "after", wait)
		select {
		case <-time.After(wait):
		case <-s.stopping.Done():
			return nil, err
		}
	}
}

// admit takes conn in; nil if there is no room, or no time, for it.
func (s *Server) admit(conn net.Conn) *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Err() != nil {
		conn.Close()
		return nil
	}
	if len(s.clients) >= s.config.MaxConnections {
		conn.Close()
		s.warnFull(conn.RemoteAddr())
		return nil
	}
	c := &client{conn: conn, server: s}
	s.clients[c] = struct{}{}
	s.open.Add(1)
	return c
}

// warnFull logs that a connection was closed for want of room, at most once a
// second. The caller holds s.mu.
func (s *Server) warnFull(client net.Addr) {
	if time.Since(s.warned) < time.Second {
		return
	}
	s.warned = time.Now()
	s.config.Log.Warn("closed the connection of a clamd client: too many are open",
		"client", client.String(), "max_connections", s.config.MaxConnections)
}

// leave takes c out again.
func (s *Server) leave(c *client) {
	s.mu.Lock()
	delete(s.clients, c)
	s.mu.Unlock()
	s.open.Done()
}

// Shutdown closes the listeners and the connections that wait for a command,
// lets the commands that have begun come to their end, and closes their
// connections too. When ctx ends before that, it cancels what still runs,
// closes its connections and returns the context's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stop()
	for c := range s.clients {
		c.closeIdle()
	}
	s.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		s.open.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	s.abort()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.clients {
		c.conn.Close()
	}
	return fmt.Errorf("shut down the clamd endpoint: %w with %d connections open", ctx.Err(), len(s.clients))
}
