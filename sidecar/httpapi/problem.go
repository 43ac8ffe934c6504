package httpapi

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"clamav-sidecar/sidecar/scan"
)

// errNoFile is a request without a file.
var errNoFile = errors.New("the request has no file")

// problemType is a kind of problem; openapi.yaml describes each.
type problemType struct {
	name, title string
	status      int
}

// The types of problems.
var (
	noFile       = problemType{"no-file", "The request has no file", http.StatusBadRequest}
	uploadBroken = problemType{"upload-broken", "The upload broke off", http.StatusBadRequest}
	badForm      = problemType{"bad-multipart", "The multipart body is not valid", http.StatusBadRequest}
	notFound     = problemType{"not-found", "There is nothing under this path", http.StatusNotFound}
	badMethod    = problemType{"method-not-allowed", "The path does not know this method", http.StatusMethodNotAllowed}
	uploadStall  = problemType{"upload-stalled", "The upload stalled", http.StatusRequestTimeout}
	tooLarge     = problemType{"too-large", "The file is too large", http.StatusRequestEntityTooLarge}
	tooManyParts = problemType{"too-many-parts", "The form has too many parts", http.StatusRequestEntityTooLarge}
	badMedia     = problemType{"unsupported-media", "The body is of a kind that is not scanned", http.StatusUnsupportedMediaType}
	internal     = problemType{"internal", "The sidecar failed", http.StatusInternalServerError}
	engineError  = problemType{"engine-error", "clamd could not scan the file", http.StatusBadGateway}
	unavailable  = problemType{"unavailable", "Scanning is not available now", http.StatusServiceUnavailable}
	scanTimeout  = problemType{"scan-timeout", "The scan took too long", http.StatusGatewayTimeout}
)

const (
	problemMedia = "application/problem+json"
	problemURN   = "urn:clamav-sidecar:problem:"
)

// problem is an answer that is no verdict, as RFC 9457 has it.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id"`
	// Files of a form, up to the one that could not be scanned.
	Files []file `json:"files,omitempty"`
}

// refuse answers a request that no scan was begun for, and logs that.
func (x *exchange) refuse(kind problemType, detail string) {
	x.logProblem(slog.LevelInfo, kind, detail)
	x.answerProblem(kind, detail, nil)
}

func (x *exchange) refuseMethod(allowed []string) {
	allow := strings.Join(allowed, ", ")
	x.w.Header().Set("Allow", allow)
	x.refuse(badMethod, fmt.Sprintf("%s knows the methods %s", x.r.URL.EscapedPath(), allow))
}

func (x *exchange) refusePath() {
	x.refuse(notFound, "the paths are /v1/scan, /v1/replicas, /v1/version and /openapi.yaml")
}

func (x *exchange) logProblem(level slog.Level, kind problemType, detail string) {
	attrs := []slog.Attr{
		slog.Int("status", kind.status),
		slog.String("problem", kind.name),
		slog.String("detail", detail),
		slog.String("request_id", x.requestID),
	}
	if x.traceID != "" {
		attrs = append(attrs, slog.String("trace_id", x.traceID))
	}
	x.Log.LogAttrs(x.r.Context(), level, "request refused", attrs...)
}

func (x *exchange) answerProblem(kind problemType, detail string, files []file) {
	x.answerJSON(kind.status, problemMedia, problem{
		Type:      problemURN + kind.name,
		Title:     kind.title,
		Status:    kind.status,
		Detail:    detail,
		RequestID: x.requestID,
		Files:     files,
	})
}

// answerError answers for a body or a form without a verdict.
func (x *exchange) answerError(err error, files []file) {
	kind := x.problemOf(err)
	if after := scan.RetryAfter(err); kind == unavailable {
		seconds := max(1, int64(after.Round(time.Second)/time.Second))
		x.w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	x.answerProblem(kind, x.detail(kind, err), files)
}

// problemOf says what kind of problem err is.
func (x *exchange) problemOf(err error) problemType {
	switch {
	case errors.Is(err, errNoFile):
		return noFile
	case errors.Is(err, errTooManyParts):
		return tooManyParts
	case errors.Is(err, errForm):
		return badForm
	case errors.Is(err, scan.ErrUploadTimeout):
		return uploadStall
	case errors.Is(err, scan.ErrUpload):
		return uploadBroken
	case errors.Is(err, scan.ErrTooLarge):
		return tooLarge
	case errors.Is(err, scan.ErrUnavailable):
		return unavailable
	case errors.Is(err, scan.ErrTimeout):
		return scanTimeout
	case errors.Is(err, scan.ErrEngine):
		return engineError
	case errors.Is(err, os.ErrDeadlineExceeded):
		// Only of the body, read by no scan: a scan's error is one of those
		// above, which may wrap a deadline of its own.
		return uploadStall
	case x.body.err != nil && !x.body.whole():
		return uploadBroken
	default:
		return internal
	}
}

// detail is what the one who sent the request is told of err.
func (x *exchange) detail(kind problemType, err error) string {
	switch kind {
	case noFile:
		return "send the file as the body of the request, or files as the parts of a multipart/form-data form"
	case uploadStall:
		return fmt.Sprintf("the body came too slowly, or no further, after %d bytes; see the limits in /openapi.yaml", x.body.size)
	case uploadBroken:
		if errors.Is(x.body.err, io.ErrUnexpectedEOF) && x.r.ContentLength > 0 {
			return fmt.Sprintf("the body ended after %d of %d bytes", x.body.size, x.r.ContentLength)
		}
		return fmt.Sprintf("the body broke off after %d bytes", x.body.size)
	case internal:
		return "the log has more under this request_id"
	}
	return err.Error()
}
