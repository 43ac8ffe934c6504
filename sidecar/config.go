package sidecar

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"clamav-sidecar/sidecar/clamd"
)

const (
	// engineCeiling is the largest limit for files, in bytes. ClamAV's engine
	// scans nothing of 2 GiB or more; it calls it OK, or too large, unseen.
	engineCeiling = 2047 << 20
	// maxScans catches a mistyped number of scans before it costs memory.
	maxScans = 100_000
)

// Config is what the sidecar needs to know. Each field but the last three is
// set by the flag that its comment names. The zero Config is not valid: begin
// with [Default].
type Config struct {
	// ClamdConf (--clamd-conf) is the path of the clamd.conf that names the
	// replicas and may hold a StreamMaxLength.
	ClamdConf string
	// Listen (--listen), ClamdListen (--clamd-listen) and OpsListen
	// (--ops-listen) are host:port. Port 0 is any free one. An empty
	// ClamdListen turns that endpoint off.
	Listen, ClamdListen, OpsListen string
	// MaxFileSize (--max-file-size) in bytes.
	MaxFileSize int64
	// ScanTimeout (--scan-timeout) is what clamd may take for one file, from
	// its last byte on.
	ScanTimeout time.Duration
	// MaxConcurrent (--max-concurrent) is how many files are scanned at a time,
	// Queue (--queue) how many more are let in, QueueTimeout (--queue-timeout)
	// how long one of these waits for its turn.
	MaxConcurrent, Queue int
	QueueTimeout         time.Duration
	// ReplayMemory (--replay-memory) bounds, in bytes, what is held of files so
	// that they can be scanned again on another replica; 0: only files that fit
	// in one block.
	ReplayMemory int64
	// RequireScanner (--require-scanner) makes /readyz follow the replicas.
	RequireScanner bool

	// Version of this build, for the metrics and the log.
	Version string
	Log     *slog.Logger
	// Started, if set, is called once, when every port is bound and served.
	Started func(Addresses)
}

// Addresses are the ones that a sidecar listens on, as host:port. Clamd is
// empty when that endpoint is off.
type Addresses struct{ HTTP, Clamd, Ops string }

// Default is the configuration without any flag.
func Default() Config {
	return Config{
		ClamdConf:     "/etc/clamav/clamd.conf",
		Listen:        "127.0.0.1:3311",
		ClamdListen:   "127.0.0.1:3310",
		OpsListen:     ":3312",
		MaxFileSize:   100 << 20,
		ScanTimeout:   2 * time.Minute,
		MaxConcurrent: 16,
		Queue:         128,
		QueueTimeout:  10 * time.Second,
		ReplayMemory:  8 << 20,
		Version:       "unknown",
		Log:           slog.Default(),
	}
}

// Validate gives all faults in one error, one line each, with the flag, its
// value and the remedy. What only the system can tell (a file that is missing,
// a port that is taken) is for [Run] to find.
func (c Config) Validate() error {
	var faults []error
	check := func(ok bool, flag string, value any, remedy string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s %v: %s", flag, quoteEmpty(value), remedy))
		}
	}
	check(c.ClamdConf != "", "--clamd-conf", c.ClamdConf, "want the path of a clamd.conf, such as /etc/clamav/clamd.conf")
	faults = append(faults, c.checkAddresses()...)
	check(c.MaxFileSize >= 1 && c.MaxFileSize <= engineCeiling, "--max-file-size", clamd.FormatSize(c.MaxFileSize),
		"want a size from 1 to "+clamd.FormatSize(engineCeiling)+": ClamAV scans no file of 2G or more")
	check(c.ScanTimeout > 0, "--scan-timeout", c.ScanTimeout, "want a duration above 0, such as 2m")
	check(c.MaxConcurrent >= 1 && c.MaxConcurrent <= maxScans, "--max-concurrent", c.MaxConcurrent,
		fmt.Sprintf("want a number from 1 to %d", maxScans))
	check(c.Queue >= 0 && c.Queue <= maxScans, "--queue", c.Queue,
		fmt.Sprintf("want a number from 0 (no queue) to %d", maxScans))
	check(c.QueueTimeout > 0, "--queue-timeout", c.QueueTimeout, "want a duration above 0, such as 10s; for no queue set --queue 0")
	check(c.ReplayMemory >= 0, "--replay-memory", clamd.FormatSize(c.ReplayMemory), "want a size of 0 or more, such as 8M")
	return errors.Join(faults...)
}

// checkAddresses looks at the three ports, each for itself and for clashes.
func (c Config) checkAddresses() []error {
	var faults []error
	owner := map[string]string{} // address -> flag
	for _, port := range c.ports() {
		if port.address == "" && port.optional {
			continue
		}
		if err := checkAddress(port.address); err != nil {
			faults = append(faults, fmt.Errorf("%s %v: %w", port.flag, quoteEmpty(port.address), err))
			continue
		}
		if _, number, _ := net.SplitHostPort(port.address); number == "0" {
			continue
		}
		if other, taken := owner[port.address]; taken {
			faults = append(faults, fmt.Errorf("%s %s: %s has the same address; give each a port of its own",
				port.flag, port.address, other))
		}
		owner[port.address] = port.flag
	}
	return faults
}

// port is one of the addresses to listen on.
type port struct {
	flag, address string
	optional      bool
}

// ports are in the order HTTP, clamd, ops.
func (c Config) ports() [3]port {
	return [3]port{
		{flag: "--listen", address: c.Listen},
		{flag: "--clamd-listen", address: c.ClamdListen, optional: true},
		{flag: "--ops-listen", address: c.OpsListen},
	}
}

func checkAddress(address string) error {
	_, number, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("want host:port, such as 127.0.0.1:3311, or :3312 for every address")
	}
	if _, err := strconv.ParseUint(number, 10, 16); err != nil {
		return errors.New("want a port from 0 (any free one) to 65535")
	}
	return nil
}

// quoteEmpty makes a value that is not there visible.
func quoteEmpty(value any) any {
	if value == "" {
		return `""`
	}
	return value
}
