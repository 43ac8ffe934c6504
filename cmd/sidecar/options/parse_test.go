package options

import (
	"log/slog"
	"slices"
	"testing"
	"time"
)

// mustParse parses what is valid.
func mustParse(t *testing.T, environ []string, args ...string) Options {
	t.Helper()
	opts, err := Parse(args, environ)
	if err != nil {
		t.Fatal(err)
	}
	return opts
}

func TestEveryFlagIsSetByItsNameAndByItsVariable(t *testing.T) {
	values := map[string]string{
		"listen": "127.0.0.1:1", "clamd-listen": "127.0.0.1:2", "ops-listen": "127.0.0.1:3",
		"clamd-conf": "/c", "require-scanner": "true",
		"max-file-size": "5M", "scan-timeout": "6s", "max-concurrent": "7", "queue": "8", "queue-timeout": "9s", "replay-memory": "10K",
		"log-level": "debug", "log-format": "text",
	}
	check := func(t *testing.T, got Options) {
		t.Helper()
		want := defaults()
		want.Listen, want.ClamdListen, want.OpsListen = "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"
		want.ClamdConf, want.RequireScanner = "/c", true
		want.MaxFileSize, want.ScanTimeout, want.MaxConcurrent, want.Queue = 5<<20, 6*time.Second, 7, 8
		want.QueueTimeout, want.ReplayMemory = 9*time.Second, 10<<10
		want.logLevel, want.logFormat = slog.LevelDebug, "text"
		gotSettings := got.settings()
		for i, s := range want.settings() {
			if got, want := gotSettings[i].value.String(), s.value.String(); got != want {
				t.Errorf("--%s: got %s, want %s", s.name, got, want)
			}
			if _, tested := values[s.name]; !tested {
				t.Errorf("--%s is not tested", s.name)
			}
		}
	}
	t.Run("by its name", func(t *testing.T) {
		var args []string
		for name, text := range values {
			args = append(args, "--"+name+"="+text)
		}
		check(t, mustParse(t, nil, args...))
	})
	t.Run("by its variable", func(t *testing.T) {
		var environ []string
		for name, text := range values {
			environ = append(environ, envName(name)+"="+text)
		}
		check(t, mustParse(t, environ))
	})
}

func TestAFlagWinsOverItsVariable(t *testing.T) {
	opts := mustParse(t, []string{"CLAMAV_SIDECAR_QUEUE=nonsense", "CLAMAV_SIDECAR_REQUIRE_SCANNER=true"},
		"--queue", "5", "--require-scanner=false")
	if opts.Queue != 5 || opts.RequireScanner {
		t.Errorf("got queue %d and require-scanner %t, want 5 and false", opts.Queue, opts.RequireScanner)
	}
}

func TestASwitchNeedsNoValue(t *testing.T) {
	opts := mustParse(t, nil, "--require-scanner", "scan", "f")
	if !opts.RequireScanner || !slices.Equal(opts.Files, []string{"f"}) {
		t.Errorf("got require-scanner %t and files %q, want true and f", opts.RequireScanner, opts.Files)
	}
}

func TestWhereClamdConfComesFrom(t *testing.T) {
	tests := map[string]struct {
		environ, args []string
		want          string
	}{
		"nothing":                   {nil, nil, "/etc/clamav/clamd.conf"},
		"the variable of clamdscan": {[]string{"CLAMD_CONF_FILENAME=/a"}, nil, "/a"},
		"our own variable":          {[]string{"CLAMD_CONF_FILENAME=/a", "CLAMAV_SIDECAR_CLAMD_CONF=/b"}, nil, "/b"},
		"the flag":                  {[]string{"CLAMD_CONF_FILENAME=/a", "CLAMAV_SIDECAR_CLAMD_CONF=/b"}, []string{"--clamd-conf=/c"}, "/c"},
		"an empty variable of clamdscan, which says nothing": {[]string{"CLAMD_CONF_FILENAME="}, nil, "/etc/clamav/clamd.conf"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := mustParse(t, test.environ, test.args...).ClamdConf; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestScanIsQuietUnlessAskedToLog(t *testing.T) {
	opts := mustParse(t, nil, "scan", "f")
	if opts.logLevel != slog.LevelError || opts.logFormat != formatText {
		t.Errorf("got level %v and format %s, want error and text", opts.logLevel, opts.logFormat)
	}
	opts = mustParse(t, []string{"CLAMAV_SIDECAR_LOG_FORMAT=json"}, "scan", "f", "--log-level", "debug")
	if opts.logLevel != slog.LevelDebug || opts.logFormat != formatJSON {
		t.Errorf("got level %v and format %s, want debug and json", opts.logLevel, opts.logFormat)
	}
}

func TestFilesMayLookLikeFlags(t *testing.T) {
	opts := mustParse(t, nil, "scan", "-", "--", "-x", "--help")
	if want := []string{"-", "-x", "--help"}; !opts.Scan || !slices.Equal(opts.Files, want) {
		t.Errorf("got scan %t of %q, want true of %q", opts.Scan, opts.Files, want)
	}
}

func TestStrangersAmongTheVariablesAreNamed(t *testing.T) {
	opts := mustParse(t, []string{
		"CLAMAV_SIDECAR_MAXFILESIZE=1M",
		"CLAMAV_SIDECAR_LISTEN=127.0.0.1:0",
		"CLAMAV_URL=x",
		// What Kubernetes makes of Services named clamav-sidecar, clamav-sidecar-webhook and clamav-sidecar-listen.
		"CLAMAV_SIDECAR_SERVICE_HOST=10.0.0.1",
		"CLAMAV_SIDECAR_SERVICE_PORT=443",
		"CLAMAV_SIDECAR_SERVICE_PORT_HTTPS=443",
		"CLAMAV_SIDECAR_PORT=tcp://10.0.0.1:443",
		"CLAMAV_SIDECAR_PORT_443_TCP=tcp://10.0.0.1:443",
		"CLAMAV_SIDECAR_PORT_443_TCP_PROTO=tcp",
		"CLAMAV_SIDECAR_WEBHOOK_SERVICE_HOST=10.0.0.1",
		"CLAMAV_SIDECAR_WEBHOOK_PORT_443_TCP_ADDR=10.0.0.1",
		"CLAMAV_SIDECAR_LISTEN_PORT=tcp://10.0.0.1:443",
	})
	if want := []string{"CLAMAV_SIDECAR_MAXFILESIZE"}; !slices.Equal(opts.Strangers, want) {
		t.Errorf("got %q, want %q", opts.Strangers, want)
	}
}
