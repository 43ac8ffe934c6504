package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"clamav-sidecar/sidecar/clamd"
	"clamav-sidecar/sidecar/scan"
	"clamav-sidecar/sidecar/upstream"
	"clamav-sidecar/test/corpus"
)

// testTimeout bounds every wait of a test.
const testTimeout = 20 * time.Second

// scripted stands in for [scan.Scanner] where a test needs faults that the real
// one does not show at will. It keeps to the same contract.
type scripted struct {
	// answer, if set, is called with the body once it was read to its end.
	answer func(ctx context.Context, body []byte) (scan.Verdict, error)
	// instead, if set, is called in place of reading.
	instead func(ctx context.Context, body io.Reader) (scan.Verdict, error)
	limit   int64 // bytes; 0: 1 MiB
	known   []upstream.Replica
	stats   upstream.Stats

	mu    sync.Mutex
	calls []scan.Options
}

var testVersion = clamd.Version{Engine: "1.4.6", Signatures: 27800, Built: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)}

func (s *scripted) Replicas() []upstream.Replica { return s.known }

func (s *scripted) Stats() upstream.Stats { return s.stats }

func (s *scripted) MaxFileSize() int64 {
	if s.limit > 0 {
		return s.limit
	}
	return 1 << 20
}

func (s *scripted) Scan(ctx context.Context, body io.Reader, opt scan.Options) (scan.Verdict, error) {
	s.mu.Lock()
	s.calls = append(s.calls, opt)
	s.mu.Unlock()
	if opt.Size > s.MaxFileSize() {
		return scan.Verdict{}, fmt.Errorf("%w of %d bytes", scan.ErrTooLarge, s.MaxFileSize())
	}
	if s.instead != nil {
		return s.instead(ctx, body)
	}
	content, err := io.ReadAll(io.LimitReader(body, s.MaxFileSize()+1))
	verdict := scan.Verdict{Bytes: int64(len(content)), Duration: 1234567 * time.Nanosecond}
	switch {
	case verdict.Bytes > s.MaxFileSize():
		return verdict, fmt.Errorf("%w of %d bytes", scan.ErrTooLarge, s.MaxFileSize())
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return verdict, fmt.Errorf("%w after %d bytes", scan.ErrUploadTimeout, len(content))
	case err != nil:
		return verdict, fmt.Errorf("%w: %w", scan.ErrUpload, err)
	}
	answer := judge
	if s.answer != nil {
		answer = s.answer
	}
	v, err := answer(ctx, content)
	verdict.Outcome, verdict.Signature, verdict.Reason, verdict.Version = v.Outcome, v.Signature, v.Reason, v.Version
	return verdict, err
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// judge finds EICAR, and the words "encrypted" and "fails".
func judge(_ context.Context, body []byte) (scan.Verdict, error) {
	v := scan.Verdict{Outcome: scan.Clean, Version: testVersion}
	switch {
	case bytes.Contains(body, corpus.EICAR()):
		v.Outcome, v.Signature = scan.Infected, "Eicar-Test-Signature"
	case bytes.Contains(body, []byte("encrypted")):
		v.Outcome, v.Signature, v.Reason = scan.Unscannable, "Heuristics.Encrypted.Zip", scan.Encrypted
	case bytes.Contains(body, []byte("fails")):
		return scan.Verdict{}, fmt.Errorf("%w: Can't allocate memory", scan.ErrEngine)
	}
	return v, nil
}

// server is a running endpoint.
type server struct {
	address string
	log     *syncBuffer
}

// start runs the endpoint until the test ends. Adjust, if not nil, changes the
// server before.
func start(t testing.TB, config Config, adjust func(*http.Server)) server {
	t.Helper()
	log := &syncBuffer{}
	if config.Log == nil {
		config.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	if config.Version == "" {
		config.Version = "1.2.3"
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(config)
	if adjust != nil {
		adjust(s)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(listener) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the server: %v", err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return server{listener.Addr().String(), log}
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// dial gives a connection whose every wait is bounded.
func (s server) dial(t testing.TB) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	close  bool // the server closes the connection behind it
	body   string
}

// do sends one request on a connection of its own.
func (s server) do(t testing.TB, method, path, contentType, body string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	return send(t, request)
}

func send(t testing.TB, request *http.Request) reply {
	t.Helper()
	client := http.Client{Timeout: testTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return finish(t, response)
}

func finish(t testing.TB, response *http.Response) reply {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("read the answer's body: %v", err)
	}
	return reply{response.StatusCode, response.Header, response.Close, string(body)}
}

const formType = "multipart/form-data; boundary=b"

// form writes a form of which each part is "name:content"; without a name it is
// a plain field.
func formOf(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		name, content, _ := strings.Cut(p, ":")
		b.WriteString("--b\r\nContent-Disposition: form-data; name=\"f\"")
		if name != "" {
			fmt.Fprintf(&b, "; filename=%q", name)
		}
		b.WriteString("\r\n\r\n" + content + "\r\n")
	}
	return b.String() + "--b--\r\n"
}
