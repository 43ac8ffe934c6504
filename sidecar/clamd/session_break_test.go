package clamd_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"clamav-sidecar/sidecar/clamd"
)

// sendUntilRefused streams blocks until a Send fails.
func sendUntilRefused(t *testing.T, s *clamd.Session) {
	t.Helper()
	block := blocksOf(make([]byte, clamd.BlockSize), clamd.BlockSize)
	for range 1 << 14 {
		if err := s.Send(block, false, soon()); err != nil {
			if !errors.Is(err, clamd.ErrConnection) {
				t.Fatalf("got error %v, want %v", err, clamd.ErrConnection)
			}
			return
		}
	}
	t.Fatal("a gibibyte was sent, want the peer's refusal")
}

func TestSessionTellsARefusalInTheMiddleOfABody(t *testing.T) {
	// saysEarly reads a little and then speaks, and closes with much unread.
	saysEarly := func(text string) func(conn *net.TCPConn) {
		return func(conn *net.TCPConn) {
			if _, err := io.ReadFull(conn, make([]byte, 1000)); err == nil {
				io.WriteString(conn, text)
			}
		}
	}
	t.Run("with clamd's own words", func(t *testing.T) {
		s := session(t, saysEarly("1: INSTREAM size limit exceeded. ERROR\x00"))
		sendUntilRefused(t, s)
		got, err := s.ReadReply(soon())
		if err != nil || !got.TooLarge() || s.Reusable(got) {
			t.Errorf("got %+v, error %v, reusable %v; want that the body is too large and a session that is not reusable", got, err, s.Reusable(got))
		}
	})
	t.Run("as a lost connection when clamd says nothing", func(t *testing.T) {
		s := session(t, saysEarly(""))
		sendUntilRefused(t, s)
		if got, err := s.ReadReply(soon()); !errors.Is(err, clamd.ErrConnection) {
			t.Errorf("got %+v and error %v, want %v", got, err, clamd.ErrConnection)
		}
	})
	for _, text := range []string{"1: stream: OK\x00", "1: stream: A FOUND\x00", "stream: OK\x00"} {
		t.Run("and believes no verdict: "+text[:len(text)-1], func(t *testing.T) {
			s := session(t, saysEarly(text))
			sendUntilRefused(t, s)
			if got, err := s.ReadReply(soon()); err == nil || got != (clamd.Reply{}) {
				t.Errorf("got %+v and error %v, want an error", got, err)
			}
		})
	}
}

func TestSessionBelievesNoVerdictBeforeTheBodyHasEnded(t *testing.T) {
	for _, verdict := range []string{"1: stream: OK\x00", "1: stream: A FOUND\x00"} {
		// The peer speaks after the first chunk and then takes in all the rest.
		early := func(spoken chan<- struct{}) func(conn *net.TCPConn) {
			return func(conn *net.TCPConn) {
				if _, err := io.ReadFull(conn, make([]byte, 30)); err == nil {
					io.WriteString(conn, verdict)
					close(spoken)
					io.Copy(io.Discard, conn)
				}
			}
		}
		block := blocksOf([]byte("a piece of a body"), clamd.BlockSize)
		t.Run("asked without an end marker", func(t *testing.T) {
			s := session(t, early(make(chan struct{})))
			if err := s.Send(block, false, soon()); err != nil {
				t.Fatal(err)
			}
			if got, err := s.ReadReply(soon()); !errors.Is(err, clamd.ErrMalformed) {
				t.Errorf("got %+v and error %v, want %v", got, err, clamd.ErrMalformed)
			}
		})
		t.Run("asked behind the end marker", func(t *testing.T) {
			spoken := make(chan struct{})
			s := session(t, early(spoken))
			if err := s.Send(block, false, soon()); err != nil {
				t.Fatal(err)
			}
			<-spoken
			if err := s.Send(block, true, soon()); err != nil && !errors.Is(err, clamd.ErrMalformed) {
				t.Fatal(err)
			}
			if got, err := s.ReadReply(soon()); !errors.Is(err, clamd.ErrMalformed) {
				t.Errorf("got %+v and error %v, want %v", got, err, clamd.ErrMalformed)
			}
		})
	}
}

func TestSessionLosesAClamdThatDiesBetweenTwoBlocks(t *testing.T) {
	for name, end := range map[string]func(*net.TCPConn){
		"closed": func(conn *net.TCPConn) { conn.Close() },
		"reset":  reset,
	} {
		t.Run(name, func(t *testing.T) {
			dead := make(chan struct{})
			s := session(t, func(conn *net.TCPConn) {
				defer close(dead)
				io.ReadFull(conn, make([]byte, len("zIDSESSION\x00zINSTREAM\x00")+4+5))
				end(conn)
			})
			if err := s.Send(blocksOf([]byte("first"), clamd.BlockSize), false, soon()); err != nil {
				t.Fatal(err)
			}
			<-dead
			if err := s.Send(blocksOf([]byte("last"), clamd.BlockSize), true, soon()); err != nil {
				t.Fatalf("the last Send: got error %v, want it from ReadReply", err)
			}
			if got, err := s.ReadReply(soon()); !errors.Is(err, clamd.ErrConnection) {
				t.Errorf("got %+v and error %v, want %v", got, err, clamd.ErrConnection)
			}
		})
	}
}

func TestSessionOutlivesAPauseLongerThanItsDeadlines(t *testing.T) {
	t.Parallel()
	s := session(t, func(conn *net.TCPConn) {
		r := bufio.NewReader(conn)
		for _, reply := range []string{"1: stream: OK\x00", "2: stream: OK\x00"} {
			if _, err := readBody(r); err != nil {
				t.Error(err)
				return
			}
			io.WriteString(conn, reply)
		}
		io.Copy(io.Discard, conn)
	})
	block := blocksOf([]byte("a piece of a body"), clamd.BlockSize)
	for id := uint32(1); id <= 2; id++ {
		passed := time.Now().Add(time.Second)
		if err := s.Send(block, false, passed); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(passed))
		if err := s.Send(block, true, soon()); err != nil {
			t.Fatal(err)
		}
		passed = time.Now().Add(time.Second)
		got, err := s.ReadReply(passed)
		if want := (clamd.Reply{ID: id, Status: clamd.OK}); err != nil || got != want {
			t.Fatalf("got %+v and error %v, want %+v", got, err, want)
		}
		time.Sleep(time.Until(passed))
		if !s.Quiet() {
			t.Error("a session that lay idle past its deadline: got not quiet, want quiet")
		}
	}
}

func TestQuietSeesWhatClamdHasDoneMeanwhile(t *testing.T) {
	tests := map[string]struct {
		then func(conn *net.TCPConn)
		want bool
	}{
		"nothing":                            {func(*net.TCPConn) {}, true},
		"closed the session":                 {func(conn *net.TCPConn) { conn.CloseWrite() }, false},
		"closed the session with a time-out": {func(conn *net.TCPConn) { io.WriteString(conn, "COMMAND READ TIMED OUT\n"); conn.Close() }, false},
		"reset the connection":               {reset, false},
		"replied to what it was never asked": {func(conn *net.TCPConn) { io.WriteString(conn, "2: stream: OK\x00") }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			replied, did := make(chan struct{}), make(chan struct{})
			s := session(t, func(conn *net.TCPConn) {
				says("1: stream: OK\x00")(conn)
				<-replied
				test.then(conn)
				close(did)
				io.Copy(io.Discard, conn)
			})
			if _, err := scan(s, "body"); err != nil {
				t.Fatal(err)
			}
			if !s.Quiet() {
				t.Error("right after the reply: got not quiet, want quiet")
			}
			close(replied)
			<-did
			if got := s.Quiet(); got != test.want {
				t.Errorf("got quiet %v, want %v", got, test.want)
			}
			s.Close()
		})
	}
}
