package admission

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Result of an admission, for the counters.
type Result string

// The results.
const (
	Injected  Result = "injected"  // the pod was patched
	Carried   Result = "carried"   // a workload's annotations were put on its template
	Unchanged Result = "unchanged" // allowed as it was
	Skipped   Result = "skipped"   // allowed without what its namespace asked for
	Refused   Result = "refused"   // the object is at fault
	Failed    Result = "failed"    // refused, and the fault is not the object's
)

// Metrics count admissions and take their time.
type Metrics struct {
	admissions *prometheus.CounterVec
	duration   *prometheus.HistogramVec
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		admissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "clamav_sidecar_webhook_admissions_total",
			Help: "Admission requests by handler (pods, workloads), result and reason.",
		}, []string{"handler", "result", "reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "clamav_sidecar_webhook_admission_duration_seconds",
			Help: "Time to decide an admission request, without transport and decoding of the request.",
			// From a tenth of a millisecond on: the usual answer takes less than one.
			Buckets: []float64{0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1},
		}, []string{"handler"}),
	}
	registry.MustRegister(m.admissions, m.duration)
	return m
}

func (m *Metrics) observe(handler string, decided decision, took time.Duration) {
	m.admissions.WithLabelValues(handler, string(decided.result), decided.reason).Inc()
	m.duration.WithLabelValues(handler).Observe(took.Seconds())
}
