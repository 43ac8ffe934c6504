package ops

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar/upstream"
	clamdtest "clamav-sidecar/test/clamd"
)

// start serves the ops port of a pool on a free port until the test ends. get
// asks it.
func start(t *testing.T, pool *upstream.Pool, requireScanner bool) (server *Server, get func(path string) (int, string)) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	server = New(Config{Metrics: NewMetrics("1.2.3", pool), Pool: pool, RequireScanner: requireScanner, Log: log})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve after Shutdown: got %v, want %v", err, http.ErrServerClosed)
		}
	})
	client := &http.Client{Timeout: 5 * time.Second}
	t.Cleanup(client.CloseIdleConnections)
	return server, func(path string) (int, string) {
		t.Helper()
		answer, err := client.Get("http://" + listener.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, strings.TrimSuffix(string(text), "\n")
	}
}

// run runs the pool until the test ends.
func run(t *testing.T, pool *upstream.Pool) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// await asks path until it answers with status, and gives the text.
func await(t *testing.T, get func(string) (int, string), path string, status int) string {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got, text := get(path)
		if got == status {
			return text
		}
		if time.Now().After(deadline) {
			t.Fatalf("GET %s: got %d %q for 15 s, want %d", path, got, text, status)
		}
	}
}

func TestReadinessFollowsTheProcess(t *testing.T) {
	server, get := start(t, newPool(t, nowhere), false)
	check := func(path string, wantStatus int, wantText string) {
		t.Helper()
		if status, text := get(path); status != wantStatus || text != wantText {
			t.Errorf("GET %s: got %d %q, want %d %q", path, status, text, wantStatus, wantText)
		}
	}
	check("/livez", 200, "ok")
	check("/readyz", 503, "starting: not every port is served yet")
	server.Started()
	check("/readyz", 200, "ok")
	server.Stopping()
	check("/readyz", 503, "shutting down")
	server.Started() // comes too late
	check("/readyz", 503, "shutting down")
	check("/livez", 200, "ok")
}

func TestReadinessFollowsTheReplicasWhenAsked(t *testing.T) {
	daemon := clamdtest.StartT(t, clamdtest.Options{})
	conf := "TCPSocket " + portOf(t, daemon.Addr()) + "\nTCPAddr 127.0.0.1\n"
	pool := newPool(t, conf)
	server, get := start(t, pool, true)
	server.Started()
	if status, text := get("/readyz"); status != 503 || !strings.HasPrefix(text, "no healthy clamd replica") {
		t.Errorf("GET /readyz before the first look-up: got %d %q, want 503 with the reason", status, text)
	}
	run(t, pool)
	await(t, get, "/readyz", 200)

	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	text := await(t, get, "/readyz", 503)
	if !strings.Contains(text, daemon.Addr()+" is down: ") {
		t.Errorf("GET /readyz without a replica: got %q, want it to name %s and why it is down", text, daemon.Addr())
	}
	if status, _ := get("/livez"); status != 200 {
		t.Errorf("GET /livez without a replica: got %d, want 200", status)
	}
	if err := daemon.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, get, "/readyz", 200)
}

func TestMetricsTellOfTheProcessTheBuildAndTheReplicas(t *testing.T) {
	daemon := clamdtest.StartT(t, clamdtest.Options{})
	pool := newPool(t, "TCPSocket "+portOf(t, daemon.Addr())+"\nTCPAddr 127.0.0.1\n")
	server, get := start(t, pool, true)
	server.Started()
	run(t, pool)
	await(t, get, "/readyz", 200)
	status, text := get("/metrics")
	if status != 200 {
		t.Fatalf("GET /metrics: got %d, want 200", status)
	}
	for _, want := range []string{
		`clamav_sidecar_build_info{goversion="go`,
		`version="1.2.3"} 1`,
		`clamav_sidecar_replica_up{replica="` + daemon.Addr() + `"} 1`,
		`clamav_sidecar_scans_total{endpoint="http",outcome="clean"} 0`,
		"\ngo_goroutines ",
		"\nprocess_cpu_seconds_total ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("GET /metrics: no %q in\n%s", want, text)
		}
	}
}

func TestOpsPortHasNothingElse(t *testing.T) {
	_, get := start(t, newPool(t, nowhere), false)
	for _, path := range []string{"/", "/debug/pprof/", "/v1/scan", "/livez/x"} {
		if status, _ := get(path); status != 404 {
			t.Errorf("GET %s: got %d, want 404", path, status)
		}
	}
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
