package clamd_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// exchange sends a request on a new connection and returns the reply up to its
// end, or an error at the latest after the given time.
func exchange(network, addr string, request []byte, timeout time.Duration) (string, error) {
	conn, err := net.DialTimeout(network, addr, timeout)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", err
	}
	if _, err := conn.Write(request); err != nil {
		return "", err
	}
	reply, err := io.ReadAll(conn)
	return strings.TrimSuffix(string(reply), "\x00"), err
}

// instream is the INSTREAM command with the body in one chunk.
func instream(body []byte) []byte {
	request := binary.BigEndian.AppendUint32([]byte("zINSTREAM\x00"), uint32(len(body)))
	request = append(request, body...)
	return append(request, 0, 0, 0, 0)
}

func wantReply(t *testing.T, d *clamd.Daemon, body []byte, want string) {
	t.Helper()
	got, err := exchange("tcp", d.Addr(), instream(body), 10*time.Second)
	if err != nil || got != want {
		t.Errorf("scan of %d bytes on %s: got reply %q and error %v, want %q", len(body), d.Addr(), got, err, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDaemonFindsItsTestSignatures(t *testing.T) {
	d := clamd.StartT(t, clamd.Options{})
	tests := map[string]struct {
		body []byte
		want string
	}{
		"a clean text":                         {corpus.Clean(), "stream: OK"},
		"EICAR":                                {corpus.EICAR(), "stream: " + clamd.EICAR + " FOUND"},
		"EICAR behind another byte is clean":   {append([]byte{' '}, corpus.EICAR()...), "stream: OK"},
		"five ones and a zero byte":            {[]byte("11111\x00"), "stream: " + clamd.Tiny + " FOUND"},
		"what is too short for clamd is clean": {[]byte("11111"), "stream: OK"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { wantReply(t, d, test.body, test.want) })
	}
}

func TestDaemonFindsTheClamAVTestFiles(t *testing.T) {
	d := clamd.StartT(t, clamd.Options{})
	paths, err := corpus.TestFiles()
	must(t, err)
	for _, path := range paths {
		body, err := os.ReadFile(path)
		must(t, err)
		wantReply(t, d, body, "stream: "+clamd.TestFile+" FOUND")
	}
}

func TestDaemonReportsWhatItCannotScanWhole(t *testing.T) {
	encrypted, err := corpus.EncryptedZip()
	must(t, err)
	large := make([]byte, 2<<20)

	t.Run("by default as found", func(t *testing.T) {
		d := clamd.StartT(t, clamd.Options{Conf: map[string]string{"MaxFileSize": "1M"}})
		wantReply(t, d, encrypted, "stream: Heuristics.Encrypted.Zip FOUND")
		wantReply(t, d, large, "stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND")
	})
	t.Run("as clean when the defaults are replaced", func(t *testing.T) {
		d := clamd.StartT(t, clamd.Options{Conf: map[string]string{
			"MaxFileSize": "1M", "AlertEncrypted": "no", "AlertExceedsMax": "",
		}})
		wantReply(t, d, encrypted, "stream: OK")
		wantReply(t, d, large, "stream: OK")
	})
}

func TestKilledDaemonComesBackOnTheSamePort(t *testing.T) {
	d := clamd.StartT(t, clamd.Options{})
	addr, pid := d.Addr(), d.PID()
	for range 5 {
		must(t, d.Kill())
		if got := d.PID(); got != 0 {
			t.Fatalf("process id after Kill: got %d, want 0", got)
		}
		if reply, err := exchange("tcp", addr, []byte("zPING\x00"), time.Second); err == nil {
			t.Fatalf("PING after Kill: got reply %q, want an error", reply)
		}
		must(t, d.Restart(t.Context()))
		wantReply(t, d, corpus.EICAR(), "stream: "+clamd.EICAR+" FOUND")
	}
	if d.Addr() != addr || d.PID() == pid || d.PID() == 0 {
		t.Errorf("after Restart: got %s and process %d, want %s and another process than %d", d.Addr(), d.PID(), addr, pid)
	}
}

func TestRestartReplacesARunningDaemon(t *testing.T) {
	d := clamd.StartT(t, clamd.Options{})
	pid := d.PID()
	must(t, d.Restart(t.Context()))
	if got := d.PID(); got == pid || got == 0 {
		t.Errorf("process id after Restart: got %d, want another one than %d", got, pid)
	}
	wantReply(t, d, corpus.Clean(), "stream: OK")
}

func TestPausedDaemonAcceptsAndDoesNotAnswer(t *testing.T) {
	d := clamd.StartT(t, clamd.Options{})
	must(t, d.Pause())
	reply, err := exchange("tcp", d.Addr(), []byte("zPING\x00"), 300*time.Millisecond)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("PING while paused: got reply %q and error %v, want a time-out", reply, err)
	}
	must(t, d.Resume())
	wantReply(t, d, corpus.Clean(), "stream: OK")
}

func TestPausedDaemonCanBeStopped(t *testing.T) {
	d := clamd.StartT(t, clamd.Options{})
	must(t, d.Pause())
	must(t, d.Stop())
	must(t, d.Stop())
	if err := d.Pause(); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("Pause of a stopped daemon: got error %v, want one that says it is not running", err)
	}
}

func TestCloseKillsAPausedDaemonAndRemovesItsDirectory(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "clamd.pid")
	d, err := clamd.Start(t.Context(), clamd.Options{Conf: map[string]string{"PidFile": pidFile}})
	must(t, err)
	must(t, d.Pause())
	must(t, d.Close())
	must(t, d.Close())
	if got := d.PID(); got != 0 {
		t.Errorf("process id after Close: got %d, want 0", got)
	}
	if _, err := os.Stat(pidFile); err != nil {
		t.Errorf("got %v, want the file that clamd removes when it is asked to end", err)
	}
	if _, err := os.Stat(filepath.Dir(d.ConfPath())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the daemon's own directory after Close: got error %v, want that it is gone", err)
	}
}

func TestReloadPicksUpAnAddedSignature(t *testing.T) {
	for _, concurrent := range []string{"yes", "no"} {
		t.Run("with ConcurrentDatabaseReload "+concurrent, func(t *testing.T) {
			d := clamd.StartT(t, clamd.Options{Conf: map[string]string{
				"ConcurrentDatabaseReload": concurrent,
				"IdleTimeout":              "1", // with "no", clamd lets its idle threads end first
			}})
			body := []byte("a body with a needle in it")
			wantReply(t, d, body, "stream: OK")
			must(t, d.AddSignature("Needle-Test:0:*:6e6565646c65", "more.ndb"))
			wantReply(t, d, body, "stream: OK")
			must(t, d.Reload(t.Context()))
			wantReply(t, d, body, "stream: Needle-Test.UNOFFICIAL FOUND")
		})
	}
}

func TestReloadReportsABrokenSignature(t *testing.T) {
	d := clamd.StartT(t, clamd.Options{})
	must(t, d.AddSignature("this is no signature", "broken.ndb"))
	err := d.Reload(t.Context())
	if err == nil || !strings.Contains(err.Error(), "broken.ndb") {
		t.Errorf("got error %v, want one that names broken.ndb", err)
	}
}

func TestReplicasShareAPortAndFailAlone(t *testing.T) {
	replicas := clamd.StartReplicasT(t, 2, clamd.Options{})
	a, b := replicas[0], replicas[1]
	if a.Port() != b.Port() || a.Addr() == b.Addr() {
		t.Fatalf("got replicas on %s and %s, want two addresses with one port", a.Addr(), b.Addr())
	}
	must(t, a.Kill())
	wantReply(t, b, corpus.EICAR(), "stream: "+clamd.EICAR+" FOUND")
	must(t, a.Restart(t.Context()))
	wantReply(t, a, corpus.EICAR(), "stream: "+clamd.EICAR+" FOUND")
}

func TestDaemonServesAUnixSocketAlone(t *testing.T) {
	d := clamd.StartT(t, clamd.Options{LocalSocket: true, NoTCP: true})
	if d.Addr() != "" || d.Port() != 0 {
		t.Errorf("TCP address: got %q and port %d, want none", d.Addr(), d.Port())
	}
	must(t, d.Kill()) // leaves the socket file
	must(t, d.Restart(t.Context()))
	got, err := exchange("unix", d.Socket(), instream(corpus.EICAR()), 10*time.Second)
	if want := "stream: " + clamd.EICAR + " FOUND"; err != nil || got != want {
		t.Errorf("got reply %q and error %v, want %q", got, err, want)
	}
}

func TestDaemonUsesTheCallersDirectories(t *testing.T) {
	databases, temp := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(databases, "only.ndb"), []byte("Needle-Test:0:*:6e6565646c65\n"), 0o644))
	d, err := clamd.Start(t.Context(), clamd.Options{
		DatabaseDir: databases, TempDir: temp, Conf: map[string]string{"LeaveTemporaryFiles": "yes"},
	})
	must(t, err)
	wantReply(t, d, corpus.EICAR(), "stream: OK")
	wantReply(t, d, []byte("a needle"), "stream: Needle-Test.UNOFFICIAL FOUND")
	must(t, d.Close())

	for _, dir := range []string{databases, temp} {
		entries, err := os.ReadDir(dir)
		must(t, err)
		if len(entries) == 0 {
			t.Errorf("%s is empty after Close, want the files of clamd and of the caller", dir)
		}
	}
	if _, err := os.Stat(filepath.Dir(d.ConfPath())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the daemon's own directory after Close: got error %v, want that it is gone", err)
	}
}

func TestClamdscanReadsTheClientConf(t *testing.T) {
	clamdscan, err := clamd.Find("clamdscan")
	must(t, err)
	dir := t.TempDir()
	file, conf := filepath.Join(dir, "eicar.com"), filepath.Join(dir, "clamd.conf")
	must(t, os.WriteFile(file, corpus.EICAR(), 0o600))

	scan := func(t *testing.T) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		out, _ := exec.CommandContext(ctx, clamdscan, "-c", conf, "--stream", "--no-summary", file).CombinedOutput()
		if want := file + ": " + clamd.EICAR + " FOUND\n"; string(out) != want {
			t.Errorf("clamdscan: got %q, want %q", out, want)
		}
	}
	t.Run("with two replicas", func(t *testing.T) {
		must(t, clamd.WriteClientConf(conf, nil, clamd.StartReplicasT(t, 2, clamd.Options{})...))
		scan(t)
	})
	t.Run("with a Unix socket", func(t *testing.T) {
		must(t, clamd.WriteClientConf(conf, nil, clamd.StartT(t, clamd.Options{LocalSocket: true, NoTCP: true})))
		scan(t)
	})
}

func TestWriteClientConfWritesPlainLines(t *testing.T) {
	replicas := clamd.StartReplicasT(t, 2, clamd.Options{})
	path := filepath.Join(t.TempDir(), "clamd.conf")
	must(t, clamd.WriteClientConf(path, map[string]string{"StreamMaxLength": "5M"}, replicas...))
	text, err := os.ReadFile(path)
	must(t, err)
	_, port, err := net.SplitHostPort(replicas[0].Addr())
	must(t, err)
	if want := "TCPSocket " + port + "\nTCPAddr 127.0.0.2\nTCPAddr 127.0.0.3\nStreamMaxLength 5M\n"; string(text) != want {
		t.Errorf("got %q, want %q", text, want)
	}

	other := clamd.StartT(t, clamd.Options{})
	err = clamd.WriteClientConf(path, nil, replicas[0], other)
	if err == nil || !strings.Contains(err.Error(), "only one") {
		t.Errorf("daemons with different ports: got error %v, want one that says a clamd.conf has only one port", err)
	}
}

func TestStartFailsWithTheReason(t *testing.T) {
	taken := clamd.StartT(t, clamd.Options{})
	tests := map[string]struct {
		opts clamd.Options
		want string
	}{
		"a port that is taken":             {clamd.Options{Port: taken.Port()}, "port is taken"},
		"a bad value in Conf":              {clamd.Options{Conf: map[string]string{"MaxThreads": "many"}}, "MaxThreads"},
		"an option that other fields own":  {clamd.Options{Conf: map[string]string{"TCPSocket": "3310"}}, "TCPSocket"},
		"a database directory that is not": {clamd.Options{DatabaseDir: "/does/not/exist"}, "/does/not/exist"},
		"no way in":                        {clamd.Options{NoTCP: true}, "LocalSocket"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := clamd.Start(t.Context(), test.opts)
			if err == nil {
				d.Close()
				t.Fatal("got a daemon, want an error")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %q, want one that says %q", err, test.want)
			}
		})
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	d, err := clamd.Start(ctx, clamd.Options{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want %v", err, context.DeadlineExceeded)
	}
	if d != nil {
		d.Close()
		t.Error("got a daemon, want none")
	}
}

func TestFindNamesTheRemedy(t *testing.T) {
	_, err := clamd.Find("no-program-has-this-name")
	if err == nil || !strings.Contains(err.Error(), "make clamav") {
		t.Errorf("got error %v, want one that says `make clamav`", err)
	}
}
