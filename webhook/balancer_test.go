package webhook_test

import (
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// balancer passes connections on to the replicas in turn, past those that do not
// answer, as a Service does.
type balancer struct {
	listener net.Listener
	mu       sync.Mutex
	backends []string
	next     int
	open     sync.WaitGroup
	closed   atomic.Bool
	conns    map[net.Conn]bool
}

func newBalancer(t *testing.T) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: listener, conns: map[net.Conn]bool{}}
	b.open.Go(b.accept)
	t.Cleanup(func() {
		listener.Close()
		b.mu.Lock()
		b.closed.Store(true)
		for conn := range b.conns {
			conn.Close()
		}
		b.mu.Unlock()
		b.open.Wait()
	})
	return b
}

func (b *balancer) address() string { return b.listener.Addr().String() }

func (b *balancer) add(backend string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = append(b.backends, backend)
}

// only sends everything to one backend, and ends all connections to others.
func (b *balancer) only(backend string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = []string{backend}
	for conn := range b.conns {
		conn.Close()
	}
	b.conns = map[net.Conn]bool{}
}

// remove sends nothing new to a backend.
func (b *balancer) remove(backend string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = slices.DeleteFunc(b.backends, func(other string) bool { return other == backend })
}

func (b *balancer) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.open.Go(func() { b.pass(conn) })
	}
}

// hold keeps a connection so that it is closed at the end.
func (b *balancer) hold(conn net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns[conn] = true
	if b.closed.Load() {
		conn.Close()
	}
}

func (b *balancer) pass(conn net.Conn) {
	defer conn.Close()
	b.hold(conn)
	b.mu.Lock()
	backends := append(append([]string{}, b.backends[b.next%max(1, len(b.backends)):]...), b.backends[:b.next%max(1, len(b.backends))]...)
	b.next++
	b.mu.Unlock()
	for _, address := range backends {
		backend, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			continue
		}
		b.hold(backend)
		var both sync.WaitGroup
		both.Go(func() { io.Copy(backend, conn); backend.Close() })
		both.Go(func() { io.Copy(conn, backend); conn.Close() })
		both.Wait()
		return
	}
}
