package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"clamav-sidecar/sidecar/clamd"
	"clamav-sidecar/sidecar/scan"
	"clamav-sidecar/sidecar/upstream"
)

// nowhere is a clamd.conf of a port that nobody listens on.
const nowhere = "TCPSocket 1\nTCPAddr 127.0.0.1\n"

// newPool makes a pool of a clamd.conf with this text. Nobody runs it yet.
func newPool(t *testing.T, conf string) *upstream.Pool {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clamd.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	pool, err := upstream.New(upstream.Config{
		ClamdConf: path, MaxConcurrent: 2, Queue: 2,
		QueueTimeout: time.Second, ScanTimeout: time.Second, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// scrape gives the text of /metrics.
func scrape(t *testing.T, registry *prometheus.Registry) string {
	t.Helper()
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("GET /metrics: got status %d, want 200", answer.Code)
	}
	return answer.Body.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("the metrics have no line %q", line)
		}
	}
}

func TestEachScanIsCountedOnceByEndpointAndOutcome(t *testing.T) {
	tests := map[string]struct {
		verdict scan.Verdict
		err     error
		want    string
	}{
		"a clean file":                   {scan.Verdict{Outcome: scan.Clean}, nil, "clean"},
		"an infected file":               {scan.Verdict{Outcome: scan.Infected}, nil, "infected"},
		"an encrypted file":              {scan.Verdict{Outcome: scan.Unscannable}, nil, "unscannable"},
		"a verdict that nobody gave":     {scan.Verdict{}, nil, "internal_error"},
		"an error beside a clean":        {scan.Verdict{Outcome: scan.Clean}, scan.ErrEngine, "engine_error"},
		"a file over the limit":          {scan.Verdict{}, fmt.Errorf("%w of 1M", scan.ErrTooLarge), "too_large"},
		"an upload that broke off":       {scan.Verdict{}, scan.ErrUpload, "upload_error"},
		"an upload that stalled":         {scan.Verdict{}, scan.ErrUploadTimeout, "upload_timeout"},
		"a scan without room or replica": {scan.Verdict{}, scan.ErrUnavailable, "unavailable"},
		"a scan that took too long":      {scan.Verdict{}, scan.ErrTimeout, "timeout"},
		"a client that went away":        {scan.Verdict{}, context.Canceled, "canceled"},
		"an error of an unknown kind":    {scan.Verdict{}, errors.New("odd"), "internal_error"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := NewMetrics("1.2.3", newPool(t, nowhere))
			m.Observe(scan.Options{Endpoint: scan.Clamd}, test.verdict, test.err)
			var counted []string
			for _, line := range strings.Split(scrape(t, m.registry), "\n") {
				if strings.HasPrefix(line, "clamav_sidecar_scans_total{") && !strings.HasSuffix(line, " 0") {
					counted = append(counted, line)
				}
			}
			want := `clamav_sidecar_scans_total{endpoint="clamd",outcome="` + test.want + `"} 1`
			if len(counted) != 1 || counted[0] != want {
				t.Errorf("got counted %q, want %q", counted, want)
			}
		})
	}
}

func TestOnlyVerdictsCountInTheHistograms(t *testing.T) {
	m := NewMetrics("1.2.3", newPool(t, nowhere))
	m.Observe(scan.Options{Endpoint: scan.HTTP}, scan.Verdict{Outcome: scan.Clean, Bytes: 2048, Duration: 3 * time.Millisecond}, nil)
	m.Observe(scan.Options{Endpoint: scan.HTTP}, scan.Verdict{Bytes: 4096, Duration: time.Minute}, scan.ErrUpload)
	m.Observe(scan.Options{Endpoint: scan.CLI}, scan.Verdict{Outcome: scan.Clean, Bytes: 1}, nil)
	wantLines(t, scrape(t, m.registry),
		`clamav_sidecar_scan_bytes_bucket{le="1024"} 0`,
		`clamav_sidecar_scan_bytes_bucket{le="4096"} 1`,
		`clamav_sidecar_scan_bytes_sum 2048`,
		`clamav_sidecar_scan_duration_seconds_bucket{le="0.0025"} 0`,
		`clamav_sidecar_scan_duration_seconds_bucket{le="0.005"} 1`,
		`clamav_sidecar_scan_duration_seconds_count 1`,
		`clamav_sidecar_scanned_bytes_total 2048`,
	)
}

func TestCountingAScanAllocatesNothing(t *testing.T) {
	m := NewMetrics("1.2.3", newPool(t, nowhere))
	opt, verdict := scan.Options{Endpoint: scan.HTTP}, scan.Verdict{Outcome: scan.Clean, Bytes: 1000, Duration: time.Millisecond}
	if got := testing.AllocsPerRun(100, func() { m.Observe(opt, verdict, nil) }); got != 0 {
		t.Errorf("got %v allocations for a scan, want 0", got)
	}
}

// samplePool is a registry of the numbers of a pool that has one of everything.
func samplePool() *prometheus.Registry {
	built := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	collector := newPoolCollector(
		func() upstream.Stats {
			return upstream.Stats{Open: 7, Scanning: 2, Queued: 3, Refused: 4, TimedOut: 5, Retries: 6, Ejections: 8}
		},
		func() []upstream.Replica {
			official := clamd.Version{Engine: "1.4.6", Signatures: 27800, Built: built}
			return []upstream.Replica{
				{Address: "10.0.0.1:3310", State: upstream.Healthy, InFlight: 2, Version: official},
				{Address: "10.0.0.2:3310", State: upstream.Healthy, Version: clamd.Version{Engine: "1.4.6"}, Blind: []string{upstream.BlindToLimits}},
				{Address: "10.0.0.3:3310", State: upstream.Down, Version: official},
				{Address: "10.0.0.4:3310", State: upstream.Unknown},
			}
		})
	collector.now = func() time.Time { return built.Add(90 * time.Second) }
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	return registry
}

func TestPoolNumbersAreReadAtEachScrape(t *testing.T) {
	text := scrape(t, samplePool())
	wantLines(t, text,
		`clamav_sidecar_scans_open 7`,
		`clamav_sidecar_scans_in_flight 2`,
		`clamav_sidecar_scans_queued 3`,
		`clamav_sidecar_queue_refused_total 4`,
		`clamav_sidecar_queue_timeouts_total 5`,
		`clamav_sidecar_retries_total 6`,
		`clamav_sidecar_ejections_total 8`,
		`clamav_sidecar_replica_up{replica="10.0.0.1:3310"} 1`,
		`clamav_sidecar_replica_up{replica="10.0.0.3:3310"} 0`,
		`clamav_sidecar_replica_up{replica="10.0.0.4:3310"} 0`,
		`clamav_sidecar_replica_in_flight{replica="10.0.0.1:3310"} 2`,
		`clamav_sidecar_signatures_version{replica="10.0.0.1:3310"} 27800`,
		`clamav_sidecar_signatures_version{replica="10.0.0.2:3310"} 0`,
		`clamav_sidecar_signatures_age_seconds{replica="10.0.0.1:3310"} 90`,
		`clamav_sidecar_replica_blind{replica="10.0.0.2:3310",to="limit"} 1`,
	)
	for _, series := range []string{
		`signatures_age_seconds{replica="10.0.0.2:3310"}`, // has none that are dated
		`signatures_version{replica="10.0.0.3:3310"}`,     // what a replica had that is down
		`signatures_version{replica="10.0.0.4:3310"}`,
		`replica_blind{replica="10.0.0.1:3310"`, // it is not
	} {
		if strings.Contains(text, series) {
			t.Errorf("the metrics hold %s, want it absent", series)
		}
	}
}

func TestEveryMetricIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	metrics := scrape(t, NewMetrics("1.2.3", newPool(t, nowhere)).registry) + scrape(t, samplePool())
	for _, match := range regexp.MustCompile(`(?m)^# TYPE (clamav_sidecar_\w+) (\w+)$`).FindAllStringSubmatch(metrics, -1) {
		row := regexp.MustCompile("(?m)^\\| `" + match[1] + "(\\{[^`]*\\})?` \\| " + match[2] + " \\|")
		if !row.Match(text) {
			t.Errorf("docs/metrics.md has no row for the %s %s", match[2], match[1])
		}
	}
	for o := range outcomes {
		if !strings.Contains(string(text), "`"+o.String()+"`") {
			t.Errorf("docs/metrics.md does not explain the outcome %s", o)
		}
	}
}
