package admission

import (
	"context"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

// Bounds of requests, which anybody may send who reaches the port.
// controller-runtime bounds a single body, at 7 MiB.
const (
	// bodyTimeout is how long a body may take to come.
	bodyTimeout = 5 * time.Second
	// bodyMemory is what is held of all bodies together, in bytes. A pod takes a
	// few KiB; decoding takes several times the memory of the body.
	bodyMemory = 16 << 20
)

// bounded gives bodies a deadline, and memory only as long as there is some.
func bounded(handler http.Handler, memory *semaphore.Weighted) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		deadline := time.Now().Add(bodyTimeout)
		if err := http.NewResponseController(w).SetReadDeadline(deadline); err != nil {
			http.Error(w, "no read deadline can be set", http.StatusInternalServerError)
			return
		}
		// The request's own context ends when the server begins to shut down.
		ctx, cancel := context.WithDeadline(context.WithoutCancel(r.Context()), deadline)
		defer cancel()
		body := &boundedBody{ReadCloser: r.Body, ctx: ctx, memory: memory}
		defer body.release()
		r.Body = body
		handler.ServeHTTP(w, r)
	})
}

// boundedBody takes from the memory what it reads.
type boundedBody struct {
	io.ReadCloser
	ctx    context.Context
	memory *semaphore.Weighted
	taken  int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		if err := b.memory.Acquire(b.ctx, int64(n)); err != nil {
			return 0, err
		}
		b.taken += int64(n)
	}
	return n, err
}

func (b *boundedBody) release() {
	b.memory.Release(b.taken)
	b.taken = 0
}
