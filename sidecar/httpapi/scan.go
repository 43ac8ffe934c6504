package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	boundary, err := formBoundary(x.r.Header["Content-Type"])
	switch {
	case errors.Is(err, errNotForm):
		x.refuse(badMedia, err.Error())
	case err != nil:
		x.refuse(badForm, err.Error())
	case boundary != "":
		x.scanForm(boundary)
	default:
		x.scanRaw()
	}
}

// scanRaw scans a body that is the file. One whose declared length is over the
// limit is refused by the scanner before it reads anything, so that a client
// that asked with "Expect: 100-continue" does not send it.
func (x *exchange) scanRaw() {
	x.pace()
	verdict, err := x.Scanner.Scan(x.scanContext(), &x.paced, x.options(mux.Vars(x.r)["name"], x.r.ContentLength))
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

// scanContext is for the scans of the request. It is not cancelled with the
// request, because net/http does that as well when a client closes only its own
// side behind a whole body, as nc does, and waits for the answer. A client that
// is gone so keeps its place in the queue until the queue's time-out.
func (x *exchange) scanContext() context.Context { return context.WithoutCancel(x.r.Context()) }

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
