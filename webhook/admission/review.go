package admission

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/semaphore"
	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Bounds of requests, which anybody may send who reaches the port.
const (
	// maxBody is that of one, in bytes: an API server takes objects of up to
	// 3 MiB, and sends two of them, the new and the old. It is
	// controller-runtime's bound too.
	maxBody = 7 << 20
	// bodyTimeout is how long a body may take to come.
	bodyTimeout = 5 * time.Second
	// smallBody is the largest, in bytes, that needs no share of bodyMemory: the
	// usual pod takes a few KiB, and must not wait behind large ones.
	smallBody = 16 << 10
	// bodyMemory is what is held of all other bodies together, in bytes. Decoding
	// takes several times the memory of the body.
	bodyMemory = 16 << 20
	// answerTimeout is how long an API server may take to read its answer.
	answerTimeout = 5 * time.Second
)

// reviews answers AdmissionReviews. It is what controller-runtime's
// admission.Webhook is, in two thirds of the processor time, since it reads the
// review once (docs/benchmarks.md), and with bounds on time and memory. What is
// no review gets an HTTP error, which API servers take for a webhook that has
// failed.
type reviews struct {
	answer func(context.Context, admission.Request) admission.Response
	memory *semaphore.Weighted // for bodies
}

func (h *reviews) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	response, status, err := h.review(w, r)
	deadline := time.Now().Add(answerTimeout)
	if err := http.NewResponseController(w).SetWriteDeadline(deadline); err != nil {
		http.Error(w, "failed to bound the time of the answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// It fails only when the API server has gone, who then knows.
	_, _ = w.Write(response)
}

// review reads a review and gives the answer; the status belongs to the error.
func (h *reviews) review(w http.ResponseWriter, r *http.Request) (answer []byte, status int, err error) {
	deadline := time.Now().Add(bodyTimeout)
	if err := http.NewResponseController(w).SetReadDeadline(deadline); err != nil {
		return nil, http.StatusInternalServerError, fmt.Errorf("failed to bound the time of the body: %w", err)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, http.StatusUnsupportedMediaType, errors.New("want an AdmissionReview as application/json")
	}
	size := r.ContentLength
	if size < 0 { // chunked
		size = maxBody
	}
	if size > maxBody {
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("the review is larger than %d bytes", maxBody)
	}
	// The request's own context ends when the server begins to shut down, and
	// what has begun is answered.
	ctx := context.WithoutCancel(r.Context())
	if size > smallBody {
		waiting, cancel := context.WithDeadline(ctx, deadline)
		defer cancel()
		if err := h.memory.Acquire(waiting, size); err != nil {
			return nil, http.StatusServiceUnavailable, fmt.Errorf("too many large reviews at a time: %w", err)
		}
		defer h.memory.Release(size)
	}
	request, status, err := readReview(r)
	if err != nil {
		return nil, status, err
	}
	ctx, cancel := context.WithTimeout(ctx, decideTimeout)
	defer cancel()
	response := h.answer(ctx, admission.Request{AdmissionRequest: *request})
	if err := response.Complete(admission.Request{AdmissionRequest: *request}); err != nil {
		return nil, http.StatusInternalServerError, err
	}
	review := admissionv1.AdmissionReview{Response: &response.AdmissionResponse}
	review.SetGroupVersionKind(admissionv1.SchemeGroupVersion.WithKind("AdmissionReview"))
	answer, err = stdjson.Marshal(&review)
	return answer, http.StatusInternalServerError, err
}

// readReview reads the request of a review; the status belongs to the error.
func readReview(r *http.Request) (request *admissionv1.AdmissionRequest, status int, err error) {
	var text bytes.Buffer
	text.Grow(int(min(max(r.ContentLength, 0), smallBody)) + bytes.MinRead)
	switch n, err := text.ReadFrom(io.LimitReader(r.Body, maxBody+1)); {
	case err != nil:
		return nil, http.StatusBadRequest, fmt.Errorf("failed to read the review: %w", err)
	case n > maxBody:
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("the review is larger than %d bytes", maxBody)
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(text.Bytes(), &review); err != nil {
		return nil, http.StatusBadRequest, fmt.Errorf("failed to decode the review: %w", err)
	}
	if got, want := review.GroupVersionKind(), admissionv1.SchemeGroupVersion.WithKind("AdmissionReview"); got != want {
		return nil, http.StatusBadRequest, fmt.Errorf("the review is %s, want %s", got, want)
	}
	if review.Request == nil || review.Request.UID == "" {
		return nil, http.StatusBadRequest, errors.New("the review has no request with a uid")
	}
	return review.Request, 0, nil
}

// notFound answers what is sent elsewhere, within the same time.
func notFound(w http.ResponseWriter, r *http.Request) {
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		w.Header().Set("Connection", "close")
	}
	http.NotFound(w, r)
}
