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
	// MaxConnections bounds the open connections; 1024 if zero. While so many
	// are open, further clients wait to be accepted, as they do with clamd.
	MaxConnections int
	Log            *slog.Logger
}

// Server answers clamd's protocol. Its methods are safe for concurrent use.
type Server struct {
	config Config
	limits limits
	// readers holds *bufio.Reader.
	readers sync.Pool
	// places has one element for each open connection, and for each Serve that
	// is about to accept one.
	places chan struct{}

	// stopping ends with the call of Shutdown, running with that call's context.
	stopping, running context.Context
	stop, abort       context.CancelFunc

	// open counts the connections, which clients holds, and the calls of Serve.
	open    sync.WaitGroup
	mu      sync.Mutex
	clients map[*client]struct{}
}

// limits are how long a connection may take for what.
type limits struct {
	command time.Duration // for the first command, from the connection on
	session time.Duration // for a further command, from the reply before it on
	reply   time.Duration // for a reply to be taken
	linger  time.Duration // for a client that still sends to read why it was refused
	goodbye time.Duration // for one that may just begin to send, at the shutdown
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
			goodbye: 500 * time.Millisecond,
		},
		readers: sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readerSize) }},
		places:  make(chan struct{}, config.MaxConnections),
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
	defer l.Close()
	if !s.begin() {
		return nil
	}
	defer s.open.Done()
	release := context.AfterFunc(s.stopping, func() { stopAccepting(l) })
	defer release()
	for s.awaitPlace() {
		conn, err := s.accept(l)
		if err != nil {
			<-s.places
			if s.stopping.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept clamd clients on %s: %w", l.Addr(), err)
		}
		c := s.admit(conn)
		go c.run()
	}
	return nil
}

// begin has Shutdown wait for a Serve, which is then to call open.Done; false
// when Shutdown was called before.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Err() != nil {
		return false
	}
	s.open.Add(1)
	return true
}

// stopAccepting has Accept fail soon. It still takes in the connections that
// the system has already made for their clients, so that these are told of the
// shutdown: see [client.hangUp].
func stopAccepting(l net.Listener) {
	const soon = 10 * time.Millisecond
	if d, ok := l.(interface{ SetDeadline(time.Time) error }); ok && d.SetDeadline(time.Now().Add(soon)) == nil {
		return
	}
	l.Close()
}

// awaitPlace waits until one more connection may be opened; false when Shutdown
// was called first.
func (s *Server) awaitPlace() bool {
	select {
	case s.places <- struct{}{}:
		return true
	default:
	}
	s.config.Log.Warn("too many clamd clients are connected: more have to wait", "connections", s.config.MaxConnections)
	select {
	case s.places <- struct{}{}:
		return true
	case <-s.stopping.Done():
		return false
	}
}

// accept waits for a connection. What fails for want of memory or of file
// descriptors is tried again, ever more slowly.
func (s *Server) accept(l net.Listener) (net.Conn, error) {
	const shortest, longest = 5 * time.Millisecond, time.Second
	for wait := shortest; ; wait = min(2*wait, longest) {
		conn, err := l.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) || s.stopping.Err() != nil {
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

// admit takes conn in.
func (s *Server) admit(conn net.Conn) *client {
	c := &client{conn: conn, server: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c] = struct{}{}
	s.open.Add(1)
	return c
}

// leave takes c out again.
func (s *Server) leave(c *client) {
	s.mu.Lock()
	delete(s.clients, c)
	s.mu.Unlock()
	<-s.places
	s.open.Done()
}

// Shutdown closes the listeners and the connections that wait for a command,
// lets the commands that have begun come to their end, and closes their
// connections too. When ctx ends before that, it cuts off what still runs and
// returns the context's error. Every client that may wait for a verdict is sent
// an ERROR before its connection is closed.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stop()
	s.mu.Unlock()
	s.each((*client).dismiss)
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
	deadline := time.Now().Add(s.limits.goodbye)
	cut := s.each(func(c *client) { c.cutOff(deadline) })
	return fmt.Errorf("shut down the clamd endpoint: %w: cut off %d connections", ctx.Err(), cut)
}

// each calls do for every open connection and gives their number.
func (s *Server) each(do func(*client)) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.clients {
		do(c)
	}
	return len(s.clients)
}
