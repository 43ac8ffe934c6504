package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clamav-sidecar/sidecar/upstream"
)

// poolCollector reads the numbers of an [upstream.Pool] at each scrape, so that
// a replica that has gone leaves no series behind.
type poolCollector struct {
	stats    func() upstream.Stats
	replicas func() []upstream.Replica
	now      func() time.Time

	open, inFlight, queued *prometheus.Desc
	refused, timedOut      *prometheus.Desc
	retries, ejections     *prometheus.Desc
	up, load               *prometheus.Desc
	version, age, blind    *prometheus.Desc
}

func newPoolCollector(stats func() upstream.Stats, replicas func() []upstream.Replica) *poolCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	const replica = "replica"
	return &poolCollector{
		stats: stats, replicas: replicas, now: time.Now,
		open:      desc("scans_open", "Scans that were let in and have not ended: uploads, scans in the queue and scans at clamd."),
		inFlight:  desc("scans_in_flight", "Scans that hold one of the --max-concurrent slots."),
		queued:    desc("scans_queued", "Scans that wait for a slot."),
		refused:   desc("queue_refused_total", "Scans refused because the queue was full."),
		timedOut:  desc("queue_timeouts_total", "Scans that waited --queue-timeout for a slot and got none."),
		retries:   desc("retries_total", "Files sent again after a replica was lost under them."),
		ejections: desc("ejections_total", "Times that a replica was taken out of use because it failed."),
		up:        desc("replica_up", "1 while the replica is healthy, else 0.", replica),
		load:      desc("replica_in_flight", "Files being sent to the replica or scanned by it.", replica),
		version: desc("signatures_version", "Version of the daily signatures that a healthy replica has loaded; "+
			"0 when it has loaded none that are official.", replica),
		age: desc("signatures_age_seconds", "Time since the daily signatures of a healthy replica were made; "+
			"absent when it has loaded none that are official.", replica),
		blind: desc("replica_blind", "1 for a replica that calls files clean although they are encrypted or over one of its limits.", replica, "to"),
	}
}

// Describe implements [prometheus.Collector].
func (c *poolCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.open, c.inFlight, c.queued, c.refused, c.timedOut, c.retries, c.ejections, c.up, c.load, c.version, c.age, c.blind,
	} {
		descs <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *poolCollector) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value uint64) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value))
	}
	stats := c.stats()
	gauge(c.open, float64(stats.Open))
	gauge(c.inFlight, float64(stats.Scanning))
	gauge(c.queued, float64(stats.Queued))
	counter(c.refused, stats.Refused)
	counter(c.timedOut, stats.TimedOut)
	counter(c.retries, stats.Retries)
	counter(c.ejections, stats.Ejections)
	for _, r := range c.replicas() {
		up := r.State == upstream.Healthy
		gauge(c.load, float64(r.InFlight), r.Address)
		if !up {
			gauge(c.up, 0, r.Address)
			continue // what it had loaded when it was last seen may no longer be true
		}
		gauge(c.up, 1, r.Address)
		for _, kind := range r.Blind {
			gauge(c.blind, 1, r.Address, kind)
		}
		gauge(c.version, float64(r.Version.Signatures), r.Address)
		if !r.Version.Built.IsZero() {
			gauge(c.age, c.now().Sub(r.Version.Built).Seconds(), r.Address)
		}
	}
}
