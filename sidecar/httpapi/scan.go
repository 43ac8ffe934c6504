package httpapi

import (
	"fmt"
	"log/slog"
	"mime"
	"strings"

	"github.com/gorilla/mux"

	"clamav-sidecar/sidecar/scan"
)

// scan answers POST and PUT /v1/scan.
func (x *exchange) scan() {
	for _, coding := range x.r.Header["Content-Encoding"] {
		if !strings.EqualFold(coding, "identity") && coding != "" {
			x.refuse(badMedia, fmt.Sprintf("the body has the Content-Encoding %.40q, which is not decoded here; send the file's own bytes", coding))
			return
		}
	}
	if x.r.ContentLength == 0 {
		x.refuse(noFile, x.detail(noFile, nil))
		return
	}
	contentType := x.r.Header.Get("Content-Type")
	if len(contentType) < len("multipart/") || !strings.EqualFold(contentType[:len("multipart/")], "multipart/") {
		x.scanRaw()
		return
	}
	media, params, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		x.refuse(badForm, fmt.Sprintf("the Content-Type %.100q cannot be read: %v", contentType, err))
	case media != "multipart/form-data":
		x.refuse(badMedia, fmt.Sprintf("the body is %.40q; send the file as the body, or files as multipart/form-data", media))
	default:
		x.scanForm(params["boundary"])
	}
}

// scanRaw scans a body that is the file. One whose declared length is over the
// limit is refused by the scanner before it reads anything, so that a client
// that asked with "Expect: 100-continue" does not send it.
func (x *exchange) scanRaw() {
	x.pace()
	verdict, err := x.Scanner.Scan(x.r.Context(), &x.paced, x.options(mux.Vars(x.r)["name"], x.r.ContentLength))
	if err == nil {
		err = x.check(verdict, x.body.size, x.body.whole())
	}
	if err != nil {
		x.answerError(err, nil)
		return
	}
	x.answerJSON(statusOf(verdict.Outcome), jsonMedia, verdictAnswer{finding: newFinding(verdict), RequestID: x.requestID})
}

// pace begins the time in which the next piece of the body has to come.
func (x *exchange) pace() {
	x.paced = scan.Paced{R: &x.body, SetDeadline: x.control.SetReadDeadline, Idle: x.UploadIdle}
}

func (x *exchange) options(name string, size int64) scan.Options {
	return scan.Options{Endpoint: scan.HTTP, Size: size, Name: name, RequestID: x.requestID, TraceID: x.traceID}
}

// check is checkVerdict, and logs what should never happen.
func (x *exchange) check(v scan.Verdict, read int64, ended bool) error {
	err := checkVerdict(v, read, ended)
	if err != nil {
		x.logProblem(slog.LevelError, internal, err.Error())
	}
	return err
}
