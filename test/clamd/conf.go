package clamd

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// setting is one line of a clamd.conf.
type setting struct{ name, value string }

// serverConf returns the daemon's own clamd.conf. It has no User line: clamd
// then stays what its owner is, root or not.
func (d *Daemon) serverConf() ([]setting, error) {
	if d.opts.NoTCP && !d.opts.LocalSocket {
		return nil, errors.New("configure clamd: Options.NoTCP needs Options.LocalSocket")
	}
	fixed := []setting{
		{"Foreground", "yes"},
		{"LogFile", d.logPath()},
		{"DatabaseDirectory", d.opts.DatabaseDir},
		{"TemporaryDirectory", d.opts.TempDir},
	}
	if !d.opts.NoTCP {
		fixed = append(fixed, setting{"TCPAddr", d.opts.Host}, setting{"TCPSocket", strconv.Itoa(d.opts.Port)})
	}
	if d.opts.LocalSocket {
		fixed = append(fixed, setting{"LocalSocket", d.Socket()})
	}
	for _, name := range []string{"Foreground", "LogFile", "DatabaseDirectory", "TemporaryDirectory", "TCPAddr", "TCPSocket", "LocalSocket"} {
		if value, ok := d.opts.Conf[name]; ok {
			return nil, fmt.Errorf("configure clamd: Options.Conf sets %s to %q, which is decided by the other fields of Options", name, value)
		}
	}
	return append(fixed, merged(map[string]string{
		"AlertEncrypted":     "yes",
		"AlertExceedsMax":    "yes",
		"CommandReadTimeout": "30",
		"LogFileMaxSize":     "0", // no limit
		"LogTime":            "yes",
		"MaxFileSize":        "400M", // as MaxScanSize: clamd cuts members of a zip off at it
		"MaxScanSize":        "400M",
		"StreamMaxLength":    "100M",
	}, d.opts.Conf)...), nil
}

// WriteClientConf writes a clamd.conf for clients such as clamdscan, which
// names the daemons as the replicas of one service: by TCP, or by Unix socket
// if that is the only way in. They must share one TCP port, as those of
// [StartReplicas] do, because the format knows only one. Further settings
// replace the only default, a StreamMaxLength above that of any daemon here:
// clamdscan cuts off what is longer and then reports the rest as OK.
func WriteClientConf(path string, settings map[string]string, daemons ...*Daemon) error {
	var conf []setting
	port := 0
	for _, d := range daemons {
		switch {
		case d.opts.NoTCP:
			conf = append(conf, setting{"LocalSocket", d.Socket()})
			continue
		case port == 0:
			port = d.Port()
			conf = append(conf, setting{"TCPSocket", strconv.Itoa(port)})
		case port != d.Port():
			return fmt.Errorf("write %s: the daemons have the ports %d and %d, but a clamd.conf can name only one", path, port, d.Port())
		}
		conf = append(conf, setting{"TCPAddr", d.opts.Host})
	}
	return writeConf(path, append(conf, merged(map[string]string{"StreamMaxLength": "2000M"}, settings)...))
}

// merged returns the defaults with their replacements, sorted by name, without
// those that are empty. Sorted and unique: of an option given twice, clamd
// takes the first.
func merged(defaults, replacements map[string]string) []setting {
	all := maps.Clone(defaults)
	maps.Copy(all, replacements)
	var settings []setting
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name] != "" {
			settings = append(settings, setting{name, all[name]})
		}
	}
	return settings
}

func writeConf(path string, settings []setting) error {
	var text strings.Builder
	for _, s := range settings {
		fmt.Fprintf(&text, "%s %s\n", s.name, s.value)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}
