// Package ops is the port that looks after the sidecar: /livez and /readyz for
// the kubelet and /metrics for Prometheus.
//
// It listens on all addresses of the pod, so it tells nothing of the files that
// are scanned and changes nothing. [Metrics] counts scans as they end, through
// [Metrics.Observe]; what package upstream knows of its queue and its replicas
// is read at each scrape. [Server] answers.
package ops
