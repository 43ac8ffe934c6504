package scan

import (
	"strings"
	"time"

	"clamav-sidecar/sidecar/clamd"
)

// Outcome is what a scan found.
type Outcome uint8

// The zero Outcome is no verdict, so that a Verdict nobody filled in, or one
// that comes with an error, never reads as clean.
const (
	None        Outcome = iota
	Clean               // clamd scanned all of the body and found nothing
	Infected            // a signature matched
	Unscannable         // clamd could not look at all of it: see Reason
)

func (o Outcome) String() string {
	switch o {
	case Clean:
		return "clean"
	case Infected:
		return "infected"
	case Unscannable:
		return "unscannable"
	default:
		return "error"
	}
}

// Why a body is Unscannable.
const (
	// Encrypted: (part of) the body is encrypted; needs AlertEncrypted yes in
	// the service's clamd.conf.
	Encrypted = "encrypted"
	// Limit: one of clamd's limits on size, number, depth or time was reached;
	// needs AlertExceedsMax yes.
	Limit = "limit"
)

// Verdict is what is known of a body after its scan. With an error, Outcome is
// None and the rest says how far the scan came.
type Verdict struct {
	Outcome Outcome
	// Signature is the name that clamd gives for Infected and Unscannable.
	Signature string
	// Reason is Encrypted or Limit for Unscannable, else "".
	Reason string
	// Bytes of the body that were read; all of it, if Outcome is not None.
	Bytes int64
	// Duration from the call of Scan to the verdict, the upload within it.
	Duration time.Duration
	// Replica is the address of the clamd that gave the verdict.
	Replica string
	// Version is that clamd's engine and signatures at its last health check.
	Version clamd.Version
}

// judge turns a reply that says OK or FOUND into a verdict.
// Source of the names: ClamAV's documentation of AlertExceedsMax and
// AlertEncrypted; older releases wrote Heuristics.Limits.Exceeded alone.
func judge(reply clamd.Reply) (outcome Outcome, signature, reason string) {
	switch {
	case reply.Status == clamd.OK:
		return Clean, "", ""
	case reply.Status != clamd.Found:
		return None, "", ""
	case strings.HasPrefix(reply.Text, "Heuristics.Limits.Exceeded"):
		return Unscannable, reply.Text, Limit
	case strings.HasPrefix(reply.Text, "Heuristics.Encrypted"):
		return Unscannable, reply.Text, Encrypted
	default:
		return Infected, reply.Text, ""
	}
}
