package clamd_test

import (
	"math"
	"strings"
	"testing"

	"clamav-sidecar/sidecar/clamd"
)

func TestParseSizeReadsWhatClamdConfMeans(t *testing.T) {
	tests := map[string]int64{
		"0":                   0,
		"1":                   1,
		"007":                 7,
		"1048576":             1 << 20,
		"0M":                  0,
		"1k":                  1 << 10,
		"1K":                  1 << 10,
		"25m":                 25 << 20,
		"100M":                100 << 20,
		"2g":                  2 << 30,
		"4G":                  4 << 30,
		"9223372036854775807": math.MaxInt64,
		"8589934591G":         8589934591 << 30,
	}
	for text, want := range tests {
		if got, err := clamd.ParseSize(text); err != nil || got != want {
			t.Errorf("%q: got %d and error %v, want %d", text, got, err, want)
		}
	}
}

func TestParseSizeRefusesAllElse(t *testing.T) {
	for _, text := range []string{
		"", " ", "M", "-1", "+1", "-1M", "+1M", "1.5M", "1e6", "1_000", "0x10", "100 M", " 100M", "100M ", "100MB", "100MiB", "100T", "1KK",
		"9223372036854775808", "8589934592G", "9007199254740992K", "99999999999999999999", "\u0661", "100M\x00",
	} {
		got, err := clamd.ParseSize(text)
		if err == nil || got != 0 || !strings.Contains(err.Error(), `"`) {
			t.Errorf("%q: got %d and error %v, want an error that quotes it", text, got, err)
		}
	}
}

func TestFormatSizeWritesTheLargestUnitThatDivides(t *testing.T) {
	tests := map[int64]string{
		0: "0", 1: "1", 1023: "1023", 1 << 10: "1K", 1<<10 + 1: "1025", 1536: "1536", 3 << 9 << 10: "1536K",
		1 << 20: "1M", 100 << 20: "100M", 1 << 30: "1G", 5 << 29: "2560M", math.MaxInt64: "9223372036854775807",
	}
	for size, want := range tests {
		got := clamd.FormatSize(size)
		if got != want {
			t.Errorf("%d: got %q, want %q", size, got, want)
		}
		if back, err := clamd.ParseSize(got); err != nil || back != size {
			t.Errorf("%q: got %d and error %v, want %d back", got, back, err, size)
		}
	}
}
