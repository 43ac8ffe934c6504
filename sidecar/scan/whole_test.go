package scan

import (
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"clamav-sidecar/sidecar/clamd"
	daemon "clamav-sidecar/test/clamd"
)

const blockSize = clamd.BlockSize

// memories are amounts of replay memory with which bodies of a few blocks are
// held, or streamed from the start, or streamed after some was held.
var memories = []int64{0, int64(blockSize), int64(2 * blockSize), 8 << 20}

func TestEveryByteReachesClamdAtEverySize(t *testing.T) {
	t.Parallel()
	conf := confOf(t, startWithMarker(t, daemon.Options{}))
	for _, memory := range memories {
		s := newScanner(t, conf, func(c *settings) { c.ReplayMemory = memory })
		for i, size := range []int{
			len(marker), 100, 64<<10 - 1, 64 << 10, 64<<10 + 1, blockSize - 1, blockSize, blockSize + 1,
			2*blockSize - 1, 2 * blockSize, 2*blockSize + 1, 3*blockSize + 7, 4 * blockSize,
		} {
			body := random(t, uint64(i), size)
			for _, declared := range []int64{0, int64(size)} {
				name := fmt.Sprintf("%d bytes, %d declared, %d of replay memory", size, declared, memory)
				got, err := s.Scan(t.Context(), bodyOf(body), Options{Size: declared})
				if err != nil || got.Outcome != Clean || got.Bytes != int64(size) {
					t.Errorf("%s: got %+v and error %v, want a clean verdict", name, got, err)
				}
				for _, at := range markersIn(size) {
					infected := slices.Concat(body[:at], []byte(marker), body[at+len(marker):])
					got, err := s.Scan(t.Context(), bodyOf(infected), Options{Size: declared})
					if err != nil || got.Outcome != Infected || got.Signature != markerFound || got.Bytes != int64(size) {
						t.Errorf("%s, a marker at %d: got %+v and error %v, want %s", name, at, got, err, markerFound)
					}
				}
			}
		}
	}
}

// markersIn are the places in a body of that size where a marker shows most: at
// the end, just behind a block's end and across it.
func markersIn(size int) []int {
	places := []int{size - len(marker)}
	for end := blockSize; end+len(marker) <= size; end += blockSize {
		places = append(places, end, end-len(marker)/2)
	}
	slices.Sort(places)
	return slices.Compact(places)
}

func TestEveryByteReachesClamdHoweverItIsRead(t *testing.T) {
	t.Parallel()
	conf := confOf(t, startWithMarker(t, daemon.Options{}))
	body := slices.Concat(random(t, 1, 3*blockSize-len(marker)/2), []byte(marker))
	wraps := map[string]func(io.Reader) io.Reader{
		"in single bytes":               iotest.OneByteReader,
		"in halves":                     iotest.HalfReader,
		"with EOF beside the last byte": iotest.DataErrReader,
		"with empty reads between":      func(r io.Reader) io.Reader { return &stuttering{r: r} },
	}
	for _, memory := range memories {
		s := newScanner(t, conf, func(c *settings) { c.ReplayMemory = memory })
		for name, wrap := range wraps {
			for _, declared := range []int64{0, int64(len(body))} {
				got, err := s.Scan(t.Context(), wrap(bodyOf(body)), Options{Size: declared})
				if err != nil || got.Signature != markerFound || got.Bytes != int64(len(body)) {
					t.Errorf("read %s with %d of replay memory: got %+v and error %v, want %s", name, memory, got, err, markerFound)
				}
			}
		}
	}
}

// stuttering reads nothing, without an error, as often as a reader may.
type stuttering struct {
	r     io.Reader
	empty int
}

func (s *stuttering) Read(p []byte) (int, error) {
	if s.empty++; s.empty%maxEmptyReads != 0 {
		return 0, nil
	}
	return s.r.Read(p)
}

func TestABodyIsReplayedWhole(t *testing.T) {
	t.Parallel()
	d := startWithMarker(t, daemon.Options{Host: "127.0.0.3"})
	dying := startPeer(t, "127.0.0.2", d.Port(), "")
	s := newScanner(t, confOfPeer(t, dying, d), nil)
	eventually(t, "both replicas are healthy", func() bool { return healthy(s) == 2 })
	for i, size := range []int{10, 64 << 10, blockSize, 3*blockSize + 5, 3 << 20} {
		body := slices.Concat(random(t, uint64(i), size), []byte(marker))
		for range 20 { // until the dying one has come first
			got, err := s.Scan(t.Context(), bodyOf(body), Options{})
			if err != nil || got.Signature != markerFound || got.Replica != d.Addr() {
				t.Fatalf("%d bytes: got %+v and error %v, want %s from %s", len(body), got, err, markerFound, d.Addr())
			}
		}
	}
	if s.pool.Stats().Retries == 0 {
		t.Error("got no retry, want some")
	}
}

// uploads are random readers of random bodies; each body that may be scanned
// whole is known to clamd by its hash.
type uploads struct {
	bodies [][]byte
	hashes []string // lines of a signature database
}

func newUploads(t *testing.T, source *rand.Rand, n int) uploads {
	var u uploads
	for i := range n {
		size := minScanned + source.IntN(5*blockSize)
		if i%4 == 0 { // about a block's end
			size = (1+source.IntN(3))*blockSize - 2 + source.IntN(5)
		}
		body := random(t, source.Uint64(), size)
		u.bodies = append(u.bodies, body)
		u.hashes = append(u.hashes, fmt.Sprintf("%x:%d:Body-%d", md5.Sum(body), size, i))
	}
	return u
}

// fixed is a source of the same numbers each time.
func fixed() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

var errBroken = errors.New("the uploader broke")

// erratic reads a body in random pieces, and breaks at breaksAt with the error
// fault, if that is not nil.
type erratic struct {
	body     []byte
	random   *rand.Rand
	breaksAt int
	fault    error
	read     int
}

func (e *erratic) Read(p []byte) (int, error) {
	end, last := len(e.body), io.EOF
	if e.fault != nil {
		end, last = e.breaksAt, e.fault
	}
	most := min(len(p), end-e.read)
	n := 0
	if most > 0 {
		n = e.random.IntN(most + 1)
		if e.random.IntN(2) == 0 {
			n = most
		}
	}
	copy(p, e.body[e.read:e.read+n])
	e.read += n
	if e.read == end && (n == 0 || e.random.IntN(2) == 0) {
		return n, last
	}
	return n, nil
}

func TestCleanOnlyIfClamdGotExactlyWhatTheReaderGaveUpToItsEnd(t *testing.T) {
	t.Parallel()
	const n = 120
	source := rand.New(rand.NewPCG(2026, 11))
	// clamd knows the first half by their hashes, so that it finds each of them
	// if and only if it gets just its bytes, and calls the second half clean.
	all := newUploads(t, source, n)
	conf := confOf(t, startWithMarker(t, daemon.Options{}, all.hashes[:n/2]...))
	faults := []error{nil, nil, errBroken, io.ErrUnexpectedEOF, fmt.Errorf("wrapped: %w", io.EOF)}
	for _, memory := range memories {
		s := newScanner(t, conf, func(c *settings) { c.ReplayMemory = memory })
		var clients sync.WaitGroup
		for client := range 4 {
			random := rand.New(rand.NewPCG(uint64(memory), uint64(client)))
			clients.Go(func() {
				for i := client; i < n; i += 4 {
					body := &erratic{body: all.bodies[i], random: random, fault: faults[random.IntN(len(faults))]}
					body.breaksAt = random.IntN(len(body.body) + 1)
					declared := []int64{0, int64(len(body.body)), 1, int64(10 * blockSize)}[random.IntN(4)]
					want := Verdict{Outcome: Clean}
					switch {
					case body.fault != nil:
						want.Outcome = None
					case i < n/2:
						want.Outcome, want.Signature = Infected, fmt.Sprintf("Body-%d.UNOFFICIAL", i)
					}
					got, err := s.Scan(t.Context(), body, Options{Size: declared})
					if got.Outcome != want.Outcome || got.Signature != want.Signature || got.Bytes != int64(body.read) || (err == nil) != (want.Outcome != None) {
						t.Errorf("body %d of %d bytes, %d declared, breaking at %d with %v: got %+v and error %v, want %+v",
							i, len(body.body), declared, body.breaksAt, body.fault, got, err, want)
					}
					if err != nil && (!errors.Is(err, ErrUpload) || !errors.Is(err, body.fault)) {
						t.Errorf("body %d: got error %v, want %v and %v", i, err, ErrUpload, body.fault)
					}
				}
			})
		}
		clients.Wait()
	}
}
