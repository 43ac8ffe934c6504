package monitoring

import (
	"encoding/json"
	"strings"
	"testing"
)

// Beyond a limit Prometheus takes nothing at all of a pod.
func TestASidecarWithAHundredReplicasFitsIntoTheLimitsOfItsPodMonitor(t *testing.T) {
	const (
		replicas    = 100 // and two that it has here
		perReplica  = 6   // series: up, in flight, version and age of the signatures, and blind twice
		fromOutside = 20  // labels: the name, and what Prometheus and its operator may add of a target
	)
	var limits struct{ SampleLimit, LabelLimit int }
	if err := json.Unmarshal(spec(t, "PodMonitor", "clamav-sidecar"), &limits); err != nil {
		t.Fatal(err)
	}
	address, text := startSidecar(t).Ops, ""
	eventually(t, "the sidecar has examined its replicas", func() (err error) {
		if err = shows(address, `to="encrypted"`, `to="limit"`)(); err == nil {
			text, err = get("http://" + address + "/metrics")
		}
		return err
	})
	series := replicas * perReplica
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		series++
		if labels := strings.Count(line, `="`) + fromOutside; labels > limits.LabelLimit {
			t.Errorf("a series has %d labels, want %d at most: %s", labels, limits.LabelLimit, line)
		}
	}
	if series > limits.SampleLimit {
		t.Errorf("got %d series, want %d at most", series, limits.SampleLimit)
	}
}
