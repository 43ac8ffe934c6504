package service_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// mirror is an HTTP server for freshclam. It can fail and it can stall.
type mirror struct {
	*httptest.Server

	mu       sync.Mutex
	files    map[string]string // path -> text
	status   int               // instead of any file; 0: none
	stalled  chan struct{}     // half of each file comes before it is closed; nil: no stall
	requests []string          // METHOD PATH, oldest first
}

// startMirror starts a mirror, with what httptest.NewServer or NewTLSServer does,
// that ends with the test.
func startMirror(t *testing.T, listen func(http.Handler) *httptest.Server) *mirror {
	t.Helper()
	m := &mirror{files: map[string]string{}}
	m.Server = listen(http.HandlerFunc(m.serve))
	t.Cleanup(func() {
		m.proceed()
		m.Close()
	})
	return m
}

// serve gives no Last-Modified, so that freshclam takes a file anew at each check.
func (m *mirror) serve(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	path := r.URL.Path
	if r.Method == http.MethodConnect {
		path = r.Host
	}
	m.requests = append(m.requests, r.Method+" "+path)
	text, found := m.files[path]
	status, stalled := m.status, m.stalled
	m.mu.Unlock()

	switch {
	case status != 0:
		w.WriteHeader(status)
	case !found:
		w.WriteHeader(http.StatusNotFound)
	case stalled != nil:
		_, _ = w.Write([]byte(text[:len(text)/2]))
		_ = http.NewResponseController(w).Flush()
		<-stalled
		_, _ = w.Write([]byte(text[len(text)/2:]))
	default:
		_, _ = w.Write([]byte(text))
	}
}

// put has the mirror serve a file from now on.
func (m *mirror) put(path, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[path] = text
}

// fail has the mirror answer everything with the status; with 0 it works again.
func (m *mirror) fail(status int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status = status
}

// stall has the mirror stop in the middle of every file until proceed is called.
func (m *mirror) stall() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stalled = make(chan struct{})
}

// proceed ends the stall, if there is one.
func (m *mirror) proceed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stalled != nil {
		close(m.stalled)
		m.stalled = nil
	}
}

// seen gives the requests so far, oldest first.
func (m *mirror) seen() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.requests)
}

// asked tells whether a request had the text in it.
func (m *mirror) asked(text string) bool {
	return slices.ContainsFunc(m.seen(), func(request string) bool { return strings.Contains(request, text) })
}
