package scan

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar/upstream"
	daemon "clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

func TestABodyOverTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	d := startWithMarker(t, daemon.Options{})
	for _, limit := range []int{100, 64 << 10, blockSize, 2*blockSize + 1} {
		for _, memory := range memories {
			s := newScanner(t, confOf(t, d), func(c *settings) { c.MaxFileSize, c.ReplayMemory = int64(limit), memory })
			for size, refused := range map[int]bool{limit - 1: false, limit: false, limit + 1: true, limit + 3*blockSize: true} {
				body := slices.Concat(random(t, uint64(size), size-len(marker)), []byte(marker))
				for _, declared := range []int64{0, int64(size), 1} {
					name := fmt.Sprintf("%d bytes of %d, %d declared, %d of replay memory", size, limit, declared, memory)
					got, err := s.Scan(t.Context(), bodyOf(body), Options{Size: declared})
					if !refused {
						if err != nil || got.Signature != markerFound || got.Bytes != int64(size) {
							t.Errorf("%s: got %+v and error %v, want %s", name, got, err, markerFound)
						}
						continue
					}
					checkNoVerdict(t, name, got, err, ErrTooLarge)
					if RetryAfter(err) != 0 {
						t.Errorf("%s: got a retry after %v, want none", name, RetryAfter(err))
					}
				}
			}
		}
	}
}

func TestABodyThatIsDeclaredTooLargeIsNotRead(t *testing.T) {
	t.Parallel()
	s := newScanner(t, confOf(t, daemon.StartT(t, daemon.Options{})), func(c *settings) { c.MaxFileSize = 1 << 20 })
	got, err := s.Scan(t.Context(), panics{}, Options{Size: 1<<20 + 1})
	checkNoVerdict(t, "a byte over the limit", got, err, ErrTooLarge)
	if !strings.Contains(err.Error(), "1M") || got.Bytes != 0 {
		t.Errorf("got %d bytes read and error %q, want none and one that says 1M", got.Bytes, err)
	}
}

func TestTheSmallerLimitIsInForce(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{})
	for _, test := range []struct {
		ours      int64
		clamdConf string
		want      int64
	}{
		{1 << 20, "2M", 1 << 20},
		{2 << 20, "1M", 1 << 20},
		{2 << 20, "0", 2 << 20},
	} {
		path := filepath.Join(t.TempDir(), "clamd.conf")
		if err := daemon.WriteClientConf(path, map[string]string{"StreamMaxLength": test.clamdConf}, d); err != nil {
			t.Fatal(err)
		}
		s := newScanner(t, path, func(c *settings) { c.MaxFileSize = test.ours })
		if got := s.MaxFileSize(); got != test.want {
			t.Errorf("%d and a StreamMaxLength of %s: got %d, want %d", test.ours, test.clamdConf, got, test.want)
		}
		got, err := s.Scan(t.Context(), bodyOf(make([]byte, test.want+1)), Options{})
		checkNoVerdict(t, "a byte over the limit", got, err, ErrTooLarge)
		if got, err := s.Scan(t.Context(), bodyOf(make([]byte, test.want)), Options{}); err != nil || got.Outcome != Clean {
			t.Errorf("a body of just the limit: got %+v and error %v, want a clean verdict", got, err)
		}
	}
}

func TestABodyOverTheServicesStreamMaxLengthIsRefused(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{Conf: map[string]string{"StreamMaxLength": "1M", "MaxFileSize": "1M"}})
	for _, memory := range memories {
		s := newScanner(t, confOf(t, d), func(c *settings) { c.ReplayMemory = memory })
		for _, size := range []int{1 << 20, 1<<20 + 1, 2 << 20, 30 << 20} {
			for _, declared := range []int64{0, int64(size)} {
				name := fmt.Sprintf("%d bytes, %d declared, %d of replay memory", size, declared, memory)
				got, err := s.Scan(t.Context(), corpus.NewBody(uint64(size), int64(size)), Options{Size: declared})
				if size == 1<<20 {
					if err != nil || got.Outcome != Clean {
						t.Errorf("%s: got %+v and error %v, want a clean verdict", name, got, err)
					}
					continue
				}
				checkNoVerdict(t, name, got, err, ErrTooLarge)
				if err == nil || !strings.Contains(err.Error(), "StreamMaxLength") {
					t.Errorf("%s: got error %v, want one that says StreamMaxLength", name, err)
				}
			}
		}
		if stats := s.pool.Stats(); stats.Ejections != 0 || stats.Retries != 0 {
			t.Errorf("got %+v, want neither ejections nor retries", stats)
		}
	}
}

func TestABodyThatThereIsNoRoomForIsRefusedUnread(t *testing.T) {
	t.Parallel()
	s := newScanner(t, confOf(t, daemon.StartT(t, daemon.Options{})), func(c *settings) {
		c.pool.MaxConcurrent, c.pool.Queue = 1, 0
	})
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := s.Scan(t.Context(), r, Options{})
		ended <- err
	}()
	w.Write([]byte("the first"))
	got, err := s.Scan(t.Context(), panics{}, Options{})
	checkNoVerdict(t, "the second", got, err, ErrUnavailable, upstream.ErrQueueFull)
	if after := RetryAfter(fmt.Errorf("wrapped: %w", err)); after < time.Second || after > 30*time.Second || after%time.Second != 0 {
		t.Errorf("the second: got a retry after %v, want whole seconds from 1 to 30", after)
	}
	w.Close()
	if err := <-ended; err != nil {
		t.Errorf("the first: got error %v, want none", err)
	}
}

func TestRetryAfterIsForUnavailableAlone(t *testing.T) {
	for _, err := range []error{nil, errBroken, ErrTooLarge, ErrTimeout, ErrEngine, ErrUpload, ErrUnavailable} {
		if got := RetryAfter(err); got != 0 {
			t.Errorf("%v: got %v, want 0", err, got)
		}
	}
	if err := error(&unavailable{upstream.ErrNoReplica, 2 * time.Second}); RetryAfter(err) != 2*time.Second || !errors.Is(err, ErrUnavailable) || !errors.Is(err, upstream.ErrNoReplica) {
		t.Errorf("got %v with a retry after %v, want %v and %v with 2 s", err, RetryAfter(err), ErrUnavailable, upstream.ErrNoReplica)
	}
}
