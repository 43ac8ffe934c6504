package render

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar"
	clamdconf "clamav-sidecar/sidecar/clamd"
	"clamav-sidecar/sidecar/scan"
	"clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
	"clamav-sidecar/webhook/inject"
)

// patience bounds every wait.
const patience = 30 * time.Second

func TestRenderedFilesPointClientsAtTheirServer(t *testing.T) {
	contents := Files(Settings{Host: "clamav.clamav-system.svc", Port: 3310, MaxFileSize: 100 << 20, LocalPort: 4410})
	for name, test := range map[string]struct {
		key  string
		host string
		port uint16
	}{
		"the service's": {inject.ServiceConf, "clamav.clamav-system.svc", 3310},
		"the sidecar's": {inject.LocalConf, "127.0.0.1", 4410},
	} {
		t.Run(name, func(t *testing.T) {
			text := contents[test.key]
			conf, err := clamdconf.ParseConf(strings.NewReader(text))
			if err != nil {
				t.Fatalf("%v in:\n%s", err, text)
			}
			if len(conf.Addrs) != 1 || conf.Addrs[0] != test.host || conf.Port != test.port {
				t.Errorf("got %v port %d, want %s port %d", conf.Addrs, conf.Port, test.host, test.port)
			}
			if least := int64(2 << 30); conf.StreamMaxLength < least {
				t.Errorf("got StreamMaxLength %d, want at least %d, which no service can take", conf.StreamMaxLength, least)
			}
			for _, says := range []string{"clamav-sidecar keeps this", "clamav-sidecar/client-configuration", "clamav-sidecar/config-map"} {
				if !strings.Contains(text, says) {
					t.Errorf("got no word of %q in:\n%s", says, text)
				}
			}
		})
	}
	if want := "above 100M."; !strings.Contains(contents[inject.ServiceConf], want) {
		t.Errorf("got no word of %q in:\n%s", want, contents[inject.ServiceConf])
	}
}

func TestNoFileForTheSidecarWhoseClamdPortIsOff(t *testing.T) {
	if got, has := Files(Settings{Host: "clamav", Port: 3310, MaxFileSize: 1})[inject.LocalConf]; has {
		t.Errorf("got %q, want none", got)
	}
}

// The service's limit may be another than the one of the settings, while one of
// the two is being changed.
func TestWithTheRenderedFileNothingIsCalledCleanInPart(t *testing.T) {
	for name, limit := range map[string]string{
		"the service has the limit of the settings": "1M",
		"the service has a larger limit by now":     "2M",
	} {
		t.Run(name, func(t *testing.T) {
			daemon := clamd.StartT(t, clamd.Options{Conf: map[string]string{"MaxFileSize": limit, "StreamMaxLength": limit}})
			most, err := clamdconf.ParseSize(limit)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			conf := filepath.Join(dir, inject.ServiceConf)
			write(t, conf, []byte(Files(Settings{Host: "127.0.0.1", Port: daemon.Port(), MaxFileSize: 1 << 20})[inject.ServiceConf]))
			for name, test := range map[string]struct {
				body []byte
				exit int
				says string
				err  error
			}{
				"clean":                  {corpus.Clean(), 0, "OK", nil},
				"infected":               {corpus.EICAR(), 1, "FOUND", nil},
				"at the limit":           {zeros(most), 0, "OK", nil},
				"a byte above the limit": {zeros(most + 1), 2, "ERROR", scan.ErrTooLarge},
				"EICAR behind the limit": {append(zeros(most), corpus.EICAR()...), 2, "ERROR", scan.ErrTooLarge},
				"far above the limit":    {zeros(16 * most), 2, "ERROR", scan.ErrTooLarge},
			} {
				path := filepath.Join(dir, "file")
				write(t, path, test.body)
				out, exit := clamdscan(t, conf, path)
				if exit != test.exit || !strings.Contains(out, test.says) {
					t.Errorf("%s: got exit status %d and %q from clamdscan, want %d and %q", name, exit, out, test.exit, test.says)
				}
				if err := throughSidecar(t, conf, test.body); !errors.Is(err, test.err) {
					t.Errorf("%s: got error %v from the sidecar, want %v", name, err, test.err)
				}
			}
		})
	}
}

// Files of mounted ConfigMaps and Secrets are links, and uploads often stand
// behind a link to the release that is current.
func TestClamdscanLooksBehindSymbolicLinks(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{})
	dir := t.TempDir()
	conf := filepath.Join(dir, inject.ServiceConf)
	write(t, conf, []byte(Files(Settings{Host: "127.0.0.1", Port: daemon.Port(), MaxFileSize: 1 << 20})[inject.ServiceConf]))
	folder := filepath.Join(dir, "releases")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	infected := filepath.Join(folder, "upload")
	write(t, infected, corpus.EICAR())
	for name, target := range map[string]string{"to a file": infected, "to a folder": folder} {
		link := filepath.Join(dir, name)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if out, exit := clamdscan(t, conf, link); exit != 1 {
			t.Errorf("a link %s: got exit status %d and %q, want 1", name, exit, out)
		}
	}
}

// throughSidecar scans with the sidecar's default limits.
func throughSidecar(t *testing.T, conf string, body []byte) (scanned error) {
	t.Helper()
	config := sidecar.Default()
	config.ClamdConf, config.Log = conf, slog.New(slog.DiscardHandler)
	err := sidecar.WithScanner(t.Context(), config, func(scanner *scan.Scanner) {
		_, scanned = scanner.Scan(t.Context(), bytes.NewReader(body), scan.Options{Size: -1})
	})
	if err != nil {
		t.Fatal(err)
	}
	return scanned
}

func clamdscan(t *testing.T, conf, path string) (out string, exit int) {
	t.Helper()
	program, err := clamd.Find("clamdscan")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, program, "-c", conf, "--stream", "--no-summary", path)
	text, err := command.CombinedOutput()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return string(text), command.ProcessState.ExitCode()
}

func zeros(n int64) []byte { return make([]byte, n) }

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
