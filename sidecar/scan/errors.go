package scan

import (
	"errors"
	"time"

	"clamav-sidecar/sidecar/upstream"
)

// Why a body got no verdict. Every error of [Scanner.Scan] is one of these, to
// be told apart with errors.Is, but for an error of the caller's context.
var (
	// ErrTooLarge is a body over MaxFileSize, or over the StreamMaxLength of
	// the client's or the service's clamd.conf.
	ErrTooLarge = errors.New("the file is larger than the limit")
	// ErrUpload is a body that could not be read to its end. The reader's own
	// error is wrapped with it.
	ErrUpload = errors.New("the upload broke off")
	// ErrUploadTimeout is a body that came too slowly, or no further.
	ErrUploadTimeout = errors.New("the upload stalled")
	// ErrUnavailable is a scan that there was no room or no replica for. It may
	// be tried again, after [RetryAfter].
	ErrUnavailable = errors.New("scanning is not available now")
	// ErrTimeout is a scan that took longer than ScanTimeout.
	ErrTimeout = upstream.ErrScanTimeout
	// ErrEngine is an ERROR, or something unintelligible, from clamd.
	ErrEngine = errors.New("clamd could not scan the file")
)

// unavailable carries the time after which to try again.
type unavailable struct {
	err   error
	after time.Duration
}

func (u *unavailable) Error() string   { return u.err.Error() }
func (u *unavailable) Unwrap() []error { return []error{ErrUnavailable, u.err} }

// RetryAfter is how long to wait before a scan that failed with err is tried
// again, in whole seconds; 0 when err is not an [ErrUnavailable].
func RetryAfter(err error) time.Duration {
	var u *unavailable
	if errors.As(err, &u) {
		return u.after
	}
	return 0
}
