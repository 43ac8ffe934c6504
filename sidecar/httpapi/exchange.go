package httpapi

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"clamav-sidecar/sidecar/scan"
)

const (
	answerTimeout = 10 * time.Second // for a client to take its answer

	// smallRest is the most that is read of a body before it is answered
	// unscanned, in bytes, so that the connection lives on. restTimeout is how
	// long that may take.
	smallRest   = 64 << 10
	restTimeout = time.Second
	// lingerTime is how long what a refused client still sends is thrown away,
	// lingerIdle how long it is waited for.
	lingerTime   = 10 * time.Second
	lingerIdle   = time.Second
	lingerBuffer = 16 << 10
)

// exchange is one request and its answer.
type exchange struct {
	*api
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController
	body    upload
	paced   scan.Paced

	requestID, traceparent, traceID string
}

func newExchange(a *api, w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{api: a, w: w, r: r, control: http.NewResponseController(w), requestID: requestID(r.Header)}
	x.traceparent, x.traceID = traceContext(r.Header)
	x.body = upload{body: r.Body, control: x.control}
	if r.ContentLength == 0 {
		x.body.err = io.EOF
	}
	return x
}

// answerJSON answers with v.
func (x *exchange) answerJSON(status int, contentType string, v any) {
	content, err := json.Marshal(v)
	if err != nil {
		// Every type that is given here can be marshalled.
		panic("httpapi: marshal an answer: " + err.Error())
	}
	x.answer(status, contentType, append(content, '\n'))
}

// answer answers, and lets go of what has not been read of the body.
func (x *exchange) answer(status int, contentType string, content []byte) {
	x.readSmallRest()
	header := x.w.Header()
	header["Content-Type"] = []string{contentType}
	header["Content-Length"] = []string{strconv.Itoa(len(content))}
	header["X-Request-Id"] = []string{x.requestID}
	if x.traceparent != "" {
		header["Traceparent"] = []string{x.traceparent}
	}
	if !x.body.whole() {
		header["Connection"] = []string{"close"}
	}
	if err := x.control.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		x.logLost(err)
		return
	}
	x.w.WriteHeader(status)
	if _, err := x.w.Write(content); err != nil {
		x.logLost(err)
		return
	}
	if x.body.err == nil {
		x.linger()
	}
}

func (x *exchange) logLost(err error) {
	x.Log.LogAttrs(x.r.Context(), slog.LevelDebug, "answer lost",
		slog.String("request_id", x.requestID), slog.Any("error", err))
}

// readSmallRest reads the rest of a body if it is known to be small. One that
// its client has announced with "Expect: 100-continue" it does not call for.
func (x *exchange) readSmallRest() {
	rest := x.r.ContentLength - x.body.size
	if x.body.err != nil || rest < 0 || rest > smallRest || x.r.Header["Expect"] != nil {
		return
	}
	if x.control.SetReadDeadline(time.Now().Add(restTimeout)) == nil {
		_, _ = io.Copy(io.Discard, &x.body) // how it ended is in x.body
	}
}

// linger reads what the client still sends, until it has seen the answer and
// closes. The deadline that it leaves behind keeps net/http from reading on.
func (x *exchange) linger() {
	err := x.control.Flush()
	last := time.Now().Add(lingerTime)
	for buf := make([]byte, lingerBuffer); err == nil; {
		next := time.Now().Add(lingerIdle)
		if next.After(last) {
			next = last
		}
		if err = x.control.SetReadDeadline(next); err == nil {
			_, err = x.body.Read(buf)
		}
	}
}

// upload is a request's body as it is read.
type upload struct {
	body    io.Reader
	control *http.ResponseController
	size    int64 // bytes read
	err     error // what reading ended with; io.EOF: all of it was read
}

// Read reads from the body. At the end it clears the read deadline, which would
// otherwise end the request's context while the body is scanned: net/http reads
// on, to notice when the client goes. A body without a byte is errNoFile.
func (u *upload) Read(p []byte) (int, error) {
	n, err := u.body.Read(p)
	u.size += int64(n)
	if err == nil {
		return n, nil
	}
	u.err = err
	if err != io.EOF {
		return n, err
	}
	if err := u.control.SetReadDeadline(time.Time{}); err != nil {
		u.err = err
		return n, err
	}
	if u.size == 0 {
		return 0, errNoFile
	}
	return n, io.EOF
}

// whole says whether all of the body was read.
func (u *upload) whole() bool { return u.err == io.EOF } //nolint:errorlint // net/http ends a body with io.EOF itself
