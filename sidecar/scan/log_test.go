package scan

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	daemon "clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// observed is what Config.Observe was called with.
type observed struct {
	opt     Options
	verdict Verdict
	err     error
}

func TestEachScanIsObservedOnce(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{})
	var (
		mu  sync.Mutex
		all = map[string][]observed{} // by request id
	)
	s := newScanner(t, confOf(t, d), func(c *settings) {
		c.MaxFileSize, c.ReplayMemory = 1<<20, 0
		c.Observe = func(opt Options, v Verdict, err error) {
			mu.Lock()
			defer mu.Unlock()
			all[opt.RequestID] = append(all[opt.RequestID], observed{opt, v, err})
		}
	})
	bodies := map[string]func() io.Reader{
		"clean":              func() io.Reader { return bodyOf(corpus.Clean()) },
		"infected":           func() io.Reader { return bodyOf(corpus.EICAR()) },
		"clean and large":    func() io.Reader { return corpus.NewBody(1, 1<<20) },
		"too large":          func() io.Reader { return corpus.NewBody(1, 1<<20+1) },
		"declared too large": func() io.Reader { return panics{} },
		"broken":             func() io.Reader { return iotest.ErrReader(errBroken) },
	}
	var clients sync.WaitGroup
	for name, body := range bodies {
		opt := Options{Endpoint: Clamd, Name: "a name", RequestID: name, TraceID: "a trace"}
		if name == "declared too large" {
			opt.Size = 1<<20 + 1
		}
		clients.Go(func() {
			verdict, err := s.Scan(t.Context(), body(), opt)
			mu.Lock()
			defer mu.Unlock()
			want := observed{opt, verdict, err}
			if got := all[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: got observed %+v, want once %+v", name, got, want)
			}
		})
	}
	clients.Wait()
	if len(all) != len(bodies) {
		t.Errorf("got %d scans observed, want %d", len(all), len(bodies))
	}
}

func TestEachScanMakesOneLineInTheLog(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{})
	always := []string{"time", "level", "msg", "endpoint", "verdict", "bytes", "duration_ms"}
	full := Options{Endpoint: HTTP, Name: "a\nname", RequestID: "r-1", TraceID: "t-1"}
	tests := map[string]struct {
		body  io.Reader
		opt   Options
		level slog.Level // of the log
		want  map[string]any
		keys  []string // besides those that are there always
	}{
		"a clean body": {
			bodyOf(corpus.Clean()), full, slog.LevelInfo,
			map[string]any{"level": "INFO", "msg": "scan", "endpoint": "http", "verdict": "clean", "bytes": float64(len(corpus.Clean())), "replica": d.Addr(), "request_id": "r-1", "trace_id": "t-1"},
			[]string{"replica", "request_id", "trace_id"},
		},
		"an infected body": {
			bodyOf(corpus.EICAR()), full, slog.LevelWarn,
			map[string]any{"level": "WARN", "verdict": "infected", "signature": daemon.EICAR, "bytes": 68.0},
			[]string{"signature", "replica", "request_id", "trace_id"},
		},
		"a body that broke off": {
			iotest.ErrReader(errBroken), full, slog.LevelInfo,
			map[string]any{"level": "WARN", "verdict": "error", "bytes": 0.0, "error": "the upload broke off after 0 bytes: the uploader broke"},
			[]string{"error", "request_id", "trace_id"},
		},
		"a body without ids": {
			bodyOf(corpus.Clean()), Options{Endpoint: CLI, Name: "name"}, slog.LevelInfo,
			map[string]any{"endpoint": "cli"},
			[]string{"replica"},
		},
		"a body with its name, at debug level": {
			bodyOf(corpus.Clean()), full, slog.LevelDebug,
			map[string]any{"level": "INFO", "name": "a\nname"},
			[]string{"replica", "request_id", "trace_id", "name"},
		},
		"a body without a name, at debug level": {
			bodyOf(corpus.Clean()), Options{Endpoint: Clamd}, slog.LevelDebug,
			map[string]any{"endpoint": "clamd"},
			[]string{"replica"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := newScanner(t, confOf(t, d), func(c *settings) {
				c.Config.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: test.level}))
			})
			if _, err := s.Scan(t.Context(), test.body, test.opt); err != nil && !errors.Is(err, ErrUpload) {
				t.Fatal(err)
			}
			if strings.Count(log.String(), "\n") != 1 {
				t.Fatalf("got the log %q, want one line", log.String())
			}
			var got map[string]any
			if err := json.Unmarshal(log.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			keys, wantKeys := slices.Sorted(maps.Keys(got)), slices.Sorted(slices.Values(slices.Concat(always, test.keys)))
			if !slices.Equal(keys, wantKeys) {
				t.Errorf("got the fields %v, want %v", keys, wantKeys)
			}
			for key, want := range test.want {
				if got[key] != want {
					t.Errorf("%s: got %v, want %v", key, got[key], want)
				}
			}
			if ms, ok := got["duration_ms"].(float64); !ok || ms < 0 || ms > float64(patience.Milliseconds()) {
				t.Errorf("duration_ms: got %v, want milliseconds", got["duration_ms"])
			}
		})
	}
	t.Run("a clean body at warn level, which makes none", func(t *testing.T) {
		var log bytes.Buffer
		s := newScanner(t, confOf(t, d), func(c *settings) {
			c.Config.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		})
		if _, err := s.Scan(t.Context(), bodyOf(corpus.Clean()), full); err != nil || log.Len() != 0 {
			t.Errorf("got error %v and the log %q, want none", err, log.String())
		}
	})
	t.Run("a name with control characters, which a line of text escapes", func(t *testing.T) {
		var log bytes.Buffer
		s := newScanner(t, confOf(t, d), func(c *settings) {
			c.Config.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		if _, err := s.Scan(t.Context(), bodyOf(corpus.Clean()), Options{Name: "a\nlevel=INFO msg=scan\x1b[2J\x00"}); err != nil {
			t.Fatal(err)
		}
		if text := log.String(); strings.Count(text, "\n") != 1 || strings.ContainsAny(text, "\x1b\x00") || !strings.Contains(text, `name="a\nlevel`) {
			t.Errorf("got the log %q, want one line with the name escaped", text)
		}
	})
}
