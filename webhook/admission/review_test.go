package admission

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/semaphore"
	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// endless is a body that stalls after its text, until it is closed.
type endless struct {
	io.Reader
	closed chan struct{}
	once   sync.Once
}

func (e *endless) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		<-e.closed
	}
	return n, err
}

func (e *endless) Close() error {
	e.once.Do(func() { close(e.closed) })
	return nil
}

func TestABodyThatStallsIsGivenUpAndItsMemoryIsFreeAgain(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			const size = 1 << 20
			handler := &reviews{memory: semaphore.NewWeighted(maxBody), answer: func(context.Context, admission.Request) admission.Response {
				return admission.Allowed("")
			}}
			server := httptest.NewUnstartedServer(handler)
			server.EnableHTTP2 = protocol == "HTTP/2.0"
			server.StartTLS()
			t.Cleanup(server.Close)

			ctx, cancel := context.WithTimeout(t.Context(), 4*bodyTimeout)
			defer cancel()
			post := func(body io.Reader) (status int, text string, err error) {
				request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, body)
				if err != nil {
					return 0, "", err
				}
				request.Header.Set("Content-Type", "application/json")
				response, err := server.Client().Do(request)
				if err != nil {
					return 0, "", err
				}
				defer response.Body.Close()
				if response.Proto != protocol {
					t.Errorf("the answer is %s, want %s", response.Proto, protocol)
				}
				answer, err := io.ReadAll(response.Body)
				return response.StatusCode, string(answer), err
			}
			// A connection with such a body may end without an answer, too.
			status, text, err := post(&endless{Reader: bytes.NewReader(make([]byte, size)), closed: make(chan struct{})})
			if err == nil && (status != http.StatusBadRequest || !strings.Contains(text, "timeout")) {
				t.Errorf("the stalled body: %d %q, want %d and that its time is over", status, text, http.StatusBadRequest)
			}
			if ctx.Err() != nil {
				t.Fatal("the stalled body is read for ever")
			}
			status, text, err = post(bytes.NewReader(review("", "Pod", admissionv1.Create, plainPod)))
			if err != nil || status != http.StatusOK {
				t.Errorf("the next body: %d %q %v, want %d", status, text, err, http.StatusOK)
			}
			if !handler.memory.TryAcquire(maxBody) {
				t.Error("not all memory is free after both")
			}
		})
	}
}

func TestSmallReviewsDoNotWaitForTheMemoryOfLargeOnes(t *testing.T) {
	all, _ := handlers()
	if !all[PodsPath].(*reviews).memory.TryAcquire(bodyMemory) {
		t.Fatal("the memory is taken before any review")
	}
	post := func(body []byte) int {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		got := answer{httptest.NewRecorder()}
		all[PodsPath].ServeHTTP(got, request)
		return got.Code
	}
	small := review("", "Pod", admissionv1.Create, plainPod)
	if got := post(small); got != http.StatusOK {
		t.Errorf("a small review: %d, want %d", got, http.StatusOK)
	}
	if got := post(append(bytes.Repeat([]byte(" "), smallBody), small...)); got != http.StatusServiceUnavailable {
		t.Errorf("a large review: %d, want %d when its time is over", got, http.StatusServiceUnavailable)
	}
}

func TestWhatIsNoReviewIsAnHTTPError(t *testing.T) {
	all, _ := handlers()
	good := string(review("", "Pod", admissionv1.Create, plainPod))
	for name, test := range map[string]struct {
		kind, body string
		want       int
		message    string
	}{
		"another type":          {"text/plain", good, http.StatusUnsupportedMediaType, "application/json"},
		"no type":               {"", good, http.StatusUnsupportedMediaType, "application/json"},
		"a type with a charset": {"application/json; charset=utf-8", good, http.StatusOK, ""},
		"nothing":               {"application/json", "", http.StatusBadRequest, "decode"},
		"no JSON":               {"application/json", "garbage", http.StatusBadRequest, "decode"},
		"something behind it":   {"application/json", good + "{}", http.StatusBadRequest, "decode"},
		"a field twice":         {"application/json", strings.Replace(good, `"uid":"u"`, `"uid":"u","uid":"v"`, 1), http.StatusBadRequest, "uid"},
		"another version":       {"application/json", strings.Replace(good, "k8s.io/v1", "k8s.io/v1beta1", 1), http.StatusBadRequest, "v1beta1"},
		"another kind":          {"application/json", `{"apiVersion":"v1","kind":"Pod"}`, http.StatusBadRequest, "want admission.k8s.io/v1"},
		"no request":            {"application/json", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, http.StatusBadRequest, "no request"},
		"no uid":                {"application/json", strings.Replace(good, `"uid":"u"`, `"uid":""`, 1), http.StatusBadRequest, "uid"},
		"too large":             {"application/json", strings.Repeat(" ", maxBody) + good, http.StatusRequestEntityTooLarge, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(test.body))
			request.Header.Set("Content-Type", test.kind)
			got := answer{httptest.NewRecorder()}
			all[PodsPath].ServeHTTP(got, request)
			if got.Code != test.want || !strings.Contains(got.Body.String(), test.message) {
				t.Errorf("got %d %q, want %d and %q in it", got.Code, got.Body, test.want, test.message)
			}
		})
	}
}
