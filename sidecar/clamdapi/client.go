package clamdapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"clamav-sidecar/sidecar/scan"
)

// client is one connection. One goroutine runs it; Shutdown calls dismiss and
// cutOff from another.
type client struct {
	conn   net.Conn
	server *Server
	r      *bufio.Reader
	// id is the number of the command within its session, counted from 1; 0
	// outside of one.
	id    uint32
	req   request // the last one
	reply []byte  // the memory of the last reply
	state atomic.Uint32
}

// What a client is at. Whoever moves it away from idle or busy decides whether
// a shutdown lets it go on, and has id and req for itself until then.
const (
	idle     uint32 = iota // waits for a command, which may have come in part
	busy                   // carries out a command
	replying               // has its reply
	closed                 // by Shutdown
)

var errShutdown = errors.New("the sidecar is shutting down")

// run serves the connection and closes it.
func (c *client) run() {
	ctx, cancel := context.WithCancel(c.server.running)
	c.r = c.server.readers.Get().(*bufio.Reader)
	c.r.Reset(c.conn)
	defer func() {
		cancel()
		c.conn.Close()
		c.r.Reset(nil)
		c.server.readers.Put(c.r)
		c.server.leave(c)
	}()
	c.serve(ctx)
}

// serve answers one command, or those of one session.
func (c *client) serve(ctx context.Context) {
	if err := c.next(c.server.limits.command); err != nil {
		c.hangUp(err)
		return
	}
	if c.req.command.action != idsession {
		c.answer(ctx)
		return
	}
	// A session ends before its numbers begin again.
	for c.id = 1; c.id != 0; c.id++ {
		if err := c.next(c.server.limits.session); err != nil {
			c.hangUp(err)
			return
		}
		if !c.answer(ctx) {
			return
		}
	}
}

// next waits for a command and puts it in req. Its error is errShutdown when
// Shutdown was called before the command had come.
func (c *client) next(timeout time.Duration) error {
	c.state.Store(idle)
	if err := c.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	// Shutdown finds the connection idle, or is seen here.
	if c.server.stopping.Err() != nil {
		return errShutdown
	}
	req, err := readRequest(c.r)
	if err != nil {
		if c.state.Load() == closed {
			err = errShutdown
		}
		return err
	}
	if req.bare && c.id > 0 {
		req.end = c.req.end // as in clamd
	}
	c.req = req
	if !c.state.CompareAndSwap(idle, busy) {
		return errShutdown
	}
	return nil
}

// hangUp ends a connection on which no command came. The client may have begun
// to send one, and may take a connection that closes without a word for a clean
// file (pyclamd 0.4 does), so it is told.
func (c *client) hangUp(err error) {
	switch {
	case errors.Is(err, errShutdown):
		c.send(append(c.reply[:0], errShutdown.Error()+" ERROR\n"...))
		c.linger(c.server.limits.goodbye)
	case errors.Is(err, os.ErrDeadlineExceeded):
		// clamd ends this one with a newline in every case.
		c.send(append(c.reply[:0], "COMMAND READ TIMED OUT\n"...))
		c.linger(c.server.limits.linger)
	case errors.Is(err, errCommandTooLong):
		c.linger(c.server.limits.linger)
	}
}

// answer carries out a command and says whether another may follow in its
// session.
func (c *client) answer(ctx context.Context) bool {
	inSession := c.id > 0
	switch {
	case inSession && c.req.bare:
		// The backslashes are clamd's.
		return c.sayLast(`Only nCMDS\n and zCMDS\0 are accepted inside IDSESSION. ERROR`, "Error processing command. ERROR")
	case inSession && !c.req.command.inSession:
		return c.sayLast("Command invalid inside IDSESSION. ERROR")
	}
	switch c.req.command.action {
	case instream:
		return c.scan(ctx)
	case ping:
		if !c.server.config.Scanner.Ready() {
			return c.say(noReplica)
		}
		return c.say("PONG")
	case forward:
		reply, err := c.server.config.Scanner.Command(ctx, c.req.command.name)
		if err != nil {
			return c.say(explain(err))
		}
		return c.say(string(reply))
	case end:
		if inSession {
			return false
		}
	case refuse:
		return c.sayLast("COMMAND UNAVAILABLE")
	}
	return c.sayLast("UNKNOWN COMMAND")
}

// scan answers INSTREAM.
func (c *client) scan(ctx context.Context) bool {
	scanner := c.server.config.Scanner
	body := chunks{r: c.r, quota: scanner.MaxFileSize()}
	paced := scan.Paced{R: &body, SetDeadline: c.conn.SetReadDeadline, Idle: c.server.config.UploadIdle}
	verdict, err := scanner.Scan(ctx, &paced, scan.Options{Endpoint: scan.Clamd})
	text := result(verdict, err, body.ended())
	if !body.ended() || errors.Is(err, scan.ErrTooLarge) {
		return c.sayLast(text)
	}
	return c.say(text)
}

// dismiss has the connection hang up if it waits for a command.
func (c *client) dismiss() {
	if c.state.CompareAndSwap(idle, closed) {
		// That this fails means that the connection is gone.
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// cutOff closes the connection, and tells a client that waits for a reply by
// deadline.
func (c *client) cutOff(deadline time.Time) {
	if c.state.CompareAndSwap(busy, closed) {
		text := errShutdown.Error() + " ERROR"
		if c.req.command.action == instream {
			text = "stream: " + text
		}
		if c.conn.SetWriteDeadline(deadline) == nil {
			_, _ = c.conn.Write(c.framed(nil, text))
		}
		c.closeWrite()
	}
	c.conn.Close()
}

// linger lets a client that is still sending come to read the reply after which
// the connection is closed: closing it at once would throw the reply away.
func (c *client) linger(atMost time.Duration) {
	if c.closeWrite() && c.conn.SetReadDeadline(time.Now().Add(atMost)) == nil {
		_, _ = io.Copy(io.Discard, c.conn)
	}
}

// closeWrite closes our sending side and says whether that worked.
func (c *client) closeWrite() bool {
	half, ok := c.conn.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}
