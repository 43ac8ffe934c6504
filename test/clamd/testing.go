package clamd

import (
	"strings"
	"testing"
)

// StartT starts a daemon for a test. It is closed when the test ends, and its
// log is printed if the test has failed.
func StartT(t testing.TB, opts Options) *Daemon {
	t.Helper()
	d, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	cleanUp(t, d)
	return d
}

// StartReplicasT is [StartReplicas] for a test, with the care of [StartT].
func StartReplicasT(t testing.TB, n int, opts Options) []*Daemon {
	t.Helper()
	daemons, err := StartReplicas(t.Context(), n, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range daemons {
		cleanUp(t, d)
	}
	return daemons
}

func cleanUp(t testing.TB, d *Daemon) {
	t.Cleanup(func() {
		if t.Failed() {
			log := d.Log()
			if _, served, ok := strings.Cut(log, "Self checking"); ok {
				log = served // leaves out the forty lines of every start
			}
			t.Logf("log of clamd on %s from its start on:\n%s", d.endpoint(), log)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}
