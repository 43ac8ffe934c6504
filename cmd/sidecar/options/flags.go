package options

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"clamav-sidecar/sidecar"
	"clamav-sidecar/sidecar/clamd"
)

// Options are what the command line and the environment ask for.
type Options struct {
	// Config is valid, but for its Log and Version, which are the caller's to set.
	sidecar.Config
	// Help and ShowVersion ask for these texts, and for nothing else.
	Help, ShowVersion bool
	// Scan is the command scan, of these Files; "-" is standard input.
	Scan  bool
	Files []string
	// Strangers are environment variables that look like ours and are not.
	Strangers []string

	logLevel  slog.Level
	logFormat string
}

// The formats of the log.
const (
	formatJSON = "json"
	formatText = "text"
)

func defaults() Options {
	return Options{Config: sidecar.Default(), logLevel: slog.LevelInfo, logFormat: formatJSON}
}

// Logger makes the log that the options ask for.
func (o *Options) Logger(w io.Writer) *slog.Logger {
	handler := &slog.HandlerOptions{Level: o.logLevel}
	if o.logFormat == formatText {
		return slog.New(slog.NewTextHandler(w, handler))
	}
	return slog.New(slog.NewJSONHandler(w, handler))
}

// setting is a flag that may also be set from the environment.
type setting struct {
	group, name string
	value       pflag.Value
	isSwitch    bool   // may stand without a value
	usage       string // lines of help
}

// settings are all flags but --help and --version, in the order of the help.
func (o *Options) settings() []setting {
	const ports, service, limits, logs = "Ports", "The clamav service", "Limits", "Log"
	return []setting{
		{group: ports, name: "listen", value: address(&o.Listen), usage: "HTTP scan API"},
		{group: ports, name: "clamd-listen", value: address(&o.ClamdListen),
			usage: "clamd's protocol, for clamdscan and clamd libraries;\nempty turns it off"},
		{group: ports, name: "ops-listen", value: address(&o.OpsListen), usage: "/livez, /readyz and /metrics"},
		{group: service, name: "clamd-conf", value: path(&o.ClamdConf),
			usage: "clamd.conf that names the service with TCPSocket and TCPAddr,\n" +
				"or with LocalSocket; changes are picked up.\n" +
				"CLAMD_CONF_FILENAME sets it too, with less weight"},
		{group: service, name: "require-scanner", value: toggle(&o.RequireScanner), isSwitch: true,
			usage: "let /readyz answer 503 while no replica is healthy"},
		{group: limits, name: "max-file-size", value: size(&o.MaxFileSize),
			usage: "largest file: bytes, or a number with K, M or G behind it;\n" +
				"a smaller StreamMaxLength in clamd.conf wins"},
		{group: limits, name: "scan-timeout", value: duration(&o.ScanTimeout),
			usage: "what clamd may take for a file once it has all of it"},
		{group: limits, name: "max-concurrent", value: count(&o.MaxConcurrent), usage: "files that are scanned at a time"},
		{group: limits, name: "queue", value: count(&o.Queue),
			usage: "files that are let in beyond those; one more is refused"},
		{group: limits, name: "queue-timeout", value: duration(&o.QueueTimeout), usage: "what a file may wait for its turn"},
		{group: limits, name: "replay-memory", value: size(&o.ReplayMemory),
			usage: "memory for files, over all scans together: a file that is\n" +
				"held can be scanned again when a replica is lost"},
		{group: logs, name: "log-level", value: level(&o.logLevel),
			usage: "debug, info, warn or error; error for sidecar scan"},
		{group: logs, name: "log-format", value: format(&o.logFormat), usage: "json or text; text for sidecar scan"},
	}
}

// value is a flag's value of any type.
type value[T any] struct {
	to    *T
	kind  string // what the help calls it
	parse func(string) (T, error)
	text  func(T) string
}

func (v value[T]) Type() string   { return v.kind }
func (v value[T]) String() string { return v.text(*v.to) }

func (v value[T]) Set(s string) error {
	parsed, err := v.parse(s)
	if err != nil {
		return err
	}
	*v.to = parsed
	return nil
}

func asIs(s string) string              { return s }
func anything(s string) (string, error) { return s, nil }

func address(to *string) pflag.Value { return value[string]{to, "HOST:PORT", anything, asIs} }
func path(to *string) pflag.Value    { return value[string]{to, "FILE", anything, asIs} }

func size(to *int64) pflag.Value {
	return value[int64]{to, "SIZE", func(s string) (int64, error) {
		n, err := clamd.ParseSize(s)
		if err != nil {
			err = errors.New("want a whole number of bytes, or one with K, M or G behind it, such as 100M")
		}
		return n, err
	}, clamd.FormatSize}
}

func duration(to *time.Duration) pflag.Value {
	return value[time.Duration]{to, "TIME", func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil {
			err = errors.New("want a number with ms, s, m or h behind it, such as 90s or 2m")
		}
		return d, err
	}, shortDuration}
}

// shortDuration leaves out the zero seconds that Go writes behind minutes.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	return text
}

func count(to *int) pflag.Value {
	return value[int]{to, "NUMBER", func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil {
			err = errors.New("want a whole number, such as 16")
		}
		return n, err
	}, strconv.Itoa}
}

func toggle(to *bool) pflag.Value {
	return value[bool]{to, "", func(s string) (bool, error) {
		b, err := strconv.ParseBool(s)
		if err != nil {
			err = errors.New("want true or false")
		}
		return b, err
	}, strconv.FormatBool}
}

func level(to *slog.Level) pflag.Value {
	return value[slog.Level]{to, "LEVEL", func(s string) (slog.Level, error) {
		for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			if strings.EqualFold(s, l.String()) {
				return l, nil
			}
		}
		return 0, errors.New("want debug, info, warn or error")
	}, func(l slog.Level) string { return strings.ToLower(l.String()) }}
}

func format(to *string) pflag.Value {
	return value[string]{to, "FORMAT", func(s string) (string, error) {
		if s != formatJSON && s != formatText {
			return "", fmt.Errorf("want %s or %s", formatJSON, formatText)
		}
		return s, nil
	}, asIs}
}
