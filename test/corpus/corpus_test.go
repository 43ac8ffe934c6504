package corpus_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"clamav-sidecar/test/corpus"
)

func TestEICARIsTheTestFile(t *testing.T) {
	sum := md5.Sum(corpus.EICAR())
	if got, want := hex.EncodeToString(sum[:]), "44d88612fea8a8f36de82e1278abb02f"; got != want {
		t.Errorf("MD5: got %s, want %s", got, want)
	}
}

func TestBodyHasItsSizeHoweverItIsRead(t *testing.T) {
	for _, size := range []int64{0, 1, 7, 8, 9, 1024, 65537} {
		whole, err := io.ReadAll(corpus.NewBody(1, size))
		if err != nil || int64(len(whole)) != size {
			t.Errorf("got %d bytes and error %v, want %d bytes", len(whole), err, size)
		}
		for name, reader := range map[string]io.Reader{
			"single bytes": iotest.OneByteReader(corpus.NewBody(1, size)),
			"halves":       iotest.HalfReader(corpus.NewBody(1, size)),
		} {
			if got, err := io.ReadAll(reader); err != nil || !bytes.Equal(got, whole) {
				t.Errorf("%d bytes read in %s: got other bytes or error %v, want those read at once", size, name, err)
			}
		}
		if err := iotest.TestReader(corpus.NewBody(1, size), whole); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestBodiesAreUniqueAndHoldNoText(t *testing.T) {
	seen := make(map[string]uint64)
	for seed := range uint64(10000) {
		body, err := io.ReadAll(corpus.NewBody(seed, 64))
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[string(body)]; ok {
			t.Fatalf("seeds %d and %d: got the same body, want two", other, seed)
		}
		seen[string(body)] = seed
		for i := range len(body) - 3 {
			if b := body[i : i+4]; b[0]|b[1]|b[2]|b[3] < 0x80 {
				t.Fatalf("seed %d: got the ASCII bytes %q at %d, want none", seed, b, i)
			}
		}
	}
}

func TestTestFilesNamesTheRemedy(t *testing.T) {
	t.Setenv(corpus.TestFilesEnv, t.TempDir())
	_, err := corpus.TestFiles()
	if err == nil || !strings.Contains(err.Error(), corpus.TestFilesEnv) {
		t.Errorf("got error %v, want one that names %s", err, corpus.TestFilesEnv)
	}
}

func BenchmarkBody(b *testing.B) {
	buf := make([]byte, 64<<10)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, err := io.ReadFull(corpus.NewBody(1, int64(len(buf))), buf); err != nil {
			b.Fatal(err)
		}
	}
}
