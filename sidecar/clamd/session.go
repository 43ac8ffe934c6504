package clamd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// maxReply bounds a reply, in bytes. The longest that clamd 1.4 gives to
// INSTREAM is a signature's name; names have at most a few hundred.
const maxReply = 4 << 10

// ErrConnection is a connection that broke, or was closed, before clamd had
// replied.
var ErrConnection = errors.New("connection to clamd lost")

// ErrTimeout is a reply, or room to write, that did not come by the deadline.
var ErrTimeout = errors.New("clamd did not answer in time")

// Session is a connection to clamd in IDSESSION mode. One body at a time goes
// through it: all of its blocks with Send, then ReadReply. It is not safe for
// concurrent use.
//
// After any error the session is of no further use and has to be closed. So it
// must after a Send that was not last and that nothing more follows: the end
// marker is then never sent, and clamd drops what it got without scanning it.
type Session struct {
	conn  net.Conn
	begun bool   // IDSESSION has been sent
	open  bool   // a body has begun and has not ended
	id    uint32 // of the last command sent
	early bool   // clamd spoke, or closed, before the body had ended
	gone  error  // a write failed: clamd may still have said why
	vec   [][]byte
	reply []byte // received and not yet read
}

// NewSession speaks over conn, and owns it from here on.
func NewSession(conn net.Conn) *Session { return &Session{conn: conn} }

// Close closes the connection. It may be called at any time, from anywhere.
func (s *Session) Close() error { return s.conn.Close() }

// Used says whether the session has carried a body before, so that clamd may
// have closed it since.
func (s *Session) Used() bool { return s.begun }

// Quiet says whether clamd has neither closed the connection nor said anything
// that nobody asked for, as far as is known by now. It does not wait.
func (s *Session) Quiet() bool { return len(s.reply) == 0 && !readable(s.conn) }

// Send writes a body's next blocks as one chunk, in one write; last ends the
// body. The blocks stay the caller's, and their bytes are not changed.
//
// When clamd refuses a body it replies and closes the connection, so that the
// write fails. Send then returns ErrConnection, or nil if the blocks were the
// last; in both cases ReadReply gives what clamd said.
func (s *Session) Send(blocks []*Block, last bool, deadline time.Time) error {
	size := 0
	for _, b := range blocks {
		size += b.Len()
	}
	if s.open && last && !s.Quiet() {
		// It may be clamd's refusal; an OK would be for a body that is not all
		// there yet.
		s.early = true
		return nil
	}
	prefix := ""
	if !s.open {
		prefix = instream
		if !s.begun {
			prefix = begin + instream
		}
		s.begun, s.open = true, true
		s.id++
	}
	s.vec = s.vec[:0]
	for i, b := range blocks {
		if i == 0 {
			s.vec = append(s.vec, b.framed(prefix, size, last && i == len(blocks)-1))
			continue
		}
		s.vec = append(s.vec, b.framed("", 0, last && i == len(blocks)-1))
	}
	if err := s.conn.SetDeadline(deadline); err != nil {
		return fmt.Errorf("%w: %w", ErrConnection, err)
	}
	var err error
	if len(s.vec) == 1 {
		_, err = s.conn.Write(s.vec[0])
	} else {
		buffers := net.Buffers(s.vec)
		_, err = buffers.WriteTo(s.conn)
	}
	s.open = !last
	if err == nil {
		return nil
	}
	s.gone = lost("send to clamd", err)
	if last && !errors.Is(s.gone, ErrTimeout) {
		return nil
	}
	return s.gone
}

// ReadReply waits for the reply to the body that Send has ended, or to one
// whose Send failed. An OK or a FOUND counts only when every byte and the end
// marker were written and the reply carries the body's own number; otherwise
// the reply is [ErrMalformed] or the write's error.
func (s *Session) ReadReply(deadline time.Time) (Reply, error) {
	line, err := s.readLine(deadline)
	if err != nil {
		if s.gone != nil {
			return Reply{}, s.gone
		}
		return Reply{}, err
	}
	reply, err := ParseReply(line)
	switch {
	case err != nil:
		return Reply{}, err
	case reply.Status == Error && (reply.ID == 0 || reply.ID == s.id):
		// The first reply decides. A clamd whose disk is full says ERROR and then,
		// for what it could write of the body, OK (seen with 1.4.6).
		return reply, nil
	case reply.ID != s.id:
		return Reply{}, fmt.Errorf("%w: %.120q answers command %d and not %d", ErrMalformed, line, reply.ID, s.id)
	case s.open || s.early || s.gone != nil:
		return Reply{}, fmt.Errorf("%w: %.120q before the body had ended", ErrMalformed, line)
	case len(s.reply) > 0:
		return Reply{}, fmt.Errorf("%w: %.120q follows the reply", ErrMalformed, s.reply)
	}
	return reply, nil
}

// Reusable says whether another body may follow after this reply. clamd closes
// the connection behind most errors.
func (s *Session) Reusable(r Reply) bool {
	return s.gone == nil && !s.early && !s.open && r.Status != Error
}

// readLine reads up to the zero byte that ends a reply. What clamd says as it
// closes may end with a newline, or with nothing.
func (s *Session) readLine(deadline time.Time) ([]byte, error) {
	if err := s.conn.SetReadDeadline(deadline); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConnection, err)
	}
	if s.reply == nil {
		s.reply = make([]byte, 0, 128)
	}
	for {
		if end := bytes.IndexByte(s.reply, 0); end >= 0 {
			line := s.reply[:end]
			s.reply = s.reply[end+1:]
			if len(s.reply) == 0 {
				s.reply = line[:0] // the memory serves the next reply
			}
			return line, nil
		}
		if len(s.reply) >= maxReply {
			return nil, fmt.Errorf("%w: no end within %d bytes", ErrMalformed, maxReply)
		}
		if len(s.reply) == cap(s.reply) {
			s.reply = append(s.reply, make([]byte, len(s.reply)+128)...)[:len(s.reply)]
		}
		n, err := s.conn.Read(s.reply[len(s.reply):cap(s.reply)])
		s.reply = s.reply[:len(s.reply)+n]
		if err == nil || n > 0 {
			continue
		}
		line := bytes.TrimSuffix(s.reply, []byte("\n"))
		if errors.Is(err, io.EOF) && isConnectionReply(line) {
			s.reply = nil
			return line, nil
		}
		return nil, lost("read clamd's reply", err)
	}
}

// isConnectionReply says whether line is one of the replies after which clamd
// closes, and which it does not always end as the command was ended.
func isConnectionReply(line []byte) bool {
	r, err := ParseReply(line)
	return err == nil && r.ID == 0 && r.Status == Error
}

// Command sends one command, such as "VERSION", on a connection of its own and
// gives the whole reply without the byte that ends it. clamd closes the
// connection behind its reply; Command closes conn in every case.
func Command(conn net.Conn, name string, deadline time.Time) ([]byte, error) {
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConnection, err)
	}
	if _, err := io.WriteString(conn, "z"+name+"\x00"); err != nil {
		return nil, lost("send "+name, err)
	}
	const most = 64 << 10 // bytes; STATS lists every queued scan
	reply, err := io.ReadAll(io.LimitReader(conn, most+1))
	if err != nil {
		return nil, lost("read the reply to "+name, err)
	}
	reply, ended := bytes.CutSuffix(reply, []byte{0})
	switch {
	case len(reply) > most:
		return nil, fmt.Errorf("%w: the reply to %s is longer than %d bytes", ErrMalformed, name, most)
	case !ended:
		return nil, fmt.Errorf("%w: closed within the reply to %s", ErrConnection, name)
	}
	return reply, nil
}

// lost names the kind of an error on a connection.
func lost(doing string, err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%s: %w", doing, ErrTimeout)
	}
	// The addresses in the text are the caller's to tell.
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return fmt.Errorf("%s: %w: %s", doing, ErrConnection, text)
}
