package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	daemon "clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// nothing reads nothing, without an error, for ever.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

func TestAnUploadThatBreaksOffIsNotScanned(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{})
	faults := map[string]struct {
		fault io.Reader
		want  []error
	}{
		"with an error":                     {iotest.ErrReader(errBroken), []error{ErrUpload, errBroken}},
		"with an unexpected EOF":            {iotest.ErrReader(io.ErrUnexpectedEOF), []error{ErrUpload, io.ErrUnexpectedEOF}},
		"with an EOF that is wrapped":       {iotest.ErrReader(fmt.Errorf("read: %w", io.EOF)), []error{ErrUpload, io.EOF}},
		"with an EOF among others":          {iotest.ErrReader(errors.Join(errBroken, io.EOF)), []error{ErrUpload, errBroken}},
		"with a closed connection":          {iotest.ErrReader(&net.OpError{Op: "read", Err: net.ErrClosed}), []error{ErrUpload, net.ErrClosed}},
		"with the caller's end":             {iotest.ErrReader(context.Canceled), []error{ErrUpload, context.Canceled}},
		"with the caller's deadline":        {iotest.ErrReader(context.DeadlineExceeded), []error{ErrUpload, context.DeadlineExceeded}},
		"with a deadline":                   {iotest.ErrReader(os.ErrDeadlineExceeded), []error{ErrUploadTimeout}},
		"with a deadline of its connection": {iotest.ErrReader(&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}), []error{ErrUploadTimeout}},
		"with nothing for ever":             {nothing{}, []error{ErrUpload, io.ErrNoProgress}},
	}
	whole := slices.Concat(corpus.EICAR(), random(t, 1, 4*blockSize))
	for _, memory := range memories {
		s := newScanner(t, confOf(t, d), func(c *settings) { c.ReplayMemory = memory })
		for name, test := range faults {
			for _, at := range []int{0, 1, len(corpus.EICAR()), blockSize - 1, blockSize, blockSize + 1, 2 * blockSize, 3*blockSize + 9, len(whole)} {
				for _, declared := range []int64{0, int64(len(whole))} {
					body := io.MultiReader(bytes.NewReader(whole[:at]), test.fault)
					got, err := s.Scan(t.Context(), body, Options{Size: declared})
					checkNoVerdict(t, fmt.Sprintf("%s after %d bytes, %d declared, %d of replay memory", name, at, declared, memory), got, err, test.want...)
					if got.Bytes != int64(at) {
						t.Errorf("%s: got %d bytes read, want %d", name, got.Bytes, at)
					}
				}
			}
		}
		// The error comes beside the last bytes.
		for _, at := range []int{1, blockSize, 2*blockSize + 1} {
			got, err := s.Scan(t.Context(), iotest.DataErrReader(&erratic{body: whole, random: fixed(), breaksAt: at, fault: errBroken}), Options{})
			checkNoVerdict(t, fmt.Sprintf("beside byte %d", at), got, err, ErrUpload, errBroken)
		}
		if stats := s.pool.Stats(); stats.Ejections != 0 {
			t.Errorf("got %+v, want no ejection", stats)
		}
	}
	// clamd has not been told the end of any: it has looked into none.
	s := newScanner(t, confOf(t, d), nil)
	if got, err := s.Scan(t.Context(), bodyOf([]byte("1111111")), Options{}); err != nil || got.Signature != daemon.Tiny {
		t.Errorf("a body that came later: got %+v and error %v, want %s", got, err, daemon.Tiny)
	}
	eventually(t, "clamd has logged it", func() bool { return strings.Contains(d.Log(), daemon.Tiny) })
	if log := d.Log(); strings.Contains(log, daemon.EICAR) {
		t.Errorf("got clamd's log\n%s\nwant no %s in it", log, daemon.EICAR)
	}
}

// checkNoVerdict checks that a scan has failed with all of these errors.
func checkNoVerdict(t *testing.T, name string, got Verdict, err error, want ...error) {
	t.Helper()
	if got.Outcome != None || got.Signature != "" || got.Reason != "" {
		t.Errorf("%s: got %+v, want no verdict", name, got)
	}
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("%s: got error %v, want %v", name, err, w)
		}
	}
}

func TestAnUploadThatPanicsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{})
	for _, memory := range memories {
		s := newScanner(t, confOf(t, d), func(c *settings) { c.ReplayMemory = memory })
		for _, at := range []int{0, 1, blockSize + 1, 3 * blockSize} {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("got no panic, want the reader's")
					}
				}()
				s.Scan(t.Context(), io.MultiReader(bytes.NewReader(random(t, 1, at)), panics{}), Options{})
			}()
			checkNothingLeft(t, s)
		}
	}
}

type panics struct{}

func (panics) Read([]byte) (int, error) { panic("the uploader's reader") }

func TestASlowUploadHoldsNoScanSlot(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{})
	s := newScanner(t, confOf(t, d), func(c *settings) {
		c.pool.MaxConcurrent, c.pool.Queue = 1, 2
		c.ReplayMemory = 0
	})
	ended := make(chan error, 2)
	var slow []*io.PipeWriter
	for _, declared := range []int64{0, 1 << 20} { // one that is read first, one that is streamed
		r, w := io.Pipe()
		slow = append(slow, w)
		go func() {
			got, err := s.Scan(t.Context(), r, Options{Size: declared})
			if err == nil && (got.Outcome != Infected || got.Bytes != int64(len(corpus.EICAR()))) {
				err = fmt.Errorf("got %+v, want %s", got, daemon.EICAR)
			}
			ended <- err
		}()
		w.Write(corpus.EICAR()[:30])
	}
	eventually(t, "both uploads are under way", func() bool { return s.pool.Stats().Open == 2 })
	for range 20 {
		if got, err := s.Scan(t.Context(), bodyOf(corpus.Clean()), Options{}); err != nil || got.Outcome != Clean {
			t.Fatalf("a scan meanwhile: got %+v and error %v, want a clean verdict", got, err)
		}
	}
	if stats := s.pool.Stats(); stats.Scanning != 0 {
		t.Errorf("got %+v, want that no slot is in use", stats)
	}
	for _, w := range slow {
		w.Write(corpus.EICAR()[30:])
		w.Close()
	}
	for range slow {
		if err := <-ended; err != nil {
			t.Errorf("a slow upload: %v", err)
		}
	}
}
