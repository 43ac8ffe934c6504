package ops

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"clamav-sidecar/sidecar/upstream"
)

// Limits of the port, which anybody in the cluster may reach. Prometheus asks
// every minute or more often, so that its connection stays open.
const (
	readTimeout    = 5 * time.Second // a whole request
	writeTimeout   = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 8 << 10
	maxScrapes     = 4 // at a time
)

// Config for a Server.
type Config struct {
	Metrics *Metrics
	Pool    *upstream.Pool
	// RequireScanner makes readiness follow the replicas.
	RequireScanner bool
	Log            *slog.Logger
}

// phase is a stage of the process's life.
type phase int32

const (
	starting phase = iota
	serving
	stopping
)

// Server answers /livez, /readyz and /metrics. It is not ready until
// [Server.Started], and not ready again from [Server.Stopping] on.
type Server struct {
	*http.Server
	config Config
	phase  atomic.Int32
}

// New makes a Server, to be served and shut down as an [http.Server] is.
func New(config Config) *Server {
	s := &Server{config: config}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.unready()) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(config.Metrics.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(config.Log.Handler(), slog.LevelError),
		MaxRequestsInFlight: maxScrapes,
		// A compressor takes about 1 MiB, a tenth of all that the sidecar has,
		// to save a few KiB of traffic within the cluster.
		DisableCompression: true,
	}))
	s.Server = &http.Server{
		Handler:        mux,
		ReadTimeout:    readTimeout,
		WriteTimeout:   writeTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(config.Log.Handler(), slog.LevelError),
	}
	return s
}

// Started says that every listener is bound and served.
func (s *Server) Started() { s.phase.CompareAndSwap(int32(starting), int32(serving)) }

// Stopping says that the process is about to end.
func (s *Server) Stopping() { s.phase.Store(int32(stopping)) }

// unready is why no scan should be sent here; nil when one may be.
func (s *Server) unready() error {
	switch phase(s.phase.Load()) {
	case starting:
		return errors.New("starting: not every port is served yet")
	case stopping:
		return errors.New("shutting down")
	}
	if !s.config.RequireScanner || s.config.Pool.Ready() {
		return nil
	}
	replicas := s.config.Pool.Replicas()
	if len(replicas) == 0 {
		return errors.New("no healthy clamd replica: the addresses in clamd.conf lead to none")
	}
	var reasons strings.Builder
	for _, r := range replicas {
		fmt.Fprintf(&reasons, "\n%s is %s", r.Address, r.State)
		if r.Error != "" {
			fmt.Fprintf(&reasons, ": %s", r.Error)
		}
	}
	return fmt.Errorf("no healthy clamd replica%s", reasons.String())
}

// answer says "ok", or 503 and why not.
func answer(w http.ResponseWriter, fault error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	text := "ok"
	if fault != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = fault.Error()
	}
	_, _ = io.WriteString(w, text+"\n") // a probe that has gone needs no answer
}
