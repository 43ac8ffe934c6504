package clamdapi

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"

	"clamav-sidecar/sidecar/scan"
)

const (
	// tooLarge is clamd's reply, the only one to INSTREAM without "stream:".
	tooLarge  = "INSTREAM size limit exceeded. ERROR"
	noReplica = "no healthy clamd replica ERROR"
)

// result is the reply to INSTREAM; "" where clamd closes the connection without
// one. OK takes a verdict that says so and a body that was read to its end.
func result(verdict scan.Verdict, err error, ended bool) string {
	switch {
	case errors.Is(err, scan.ErrTooLarge):
		return tooLarge
	case errors.Is(err, scan.ErrUpload):
		return ""
	case err != nil:
		return "stream: " + explain(err)
	case verdict.Outcome == scan.Clean && ended:
		return "stream: OK"
	case verdict.Outcome == scan.Infected, verdict.Outcome == scan.Unscannable:
		return "stream: " + verdict.Signature + " FOUND"
	}
	return "stream: the scan ended without a verdict ERROR"
}

// explain is err as the text of a reply: in one line, without colons, and not
// so long that it fills a client's buffer.
func explain(err error) string {
	const most = 200 // bytes
	text := strings.NewReplacer(": ", ", ", ":", " ").Replace(err.Error())
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return strings.TrimSpace(text) + " ERROR"
}

// say sends a reply and says whether that worked.
func (c *client) say(req request, text string) bool {
	c.reply = c.reply[:0]
	if c.id > 0 {
		c.reply = strconv.AppendUint(c.reply, uint64(c.id), 10)
		c.reply = append(c.reply, ": "...)
	}
	c.reply = append(c.reply, text...)
	return c.send(append(c.reply, req.end))
}

// sayLast sends a reply after which the connection is closed, though the client
// may still be sending. It is always false.
func (c *client) sayLast(req request, text string) bool {
	if c.say(req, text) {
		c.linger()
	}
	return false
}

// send writes reply and says whether that worked.
func (c *client) send(reply []byte) bool {
	if c.conn.SetWriteDeadline(time.Now().Add(c.server.limits.reply)) != nil {
		return false
	}
	_, err := c.conn.Write(reply)
	return err == nil
}
