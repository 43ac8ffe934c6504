package clamd_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar/clamd"
)

// scan sends a body as a whole and gives the reply.
func scan(s *clamd.Session, body string) (clamd.Reply, error) {
	if err := s.Send(blocksOf([]byte(body), clamd.BlockSize), true, soon()); err != nil {
		return clamd.Reply{}, err
	}
	return s.ReadReply(soon())
}

func TestSessionTakesAReplyInAnyPieces(t *testing.T) {
	ok := clamd.Reply{ID: 1, Status: clamd.OK}
	found := clamd.Reply{ID: 1, Status: clamd.Found, Text: strings.Repeat("Long.Name-", 100)}
	tests := map[string]struct {
		texts []string
		want  clamd.Reply
	}{
		"at once":               {[]string{"1: stream: OK\x00"}, ok},
		"byte by byte":          {strings.Split("1: stream: OK\x00", ""), ok},
		"its end by itself":     {[]string{"1: stream: OK", "\x00"}, ok},
		"a long name":           {[]string{"1: stream: " + found.Text + " FOUND\x00"}, found},
		"a long name in pieces": {[]string{"1: stream: " + found.Text[:100], found.Text[100:900], found.Text[900:] + " FOUND\x00"}, found},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := session(t, says(test.texts...))
			got, err := scan(s, "body")
			if err != nil || got != test.want || !s.Reusable(got) {
				t.Errorf("got %+v, error %v, reusable %v; want %+v and a session that is reusable", got, err, s.Reusable(got), test.want)
			}
		})
	}
}

func TestSessionTellsWhatClamdSaysAsItCloses(t *testing.T) {
	const tooLarge = "INSTREAM size limit exceeded."
	tests := map[string]struct {
		text string
		want clamd.Reply
	}{
		"a time-out, which ends with a newline": {"COMMAND READ TIMED OUT\n", clamd.Reply{Status: clamd.Error, Text: "COMMAND READ TIMED OUT"}},
		"a time-out without an end":             {"COMMAND READ TIMED OUT", clamd.Reply{Status: clamd.Error, Text: "COMMAND READ TIMED OUT"}},
		"a refusal":                             {tooLarge + " ERROR\x00", clamd.Reply{Status: clamd.Error, Text: tooLarge}},
		"a refusal with the command's number":   {"1: " + tooLarge + " ERROR\x00", clamd.Reply{ID: 1, Status: clamd.Error, Text: tooLarge}},
		"a refusal that ends with a newline":    {tooLarge + " ERROR\n", clamd.Reply{Status: clamd.Error, Text: tooLarge}},
		"an error of its disk":                  {"1: Error writing to temporary file ERROR\x00", clamd.Reply{ID: 1, Status: clamd.Error, Text: "Error writing to temporary file"}},
		"an error of its memory":                {"1: stream: Can't allocate memory ERROR\x00", clamd.Reply{ID: 1, Status: clamd.Error, Text: "Can't allocate memory"}},
		"that it does not know the command":     {"UNKNOWN COMMAND\x00", clamd.Reply{Status: clamd.Error, Text: "UNKNOWN COMMAND"}},
		"that it does not serve the command":    {"COMMAND UNAVAILABLE\x00", clamd.Reply{Status: clamd.Error, Text: "COMMAND UNAVAILABLE"}},
		// So does clamd with its disk full: it scans what it has all the same.
		"an error of its disk, and then OK": {
			"1: Error writing to temporary file ERROR\x001: stream: OK\x00", clamd.Reply{ID: 1, Status: clamd.Error, Text: "Error writing to temporary file"}},
		"a time-out behind which comes one more": {"COMMAND READ TIMED OUT\x00\n\x00", clamd.Reply{Status: clamd.Error, Text: "COMMAND READ TIMED OUT"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := session(t, says(test.text))
			got, err := scan(s, "body")
			if err != nil || got != test.want || s.Reusable(got) {
				t.Errorf("got %+v, error %v, reusable %v; want %+v and a session that is not reusable", got, err, s.Reusable(got), test.want)
			}
		})
	}
}

func TestSessionRefusesEveryOddReply(t *testing.T) {
	tests := map[string]struct {
		texts []string
		want  error
	}{
		"none":                                {nil, clamd.ErrConnection},
		"half a line":                         {[]string{"1: stream: O"}, clamd.ErrConnection},
		"a line without its end":              {[]string{"1: stream: OK"}, clamd.ErrConnection},
		"a line that ends with a newline":     {[]string{"1: stream: OK\n"}, clamd.ErrConnection},
		"FOUND without its end":               {[]string{"1: stream: A FOUND"}, clamd.ErrConnection},
		"an error of the body without an end": {[]string{"1: stream: Can't allocate memory ERR"}, clamd.ErrConnection},
		"a zero byte":                         {[]string{"\x00"}, clamd.ErrMalformed},
		"OK without a number":                 {[]string{"stream: OK\x00"}, clamd.ErrMalformed},
		"FOUND without a number":              {[]string{"stream: A FOUND\x00"}, clamd.ErrMalformed},
		"OK for another command":              {[]string{"2: stream: OK\x00"}, clamd.ErrMalformed},
		"OK for command 0":                    {[]string{"0: stream: OK\x00"}, clamd.ErrMalformed},
		"an error for another command":        {[]string{"2: stream: Can't allocate memory ERROR\x00"}, clamd.ErrMalformed},
		"FOUND without a name":                {[]string{"1: stream: (null) FOUND\x00"}, clamd.ErrMalformed},
		"two replies at once":                 {[]string{"1: stream: OK\x001: stream: A FOUND\x00"}, clamd.ErrMalformed},
		"two replies, the second cut off":     {[]string{"1: stream: OK\x002:"}, clamd.ErrMalformed},
		"garbage":                             {[]string{"\xde\xad\xbe\xef\x00"}, clamd.ErrMalformed},
		"garbage without an end":              {[]string{strings.Repeat("A", 64<<10)}, clamd.ErrMalformed},
		"an HTTP reply":                       {[]string{"HTTP/1.1 400 Bad Request\r\n\r\n"}, clamd.ErrConnection},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := scan(session(t, says(test.texts...)), "body")
			if !errors.Is(err, test.want) || got != (clamd.Reply{}) {
				t.Errorf("got %+v and error %v, want no reply and %v", got, err, test.want)
			}
		})
	}
}

func TestSessionIsLostWithAResetConnection(t *testing.T) {
	t.Run("without a reply", func(t *testing.T) {
		got, err := scan(session(t, func(conn *net.TCPConn) {
			says()(conn)
			reset(conn)
		}), "body")
		if !errors.Is(err, clamd.ErrConnection) || got != (clamd.Reply{}) {
			t.Errorf("got %+v and error %v, want no reply and %v", got, err, clamd.ErrConnection)
		}
	})
	t.Run("behind half a reply", func(t *testing.T) {
		got, err := scan(session(t, func(conn *net.TCPConn) {
			says("1: stream: OK")(conn)
			reset(conn)
		}), "body")
		if !errors.Is(err, clamd.ErrConnection) || got != (clamd.Reply{}) {
			t.Errorf("got %+v and error %v, want no reply and %v", got, err, clamd.ErrConnection)
		}
	})
	t.Run("before the body", func(t *testing.T) {
		got, err := scan(session(t, func(conn *net.TCPConn) {
			io.ReadFull(conn, make([]byte, 1))
			reset(conn)
		}), strings.Repeat("body", 10000))
		if !errors.Is(err, clamd.ErrConnection) || got != (clamd.Reply{}) {
			t.Errorf("got %+v and error %v, want no reply and %v", got, err, clamd.ErrConnection)
		}
	})
}

func TestSessionWaitsNoLongerThanItsDeadline(t *testing.T) {
	t.Parallel()
	const wait = 50 * time.Millisecond
	t.Run("for a reply", func(t *testing.T) {
		done := make(chan struct{})
		s := session(t, func(conn *net.TCPConn) { <-done })
		defer close(done)
		if err := s.Send(blocksOf([]byte("body"), clamd.BlockSize), true, soon()); err != nil {
			t.Fatal(err)
		}
		if got, err := s.ReadReply(time.Now().Add(wait)); !errors.Is(err, clamd.ErrTimeout) {
			t.Errorf("got %+v and error %v, want %v", got, err, clamd.ErrTimeout)
		}
	})
	t.Run("for the rest of a reply", func(t *testing.T) {
		done := make(chan struct{})
		s := session(t, func(conn *net.TCPConn) {
			says("1: stream: OK")(conn)
			<-done
		})
		defer close(done)
		if err := s.Send(blocksOf([]byte("body"), clamd.BlockSize), true, soon()); err != nil {
			t.Fatal(err)
		}
		if got, err := s.ReadReply(time.Now().Add(wait)); !errors.Is(err, clamd.ErrTimeout) {
			t.Errorf("got %+v and error %v, want %v", got, err, clamd.ErrTimeout)
		}
	})
	for _, last := range []bool{false, true} {
		t.Run(fmt.Sprintf("to send, last %v", last), func(t *testing.T) {
			done := make(chan struct{})
			s := session(t, func(conn *net.TCPConn) { <-done })
			defer close(done)
			blocks := blocksOf(make([]byte, 32<<20), clamd.BlockSize) // more than a socket takes unread
			if err := s.Send(blocks, last, time.Now().Add(wait)); !errors.Is(err, clamd.ErrTimeout) {
				t.Errorf("got error %v, want %v", err, clamd.ErrTimeout)
			}
			if got, err := s.ReadReply(time.Now().Add(wait)); !errors.Is(err, clamd.ErrTimeout) {
				t.Errorf("got %+v and error %v, want %v", got, err, clamd.ErrTimeout)
			}
		})
	}
}

func TestSessionNumbersItsBodies(t *testing.T) {
	s := session(t, func(conn *net.TCPConn) {
		r := bufio.NewReader(conn)
		for _, reply := range []string{"1: stream: OK\x00", "2: stream: A FOUND\x00", "2: stream: OK\x00"} {
			if _, err := readBody(r); err != nil {
				t.Error(err)
				return
			}
			io.WriteString(conn, reply)
		}
	})
	if s.Used() {
		t.Error("a new session: got used, want not used")
	}
	for i, want := range []clamd.Reply{{ID: 1, Status: clamd.OK}, {ID: 2, Status: clamd.Found, Text: "A"}} {
		if got, err := scan(s, "body"); err != nil || got != want || !s.Used() {
			t.Errorf("body %d: got %+v and error %v, want %+v of a used session", i+1, got, err, want)
		}
	}
	if got, err := scan(s, "body"); !errors.Is(err, clamd.ErrMalformed) {
		t.Errorf("the reply to body 2 for body 3: got %+v and error %v, want %v", got, err, clamd.ErrMalformed)
	}
}

// wordsConn is a connection whose other side takes all and has said something.
type wordsConn struct {
	net.Conn // none: what is not overridden here is not called
	words    *bytes.Reader
}

func (c wordsConn) Read(b []byte) (int, error)      { return c.words.Read(b) }
func (c wordsConn) Write(b []byte) (int, error)     { return len(b), nil }
func (c wordsConn) SetDeadline(time.Time) error     { return nil }
func (c wordsConn) SetReadDeadline(time.Time) error { return nil }

func FuzzSessionReply(f *testing.F) {
	for _, seed := range []string{
		"1: stream: OK\x00", "1: stream: OK", "1: stream: OK\n", "stream: OK\x00", "2: stream: OK\x00", "1: stream: OK\x00\x00", "1: stream: OK\x002: stream: OK\x00",
		"1: stream: A FOUND\x00", "1: stream: (null) FOUND\x00", "COMMAND READ TIMED OUT\n", "1: INSTREAM size limit exceeded. ERROR\x00", "\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, words []byte) {
		s := clamd.NewSession(wordsConn{words: bytes.NewReader(words)})
		reply, err := scan(s, "body")
		switch {
		case err != nil:
			if reply != (clamd.Reply{}) || !errors.Is(err, clamd.ErrMalformed) && !errors.Is(err, clamd.ErrConnection) {
				t.Fatalf("%q: got %+v and error %v, want no reply and an error that is malformed or lost", words, reply, err)
			}
		case reply.Status == clamd.OK && string(words) != "1: stream: OK\x00":
			t.Fatalf("%q: got OK, want it for these bytes alone: %q", words, "1: stream: OK\x00")
		case reply.Status == clamd.Found && (reply.ID != 1 || !bytes.HasSuffix(words, []byte(" FOUND\x00"))):
			t.Fatalf("%q: got %+v, want FOUND for a whole reply to this body", words, reply)
		case reply.Status == 0:
			t.Fatalf("%q: got %+v and no error, want a status", words, reply)
		}
	})
}
