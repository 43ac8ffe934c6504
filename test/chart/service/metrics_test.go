package service_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"clamav-sidecar/cmd/sidecar/options"
	"clamav-sidecar/sidecar"
)

func TestTheMetricsContainerSeesItsClamdUpAndNotBlind(t *testing.T) {
	t.Parallel()
	p := filled(t, values{})
	p.serve(t)
	args := p.container(t, "metrics").Args
	ports := strings.NewReplacer("127.0.0.1:3311", "127.0.0.1:0", "=:3312", "=127.0.0.1:0")
	for i, arg := range args {
		args[i] = ports.Replace(p.local.Replace(arg))
	}
	opts, err := options.Parse(args, nil)
	must(t, err)
	opts.Log = slog.New(slog.DiscardHandler)
	addresses := make(chan sidecar.Addresses, 1)
	opts.Started = func(a sidecar.Addresses) { addresses <- a }

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sidecar.Run(ctx, opts.Config) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var listening sidecar.Addresses
	select {
	case listening = <-addresses:
	case err := <-ended:
		ended <- err
		t.Fatal("the sidecar has ended")
	}
	if listening.Clamd != "" {
		t.Errorf("the clamd endpoint is on %s, want none: nothing is scanned through it", listening.Clamd)
	}
	_, port, err := net.SplitHostPort(p.address())
	must(t, err)
	want := `clamav_sidecar_replica_up{replica="127.0.0.1:` + port + `"} 1`
	var metrics string
	await(t, want, func() bool {
		metrics = get(t, "http://"+listening.Ops+"/metrics")
		return strings.Contains(metrics, want+"\n")
	})
	if n := strings.Count(metrics, "\nclamav_sidecar_replica_up{"); n != 1 {
		t.Errorf("got %d replicas, want 1:\n%s", n, metrics)
	}
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "clamav_sidecar_replica_blind{") && strings.HasSuffix(line, " 1\n") {
			t.Errorf("got %q, want that clamd tells what it has not scanned", line)
		}
	}
}

func get(t *testing.T, address string) string {
	t.Helper()
	response, err := http.Get(address)
	must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	return string(text)
}
