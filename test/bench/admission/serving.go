package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"clamav-sidecar/test/bench/process"
)

// serving is a webhook with clients before it.
type serving struct {
	options
	out         io.Writer
	in          *installation
	replica     *replica
	authorities []byte
	typical     subject
	number      atomic.Uint64 // of the last review
}

// measureServing measures the binary and prints the tables.
func measureServing(ctx context.Context, w io.Writer, subjects []subject, opts options) (err error) {
	progress("starting an API server and the webhook")
	in, err := install(opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	s := &serving{options: opts, out: w, in: in, typical: subjects[0]}
	start, err := s.starts(ctx)
	if err != nil {
		return err
	}
	if s.replica, err = in.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.replica.stop()) }()
	if s.authorities, err = in.authorities(); err != nil {
		return err
	}
	if err := s.footprint(ctx, start); err != nil {
		return err
	}
	if err := s.throughput(ctx, subjects); err != nil {
		return err
	}
	return s.latency(ctx)
}

// starts tells how soon a webhook is ready: the first one, which makes the
// certificates, and those after it.
func (s *serving) starts(ctx context.Context) (figures, error) {
	var ready figures
	for range s.rounds {
		r, err := s.in.start(ctx)
		if err != nil {
			return nil, err
		}
		ready = append(ready, milliseconds(r.ready))
		if err := r.stop(); err != nil {
			return nil, err
		}
	}
	return ready, nil
}

// clients makes n of them. They share connections as HTTP does.
func (s *serving) clients(p protocol, n int, pod subject) ([]*client, *http.Transport, error) {
	transport, err := newTransport(p, s.authorities)
	if err != nil {
		return nil, nil, err
	}
	all := make([]*client, n)
	for i := range all {
		if all[i], err = newClient(transport, s.replica.listen, pod); err != nil {
			return nil, nil, err
		}
	}
	return all, transport, nil
}

// footprint prints size, start and memory. It comes first, so that the webhook is
// as it starts.
func (s *serving) footprint(ctx context.Context, start figures) error {
	progress("footprint")
	info, err := os.Stat(s.webhook)
	if err != nil {
		return err
	}
	row := func(what, format string, args ...any) {
		fmt.Fprintf(s.out, "| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(s.out, "\n| what | figure |\n| --- | --- |")
	row("binary", "%.1f MiB", float64(info.Size())/(1<<20))
	row("start to ready, the first one, which makes the certificates", "%.0f ms", start[0])
	if len(start) > 1 {
		row("start to ready, others", "%.0f ms (%s)", start[1:].median(), start[1:].spread("%.0f"))
	}
	select { // what the start needed is given back to the system meanwhile
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Second):
	}
	memory := func(what string) {
		// The rest of RSS are pages of the binary, which the kernel can drop.
		row(what, "%.1f MiB (%.1f of it anonymous; peak %.1f)", s.replica.memory("VmRSS"), s.replica.memory("RssAnon"), s.replica.memory("VmHWM"))
	}
	memory("RSS, idle")
	if err := process.ResetPeak(s.replica.cmd.Process.Pid); err != nil {
		return err
	}
	for _, p := range []protocol{http1, http2} {
		progress("%d admissions, %s", s.admissions/2, p)
		clients, transport, err := s.clients(p, 16, s.typical)
		if err != nil {
			return err
		}
		var sent atomic.Int64
		more := func() bool { return sent.Add(1) <= int64(s.admissions/2) }
		if _, err := closedLoop(ctx, clients, &s.number, more); err != nil {
			return err
		}
		transport.CloseIdleConnections()
	}
	memory(fmt.Sprintf("RSS after %d admissions, 16 at a time", s.number.Load()))
	return s.in.settled()
}

// throughput prints what clients get that send one review after the other.
func (s *serving) throughput(ctx context.Context, subjects []subject) error {
	fmt.Fprintln(s.out, "\n| pod | protocol | at a time | admissions/s | least to most | p50 ms | p99 ms | webhook CPU µs | client CPU µs | per webhook CPU s |\n"+
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, pod := range subjects {
		for _, n := range s.options.clients {
			rounds := map[protocol][]load{}
			for round := range s.rounds {
				protocols := []protocol{http1, http2}
				for i := range protocols {
					p := protocols[(i+round)%len(protocols)]
					l, err := s.round(p, n, pod, func(clients []*client) ([]time.Duration, error) {
						begin := time.Now()
						return closedLoop(ctx, clients, &s.number, func() bool { return time.Since(begin) < s.time })
					})
					if err != nil {
						return fmt.Errorf("%s: %w", p, err)
					}
					rounds[p] = append(rounds[p], l)
				}
			}
			for _, p := range []protocol{http1, http2} {
				rate := column(rounds[p], load.perSecond)
				cpu := column(rounds[p], func(l load) float64 { return l.cpu(l.webhook) }).median()
				fmt.Fprintf(s.out, "| %s | %s | %d | %.0f | %s | %.2f | %.2f | %.0f | %.0f | %.0f |\n", pod.name, p, n,
					rate.median(), rate.spread("%.0f"), times(rounds[p], 0.5).median(), times(rounds[p], 0.99).median(),
					cpu, column(rounds[p], func(l load) float64 { return l.cpu(l.clients) }).median(), 1e6/cpu)
			}
		}
	}
	return nil
}

// latency prints what clients wait for at a rate that does not depend on the
// webhook.
func (s *serving) latency(ctx context.Context) error {
	fmt.Fprintln(s.out, "\n| pod | protocol | requests/s | p50 ms | p99 ms | p99 least to most | p99.9 ms | webhook CPU | client CPU |\n"+
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	progress("latency at %.0f/s", s.rate)
	byProtocol := map[protocol][]load{}
	for range s.rounds {
		for _, p := range []protocol{http1, http2} {
			l, err := s.round(p, 64, s.typical, func(clients []*client) ([]time.Duration, error) {
				return openLoop(ctx, clients, &s.number, s.rate, s.rateTime)
			})
			if err != nil {
				return fmt.Errorf("%s: %w", p, err)
			}
			byProtocol[p] = append(byProtocol[p], l)
		}
	}
	for _, p := range []protocol{http1, http2} {
		rounds := byProtocol[p]
		p99 := times(rounds, 0.99)
		fmt.Fprintf(s.out, "| %s | %s | %.0f | %.2f | %.2f | %s | %.2f | %.0f %% | %.0f %% |\n", s.typical.name, p,
			column(rounds, load.perSecond).median(), times(rounds, 0.5).median(), p99.median(), p99.spread("%.2f"),
			times(rounds, 0.999).median(),
			100*column(rounds, func(l load) float64 { return l.webhook.Seconds() / l.elapsed.Seconds() }).median(),
			100*column(rounds, func(l load) float64 { return l.clients.Seconds() / l.elapsed.Seconds() }).median())
	}
	return nil
}

// round has n clients open their connections, and send.
func (s *serving) round(p protocol, n int, pod subject, send func([]*client) ([]time.Duration, error)) (load, error) {
	clients, transport, err := s.clients(p, n, pod)
	if err != nil {
		return load{}, err
	}
	defer transport.CloseIdleConnections()
	// The first review of each client is not counted.
	if _, err := together(clients, func(c *client) ([]time.Duration, error) {
		return nil, c.admit(context.Background(), s.number.Add(1))
	}); err != nil {
		return load{}, err
	}
	return observe(s.replica, func() ([]time.Duration, error) { return send(clients) })
}

// times are a quantile of each round, in ms.
func times(rounds []load, q float64) figures {
	return column(rounds, func(l load) float64 { return milliseconds(quantile(l.times, q)) })
}
