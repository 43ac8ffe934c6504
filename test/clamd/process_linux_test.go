package clamd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"clamav-sidecar/test/clamd"
)

// ownerEnv makes this test binary the owner of a daemon, whose address and
// directory it prints, and which it leaves running until it is killed.
const ownerEnv = "CLAMD_TEST_OWNER"

func TestMain(m *testing.M) {
	if os.Getenv(ownerEnv) == "" {
		os.Exit(m.Run())
	}
	d, err := clamd.Start(context.Background(), clamd.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(d.Addr(), filepath.Dir(d.ConfPath()))
	time.Sleep(time.Minute)
}

func TestDaemonEndsWithAnOwnerThatIsKilled(t *testing.T) {
	exe, err := os.Executable()
	must(t, err)
	owner := exec.CommandContext(t.Context(), exe)
	owner.Env = append(os.Environ(), ownerEnv+"=1")
	stdout, err := owner.StdoutPipe()
	must(t, err)
	must(t, owner.Start())

	var addr, dir string
	_, scanErr := fmt.Fscan(stdout, &addr, &dir)
	must(t, owner.Process.Kill())
	if err := owner.Wait(); err == nil {
		t.Error("the owner ended without an error, want that it was killed")
	}
	must(t, scanErr)
	defer os.RemoveAll(dir)

	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		if _, err := exchange("tcp", addr, []byte("zPING\x00"), time.Second); errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("clamd on %s is still there 10 s after its owner was killed, want it gone", addr)
}
