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

// client is one connection. One goroutine runs it.
type client struct {
	conn   net.Conn
	server *Server
	r      *bufio.Reader
	// id is the number of the command within its session, counted from 1; 0
	// outside of one.
	id    uint32
	end   byte   // what the last command with a prefix ended with
	reply []byte // the memory of the last reply
	// state is idle, busy or closed. Whoever moves it away from idle decides
	// whether a shutdown lets the connection go on.
	state atomic.Uint32
}

const (
	idle   uint32 = iota // waits for a command, which may have come in part
	busy                 // carries out a command
	closed               // by Shutdown
)

// closeIdle closes the connection if it waits for a command. It may be called
// at any time, from anywhere.
func (c *client) closeIdle() {
	if c.state.CompareAndSwap(idle, closed) {
		c.conn.Close()
	}
}

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
	req, err := c.next(c.server.limits.command)
	if err != nil {
		c.hangUp(err)
		return
	}
	if req.command.action != idsession {
		c.answer(ctx, req)
		return
	}
	c.end = req.end
	// A session ends before its numbers begin again.
	for c.id = 1; c.id != 0; c.id++ {
		req, err := c.next(c.server.limits.session)
		if err != nil {
			c.hangUp(err)
			return
		}
		if !c.answer(ctx, req) {
			return
		}
	}
}

// next waits for a command. Its error is net.ErrClosed when Shutdown was called
// before the command had come.
func (c *client) next(timeout time.Duration) (request, error) {
	c.state.Store(idle)
	// Shutdown finds the connection idle, or is seen here.
	if c.server.stopping.Err() != nil {
		return request{}, net.ErrClosed
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return request{}, err
	}
	req, err := readRequest(c.r)
	if err == nil && !c.state.CompareAndSwap(idle, busy) {
		err = net.ErrClosed
	}
	return req, err
}

// hangUp ends a connection on which no command came. Only of a time-out does
// clamd say anything, and ends it with a newline in every case.
func (c *client) hangUp(err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.send(append(c.reply[:0], "COMMAND READ TIMED OUT\n"...))
		c.linger()
	case errors.Is(err, errCommandTooLong):
		c.linger()
	}
}

// answer carries out a command and says whether another may follow in its
// session.
func (c *client) answer(ctx context.Context, req request) bool {
	inSession := c.id > 0
	switch {
	case inSession && req.bare:
		// The backslashes are clamd's, and so is the end of the reply.
		req.end = c.end
		c.say(req, `Only nCMDS\n and zCMDS\0 are accepted inside IDSESSION. ERROR`)
		return c.sayLast(req, "Error processing command. ERROR")
	case inSession && !req.command.inSession:
		return c.sayLast(req, "Command invalid inside IDSESSION. ERROR")
	}
	c.end = req.end
	switch req.command.action {
	case instream:
		return c.scan(ctx, req)
	case ping:
		if !c.server.config.Scanner.Ready() {
			return c.say(req, noReplica)
		}
		return c.say(req, "PONG")
	case forward:
		reply, err := c.server.config.Scanner.Command(ctx, req.command.name)
		if err != nil {
			return c.say(req, explain(err))
		}
		return c.say(req, string(reply))
	case end:
		if inSession {
			return false
		}
	case refuse:
		return c.sayLast(req, "COMMAND UNAVAILABLE")
	}
	return c.sayLast(req, "UNKNOWN COMMAND")
}

// scan answers INSTREAM.
func (c *client) scan(ctx context.Context, req request) bool {
	scanner := c.server.config.Scanner
	body := chunks{r: c.r, quota: scanner.MaxFileSize()}
	paced := scan.Paced{R: &body, SetDeadline: c.conn.SetReadDeadline, Idle: c.server.config.UploadIdle}
	verdict, err := scanner.Scan(ctx, &paced, scan.Options{Endpoint: scan.Clamd})
	text := result(verdict, err, body.ended())
	switch {
	case text == "":
		return false
	case !body.ended(), errors.Is(err, scan.ErrTooLarge):
		return c.sayLast(req, text)
	}
	return c.say(req, text)
}

// linger lets the client come to read the reply after which the connection is
// closed: closing it while data comes in would throw the reply away.
func (c *client) linger() {
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if c.conn.SetReadDeadline(time.Now().Add(c.server.limits.linger)) == nil {
		io.Copy(io.Discard, c.conn)
	}
}
