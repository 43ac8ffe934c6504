package ops

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"clamav-sidecar/sidecar/scan"
	"clamav-sidecar/sidecar/upstream"
)

// namespace begins the name of every metric of ours.
const namespace = "clamav_sidecar"

// durationBuckets are in seconds: from a small file on an idle clamd, which
// takes about half a millisecond, to the default scan time-out.
func durationBuckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}
}

// sizeBuckets are in bytes: 1 KiB to 1 GiB, each four times the one before.
func sizeBuckets() []float64 { return prometheus.ExponentialBuckets(1<<10, 4, 11) }

// Metrics are the sidecar's metrics in a registry of their own.
type Metrics struct {
	registry *prometheus.Registry
	// One counter for each outcome and endpoint is made at the start, so that
	// counting a scan looks nothing up and allocates nothing, and so that every
	// series is there from the first scrape on.
	http, clamd [outcomes]prometheus.Counter
	duration    prometheus.Histogram
	size        prometheus.Histogram
	bytes       prometheus.Counter
}

// NewMetrics makes the metrics of a sidecar of this version that scans through
// pool.
func NewMetrics(version string, pool *upstream.Pool) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "scan_duration_seconds", Buckets: durationBuckets(),
			Help: "Time from the start of a scan to its verdict, upload included. Scans without a verdict are not in it.",
		}),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "scan_bytes", Buckets: sizeBuckets(),
			Help: "Size of the files that got a verdict.",
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "scanned_bytes_total",
			Help: "Bytes of the files that got a verdict.",
		}),
	}
	scans := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "scans_total",
		Help: "Scans that have ended, by endpoint and outcome. Only outcome clean means clean.",
	}, []string{"endpoint", "outcome"})
	for o := range outcomes {
		m.http[o] = scans.WithLabelValues(string(scan.HTTP), o.String())
		m.clamd[o] = scans.WithLabelValues(string(scan.Clamd), o.String())
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info",
		Help:        "Always 1; its labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(
		scans, m.duration, m.size, m.bytes, build,
		newPoolCollector(pool.Stats, pool.Replicas),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Observe counts one scan that has ended; err is nil when there is a verdict.
// It is made for scan.Config.Observe: it does not block or allocate, and may be
// called concurrently. Scans from the command line are not counted.
func (m *Metrics) Observe(opt scan.Options, verdict scan.Verdict, err error) {
	outcome := outcomeOf(verdict, err)
	switch opt.Endpoint {
	case scan.HTTP:
		m.http[outcome].Inc()
	case scan.Clamd:
		m.clamd[outcome].Inc()
	default:
		return
	}
	if err != nil {
		return
	}
	m.duration.Observe(verdict.Duration.Seconds())
	m.size.Observe(float64(verdict.Bytes))
	m.bytes.Add(float64(verdict.Bytes))
}
