package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"clamav-sidecar/sidecar/scan"
	"clamav-sidecar/sidecar/upstream"
)

const (
	defaultUploadIdle = 20 * time.Second
	defaultMaxParts   = 100

	headerTimeout  = 10 * time.Second // for the header of a request, from its first byte
	idleTimeout    = 3 * time.Minute  // between two requests on a connection
	maxHeaderBytes = 16 << 10         // of a request; net/http adds 4 KiB to it
)

// Scanner is what the endpoint needs of [scan.Scanner]. Tests have another one,
// for faults that cannot be brought about in a real one.
type Scanner interface {
	Scan(ctx context.Context, body io.Reader, opt scan.Options) (scan.Verdict, error)
	Replicas() []upstream.Replica
	Stats() upstream.Stats
	MaxFileSize() int64
}

// Config for the endpoint.
type Config struct {
	Scanner Scanner
	// Version of the sidecar, for /v1/version.
	Version string
	// UploadIdle is the time in which the next piece of a body has to come; see
	// [scan.Paced]. If zero, 20 seconds.
	UploadIdle time.Duration
	// MaxParts bounds the parts of a form. If zero, 100.
	MaxParts int
	// Log gets a line for each request that is refused before it is scanned; a
	// scan is logged by Scanner.
	Log *slog.Logger
}

// api is the endpoint: what its requests have in common.
type api struct {
	Config
	buffers sync.Pool // of *[formBuffer]byte
}

// NewServer makes a server for New's handler with the limits that belong to it.
// The handler needs them: it would otherwise wait for slow headers without end.
func NewServer(config Config) *http.Server {
	return &http.Server{
		Handler:                      New(config),
		ReadHeaderTimeout:            headerTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(config.Log.Handler(), slog.LevelWarn),
	}
}

// New makes the handler. It has to run behind net/http's own HTTP/1 server,
// since it sets the deadlines of its connections.
func New(config Config) http.Handler {
	if config.UploadIdle == 0 {
		config.UploadIdle = defaultUploadIdle
	}
	if config.MaxParts == 0 {
		config.MaxParts = defaultMaxParts
	}
	a := &api{Config: config, buffers: sync.Pool{New: func() any { return new([formBuffer]byte) }}}

	// A path that is not clean is unknown: the redirect that mux would answer
	// with makes most clients repeat a POST as a GET without its body.
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	serve := func(path string, handler func(*exchange), methods ...string) {
		router.Path(path).Methods(methods...).Handler(a.handle(handler))
		router.Path(path).Handler(a.handle(func(x *exchange) { x.refuseMethod(methods) }))
	}
	serve("/v1/scan", (*exchange).scan, http.MethodPost, http.MethodPut)
	serve("/v1/scan/{name:[^/]*}", (*exchange).scan, http.MethodPost, http.MethodPut)
	serve("/v1/replicas", (*exchange).replicas, http.MethodGet, http.MethodHead)
	serve("/v1/version", (*exchange).version, http.MethodGet, http.MethodHead)
	serve("/openapi.yaml", (*exchange).openapi, http.MethodGet, http.MethodHead)
	router.NotFoundHandler = a.handle((*exchange).refusePath)
	return router
}

func (a *api) handle(handler func(*exchange)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler(newExchange(a, w, r))
	})
}
