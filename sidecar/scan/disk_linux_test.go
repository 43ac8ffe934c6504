package scan

import (
	"fmt"
	"syscall"
	"testing"
	"unsafe"

	daemon "clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// limitFiles lets no file of the process grow over size bytes: its writes fail
// half-way, as they do when the disk is full. Anybody may do this to a process
// of their own, where a full file system takes root to make. clamd blocks the
// signal that comes with it. It gives the limit that was in force before.
func limitFiles(t *testing.T, pid int, size uint64) (before uint64) {
	t.Helper()
	var limit syscall.Rlimit
	prlimit(t, pid, nil, &limit)
	before, limit.Cur = limit.Cur, size
	prlimit(t, pid, &limit, nil)
	return before
}

func prlimit(t *testing.T, pid int, set, get *syscall.Rlimit) {
	t.Helper()
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE,
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(get)), 0, 0)
	if errno != 0 {
		t.Fatalf("limit the files of process %d: %v", pid, errno)
	}
}

func TestAFullDiskUnderClamdMakesNoVerdict(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{})
	for _, memory := range memories {
		s := newScanner(t, confOf(t, d), func(c *settings) { c.ReplayMemory = memory })
		const room = 100 << 10 // more than clamd's log takes
		before := limitFiles(t, d.PID(), room)
		for _, size := range []int64{room + 1, 3 * int64(blockSize), 5 << 20} {
			for _, declared := range []int64{0, size} {
				got, err := s.Scan(t.Context(), corpus.NewBody(1, size), Options{Size: declared})
				checkNoVerdict(t, fmt.Sprintf("%d bytes, %d declared, %d of replay memory", size, declared, memory), got, err, ErrEngine)
			}
		}
		limitFiles(t, d.PID(), before)
		if got, err := s.Scan(t.Context(), corpus.NewBody(1, 5<<20), Options{}); err != nil || got.Outcome != Clean {
			t.Errorf("with room again: got %+v and error %v, want a clean verdict", got, err)
		}
		if stats := s.pool.Stats(); stats.Ejections != 0 {
			t.Errorf("got %+v, want no ejection", stats)
		}
	}
}
