package service_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"clamav-sidecar/test/corpus"
)

// probe runs the liveness probe of clamd's container as the kubelet does, and
// tells whether it succeeded. In a pod the daemon is process 1.
func (p *pod) probe(t *testing.T, daemon *process) bool {
	t.Helper()
	liveness := p.container(t, "clamd").LivenessProbe
	probe := start(t, "liveness probe", p.command(t, liveness.Exec.Command, fmt.Sprintf("CLAMD_PID=%d", daemon.cmd.Process.Pid)))
	select {
	case <-probe.ended:
		return probe.cmd.ProcessState.ExitCode() == 0
	case <-time.After(time.Duration(liveness.TimeoutSeconds) * time.Second):
		t.Errorf("the probe has not ended within its %d s", liveness.TimeoutSeconds)
		return false
	}
}

func wantProbe(t *testing.T, p *pod, daemon *process, want bool) {
	t.Helper()
	if got := p.probe(t, daemon); got != want {
		t.Errorf("success of the probe: got %t, want %t", got, want)
	}
}

// filled gives a pod of clamd with the first signatures, and the chart's own.
func filled(t *testing.T, clamav values) *pod {
	t.Helper()
	r := render(t, clamav)
	database := volume(t, r.clamd)
	fill(t, database)
	for _, name := range []string{"unscannable.cdb", "unscannable.ndb"} {
		must(t, os.WriteFile(filepath.Join(database, name), []byte(r.server[name]), 0o644))
	}
	return newPod(t, r, r.clamd, database, freePort(t))
}

// random gives a clean file of that many MiB.
func random(seed uint64, size int64) io.Reader { return corpus.NewBody(seed, size<<20) }

func TestTheLivenessProbeFailsWhereClamdDoesNotAnswer(t *testing.T) {
	t.Parallel()
	p := filled(t, values{})
	daemon := p.serve(t)
	wantProbe(t, p, daemon, true)
	daemon.signal(t, syscall.SIGSTOP)
	wantProbe(t, p, daemon, false)
	daemon.signal(t, syscall.SIGCONT)
	wantProbe(t, p, daemon, true)
	daemon.signal(t, syscall.SIGKILL)
	daemon.exit(t)
	wantProbe(t, p, daemon, false)
}

// With its queue full clamd answers nobody for long.
func TestTheLivenessProbeSucceedsWhileFilesWaitForAThread(t *testing.T) {
	t.Parallel()
	p := filled(t, values{"limits": values{"maxThreads": 1, "queue": 2}})
	daemon := p.serve(t)
	p.probe(t, daemon) // notes how much clamd has worked so far
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for i := range uint64(8) {
		running.Go(func() {
			for seed := i << 32; ctx.Err() == nil; seed++ {
				if reply, err := scan(p.address(), random(seed, 5)); err != nil || reply != clean {
					t.Errorf("got %q and error %v, want %q", reply, err, clean)
				}
			}
		})
	}
	await(t, "files wait", func() bool { return p.uploads(t) > 1 })
	for range 3 {
		wantProbe(t, p, daemon, true)
	}
}

// uploads is how many files clamd has to scan, or is being sent.
func (p *pod) uploads(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.temporary, "clamav-*.tmp"))
	must(t, err)
	return len(files)
}

func TestTheLivenessProbeSucceedsWhileClamdLoadsSignatures(t *testing.T) {
	t.Parallel()
	p := filled(t, values{})
	many, err := os.Create(filepath.Join(p.database, "many.hdb"))
	must(t, err)
	lines := bufio.NewWriter(many)
	for i := range 200_000 {
		fmt.Fprintf(lines, "%032x:%d:Never-%d\n", uint64(i)*0x9e3779b97f4a7c15, 1000+i, i)
	}
	must(t, lines.Flush())
	must(t, many.Close())
	daemon := p.serve(t)

	// loading tells whether clamd is, and how often it has begun.
	loading := func() (bool, int) {
		said := daemon.output.String()
		begun := strings.Count(said, "Reading databases from")
		return begun > strings.Count(said, "Database correctly reloaded"), begun
	}
	await(t, "a probe begins and ends while clamd loads signatures", func() bool {
		if reply, err := ask(p.address(), "RELOAD", nil); err != nil || reply != "RELOADING" {
			t.Fatalf("got %q and error %v", reply, err)
		}
		await(t, "clamd begins to load", func() bool { is, _ := loading(); return is })
		_, before := loading()
		wantProbe(t, p, daemon, true)
		still, after := loading()
		return still && after == before
	})
}

// infectedUploads begins to send clamd n files with the first malware at their
// end. The rest of them follows when release is called. Replies gives clamd's,
// or errors.
func infectedUploads(t *testing.T, p *pod, n int) (release func(), replies <-chan string) {
	t.Helper()
	gate, results := make(chan struct{}), make(chan string, n)
	for i := range n {
		body := io.MultiReader(random(uint64(i), 10), gateReader(gate), strings.NewReader(oldMalware))
		go func() {
			reply, err := scan(p.address(), body)
			if err != nil {
				reply = err.Error()
			}
			results <- reply
		}()
	}
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	await(t, "all uploads have begun", func() bool { return p.uploads(t) == n })
	return release, results
}

// gateReader is an empty file that ends when the channel is closed.
type gateReader <-chan struct{}

func (g gateReader) Read([]byte) (int, error) {
	<-g
	return 0, io.EOF
}

// At SIGTERM clamd drops its scans (seen with 1.4.6), so the hook that the
// kubelet runs before has to wait for them.
func TestAScanThatRunsWhenThePodIsToEndGetsItsVerdict(t *testing.T) {
	t.Parallel()
	p := filled(t, values{"limits": values{"maxThreads": 1}})
	daemon := p.serve(t)
	release, replies := infectedUploads(t, p, 4)
	hook := p.container(t, "clamd").Lifecycle.PreStop.Exec.Command
	drain := start(t, "preStop hook", p.command(t, hook, "PAUSE_SECONDS=0"))
	release()
	for range 4 {
		if got := <-replies; got != foundOld {
			t.Errorf("got %q, want %q", got, foundOld)
		}
	}
	wantExit(t, drain, 0)
	daemon.signal(t, syscall.SIGTERM)
	wantExit(t, daemon, 0)
}

func TestTheEndOfAPodWaitsForAFileThatIsStillSent(t *testing.T) {
	t.Parallel()
	p := filled(t, values{})
	p.serve(t)
	release, replies := infectedUploads(t, p, 1)
	drain := p.command(t, p.container(t, "clamd").Lifecycle.PreStop.Exec.Command, "PAUSE_SECONDS=0")
	waiting := start(t, "preStop hook", drain)
	select {
	case <-waiting.ended:
		t.Error("the hook has ended before the file")
	case <-time.After(2 * time.Second): // it looks every second
	}
	release()
	if got := <-replies; got != foundOld {
		t.Errorf("got %q, want %q", got, foundOld)
	}
	wantExit(t, waiting, 0)
}

func TestAFileThatIsCutOffByTheEndOfClamdIsNotClean(t *testing.T) {
	t.Parallel()
	tests := map[string]func(release func()){
		"while it is scanned or waits": func(release func()) { release() },
		"while it is sent":             func(func()) {},
	}
	for name, before := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := filled(t, values{"limits": values{"maxThreads": 1}})
			daemon := p.serve(t)
			release, replies := infectedUploads(t, p, 4)
			before(release)
			daemon.signal(t, syscall.SIGTERM)
			wantExit(t, daemon, 0)
			release()
			for range 4 {
				if got := <-replies; got == clean {
					t.Errorf("got %q for malware that clamd had no time to scan", got)
				}
			}
		})
	}
}

func TestClamdStartsWithoutTheUploadsOfOneThatWasKilled(t *testing.T) {
	t.Parallel()
	p := filled(t, values{})
	for _, name := range []string{"clamav-0123456789abcdef.tmp", "20261123_010203-scantemp.0123456789"} {
		leftover := filepath.Join(p.temporary, name)
		must(t, os.WriteFile(leftover, []byte("x"), 0o600))
		own(t, p.user, leftover)
	}
	p.serve(t)
	left, err := filepath.Glob(filepath.Join(p.temporary, "*"))
	must(t, err)
	if len(left) != 0 {
		t.Errorf("got %q of the one before, want nothing: it fills the volume up", left)
	}
}
