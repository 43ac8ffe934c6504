package service_test

import (
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const (
	// oldMalware and newMalware are texts that only signatures of these tests find.
	oldMalware = "a text that the first signatures find"
	newMalware = "a text that the next signatures find"

	foundOld = "stream: Old.UNOFFICIAL FOUND"
	foundNew = "stream: New.UNOFFICIAL FOUND"
	clean    = "stream: OK"
)

// ndb gives a database with a signature of that name for the text.
func ndb(name, text string) string {
	return name + ":0:*:" + hex.EncodeToString([]byte(text)) + "\n"
}

// hdb gives a database with one hash, which no file of these tests has.
func hdb() string { return "00000000000000000000000000000001:4711:Never\n" }

// fill puts the first signatures onto a volume.
func fill(t *testing.T, database string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(database, "ours.ndb"), []byte(ndb("Old", oldMalware)), 0o644))
}

// wantScan scans a text and wants that reply.
func wantScan(t *testing.T, address, text, want string) {
	t.Helper()
	if got, err := scan(address, strings.NewReader(text)); err != nil || got != want {
		t.Errorf("scan of %q by %s: got %q and error %v, want %q", text, address, got, err, want)
	}
}

// checkNow has a freshclam that has said how its check ended make the next one
// at once. It takes the signal only while it waits; before, the signal kills it.
// In the container it may be the child of a shell.
func checkNow(t *testing.T, container *process) {
	t.Helper()
	id := container.cmd.Process.Pid
	if found, err := exec.Command("pgrep", "-P", strconv.Itoa(id), "freshclam").Output(); err == nil {
		id, err = strconv.Atoi(strings.TrimSpace(string(found)))
		must(t, err)
	}
	await(t, "freshclam sleeps", func() bool {
		state, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(id)).Output()
		must(t, err)
		return strings.HasPrefix(string(state), "S")
	})
	must(t, syscall.Kill(id, syscall.SIGUSR1))
}

// What freshclam writes at the end of a check that has failed, and at that of one
// that has brought something new.
const (
	checkFailed = "-> Update failed."
	notified    = "Clamd successfully notified about the update."
)
