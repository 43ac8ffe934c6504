package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"clamav-sidecar/sidecar/clamd"
	"clamav-sidecar/sidecar/scan"
)

const jsonMedia = "application/json"

// finding is what an answer says of one body. The members that clamd has not
// told of are left out.
type finding struct {
	Verdict    string      `json:"verdict"`
	Signature  string      `json:"signature,omitempty"`
	Reason     string      `json:"reason,omitempty"`
	Bytes      int64       `json:"bytes"`
	DurationMS float64     `json:"duration_ms"`
	Engine     string      `json:"engine,omitempty"`
	Signatures *signatures `json:"signatures,omitempty"`
}

// signatures are the official virus definitions that a replica has loaded.
type signatures struct {
	Version int       `json:"version"`
	Built   time.Time `json:"built,omitzero"`
}

// file is what an answer says of one part of a form.
type file struct {
	Name  string `json:"name,omitempty"`
	Field string `json:"field,omitempty"`
	finding
	Detail string `json:"detail,omitempty"` // why there is no verdict
}

// verdictAnswer is the body of an answer that is a verdict.
type verdictAnswer struct {
	finding
	RequestID string `json:"request_id"`
	Files     []file `json:"files,omitempty"`
}

func newFinding(v scan.Verdict) finding {
	return finding{
		Verdict:    v.Outcome.String(),
		Signature:  v.Signature,
		Reason:     v.Reason,
		Bytes:      v.Bytes,
		DurationMS: milliseconds(v.Duration),
		Engine:     v.Version.Engine,
		Signatures: newSignatures(v.Version),
	}
}

// newSignatures gives nil for a clamd that has loaded no official ones.
func newSignatures(v clamd.Version) *signatures {
	if v.Signatures == 0 {
		return nil
	}
	return &signatures{Version: v.Signatures, Built: v.Built}
}

// milliseconds are d in milliseconds, with three decimals.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond).Microseconds()) / 1000
}

// statusOf is the status for an outcome. Only Clean has one of success.
func statusOf(o scan.Outcome) int {
	switch o {
	case scan.Clean:
		return http.StatusOK
	case scan.Infected:
		return http.StatusNotAcceptable
	case scan.Unscannable:
		return http.StatusUnprocessableEntity
	default:
		return http.StatusInternalServerError
	}
}

// errVerdict is a verdict that cannot be right; it is a fault of the sidecar.
var errVerdict = errors.New("the scanner's verdict does not fit the body")

// checkVerdict makes sure that v is a verdict on all of a body, of which so many
// bytes were read, to its end or not. The scanner promises it; it is looked at
// here again because it is what an app relies on.
func checkVerdict(v scan.Verdict, read int64, ended bool) error {
	if statusOf(v.Outcome) == http.StatusInternalServerError || !ended || v.Bytes != read {
		return fmt.Errorf("%w: %s on %d bytes of a body of which %d were read, to its end: %t", errVerdict, v.Outcome, v.Bytes, read, ended)
	}
	return nil
}
