package clamd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

const (
	maxConfSize = 1 << 20 // bytes; clamd.conf with every comment has 30 KiB
	maxAddrs    = 64
)

// Conf is what a client needs of a clamd.conf: where clamd is, and how much
// of a stream a client may send.
type Conf struct {
	// Addrs are the names or IP addresses of TCPAddr, in the file's order.
	Addrs []string
	// Port is TCPSocket; 0 when the file has none.
	Port uint16
	// LocalSocket is the path of a Unix socket; "" when the file has none.
	LocalSocket string
	// StreamMaxLength is in bytes; 0 when the file has none or sets no limit.
	StreamMaxLength int64
}

// ReadConf reads the clamd.conf at path. Its errors name the file, and the
// line where one is at fault.
func ReadConf(path string) (Conf, error) {
	f, err := os.Open(path)
	if err != nil {
		return Conf{}, fmt.Errorf("read clamd.conf: %w", err)
	}
	defer f.Close()
	conf, err := ParseConf(f)
	if err != nil {
		return Conf{}, fmt.Errorf("read %s: %w", path, err)
	}
	return conf, nil
}

// ParseConf reads a clamd.conf. Options that it does not use are passed over,
// since the same file also serves clamdscan; a bad value of one that it does
// use is an error with the line's number, and so is a file that names no clamd.
// All faults come in one error. Of an option that stands twice the first counts,
// as it does for clamd (seen with 1.4.6); only TCPAddr may repeat.
// Source: clamd.conf(5).
func ParseConf(r io.Reader) (Conf, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxConfSize+1))
	if err != nil {
		return Conf{}, err
	}
	if len(text) > maxConfSize {
		return Conf{}, fmt.Errorf("the file is larger than %s", FormatSize(maxConfSize))
	}
	var (
		conf   Conf
		faults []error
		number int
		seen   = map[string]bool{} // names of options
	)
	for line := range strings.Lines(string(text)) {
		number++
		name, value := option(line)
		into := &conf
		if seen[name] && name != "TCPAddr" {
			into = &Conf{} // still looked at for faults
		}
		seen[name] = true
		if err := into.set(name, value); err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", number, err))
		}
	}
	if len(faults) == 0 {
		faults = append(faults, conf.check())
	}
	if err := errors.Join(faults...); err != nil {
		return Conf{}, err
	}
	return conf, nil
}

// option splits a line; name is "" where it holds none.
func option(line string) (name, value string) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", ""
	}
	name, value, _ = strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
	return name, unquote(strings.TrimSpace(value))
}

// set takes in one option.
func (c *Conf) set(name, value string) error {
	switch name {
	case "TCPAddr":
		if err := checkHost(value); err != nil {
			return err
		}
		if len(c.Addrs) == maxAddrs {
			return fmt.Errorf("TCPAddr: more than %d addresses", maxAddrs)
		}
		c.Addrs = append(c.Addrs, value)
	case "TCPSocket":
		port, err := strconv.ParseUint(value, 10, 16)
		if err != nil || port == 0 {
			return fmt.Errorf("TCPSocket %q: want a port from 1 to 65535", value)
		}
		c.Port = uint16(port)
	case "LocalSocket":
		if !strings.HasPrefix(value, "/") {
			return fmt.Errorf("LocalSocket %q: want an absolute path", value)
		}
		c.LocalSocket = value
	case "StreamMaxLength":
		size, err := ParseSize(value)
		if err != nil {
			return fmt.Errorf("StreamMaxLength: %w", err)
		}
		c.StreamMaxLength = size
	}
	return nil
}

// check looks for faults between the lines.
func (c *Conf) check() error {
	switch {
	case len(c.Addrs) > 0 && c.Port == 0:
		return errors.New("TCPAddr is set and TCPSocket is not: add TCPSocket 3310")
	case c.Port != 0 && len(c.Addrs) == 0:
		// clamd itself would listen on every address; a client means this host.
		c.Addrs = []string{"localhost"}
	case c.Port == 0 && c.LocalSocket == "":
		return errors.New("it names no clamd: add TCPSocket and TCPAddr, or LocalSocket")
	}
	return nil
}

// checkHost refuses what can be neither a host name nor an IP address, so that
// a mistake shows here and not as a failed look-up.
func checkHost(host string) error {
	bad := strings.ContainsFunc(host, func(r rune) bool {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return false
		}
		return !strings.ContainsRune("-._:%", r)
	})
	if host == "" || len(host) > 253 || bad {
		return fmt.Errorf("TCPAddr %q: want a host name or an IP address", host)
	}
	return nil
}

// unquote takes off the double quotes that clamd.conf allows around a value.
func unquote(value string) string {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}
