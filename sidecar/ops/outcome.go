package ops

import (
	"context"
	"errors"

	"clamav-sidecar/sidecar/scan"
)

// outcome is how a scan ended, as the label of a metric.
type outcome int

// The verdicts, and one outcome for each kind of scan without one.
const (
	clean outcome = iota
	infected
	unscannable
	tooLarge
	uploadError
	uploadTimeout
	unavailable
	timeout
	engineError
	canceled
	internal
	outcomes // how many there are
)

func (o outcome) String() string {
	return [outcomes]string{
		clean:         "clean",
		infected:      "infected",
		unscannable:   "unscannable",
		tooLarge:      "too_large",
		uploadError:   "upload_error",
		uploadTimeout: "upload_timeout",
		unavailable:   "unavailable",
		timeout:       "timeout",
		engineError:   "engine_error",
		canceled:      "canceled",
		internal:      "internal_error",
	}[o]
}

// outcomeOf sorts what [scan.Scanner.Scan] has returned. A pair that it never
// returns counts as internal, and nothing but a verdict of clean as clean.
func outcomeOf(verdict scan.Verdict, err error) outcome {
	if err == nil {
		switch verdict.Outcome {
		case scan.Clean:
			return clean
		case scan.Infected:
			return infected
		case scan.Unscannable:
			return unscannable
		}
		return internal
	}
	for _, kind := range [...]struct {
		err     error
		outcome outcome
	}{
		{scan.ErrTooLarge, tooLarge},
		{scan.ErrUploadTimeout, uploadTimeout},
		{scan.ErrUpload, uploadError},
		{scan.ErrUnavailable, unavailable},
		{scan.ErrTimeout, timeout},
		{scan.ErrEngine, engineError},
		{context.Canceled, canceled},
		{context.DeadlineExceeded, canceled},
	} {
		if errors.Is(err, kind.err) {
			return kind.outcome
		}
	}
	return internal
}
