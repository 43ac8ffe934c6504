package clients

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clamav-sidecar/sidecar"
	"clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

func TestClamdscanSaysWhatClamscanSays(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{})
	conf := startSidecar(t, nil, daemon).conf(t)
	paths := files(t)
	want := clamscan(t, daemon, paths)
	for name, options := range map[string][]string{
		"one after the other": {"--stream"},
		"many at a time":      {"--stream", "-m"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"-c", conf, "--no-summary"}, options...)
			out, code := run(t, program(t, "clamdscan"), append(args, paths...)...)
			if code != 1 {
				t.Errorf("got exit status %d, want 1; it said:\n%s", code, out)
			}
			compare(t, lines(out), want)
		})
	}
}

func TestClamdscanExitStatus(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{})
	conf := startSidecar(t, func(c *sidecar.Config) { c.MaxFileSize = 1 << 20 }, daemon).conf(t)
	dir := t.TempDir()
	for name, test := range map[string]struct {
		data []byte
		want int
		says string
	}{
		"clean":      {corpus.Clean(), 0, "OK"},
		"EICAR":      {corpus.EICAR(), 1, clamd.EICAR + " FOUND"},
		"five bytes": {[]byte("11111"), 1, clamd.Tiny + " FOUND"},
		"too large":  {bytes.Repeat([]byte("x"), 1<<20+1), 2, "INSTREAM size limit exceeded"},
		// By far: clamdscan is still writing when it is refused.
		"much too large": {bytes.Repeat([]byte("x"), 64<<20), 2, "INSTREAM size limit exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			if err := os.WriteFile(path, test.data, 0o600); err != nil {
				t.Fatal(err)
			}
			out, code := run(t, program(t, "clamdscan"), "-c", conf, "--stream", "--no-summary", path)
			if code != test.want || !strings.Contains(out, test.says) {
				t.Errorf("got exit status %d and %q, want %d and %q", code, out, test.want, test.says)
			}
		})
	}
}

// clamdscan --ping looks at nothing but that it could connect and send, so it
// says nothing of the replicas.
func TestClamdscanPing(t *testing.T) {
	conf := startSidecar(t, nil, clamd.StartT(t, clamd.Options{})).conf(t)
	if out, code := run(t, program(t, "clamdscan"), "-c", conf, "--ping", "1"); code != 0 {
		t.Errorf("got exit status %d, want 0; it said:\n%s", code, out)
	}
}

func TestClamdscanWithoutAReplica(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{})
	conf := startSidecar(t, nil, daemon).conf(t)
	path := filepath.Join(t.TempDir(), "clean")
	if err := os.WriteFile(path, corpus.Clean(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, option := range []string{"--stream", "-m"} {
		out, code := run(t, program(t, "clamdscan"), "-c", conf, "--stream", option, "--no-summary", path)
		if want := "replica"; code != 2 || !strings.Contains(out, want) {
			t.Errorf("with %s: got exit status %d and %q, want 2 and a word of the %s", option, code, out, want)
		}
	}
}
