package clamdapi

import (
	"bufio"
	"bytes"
	"errors"
)

// maxCommand is the most bytes of a command, with prefix and end. clamd has
// PATH_MAX + 8, and closes the connection on more without a word.
const maxCommand = 4096 + 8

var errCommandTooLong = errors.New("the command is too long")

// action is what a command makes the endpoint do.
type action uint8

const (
	unknown   action = iota
	instream         // scan the body that follows
	ping             // say whether a replica is healthy
	forward          // have a replica answer
	idsession        // begin a session
	end              // end the session
	refuse           // say that the command is not available here
)

// command is one of those that clamd knows. The zero command is none of them.
type command struct {
	name      string
	action    action
	argument  bool // something has to follow the name; else nothing may
	orBare    bool // is known without z or n before it, too
	inSession bool // is allowed between IDSESSION and END
}

// commands are all that clamd 1.4.6 knows, the frequent ones first.
var commands = [...]command{
	{name: "INSTREAM", action: instream, inSession: true},
	{name: "PING", action: ping, orBare: true, inSession: true},
	{name: "IDSESSION", action: idsession},
	{name: "END", action: end, inSession: true},
	{name: "VERSION", action: forward, orBare: true, inSession: true},
	{name: "VERSIONCOMMANDS", action: forward, inSession: true},
	{name: "STATS", action: forward, inSession: true},
	{name: "SCAN", action: refuse, argument: true, orBare: true, inSession: true},
	{name: "CONTSCAN", action: refuse, argument: true, orBare: true},
	{name: "MULTISCAN", action: refuse, argument: true, orBare: true},
	{name: "ALLMATCHSCAN", action: refuse, argument: true},
	{name: "FILDES", action: refuse, orBare: true, inSession: true},
	{name: "RELOAD", action: refuse, orBare: true},
	{name: "SHUTDOWN", action: refuse, orBare: true},
	{name: "QUIT", action: refuse, orBare: true},
	{name: "DETSTATS", action: refuse, orBare: true},
	{name: "DETSTATSCLEAR", action: refuse, orBare: true},
}

// request is a command as a client sent it.
type request struct {
	command command
	bare    bool // it had neither z nor n before it
	end     byte // ends the command, and has to end the reply
}

// readRequest reads the next command, and no byte behind it. A bare command is
// what came in one packet, up to its first newline; the rest of the packet
// stays unread. The buffer of r must hold at least maxCommand bytes.
func readRequest(r *bufio.Reader) (request, error) {
	first, err := r.Peek(1)
	if err != nil {
		return request{}, err
	}
	switch first[0] {
	case 'z':
		line, err := readLine(r, 0)
		return request{command: lookup(line, false), end: 0}, err
	case 'n':
		line, err := readLine(r, '\n')
		return request{command: lookup(trim(line), false), end: '\n'}, err
	}
	packet, err := r.Peek(r.Buffered())
	if err != nil {
		return request{}, err
	}
	line, _, _ := bytes.Cut(packet, []byte{'\n'})
	return request{command: lookup(trim(line), true), bare: true, end: '\n'}, nil
}

// readLine reads a command with its prefix and the byte that ends it, and gives
// what is between them. The result is valid until the next read from r.
func readLine(r *bufio.Reader, end byte) ([]byte, error) {
	const prefix = 1
	for searched := prefix; ; {
		line, err := r.Peek(min(r.Buffered(), maxCommand))
		if err != nil {
			return nil, err
		}
		if i := bytes.IndexByte(line[searched:], end); i >= 0 {
			line = line[:searched+i]
			_, err := r.Discard(len(line) + 1)
			return line[prefix:], err
		}
		if len(line) == maxCommand {
			return nil, errCommandTooLong
		}
		searched = len(line)
		if _, err := r.Peek(len(line) + 1); err != nil {
			return nil, err
		}
	}
}

// trim takes off what clamd does not see of a command that ends with a newline:
// a zero byte and all behind it, and carriage returns.
func trim(line []byte) []byte {
	line, _, _ = bytes.Cut(line, []byte{0})
	return bytes.TrimRight(line, "\r\n")
}

// lookup finds the command on line; the zero command if clamd knows none such.
func lookup(line []byte, bare bool) command {
	for i := range commands {
		c := &commands[i]
		rest, ok := bytes.CutPrefix(line, []byte(c.name))
		if ok && c.argument == (len(rest) > 0) && (c.orBare || !bare) {
			return *c
		}
	}
	return command{}
}
