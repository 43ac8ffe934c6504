package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"clamav-sidecar/sidecar/scan"
)

// FuzzRequests sends whatever it is given to a server: it must answer, and may
// say clean only as often as the scanner did.
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
		said := int64(0)
		for _, answer := range s.raw(t, string(request), true) {
			if answer.status == http.StatusOK && strings.HasPrefix(answer.body, `{"verdict"`) {
				said++
			}
		}
		if scanned := clean.Load() - before; said > scanned {
			t.Errorf("got %d answers of 200, and %d clean scans", said, scanned)
		}
		if log.String() != "" {
			t.Errorf("got the warnings %s, want none", log)
		}
	})
}
