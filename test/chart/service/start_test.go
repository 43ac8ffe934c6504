package service_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// soon has signatures.sh try again at once.
const soon = "PAUSE_SECONDS=0.1"

// newVolume gives a release whose signatures come from the mirror, as `ours.ndb`
// and `more.hdb`, a pod of freshclam and one of clamd on an empty volume.
func newVolume(t *testing.T, m *mirror) (freshclam, replica *pod) {
	t.Helper()
	r := render(t, values{
		"officialDatabases": []string{}, "customDatabaseURLs": []string{m.URL + "/ours.ndb", m.URL + "/more.hdb"},
		"extraFreshclamConfig": "MaxAttempts 1", "selfCheck": 5, "alertUnreadable": false,
	})
	database := volume(t, r.clamd)
	port := freePort(t)
	return newPod(t, r, r.freshclam, database, port), newPod(t, r, r.clamd, database, port)
}

// serving starts a mirror with the databases of newVolume.
func serving(t *testing.T) *mirror {
	t.Helper()
	m := startMirror(t, httptest.NewServer)
	m.put("/ours.ndb", ndb("Old", oldMalware))
	m.put("/more.hdb", hdb())
	return m
}

// wantExit waits for the end of a program and wants that exit code.
func wantExit(t *testing.T, p *process, want int) {
	t.Helper()
	if got := p.exit(t); got != want {
		t.Errorf("exit code of %s: got %d, want %d", p.name, got, want)
	}
}

func TestClamdIsNotStartedBeforeAllSignaturesAreThereWhole(t *testing.T) {
	t.Parallel()
	m := serving(t)
	m.fail(http.StatusInternalServerError)
	freshclam, replica := newVolume(t, m)

	waiting := replica.start(t, "signatures")
	waiting.says(t, "signatures: waiting for ours.ndb more.hdb; ")
	fetching := freshclam.start(t, "signatures", soon)
	fetching.saysAgain(t, "signatures: not all there yet, missing: ours.ndb more.hdb; ", 2)

	m.stall()
	m.fail(0)
	halves := len(m.seen())
	await(t, "the mirror sends half a database", func() bool { return len(m.seen()) > halves })
	for _, name := range []string{"ours.ndb", "more.hdb"} {
		if _, err := os.Stat(filepath.Join(replica.database, name)); err == nil {
			t.Errorf("%s is there before it is whole", name)
		}
	}
	if !waiting.running() || !fetching.running() {
		t.Fatalf("they have ended before the databases are there: waiting %t, fetching %t", !waiting.running(), !fetching.running())
	}
	m.proceed()
	wantExit(t, fetching, 0)
	wantExit(t, waiting, 0)
	waiting.says(t, "signatures: all there: ours.ndb more.hdb")

	replica.serve(t)
	wantScan(t, replica.address(), oldMalware, foundOld)
}

func TestAPartOfTheSignaturesIsNotEnough(t *testing.T) {
	t.Parallel()
	_, replica := newVolume(t, serving(t))
	waiting := replica.start(t, "signatures")
	fill(t, replica.database)
	must(t, os.WriteFile(filepath.Join(replica.database, "more.hdb"), nil, 0o644)) // empty is not there
	waiting.says(t, "signatures: waiting for more.hdb; ")
	must(t, os.WriteFile(filepath.Join(replica.database, "more.hdb"), []byte(hdb()), 0o644))
	wantExit(t, waiting, 0)
}

func TestWaitingTakesOfficialDatabasesAsFetchedAndAsUpdated(t *testing.T) {
	t.Parallel()
	r := render(t, values{"alertUnreadable": false})
	p := newPod(t, r, r.clamd, volume(t, r.clamd), freePort(t))
	waiting := p.start(t, "signatures")
	waiting.says(t, "signatures: waiting for main daily bytecode; ")
	must(t, os.WriteFile(filepath.Join(p.database, "main.cvd"), []byte("x"), 0o644))
	must(t, os.WriteFile(filepath.Join(p.database, "bytecode.cld"), []byte("x"), 0o644))
	waiting.says(t, "signatures: waiting for daily; ")
	must(t, os.WriteFile(filepath.Join(p.database, "daily.cld"), []byte("x"), 0o644))
	wantExit(t, waiting, 0)
}

func TestWaitingTakesAnyNameForWhatItIs(t *testing.T) {
	t.Parallel()
	r := render(t, values{})
	p := newPod(t, r, r.clamd, volume(t, r.clamd), freePort(t))
	fill(t, p.database) // what a pattern could match
	names := []string{"-n.ndb", "two words.ndb", "*.ndb", "a'b\"c.ndb", "$HOME`id`.ndb", "100%d.ndb", "malware.expert.hdb"}
	script := append([]string{"sh", "/etc/clamav/signatures.sh", "wait"}, names...)
	waiting := start(t, "signatures", p.command(t, script))
	waiting.says(t, "signatures: waiting for "+strings.Join(names, " ")+"; ")
	for _, name := range names {
		must(t, os.WriteFile(filepath.Join(p.database, name), []byte("x"), 0o644))
	}
	wantExit(t, waiting, 0)
	waiting.says(t, "signatures: all there: "+strings.Join(names, " ")+"\n")
}

func TestFetchingGoesOnWhileAMirrorRefuses(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{
		"with 403": http.StatusForbidden,
		"with 429, with which freshclam ends without an error": http.StatusTooManyRequests,
		"with 404": http.StatusNotFound,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := serving(t)
			m.fail(status)
			freshclam, _ := newVolume(t, m)
			fetching := freshclam.start(t, "signatures", soon)
			fetching.saysAgain(t, "missing: ours.ndb more.hdb; ", 2)
			if !fetching.running() {
				t.Fatal("it has ended without signatures")
			}
			m.fail(0)
			wantExit(t, fetching, 0)
		})
	}
}

// After a first 403 freshclam does not ask the mirror any more, and ends without
// an error (seen with 1.4.6).
func TestFetchingGoesOnWhileFreshclamStaysAway(t *testing.T) {
	t.Parallel()
	m := startMirror(t, httptest.NewServer)
	m.fail(http.StatusForbidden)
	r := render(t, values{"mirror": m.URL, "officialDatabases": []string{"main"}, "extraFreshclamConfig": "MaxAttempts 1"})
	p := newPod(t, r, r.freshclam, volume(t, r.freshclam), freePort(t))
	fetching := p.start(t, "signatures", soon)
	fetching.says(t, "You are still on cool-down")
	fetching.saysAgain(t, "missing: main; ", 3)
}

func TestUpdatingGoesOnWhereAServerForbidsIt(t *testing.T) {
	t.Parallel()
	m := serving(t)
	m.fail(http.StatusForbidden)
	freshclam, _ := newVolume(t, m)
	script := freshclam.command(t, []string{"sh", "/etc/clamav/signatures.sh", "update"}, soon)
	updating := start(t, "freshclam", script)
	updating.saysAgain(t, "signatures: freshclam has ended", 2)
	m.fail(0)
	updating.says(t, "more.hdb updated")
	updating.signal(t, syscall.SIGTERM)
	wantExit(t, updating, 143)
	if updating.signalGroup(t, 0) {
		t.Error("freshclam is left")
	}
}

func TestFetchingRemovesWhatAKilledFreshclamHasLeftAndNothingElse(t *testing.T) {
	t.Parallel()
	m := serving(t)
	freshclam, _ := newVolume(t, m)
	leftover, kept := filepath.Join(freshclam.database, "tmp.0123456789"), filepath.Join(freshclam.database, "local.ign2")
	must(t, os.Mkdir(leftover, 0o700))
	must(t, os.WriteFile(filepath.Join(leftover, "clamav-part"), []byte("x"), 0o600))
	own(t, freshclam.user, leftover)
	must(t, os.WriteFile(kept, []byte("Never\n"), 0o644))
	wantExit(t, freshclam.start(t, "signatures"), 0)
	if left, err := filepath.Glob(filepath.Join(freshclam.database, "tmp.*")); err != nil || len(left) > 0 {
		t.Errorf("got %q and error %v, want none", left, err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
}

func TestWaitingAndFetchingEndAtSIGTERMWithAllThatTheyStarted(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T) *process{
		"waiting": func(t *testing.T) *process {
			_, replica := newVolume(t, serving(t))
			p := replica.start(t, "signatures")
			p.says(t, "signatures: waiting for")
			return p
		},
		"in freshclam": func(t *testing.T) *process {
			m := serving(t)
			m.stall()
			freshclam, _ := newVolume(t, m)
			p := freshclam.start(t, "signatures")
			await(t, "the mirror is asked", func() bool { return m.asked("ours.ndb") })
			return p
		},
		"between two tries": func(t *testing.T) *process {
			m := serving(t)
			m.fail(http.StatusNotFound)
			freshclam, _ := newVolume(t, m)
			p := freshclam.start(t, "signatures", "PAUSE_SECONDS=600")
			p.says(t, "trying again in 600 s")
			return p
		},
	}
	for name, begin := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := begin(t)
			p.signal(t, syscall.SIGTERM)
			wantExit(t, p, 143)
			if p.signalGroup(t, 0) {
				t.Error("a child of it is left")
			}
		})
	}
}

func TestAMirrorThatFailsStopsNoScans(t *testing.T) {
	t.Parallel()
	m := serving(t)
	m.fail(http.StatusServiceUnavailable)
	freshclamPod, replica := newVolume(t, m)
	fill(t, replica.database)
	must(t, os.WriteFile(filepath.Join(replica.database, "more.hdb"), []byte(hdb()), 0o644))

	for _, p := range []*pod{freshclamPod, replica} {
		wantExit(t, p.start(t, "signatures"), 0)
	}
	if requests := m.seen(); len(requests) > 0 {
		t.Errorf("got requests %q before anything is started, want none", requests)
	}
	replica.serve(t)
	wantScan(t, replica.address(), oldMalware, foundOld)
	freshclam := freshclamPod.start(t, "freshclam")
	freshclam.says(t, checkFailed)
	wantScan(t, replica.address(), oldMalware, foundOld)

	m.put("/ours.ndb", ndb("New", newMalware))
	m.fail(0)
	checkNow(t, freshclam)
	freshclam.says(t, notified)
	await(t, "clamd has the new signatures", func() bool {
		reply, err := scan(replica.address(), strings.NewReader(newMalware))
		must(t, err)
		return reply == foundNew
	})
}
