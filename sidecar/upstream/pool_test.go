package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar/clamd"
	daemon "clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// patience bounds each wait of a test; a healthy run needs a fraction of it.
const patience = 20 * time.Second

// startPool runs a pool over the clamd.conf at path until the test ends. Changes
// may be nil.
func startPool(t *testing.T, path string, change func(*Config)) *Pool {
	t.Helper()
	config := Config{
		ClamdConf:     path,
		MaxConcurrent: 16,
		Queue:         128,
		QueueTimeout:  patience,
		ScanTimeout:   patience,
		Log:           slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&config)
	}
	p, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the pool's Run: got error %v, want none", err)
			}
		case <-time.After(patience):
			t.Errorf("the pool's Run goes on %v after its context, want that it ends", patience)
		}
	})
	return p
}

// confPath writes a clamd.conf of these lines and gives its path.
func confPath(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clamd.conf")
	writeConf(t, path, lines...)
	return path
}

// writeConf replaces the clamd.conf at path in one step, as a ConfigMap's
// volume does.
func writeConf(t *testing.T, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
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

// eventually waits until ok, and fails the test when that takes too long.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v and did not see that %s", patience, what)
		}
	}
}

// states are the addresses and states of the pool's replicas, in one line.
func states(p *Pool) string {
	var all []string
	for _, r := range p.Replicas() {
		all = append(all, fmt.Sprintf("%s %s", r.Address, r.State))
	}
	return strings.Join(all, ", ")
}

// awaitHealthy waits until the pool has n replicas and all are healthy.
func awaitHealthy(t *testing.T, p *Pool, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d replicas are healthy", n), func() bool {
		return len(p.Replicas()) == n && strings.Count(states(p), " healthy") == n
	})
}

// blocksOf fills blocks with body.
func blocksOf(body []byte) []*clamd.Block {
	blocks := []*clamd.Block{{}}
	for len(body) > 0 {
		last := blocks[len(blocks)-1]
		if len(last.Free()) == 0 {
			last = &clamd.Block{}
			blocks = append(blocks, last)
		}
		n := copy(last.Free(), body)
		last.Grow(n)
		body = body[n:]
	}
	return blocks
}

// wantOK scans a clean body.
func wantOK(t *testing.T, p *Pool) Result {
	t.Helper()
	result, err := p.Scan(t.Context(), blocksOf(corpus.Clean()))
	if err != nil || result.Reply.Status != clamd.OK {
		t.Fatalf("a clean body: got %+v and error %v, want OK", result, err)
	}
	return result
}

func TestNewTellsWhatIsWrongWithClamdConf(t *testing.T) {
	path := confPath(t, "TCPAddr a")
	if _, err := New(Config{ClamdConf: path}); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "TCPSocket") {
		t.Errorf("got error %v, want one that names %s and TCPSocket", err, path)
	}
	if _, err := New(Config{ClamdConf: path + ".none"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v, want %v", err, os.ErrNotExist)
	}
}
