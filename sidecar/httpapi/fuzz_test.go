package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"clamav-sidecar/sidecar/scan"
)

// FuzzRequests sends whatever it is given to a server: it must come to an end,
// without a panic, and may say clean only as often as the scanner did.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		post("Content-Length: 5") + "hello",
		post("Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n",
		post("Content-Type: "+formType, fmt.Sprint("Content-Length: ", len(formOf("a:x", ":y")))) + formOf("a:x", ":y"),
		post("Expect: 100-continue", "Content-Length: 5", "Connection: close") + "fails",
		"POST /v1/scan/x HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
		"GET /v1/replicas HTTP/1.1\r\nHost: x\r\n\r\nPUT /v1/scan HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		f.Add([]byte(seed))
		f.Add([]byte(seed + seed))
	}
	var clean atomic.Int64
	log := &syncBuffer{}
	warnings := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s := start(f, Config{Log: warnings, Scanner: &scripted{answer: func(ctx context.Context, body []byte) (scan.Verdict, error) {
		v, err := judge(ctx, body)
		if err == nil && v.Outcome == scan.Clean {
			clean.Add(1)
		}
		return v, err
	}}}, nil)
	f.Fuzz(func(t *testing.T, request []byte) {
		before := clean.Load()
		conn := s.dial(t)
		if _, err := conn.Write(request); err == nil {
			_ = conn.CloseWrite() // the server may have closed before
		}
		answers, err := io.ReadAll(conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %q and no end", answers)
		}
		said := int64(bytes.Count(answers, []byte("\r\n\r\n{\"verdict\":\"clean\"")))
		if scanned := clean.Load() - before; said > scanned {
			t.Errorf("got %d clean answers, and %d clean scans: %q", said, scanned, answers)
		}
		if strings.Contains(log.String(), "panic") {
			t.Errorf("got a panic: %s", log)
		}
	})
}
