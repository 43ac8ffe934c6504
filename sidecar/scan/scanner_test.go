package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar/clamd"
	"clamav-sidecar/sidecar/upstream"
	daemon "clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// patience bounds each wait of a test; a healthy run needs a fraction of it.
const patience = 20 * time.Second

// settings of a scanner and of the pool below it.
type settings struct {
	Config
	pool upstream.Config
}

// newScanner runs a scanner over the clamd.conf at path until the test ends, and
// then checks that it has given back all that it took. Changes may be nil.
func newScanner(t *testing.T, path string, change func(*settings)) *Scanner {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	config := settings{
		Config: Config{MaxFileSize: 100 << 20, ReplayMemory: 8 << 20, Log: log},
		pool: upstream.Config{
			ClamdConf: path, MaxConcurrent: 16, Queue: 128, QueueTimeout: patience, ScanTimeout: patience, Log: log,
		},
	}
	if change != nil {
		change(&config)
	}
	pool, err := upstream.New(config.pool)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	s := New(config.Config, pool)
	t.Cleanup(func() {
		checkNothingLeft(t, s)
		stop()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Errorf("the pool's Run goes on %v after its context, want that it ends", patience)
		}
	})
	eventually(t, "a replica is healthy", s.Ready)
	return s
}

// checkNothingLeft checks that no scan has left anything behind.
func checkNothingLeft(t *testing.T, s *Scanner) {
	t.Helper()
	if got := s.memory.held.Load(); got != 0 {
		t.Errorf("after all scans: got %d blocks of replay memory held, want none", got)
	}
	if got := s.pool.Stats(); got.Open != 0 || got.Scanning != 0 || got.Queued != 0 {
		t.Errorf("after all scans: got %+v, want nothing under way", got)
	}
	for _, r := range s.Replicas() {
		if r.InFlight != 0 {
			t.Errorf("after all scans: got %d in flight on %s, want none", r.InFlight, r.Address)
		}
	}
}

// eventually waits until ok, and fails the test when that takes too long.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v and did not see that %s", patience, what)
		}
	}
}

// confOf writes a clamd.conf that names the daemons and gives its path.
func confOf(t *testing.T, daemons ...*daemon.Daemon) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clamd.conf")
	if err := daemon.WriteClientConf(path, nil, daemons...); err != nil {
		t.Fatal(err)
	}
	return path
}

// marker is found anywhere in a body by the clamd of startWithMarker.
const (
	marker      = "the marker of a test"
	markerFound = "Marker-Test.UNOFFICIAL"
)

// startWithMarker starts a clamd that knows the marker, and what further
// signatures say, beside those of every test.
func startWithMarker(t *testing.T, opts daemon.Options, hashes ...string) *daemon.Daemon {
	t.Helper()
	opts.DatabaseDir = t.TempDir()
	if err := daemon.WriteSignatures(opts.DatabaseDir); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"marker.ndb": fmt.Sprintf("Marker-Test:0:*:%x\n", marker),
		"hashes.hdb": strings.Join(hashes, "\n"),
	} {
		if text == "" {
			continue // clamd takes no empty database
		}
		writeFile(t, filepath.Join(opts.DatabaseDir, name), text)
	}
	return daemon.StartT(t, opts)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// random is size random bytes, different for each seed.
func random(t *testing.T, seed uint64, size int) []byte {
	t.Helper()
	body, err := io.ReadAll(corpus.NewBody(seed, int64(size)))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// reader hides all methods of r but Read.
type reader struct{ r io.Reader }

func (r reader) Read(p []byte) (int, error) { return r.r.Read(p) }

func bodyOf(body []byte) io.Reader { return reader{bytes.NewReader(body)} }

func TestVerdicts(t *testing.T) {
	t.Parallel()
	d := startWithMarker(t, daemon.Options{Conf: map[string]string{"MaxFileSize": "1M", "StreamMaxLength": "2M"}})
	encrypted, err := corpus.EncryptedZip()
	if err != nil {
		t.Fatal(err)
	}
	large := random(t, 1, 1<<20+1)
	tests := map[string]struct {
		body []byte
		want Verdict
	}{
		"a clean text":            {corpus.Clean(), Verdict{Outcome: Clean}},
		"EICAR":                   {corpus.EICAR(), Verdict{Outcome: Infected, Signature: daemon.EICAR}},
		"an encrypted zip":        {encrypted, Verdict{Outcome: Unscannable, Signature: "Heuristics.Encrypted.Zip", Reason: Encrypted}},
		"a file over MaxFileSize": {large, Verdict{Outcome: Unscannable, Signature: "Heuristics.Limits.Exceeded.MaxFileSize", Reason: Limit}},
		"a file of MaxFileSize":   {large[1:], Verdict{Outcome: Clean}},
		"an infected file over MaxFileSize": {
			append(large[:len(large):len(large)], marker...),
			Verdict{Outcome: Unscannable, Signature: "Heuristics.Limits.Exceeded.MaxFileSize", Reason: Limit},
		},
	}
	for _, replayMemory := range []int64{0, 8 << 20} {
		s := newScanner(t, confOf(t, d), func(c *settings) { c.ReplayMemory = replayMemory })
		for name, test := range tests {
			got, err := s.Scan(t.Context(), bodyOf(test.body), Options{Endpoint: HTTP, Size: int64(len(test.body))})
			if got.Duration <= 0 || got.Version.Engine == "" {
				t.Errorf("%s: got a duration of %v and the engine %q, want both", name, got.Duration, got.Version.Engine)
			}
			test.want.Bytes, test.want.Replica = int64(len(test.body)), d.Addr()
			got.Duration, got.Version = 0, clamd.Version{}
			if err != nil || got != test.want {
				t.Errorf("%s with %d bytes of replay memory: got %+v and error %v, want %+v", name, replayMemory, got, err, test.want)
			}
		}
	}
}

func TestEveryTestFileOfClamAVIsFound(t *testing.T) {
	t.Parallel()
	s := newScanner(t, confOf(t, daemon.StartT(t, daemon.Options{})), nil)
	paths, err := corpus.TestFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Scan(t.Context(), file, Options{Endpoint: CLI})
		file.Close()
		if err != nil || got.Outcome != Infected || got.Signature != daemon.TestFile {
			t.Errorf("%s: got %+v and error %v, want %s", path, got, err, daemon.TestFile)
		}
	}
}

func TestBodiesTooShortForClamdAreScanned(t *testing.T) {
	t.Parallel()
	conf := confOf(t, daemon.StartT(t, daemon.Options{}))
	ones := []byte("1111111") // of which the signature wants five
	for name, test := range map[string]struct {
		replayMemory, declared int64
	}{
		"held in memory":                        {8 << 20, 0},
		"streamed, as more was declared":        {0, 1 << 20},
		"held, although more was declared":      {8 << 20, 1 << 20},
		"held, although one byte was declared":  {8 << 20, 1},
		"held in the block that every scan has": {0, 0},
	} {
		s := newScanner(t, conf, func(c *settings) { c.ReplayMemory = test.replayMemory })
		for n := range len(ones) + 1 {
			want := Verdict{Outcome: Clean, Bytes: int64(n)}
			if n >= 5 {
				want.Outcome, want.Signature = Infected, daemon.Tiny
			}
			got, err := s.Scan(t.Context(), bodyOf(ones[:n]), Options{Size: test.declared})
			want.Duration, want.Replica, want.Version = got.Duration, got.Replica, got.Version
			if err != nil || got != want {
				t.Errorf("%s, %d bytes: got %+v and error %v, want %+v", name, n, got, err, want)
			}
		}
	}
}

func TestJudgeKnowsWhatWasNotScannedWhole(t *testing.T) {
	found := func(name string) clamd.Reply { return clamd.Reply{ID: 1, Status: clamd.Found, Text: name} }
	type verdict struct {
		outcome           Outcome
		signature, reason string
	}
	tests := map[string]struct {
		reply clamd.Reply
		want  verdict
	}{
		"OK":         {clamd.Reply{ID: 1, Status: clamd.OK}, verdict{outcome: Clean}},
		"no reply":   {clamd.Reply{}, verdict{}},
		"an error":   {clamd.Reply{ID: 1, Status: clamd.Error, Text: "Can't allocate memory"}, verdict{}},
		"OK in text": {clamd.Reply{ID: 1, Status: clamd.Error, Text: "OK"}, verdict{}},
	}
	for name, reason := range map[string]string{
		"Heuristics.Limits.Exceeded":              Limit,
		"Heuristics.Limits.Exceeded.MaxFileSize":  Limit,
		"Heuristics.Limits.Exceeded.MaxScanSize":  Limit,
		"Heuristics.Limits.Exceeded.MaxFiles":     Limit,
		"Heuristics.Limits.Exceeded.MaxRecursion": Limit,
		"Heuristics.Limits.Exceeded.MaxScanTime":  Limit,
		"Heuristics.Encrypted.Zip":                Encrypted,
		"Heuristics.Encrypted.RAR":                Encrypted,
		"Heuristics.Encrypted.7Zip":               Encrypted,
		"Heuristics.Encrypted.EGG":                Encrypted,
		"Heuristics.Encrypted.PDF":                Encrypted,
		"Heuristics.Encrypted.OLE2":               Encrypted,
		"Heuristics.OLE2.ContainsMacros":          "",
		"Heuristics.Phishing.Email.SpoofedDomain": "",
		"Win.Test.Heuristics.Limits.Exceeded":     "",
		"Eicar-Test-Signature":                    "",
	} {
		want := verdict{Unscannable, name, reason}
		if reason == "" {
			want.outcome = Infected
		}
		tests[name] = struct {
			reply clamd.Reply
			want  verdict
		}{found(name), want}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got verdict
			got.outcome, got.signature, got.reason = judge(test.reply)
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestOutcomesHaveNames(t *testing.T) {
	for outcome, want := range map[Outcome]string{None: "error", Clean: "clean", Infected: "infected", Unscannable: "unscannable", 99: "error"} {
		if got := outcome.String(); got != want {
			t.Errorf("outcome %d: got %q, want %q", outcome, got, want)
		}
	}
}

func TestCommandIsForwarded(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{})
	s := newScanner(t, confOf(t, d), nil)
	if got, err := s.Command(t.Context(), "PING"); err != nil || string(got) != "PONG" {
		t.Errorf("got %q and error %v, want PONG", got, err)
	}
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Command(t.Context(), "PING"); !errors.Is(err, ErrUnavailable) || RetryAfter(err) <= 0 || got != nil {
		t.Errorf("without clamd: got %q, error %v and a retry after %v, want %v and a time", got, err, RetryAfter(err), ErrUnavailable)
	}
}
