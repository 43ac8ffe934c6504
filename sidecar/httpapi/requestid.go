package httpapi

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strings"
)

const maxRequestID = 128 // bytes

// requestID is the request's own id if it has a fit one, else a new one of 128
// random bits.
func requestID(h http.Header) string {
	if ids := h["X-Request-Id"]; len(ids) == 1 && isRequestID(ids[0]) {
		return ids[0]
	}
	var id [16]byte
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	return hex.EncodeToString(id[:])
}

// isRequestID says whether id can stand in a log and in a header as it is.
func isRequestID(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] >= 0x7f {
			return false
		}
	}
	return id != "" && len(id) <= maxRequestID
}

// traceContext is the request's traceparent and the trace id in it; both "" if
// there is none or it is not valid.
// Source: W3C Trace Context, the form of version 00.
func traceContext(h http.Header) (traceparent, traceID string) {
	values := h["Traceparent"]
	if len(values) != 1 {
		return "", ""
	}
	fields := strings.Split(values[0], "-")
	if len(fields) != 4 || fields[0] != "00" || !isHexID(fields[1], 32) || !isHexID(fields[2], 16) || !isHex(fields[3], 2) {
		return "", ""
	}
	return values[0], fields[1]
}

// isHexID says whether s is an id: hexadecimal and not all zeros.
func isHexID(s string, length int) bool {
	return isHex(s, length) && strings.Trim(s, "0") != ""
}

func isHex(s string, length int) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == length
}
