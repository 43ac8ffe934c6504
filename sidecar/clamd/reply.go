package clamd

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrMalformed is a reply that clamd is not known to give.
var ErrMalformed = errors.New("malformed reply from clamd")

// Status is the last word of a reply.
type Status uint8

// The zero Status is none, so that a Reply nobody filled in is never OK.
const (
	OK    Status = iota + 1 // scanned, nothing found
	Found                   // a signature matched
	Error                   // not scanned, or not to its end
)

// Reply is clamd's reply to INSTREAM.
type Reply struct {
	// ID is the command's number in its session, counted from 1; 0 in a reply
	// that names no command.
	ID     uint32
	Status Status
	// Text is the signature's name for Found, what went wrong for Error.
	Text string
}

const (
	tooLarge    = "INSTREAM size limit exceeded."
	readTimeout = "COMMAND READ TIMED OUT"
	nullName    = "(null)"
)

// connectionReplies are what clamd says with neither "stream:" before it nor
// ERROR behind it. All mean that nothing was scanned.
var connectionReplies = map[string]bool{
	readTimeout:           true,
	"UNKNOWN COMMAND":     true,
	"COMMAND UNAVAILABLE": true,
}

// ParseReply reads one reply to INSTREAM, without the byte that ends it. Its
// error is [ErrMalformed] for everything that clamd is not known to say; a
// FOUND without a signature's name is among it.
func ParseReply(line []byte) (Reply, error) {
	reply := Reply{}
	text := string(line)
	if digits, rest, ok := strings.Cut(text, ": "); ok && isNumber(digits) {
		id, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || id == 0 || digits[0] == '0' {
			return Reply{}, malformed(line)
		}
		reply.ID, text = uint32(id), rest
	}
	if connectionReplies[text] {
		reply.Status, reply.Text = Error, text
		return reply, nil
	}
	text, ofStream := strings.CutPrefix(text, "stream: ")
	if ofStream && text == "OK" {
		reply.Status = OK
		return reply, nil
	}
	if name, ok := strings.CutSuffix(text, " FOUND"); ok && ofStream {
		if !isPrintable(name) || name == nullName {
			return Reply{}, malformed(line)
		}
		reply.Status, reply.Text = Found, name
		return reply, nil
	}
	if what, ok := strings.CutSuffix(text, " ERROR"); ok && isPrintable(what) {
		reply.Status, reply.Text = Error, what
		return reply, nil
	}
	return Reply{}, malformed(line)
}

// TooLarge says whether clamd refused the body for its StreamMaxLength.
func (r Reply) TooLarge() bool {
	return r.Status == Error && r.Text == tooLarge
}

// ReplicaFault says whether the error lies with this clamd (its disk, its
// memory, its time, its end) and not with the body, so that another may do
// better.
func (r Reply) ReplicaFault() bool {
	if r.Status != Error {
		return false
	}
	switch r.Text {
	case readTimeout, "COMMAND UNAVAILABLE", "Error writing to temporary file", "Can't allocate memory",
		// What clamd 1.4.6 says of a body when it is told to end under it.
		"Error processing command.", "PROTOCOL ERROR: ancillary data sent without FILDES.":
		return true
	}
	return false
}

func malformed(line []byte) error {
	const most = 120 // bytes worth quoting
	if len(line) > most {
		line = append(bytes.Clone(line[:most]), "..."...)
	}
	return fmt.Errorf("%w: %q", ErrMalformed, line)
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// isPrintable says whether s holds something, and no control characters.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return strings.TrimSpace(s) != ""
}
