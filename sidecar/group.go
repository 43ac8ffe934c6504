package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// server serves one port. Serve returns nil once Shutdown was called, which
// lets what runs finish until ctx ends, and then closes it.
type server interface {
	Serve(net.Listener) error
	Shutdown(ctx context.Context) error
}

// group is what starts and ends together. It owns the goroutines.
type group struct {
	running sync.WaitGroup
	servers []server
	failed  chan error // the first fault of any member
}

func newGroup() *group { return &group{failed: make(chan error, 1)} }

func (g *group) run(do func() error) {
	g.running.Go(func() {
		if err := do(); err != nil {
			select {
			case g.failed <- err:
			default:
			}
		}
	})
}

func (g *group) serve(s server, l net.Listener) {
	g.servers = append(g.servers, s)
	g.run(func() error { return s.Serve(l) })
}

// shutdown shuts all servers down at once, and returns when every member has
// ended.
func (g *group) shutdown(ctx context.Context) error {
	faults := make([]error, len(g.servers))
	var closing sync.WaitGroup
	for i, s := range g.servers {
		closing.Go(func() { faults[i] = s.Shutdown(ctx) })
	}
	closing.Wait()
	g.running.Wait()
	return errors.Join(faults...)
}

// webServer gives an [http.Server] the manners of a server.
type webServer struct{ *http.Server }

func (s webServer) Serve(l net.Listener) error {
	if err := s.Server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
	}
	return nil
}

func (s webServer) Shutdown(ctx context.Context) error {
	if err := s.Server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("shut HTTP down: %w", err), s.Close())
	}
	return nil
}
