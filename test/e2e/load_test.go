//go:build e2e

package e2e

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// load is scans that an app makes one after the other while something else goes on.
type load struct {
	pod  *corev1.Pod
	done chan struct{} // closed when output and err are there
	text string
	err  error
}

// stopFile ends an app's scans.
const stopFile = "/tmp/stop"

// startLoad has an app scan until the load is stopped, or the test has ended.
func startLoad(ctx context.Context, t *testing.T, pod *corev1.Pod) *load {
	t.Helper()
	run(ctx, t, pod, "rm -f "+stopFile)
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	l := &load{pod: pod, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		_, l.text, l.err = system.exec(ctx, pod, appContainer, "sh /files/scan.sh until "+stopFile, nil)
	}()
	t.Cleanup(func() {
		cancel()
		<-l.done
	})
	return l
}

// stop ends the load and returns how often each line of the script was printed.
func (l *load) stop(ctx context.Context, t *testing.T) map[string]int {
	t.Helper()
	run(ctx, t, l.pod, "touch "+stopFile)
	<-l.done
	must(t, l.err)
	outcomes := make(map[string]int)
	for line := range strings.Lines(l.text) {
		outcomes[strings.TrimSpace(line)]++
	}
	t.Logf("%s: %v", l.pod.Name, outcomes)
	return outcomes
}

// wantOutcomes wants all that is found, and nothing else but what is allowed.
func wantOutcomes(t *testing.T, got map[string]int, allowed ...string) {
	t.Helper()
	usual := strings.Split(strings.TrimSpace(allFound), "\n")
	for _, line := range usual {
		if got[line] == 0 {
			t.Errorf("no %q among %v", line, got)
		}
	}
	for line := range maps.Keys(got) {
		if !slices.Contains(usual, line) && !slices.Contains(allowed, line) {
			t.Errorf("%d times %q, want none", got[line], line)
		}
	}
}

// notScanned is what an app sees while no replica can be reached.
var notScanned = []string{"clean http 503", "infected http 503", "clean clamdscan 2", "infected clamdscan 2"}
