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
	// bodyMemory is what is held of all bodies together, in bytes. A pod takes a
	// few KiB; decoding takes several times the memory of the body.
	bodyMemory = 16 << 20
	// firstRead is what is made room for before anything has come.
	firstRead = 64 << 10
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
	body := boundedBody{from: r.Body, memory: h.memory}
	defer body.release()
	request, status, err := body.review(w, r)
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	// A webhook that shuts down answers what it has begun to.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), decideTimeout)
	defer cancel()
	response := h.answer(ctx, admission.Request{AdmissionRequest: *request})
	if err := response.Complete(admission.Request{AdmissionRequest: *request}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	review := admissionv1.AdmissionReview{Response: &response.AdmissionResponse}
	review.SetGroupVersionKind(admissionv1.SchemeGroupVersion.WithKind("AdmissionReview"))
	w.Header().Set("Content-Type", "application/json")
	// It fails only when the API server has gone, who then knows.
	_ = stdjson.NewEncoder(w).Encode(&review)
}

// boundedBody takes from the memory what it reads.
type boundedBody struct {
	from   io.Reader
	ctx    context.Context
	memory *semaphore.Weighted
	taken  int64
}

// review reads the request of a review; the status belongs to the error.
func (b *boundedBody) review(w http.ResponseWriter, r *http.Request) (request *admissionv1.AdmissionRequest, status int, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, http.StatusUnsupportedMediaType, errors.New("want an AdmissionReview as application/json")
	}
	deadline := time.Now().Add(bodyTimeout)
	if err := http.NewResponseController(w).SetReadDeadline(deadline); err != nil {
		return nil, http.StatusInternalServerError, fmt.Errorf("failed to bound the time of the body: %w", err)
	}
	// The request's own context ends when the server begins to shut down.
	ctx, cancel := context.WithDeadline(context.WithoutCancel(r.Context()), deadline)
	defer cancel()
	b.ctx = ctx
	var text bytes.Buffer
	text.Grow(int(min(max(r.ContentLength, 0), firstRead)) + bytes.MinRead)
	switch n, err := text.ReadFrom(io.LimitReader(b, maxBody+1)); {
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

// Read waits for memory as long as the body's time lasts.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if n > 0 {
		if err := b.memory.Acquire(b.ctx, int64(n)); err != nil {
			return 0, fmt.Errorf("too many reviews at a time: %w", err)
		}
		b.taken += int64(n)
	}
	return n, err
}

func (b *boundedBody) release() {
	b.memory.Release(b.taken)
	b.taken = 0
}
