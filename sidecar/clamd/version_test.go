package clamd_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar/clamd"
)

func TestParseVersionReadsEngineAndSignatures(t *testing.T) {
	tests := map[string]clamd.Version{
		"ClamAV 1.4.6": {Engine: "1.4.6"},
		"ClamAV 1.4.6/27800/Fri Nov 20 09:00:00 2026": {
			Engine: "1.4.6", Signatures: 27800, Built: time.Date(2026, time.November, 20, 9, 0, 0, 0, time.UTC)},
		"ClamAV 1.5.0-rc/27801/Sun Nov  1 23:59:59 2026": {
			Engine: "1.5.0-rc", Signatures: 27801, Built: time.Date(2026, time.November, 1, 23, 59, 59, 0, time.UTC)},
		"ClamAV 0.103.12/0/Thu Jan  1 00:00:00 1970": {
			Engine: "0.103.12", Built: time.Unix(0, 0).UTC()},
	}
	for line, want := range tests {
		for _, end := range []string{"", "\n", "\x00", "\r\n"} {
			if got, err := clamd.ParseVersion(line + end); err != nil || got != want {
				t.Errorf("%q: got %+v and error %v, want %+v", line+end, got, err, want)
			}
		}
	}
}

func TestParseVersionRefusesAllElse(t *testing.T) {
	tests := map[string]string{
		"nothing":                       "",
		"a prefix alone":                "ClamAV ",
		"another program":               "ClamD 1.4.6",
		"no engine":                     "ClamAV /27800/Fri Nov 20 09:00:00 2026",
		"no date":                       "ClamAV 1.4.6/27800",
		"an empty date":                 "ClamAV 1.4.6/27800/",
		"another date":                  "ClamAV 1.4.6/27800/2026-11-20T09:00:00Z",
		"a date that is none":           "ClamAV 1.4.6/27800/Fri Nov 31 09:00:00 2026",
		"no signature version":          "ClamAV 1.4.6//Fri Nov 20 09:00:00 2026",
		"a negative version":            "ClamAV 1.4.6/-1/Fri Nov 20 09:00:00 2026",
		"a version that is a word":      "ClamAV 1.4.6/daily/Fri Nov 20 09:00:00 2026",
		"a version too large":           "ClamAV 1.4.6/99999999999999999999/Fri Nov 20 09:00:00 2026",
		"a fourth part":                 "ClamAV 1.4.6/27800/Fri Nov 20 09:00:00 2026/x",
		"a control character":           "ClamAV 1.4.6\x1b[0m",
		"two lines":                     "ClamAV 1.4.6\nClamAV 1.4.6",
		"a read that timed out":         "COMMAND READ TIMED OUT",
		"the reply to another question": "1: stream: OK",
	}
	for name, line := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := clamd.ParseVersion(line)
			if !errors.Is(err, clamd.ErrMalformed) || got != (clamd.Version{}) {
				t.Errorf("%q: got %+v and error %v, want no version and %v", line, got, err, clamd.ErrMalformed)
			}
		})
	}
}

func FuzzParseVersion(f *testing.F) {
	for _, seed := range []string{
		"ClamAV 1.4.6", "ClamAV 1.4.6/27800/Fri Nov 20 09:00:00 2026", "ClamAV /1/Fri Nov 20 09:00:00 2026", "ClamAV 1/2", "ClamAV \n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, err := clamd.ParseVersion(line)
		switch {
		case err != nil:
			if !errors.Is(err, clamd.ErrMalformed) || got != (clamd.Version{}) {
				t.Fatalf("%q: got %+v and error %v, want no version and %v", line, got, err, clamd.ErrMalformed)
			}
		case !strings.HasPrefix(line, "ClamAV "+got.Engine) || got.Engine == "" || strings.ContainsAny(got.Engine, "/\n\r\x00\x1b"):
			t.Fatalf("%q: got the engine %q, want what follows ClamAV", line, got.Engine)
		case got.Signatures < 0:
			t.Fatalf("%q: got the signature version %d, want none below 0", line, got.Signatures)
		}
	})
}
