package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the ops port, which anybody in the cluster may reach.
const (
	opsReadTimeout    = 5 * time.Second
	opsWriteTimeout   = 10 * time.Second
	opsIdleTimeout    = 2 * time.Minute
	opsMaxHeaderBytes = 8 << 10
	opsMaxScrapes     = 4 // at a time
)

// ops answers /livez, /readyz and /metrics. It runs in every replica, from the
// first moment to the last.
type ops struct {
	address  string
	metrics  prometheus.Gatherer
	checks   []func(*http.Request) error // what readiness waits for, in this order
	draining atomic.Bool
}

func (o *ops) NeedLeaderElection() bool { return false }

// Start serves until ctx ends.
func (o *ops) Start(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.address)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: o.handler(), ReadTimeout: opsReadTimeout, WriteTimeout: opsWriteTimeout,
		IdleTimeout: opsIdleTimeout, MaxHeaderBytes: opsMaxHeaderBytes,
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (o *ops) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { answer(w, o.unready(r)) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.metrics, promhttp.HandlerOpts{MaxRequestsInFlight: opsMaxScrapes}))
	return mux
}

// unready says why the webhook should get no requests; nil: it should.
func (o *ops) unready(r *http.Request) error {
	if o.draining.Load() {
		return errors.New("shutting down")
	}
	for _, check := range o.checks {
		if err := check(r); err != nil {
			return err
		}
	}
	return nil
}

func answer(w http.ResponseWriter, problem error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if problem != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, problem)
		return
	}
	fmt.Fprintln(w, "ok")
}
