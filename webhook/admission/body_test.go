package admission

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"
)

// endless is a body that stalls after its text, until the test ends.
type endless struct {
	io.Reader
	ended <-chan struct{}
}

func (e *endless) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		<-e.ended
	}
	return n, err
}

func TestABodyThatStallsIsGivenUpAndItsMemoryIsFreeAgain(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			const size = 1 << 20
			memory := semaphore.NewWeighted(size)
			outcome := make(chan error, 2)
			server := httptest.NewUnstartedServer(bounded(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.Proto != protocol {
					t.Errorf("the request is %s, want %s", r.Proto, protocol)
				}
				_, err := io.ReadAll(r.Body)
				outcome <- err
			}), memory))
			server.EnableHTTP2 = protocol == "HTTP/2.0"
			server.StartTLS()
			t.Cleanup(server.Close)

			ctx, cancel := context.WithTimeout(t.Context(), 4*bodyTimeout)
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL,
				&endless{bytes.NewReader(make([]byte, size)), ctx.Done()})
			if err != nil {
				t.Fatal(err)
			}
			stalled := make(chan struct{})
			go func() {
				defer close(stalled)
				if response, err := server.Client().Do(request); err == nil {
					response.Body.Close()
				}
			}()
			select {
			case err := <-outcome:
				if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the stalled body ended with %v, want that its deadline is over", err)
				}
			case <-ctx.Done():
				t.Fatal("the stalled body is still being read")
			}
			response, err := server.Client().Post(server.URL, "", strings.NewReader("next"))
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if err := <-outcome; err != nil {
				t.Errorf("the next body: %v", err)
			}
			cancel()
			<-stalled
		})
	}
}

func TestBodiesTogetherTakeNoMoreMemoryThanThereIs(t *testing.T) {
	memory := semaphore.NewWeighted(10)
	first := &boundedBody{ReadCloser: io.NopCloser(strings.NewReader("12345678")), ctx: t.Context(), memory: memory}
	if _, err := io.ReadAll(first); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	second := &boundedBody{ReadCloser: io.NopCloser(strings.NewReader("12345678")), ctx: ctx, memory: memory}
	if _, err := io.ReadAll(second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second body: %v, want it to wait until its deadline", err)
	}
	second.release()
	first.release()
	if !memory.TryAcquire(10) {
		t.Error("not all memory is free after both")
	}
}
