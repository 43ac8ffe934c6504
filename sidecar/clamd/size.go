package clamd

import (
	"fmt"
	"math"
	"strconv"
)

// ParseSize reads a size in bytes the way clamd.conf writes one: a whole
// number, and K, M or G (either case) behind it for 2^10, 2^20 or 2^30.
// Source: clamd.conf(5), "SIZE".
func ParseSize(s string) (int64, error) {
	digits, unit := s, int64(1)
	if s != "" {
		switch s[len(s)-1] {
		case 'k', 'K':
			unit = 1 << 10
		case 'm', 'M':
			unit = 1 << 20
		case 'g', 'G':
			unit = 1 << 30
		}
	}
	if unit > 1 {
		digits = s[:len(s)-1]
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size: want a whole number of bytes, or one with K, M or G behind it, such as 100M", s)
	}
	if n > uint64(math.MaxInt64/unit) {
		return 0, fmt.Errorf("%q is too large a size", s)
	}
	return int64(n) * unit, nil
}

// FormatSize writes n bytes as [ParseSize] reads it, in the largest unit that
// divides it.
func FormatSize(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "K"}} {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
