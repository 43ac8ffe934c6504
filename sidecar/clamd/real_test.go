package clamd_test

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar/clamd"
	daemon "clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// marker is found anywhere in a body by the clamd of startWithMarker.
const (
	marker      = "the marker of a test"
	markerFound = "Marker-Test.UNOFFICIAL"
)

// startWithMarker starts a clamd that knows the marker too.
func startWithMarker(t *testing.T) *daemon.Daemon {
	t.Helper()
	databases := t.TempDir()
	if err := daemon.WriteSignatures(databases); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(databases, "marker.ndb"), fmt.Sprintf("Marker-Test:0:*:%x\n", marker))
	return daemon.StartT(t, daemon.Options{DatabaseDir: databases})
}

func dialDaemon(t *testing.T, d *daemon.Daemon) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", d.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestClamdScansManyBodiesInOneSession(t *testing.T) {
	t.Parallel()
	s := clamd.NewSession(dialDaemon(t, startWithMarker(t)))
	large := string(bodyOf(t, 3, 3*clamd.BlockSize+5))
	bodies := map[string]struct {
		body string
		want string // the signature
	}{
		"a clean text":                  {string(corpus.Clean()), ""},
		"EICAR":                         {string(corpus.EICAR()), daemon.EICAR},
		"an empty body":                 {"", ""},
		"four blocks":                   {large, ""},
		"four blocks and a marker":      {large + marker, markerFound},
		"a marker across two blocks":    {large[:clamd.BlockSize-2] + marker + large, markerFound},
		"a marker at the end of blocks": {large[:2*clamd.BlockSize-len(marker)] + marker, markerFound},
	}
	id := uint32(0)
	for range 3 {
		for name, b := range bodies {
			blocks := blocksOf([]byte(b.body), clamd.BlockSize)
			// Whole, and in pieces.
			for _, last := range []int{0, len(blocks) - 1} {
				id++
				if last > 0 {
					if err := s.Send(blocks[:last], false, soon()); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Send(blocks[last:], true, soon()); err != nil {
					t.Fatal(err)
				}
				want := clamd.Reply{ID: id, Status: clamd.OK}
				if b.want != "" {
					want.Status, want.Text = clamd.Found, b.want
				}
				if got, err := s.ReadReply(soon()); err != nil || got != want || !s.Reusable(got) || !s.Quiet() {
					t.Fatalf("%s: got %+v and error %v, want %+v and a session that is reusable", name, got, err, want)
				}
			}
		}
	}
}

func TestClamdRefusesABodyOverItsStreamMaxLength(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{Conf: map[string]string{"StreamMaxLength": "100K", "MaxFileSize": "200K"}})
	blocks := blocksOf(make([]byte, 8<<20), clamd.BlockSize)

	t.Run("sent at once", func(t *testing.T) {
		s := clamd.NewSession(dialDaemon(t, d))
		if err := s.Send(blocks, true, soon()); err != nil {
			t.Fatal(err)
		}
		if got, err := s.ReadReply(soon()); err != nil || !got.TooLarge() || s.Reusable(got) {
			t.Errorf("got %+v and error %v, want that it is too large and a session that is not reusable", got, err)
		}
	})
	t.Run("sent in pieces", func(t *testing.T) {
		s := clamd.NewSession(dialDaemon(t, d))
		sendUntilRefused(t, s)
		if got, err := s.ReadReply(soon()); err != nil || !got.TooLarge() || s.Reusable(got) {
			t.Errorf("got %+v and error %v, want that it is too large and a session that is not reusable", got, err)
		}
	})
	t.Run("by one byte, whose end marker is written before clamd closes", func(t *testing.T) {
		s := clamd.NewSession(dialDaemon(t, d))
		if err := s.Send(blocksOf(make([]byte, 100<<10+1), clamd.BlockSize), true, soon()); err != nil {
			t.Fatal(err)
		}
		if got, err := s.ReadReply(soon()); err != nil || !got.TooLarge() || s.Reusable(got) {
			t.Errorf("got %+v and error %v, want that it is too large and a session that is not reusable", got, err)
		}
	})
	t.Run("but not one of just that length", func(t *testing.T) {
		s := clamd.NewSession(dialDaemon(t, d))
		got, err := scan(s, strings.Repeat("x", 100<<10))
		if want := (clamd.Reply{ID: 1, Status: clamd.OK}); err != nil || got != want {
			t.Errorf("got %+v and error %v, want %+v", got, err, want)
		}
	})
}

func TestClamdClosesAnIdleSession(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{Conf: map[string]string{"ReadTimeout": "1"}})
	s := clamd.NewSession(dialDaemon(t, d))
	if got, err := scan(s, "body"); err != nil || got.Status != clamd.OK || !s.Quiet() {
		t.Fatalf("got %+v and error %v, want OK and a quiet session", got, err)
	}
	for deadline := soon(); s.Quiet(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("idle for %v: got a quiet session, want that clamd closes it", patience)
		}
	}
	got, err := scan(s, string(corpus.EICAR()))
	if !errors.Is(err, clamd.ErrConnection) && (err != nil || got.Status != clamd.Error || got.ID != 0) {
		t.Errorf("a body for a closed session: got %+v and error %v, want %v, or clamd's time-out", got, err, clamd.ErrConnection)
	}
}

func TestClamdScansNoBodyWithoutItsEnd(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{})
	s := clamd.NewSession(dialDaemon(t, d))
	if err := s.Send(blocksOf(corpus.EICAR(), clamd.BlockSize), false, soon()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	other := clamd.NewSession(dialDaemon(t, d))
	if got, err := scan(other, "1111111"); err != nil || got.Status != clamd.Found {
		t.Fatalf("a body that came later: got %+v and error %v, want FOUND", got, err)
	}
	for deadline := soon(); !strings.Contains(d.Log(), daemon.Tiny); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) { // clamd logs behind its reply
			t.Fatalf("clamd's log: got\n%s\nwant %s in it", d.Log(), daemon.Tiny)
		}
	}
	if log := d.Log(); strings.Contains(log, daemon.EICAR) {
		t.Errorf("clamd's log: got\n%s\nwant no %s in it", log, daemon.EICAR)
	}
}

func TestCommandGivesClamdsReply(t *testing.T) {
	t.Parallel()
	d := daemon.StartT(t, daemon.Options{})
	tests := map[string]struct{ prefix, suffix string }{
		"PING":            {"PONG", "PONG"},
		"VERSION":         {"ClamAV ", ""},
		"VERSIONCOMMANDS": {"ClamAV ", ""},
		"STATS":           {"POOLS: 1\n", "\nEND"},
		"NONSENSE":        {"UNKNOWN COMMAND", "UNKNOWN COMMAND"},
	}
	for name, want := range tests {
		got, err := clamd.Command(dialDaemon(t, d), name, soon())
		if err != nil || !strings.HasPrefix(string(got), want.prefix) || !strings.HasSuffix(string(got), want.suffix) || strings.Contains(string(got), "\x00") {
			t.Errorf("%s: got %q and error %v, want a reply that begins %q and ends %q", name, got, err, want.prefix, want.suffix)
		}
	}
	reply, err := clamd.Command(dialDaemon(t, d), "VERSION", soon())
	if err != nil {
		t.Fatal(err)
	}
	if version, err := clamd.ParseVersion(string(reply)); err != nil || !strings.HasPrefix(fmt.Sprintf("%s/", reply), "ClamAV "+version.Engine+"/") {
		t.Errorf("%q: got %+v and error %v, want its engine", reply, version, err)
	}
}

func TestCommandRefusesAReplyThatIsNotWhole(t *testing.T) {
	tests := map[string]struct {
		says string
		want error
	}{
		"none":                    {"", clamd.ErrConnection},
		"half a line":             {"ClamAV 1.4", clamd.ErrConnection},
		"one that ends otherwise": {"ClamAV 1.4.6\n", clamd.ErrConnection},
		"one that is too long":    {strings.Repeat("x", 64<<10+1) + "\x00", clamd.ErrMalformed},
		"one without an end":      {strings.Repeat("x", 1<<20), clamd.ErrMalformed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			conn := dialPeer(t, func(conn *net.TCPConn) {
				if _, err := conn.Read(make([]byte, 100)); err == nil {
					conn.Write([]byte(test.says))
				}
			})
			if got, err := clamd.Command(conn, "VERSION", soon()); !errors.Is(err, test.want) || got != nil {
				t.Errorf("got %.60q and error %v, want %v", got, err, test.want)
			}
		})
	}
	t.Run("one that does not come in time", func(t *testing.T) {
		done := make(chan struct{})
		defer close(done)
		conn := dialPeer(t, func(conn *net.TCPConn) { <-done })
		if got, err := clamd.Command(conn, "VERSION", time.Now().Add(50*time.Millisecond)); !errors.Is(err, clamd.ErrTimeout) || got != nil {
			t.Errorf("got %q and error %v, want %v", got, err, clamd.ErrTimeout)
		}
		if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the connection afterwards: got error %v, want %v", err, net.ErrClosed)
		}
	})
}
