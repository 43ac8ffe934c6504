package upstream

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"clamav-sidecar/sidecar/clamd"
	daemon "clamav-sidecar/test/clamd"
)

func TestSamplesAreWhatTheyAreSaidToBe(t *testing.T) {
	for _, s := range samples() {
		if len(s.body) == 0 || len(s.body) > clamd.BlockSize {
			t.Errorf("%s: got %d bytes, want some that fit in a block", s.kind, len(s.body))
		}
	}
	archive, err := zip.NewReader(bytes.NewReader(encryptedSample), int64(len(encryptedSample)))
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.File) != 1 || archive.File[0].Flags&1 == 0 {
		t.Errorf("got a zip archive with %d files, want one, encrypted", len(archive.File))
	}
	body, layers := nestedSample, 0
	for ; bytes.HasPrefix(body, []byte{0x1f, 0x8b}); layers++ {
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body, err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	if layers != 101 {
		t.Errorf("got gzip within gzip %d times, want 101", layers)
	}
}

func TestExamineTellsWhatAReplicaIsBlindTo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		conf map[string]string
		want []string
	}{
		"nothing, with both alerts":               {nil, nil},
		"nothing, with the deepest recursion too": {map[string]string{"MaxRecursion": "100"}, nil},
		"what is encrypted":                       {map[string]string{"AlertEncrypted": "no"}, []string{BlindToEncrypted}},
		"limits":                                  {map[string]string{"AlertExceedsMax": "no"}, []string{BlindToLimits}},
		"both, by clamd's own defaults":           {map[string]string{"AlertEncrypted": "", "AlertExceedsMax": ""}, []string{BlindToEncrypted, BlindToLimits}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := daemon.StartT(t, daemon.Options{Conf: test.conf})
			p := startPool(t, confOf(t, d), nil)
			awaitHealthy(t, p, 1)
			blind, err := only(t, p).examine(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := kindsOf(blind); !slices.Equal(got, test.want) {
				t.Errorf("got blind to %v, want %v", got, test.want)
			}
		})
	}
}

func kindsOf(all []sample) (kinds []string) {
	for _, s := range all {
		kinds = append(kinds, s.kind)
	}
	return kinds
}

func TestReplicaIsExaminedEachTimeThatItComesUp(t *testing.T) {
	t.Parallel()
	var log logBuffer
	d := daemon.StartT(t, daemon.Options{Conf: map[string]string{"AlertEncrypted": "no"}})
	p := startPool(t, confOf(t, d), func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	for _, step := range []struct {
		conf   map[string]string // of the daemon that takes the place of the last one
		want   []string
		warned string
	}{
		{nil, []string{BlindToEncrypted}, "set AlertEncrypted yes"},
		{map[string]string{"AlertExceedsMax": "no"}, []string{BlindToLimits}, "set AlertExceedsMax yes"},
		{map[string]string{}, nil, "replica is healthy"},
	} {
		if step.conf != nil {
			if err := d.Kill(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the replica is down", func() bool { checkNow(p); return p.Replicas()[0].State == Down })
			d = daemon.StartT(t, daemon.Options{Port: d.Port(), Conf: step.conf})
		}
		eventually(t, "the replica is found blind to "+strings.Join(append(step.want, "nothing else"), " and "), func() bool {
			all := p.Replicas()
			return len(all) == 1 && all[0].State == Healthy && slices.Equal(all[0].Blind, step.want)
		})
		if log.count(step.warned) == 0 {
			t.Errorf("got no line in the log that says %q, want one", step.warned)
		}
	}
	if warned := log.count("calls files clean"); warned != 2 {
		t.Errorf("got %d warnings, want 2", warned)
	}
}
