// Package clamd starts a real clamd, for tests, benchmarks and demonstrations.
//
// Each [Daemon] has a directory of its own with its clamd.conf, its log, its
// temporary files and, unless it is given one, a database of three test
// signatures (see [WriteSignatures]). It listens on the loopback interface
// only. It can be killed, paused and restarted on the same address, so that a
// test can show what a client does meanwhile.
//
//	d, err := clamd.Start(ctx, clamd.Options{Conf: map[string]string{"MaxFileSize": "1M", "StreamMaxLength": "2M"}})
//	if err != nil { ... }
//	defer d.Close()
//	conn, err := net.Dial("tcp", d.Addr())
//
// Tests call [StartT], which closes the daemon at the end of the test and
// prints its log when the test has failed.
//
// On Linux a daemon ends with the process that started it, even one that
// crashes. On macOS the owner has to reach Close.
package clamd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options say how a daemon differs from the default one. The zero value is a
// daemon with test signatures on a free port of 127.0.0.1.
type Options struct {
	// Host is the loopback IP address to listen on; 127.0.0.1 if empty.
	// macOS knows 127.0.0.1 only, until `sudo ifconfig lo0 alias 127.0.0.2 up`.
	Host string

	// Port is the TCP port to listen on. If zero, Start picks a free one.
	Port int

	// LocalSocket makes the daemon listen on a Unix socket too.
	LocalSocket bool

	// NoTCP leaves the Unix socket as the only way in. It needs LocalSocket.
	NoTCP bool

	// DatabaseDir is an existing directory of virus databases, which stays the
	// caller's. If empty, the daemon has one of its own with the test
	// signatures.
	DatabaseDir string

	// TempDir is an existing directory for clamd's temporary files, which stays
	// the caller's. If empty, the daemon has one of its own.
	TempDir string

	// Conf holds further options of clamd.conf by name. They replace the
	// defaults of this package; an empty value leaves clamd's own default.
	// What the fields above decide cannot be set here.
	Conf map[string]string
}

const (
	// startTimeout bounds a start whose context has no earlier deadline. The
	// official databases take some 20 s to load, longer on a busy machine.
	startTimeout = 2 * time.Minute

	// stopTimeout is the time clamd is given to finish running scans.
	stopTimeout = 10 * time.Second

	// pollInterval is how often a condition of the daemon is looked at.
	pollInterval = 5 * time.Millisecond

	// portAttempts bounds the search for a port that nobody else takes between
	// the check that it is free and clamd's own bind.
	portAttempts = 20

	// Ports are picked from this range. It lies below the ephemeral ports of
	// Linux and macOS, so that no outgoing connection takes the port of a
	// daemon that is down for a moment.
	portMin, portMax = 10000, 29999
)

// errPortTaken says that clamd could not bind its port.
var errPortTaken = errors.New("port is taken")

// Daemon is one clamd with an address that outlives its process: after Kill or
// Stop the same address can be served again with Restart. Its methods may be
// called from several goroutines.
type Daemon struct {
	opts Options
	exe  string
	dir  string

	mu   sync.Mutex
	proc *process // the current one, or the last one when it has ended
}

// Start starts a clamd and returns when it answers PING. The context bounds the
// start only; the daemon runs until Stop, Kill or Close. The caller must call
// Close.
func Start(ctx context.Context, opts Options) (*Daemon, error) {
	if opts.Host == "" {
		opts.Host = "127.0.0.1"
	}
	if opts.NoTCP || opts.Port != 0 {
		return start(ctx, opts)
	}
	var d *Daemon
	err := withFreePort([]string{opts.Host}, func(port int) (err error) {
		opts.Port = port
		d, err = start(ctx, opts)
		return err
	})
	return d, err
}

// StartReplicas starts n daemons on one port of 127.0.0.2, 127.0.0.3 and so on,
// as the replicas of one service: a clamd.conf knows several addresses but only
// one port. All are started from the same options, whose Host must be empty.
// The caller must close each of them.
func StartReplicas(ctx context.Context, n int, opts Options) ([]*Daemon, error) {
	if opts.Host != "" {
		return nil, fmt.Errorf("start %d replicas: Options.Host is %s, want it empty: each replica gets an address of its own", n, opts.Host)
	}
	hosts := make([]string, n)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("127.0.0.%d", i+2)
	}
	if opts.Port != 0 {
		return startAll(ctx, hosts, opts)
	}
	var daemons []*Daemon
	err := withFreePort(hosts, func(port int) (err error) {
		opts.Port = port
		daemons, err = startAll(ctx, hosts, opts)
		return err
	})
	return daemons, err
}

// startAll starts one daemon per host, or none.
func startAll(ctx context.Context, hosts []string, opts Options) ([]*Daemon, error) {
	daemons := make([]*Daemon, 0, len(hosts))
	for _, host := range hosts {
		opts.Host = host
		d, err := start(ctx, opts)
		if err != nil {
			for _, started := range daemons {
				err = errors.Join(err, started.Close())
			}
			return nil, err
		}
		daemons = append(daemons, d)
	}
	return daemons, nil
}

// start makes the daemon's directory and starts its process.
func start(ctx context.Context, opts Options) (*Daemon, error) {
	exe, err := Find("clamd")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "clamd-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for clamd: %w", err)
	}
	d := &Daemon{opts: opts, exe: exe, dir: dir}
	if err := d.prepare(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := d.Restart(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return d, nil
}

// prepare writes what clamd reads when it starts.
func (d *Daemon) prepare() error {
	if d.opts.DatabaseDir == "" {
		d.opts.DatabaseDir = filepath.Join(d.dir, "db")
		if err := WriteSignatures(d.opts.DatabaseDir); err != nil {
			return err
		}
	}
	if d.opts.TempDir == "" {
		d.opts.TempDir = filepath.Join(d.dir, "tmp")
		if err := os.Mkdir(d.opts.TempDir, 0o700); err != nil {
			return fmt.Errorf("make clamd's temporary directory: %w", err)
		}
	}
	conf, err := d.serverConf()
	if err != nil {
		return err
	}
	return writeConf(d.ConfPath(), conf)
}

// Close ends the daemon as Kill does, since nothing of it is kept and clamd does
// not always heed SIGTERM, and removes its directory. What it was writing into
// Options.TempDir stays there.
func (d *Daemon) Close() error {
	return errors.Join(d.Kill(), os.RemoveAll(d.dir))
}

// Addr is the TCP address as host:port, or "" with Options.NoTCP.
func (d *Daemon) Addr() string {
	if d.opts.NoTCP {
		return ""
	}
	return net.JoinHostPort(d.opts.Host, strconv.Itoa(d.opts.Port))
}

// Port is the TCP port, or 0 with Options.NoTCP.
func (d *Daemon) Port() int {
	if d.opts.NoTCP {
		return 0
	}
	return d.opts.Port
}

// Socket is the path of the Unix socket, or "" without Options.LocalSocket.
func (d *Daemon) Socket() string {
	if !d.opts.LocalSocket {
		return ""
	}
	return filepath.Join(d.dir, "clamd.sock")
}

// ConfPath is the path of the clamd.conf that the daemon itself reads. Clients
// get theirs from [WriteClientConf].
func (d *Daemon) ConfPath() string { return filepath.Join(d.dir, "clamd.conf") }

// DatabaseDir is the directory of the signatures, for `clamscan -d`.
func (d *Daemon) DatabaseDir() string { return d.opts.DatabaseDir }

// Log returns what clamd has logged in all its runs so far, then what it wrote
// to its standard error.
func (d *Daemon) Log() string {
	return readLog(d.logPath()) + readLog(d.stderrPath())
}

// readLog returns the text of a log file, which is empty before clamd makes it.
func readLog(path string) string {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Sprintf("cannot read the log: %v\n", err)
	}
	return string(text)
}

func (d *Daemon) logPath() string    { return filepath.Join(d.dir, "clamd.log") }
func (d *Daemon) stderrPath() string { return filepath.Join(d.dir, "stderr") }

// withFreePort calls start with ports that are free on all hosts, until start
// fails for another reason than that somebody else was faster to bind the port.
func withFreePort(hosts []string, start func(port int) error) error {
	var err error
	for range portAttempts {
		port := portMin + rand.IntN(portMax-portMin+1)
		if err = checkFree(hosts, port); errors.Is(err, errPortTaken) {
			continue
		}
		if err != nil {
			return err
		}
		if err = start(port); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return fmt.Errorf("find a free port for clamd in %d attempts: %w", portAttempts, err)
}

// checkFree binds the port on each host for a moment.
func checkFree(hosts []string, port int) error {
	for _, host := range hosts {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return bindError(host, port, err.Error())
		}
		if err := l.Close(); err != nil {
			return fmt.Errorf("release port %d of %s: %w", port, host, err)
		}
	}
	return nil
}

// bindError tells a port that is taken from an address that this machine lacks,
// by the system's own words, which clamd's log repeats.
func bindError(host string, port int, text string) error {
	lower := strings.ToLower(text)
	switch {
	case strings.Contains(lower, "address already in use"):
		return fmt.Errorf("bind %s:%d: %w", host, port, errPortTaken)
	case strings.Contains(lower, "assign requested address"):
		return fmt.Errorf("bind %s: this machine has no such address; on macOS add it: sudo ifconfig lo0 alias %s up", host, host)
	}
	return fmt.Errorf("bind %s:%d: %s", host, port, text)
}
