package service_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"clamav-sidecar/test/corpus"
)

// watcher scans on one replica, one file after the other, until its context ends.
type watcher struct {
	address string

	mu       sync.Mutex
	infected bool     // the file of interest was
	faults   []string // replies that must not be
	scans    int
}

// run scans the text of interest and, behind it, a file that takes longer and is
// clean.
func (w *watcher) run(ctx context.Context, seed uint64) {
	for ; ctx.Err() == nil; seed++ {
		reply, err := scan(w.address, strings.NewReader(newMalware))
		w.note(reply, err, func() bool {
			found := reply == foundNew
			turnedClean := w.infected && !found
			w.infected = found
			return (found || reply == clean) && !turnedClean
		})
		reply, err = scan(w.address, io.LimitReader(corpus.NewBody(seed, 1<<20), 1<<20))
		w.note(reply, err, func() bool { return reply == clean })
	}
}

// note takes down a reply, and whether it may be.
func (w *watcher) note(reply string, err error, may func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scans++
	if err != nil || !may() {
		w.faults = append(w.faults, fmt.Sprintf("%q, error %v", reply, err))
	}
}

func (w *watcher) sawInfected() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.infected
}

func (w *watcher) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.scans
}

func TestEveryReplicaTakesUpANewSignatureWhileScansRun(t *testing.T) {
	t.Parallel()
	m := serving(t)
	freshclamPod, first := newVolume(t, m)
	wantExit(t, freshclamPod.start(t, "signatures"), 0)
	second := first.replica(t)
	daemons := []*process{first.serve(t), second.serve(t)}
	freshclam := freshclamPod.start(t, "freshclam")
	freshclam.says(t, notified)

	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	var watchers []*watcher
	for i, p := range []*pod{first, second, first, second} {
		w := &watcher{address: p.address()}
		watchers = append(watchers, w)
		running.Go(func() { w.run(ctx, uint64(i)<<32) })
	}
	all := func(holds func(*watcher) bool) func() bool {
		return func() bool {
			for _, w := range watchers {
				if !holds(w) {
					return false
				}
			}
			return true
		}
	}
	await(t, "scans run on every replica", all(func(w *watcher) bool { return w.count() > 2 }))
	if watchers[0].sawInfected() {
		t.Fatal("the file is infected before its signature is there")
	}

	m.put("/ours.ndb", ndb("Old", oldMalware)+ndb("New", newMalware))
	checkNow(t, freshclam)
	await(t, "the file is infected on every replica", all((*watcher).sawInfected))
	scans := watchers[1].count()
	await(t, "scans go on", func() bool { return watchers[1].count() > scans+4 })
	cancel()
	running.Wait()
	for _, w := range watchers {
		if len(w.faults) > 0 {
			t.Errorf("of %d scans by %s went wrong: %q", w.scans, w.address, w.faults)
		}
	}
	freshclam.saysAgain(t, notified, 2)
	daemons[1].says(t, "SelfCheck: Database modification detected. Forcing reload.")
	wantScan(t, first.address(), oldMalware, foundOld)
	wantScan(t, second.address(), oldMalware, foundOld)
}
