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

// result is the reply to INSTREAM. OK takes a verdict that says so and a body
// that was read to its end.
func result(verdict scan.Verdict, err error, ended bool) string {
	switch {
	case errors.Is(err, scan.ErrTooLarge):
		return tooLarge
	case err != nil:
		return "stream: " + explain(err)
	case verdict.Outcome == scan.Clean && ended:
		return "stream: OK"
	case verdict.Outcome == scan.Infected, verdict.Outcome == scan.Unscannable:
		return "stream: " + verdict.Signature + " FOUND"
	}
	return "stream: the scan ended without a verdict ERROR"
}

// plain takes out of a text what clients look for in replies: a colon ends the
// file's name, and some look for OK or FOUND anywhere (clamdjs 1.0 does).
var plain = strings.NewReplacer(": ", ", ", ":", " ", "OK", "ok", "FOUND", "found")

// explain is err as the text of a reply: in one line, and not so long that it
// fills a client's buffer.
func explain(err error) string {
	const most = 200 // bytes
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, plain.Replace(err.Error()))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return strings.TrimSpace(text) + " ERROR"
}

// say sends the reply to the last command and says whether that worked. It does
// not when Shutdown has cut the connection off.
func (c *client) say(texts ...string) bool {
	if !c.state.CompareAndSwap(busy, replying) {
		return false
	}
	c.reply = c.framed(c.reply[:0], texts...)
	return c.send(c.reply)
}

// sayLast sends a reply after which the connection is closed, though the client
// may still be sending. It is always false.
func (c *client) sayLast(texts ...string) bool {
	if c.say(texts...) {
		c.linger(c.server.limits.linger)
	}
	return false
}

// framed appends each text to b as a reply to the last command.
func (c *client) framed(b []byte, texts ...string) []byte {
	for _, text := range texts {
		if c.id > 0 {
			b = strconv.AppendUint(b, uint64(c.id), 10)
			b = append(b, ": "...)
		}
		b = append(b, text...)
		b = append(b, c.req.end)
	}
	return b
}

// send writes reply and says whether that worked.
func (c *client) send(reply []byte) bool {
	if c.conn.SetWriteDeadline(time.Now().Add(c.server.limits.reply)) != nil {
		return false
	}
	_, err := c.conn.Write(reply)
	return err == nil
}
