package sidecar

import (
	"strings"
	"testing"
	"time"
)

func TestDefaultIsValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Errorf("got %v, want no fault", err)
	}
}

func TestEachFaultNamesItsFlagItsValueAndTheRemedy(t *testing.T) {
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"no clamd.conf": {func(c *Config) { c.ClamdConf = "" },
			`--clamd-conf "": want the path of a clamd.conf, such as /etc/clamav/clamd.conf`},
		"no HTTP address": {func(c *Config) { c.Listen = "" },
			`--listen "": want host:port, such as 127.0.0.1:3311, or :3312 for every address`},
		"a clamd address without a port": {func(c *Config) { c.ClamdListen = "localhost" },
			`--clamd-listen localhost: want host:port, such as 127.0.0.1:3311, or :3312 for every address`},
		"an IPv6 address without brackets": {func(c *Config) { c.ClamdListen = "::1:3310" },
			`--clamd-listen ::1:3310: want host:port, such as 127.0.0.1:3311, or :3312 for every address`},
		"no ops address": {func(c *Config) { c.OpsListen = "" },
			`--ops-listen "": want host:port, such as 127.0.0.1:3311, or :3312 for every address`},
		"a port that is too large": {func(c *Config) { c.OpsListen = ":65536" },
			`--ops-listen :65536: want a port from 0 (any free one) to 65535`},
		"a port that is a name": {func(c *Config) { c.OpsListen = ":http" },
			`--ops-listen :http: want a port from 0 (any free one) to 65535`},
		"two endpoints on one address": {func(c *Config) { c.ClamdListen = c.Listen },
			`--clamd-listen 127.0.0.1:3311: --listen has the same address; give each a port of its own`},
		"no size": {func(c *Config) { c.MaxFileSize = 0 },
			`--max-file-size 0: want a size from 1 to 2047M: ClamAV scans no file of 2G or more`},
		"a size that ClamAV does not scan": {func(c *Config) { c.MaxFileSize = 2 << 30 },
			`--max-file-size 2G: want a size from 1 to 2047M: ClamAV scans no file of 2G or more`},
		"no time for a scan": {func(c *Config) { c.ScanTimeout = 0 },
			`--scan-timeout 0s: want a duration above 0, such as 2m`},
		"no scans": {func(c *Config) { c.MaxConcurrent = 0 },
			`--max-concurrent 0: want a number from 1 to 100000`},
		"too many scans": {func(c *Config) { c.MaxConcurrent = 100_001 },
			`--max-concurrent 100001: want a number from 1 to 100000`},
		"a negative queue": {func(c *Config) { c.Queue = -1 },
			`--queue -1: want a number from 0 (no queue) to 100000`},
		"no time in the queue": {func(c *Config) { c.QueueTimeout = -time.Second },
			`--queue-timeout -1s: want a duration above 0, such as 10s; for no queue set --queue 0`},
		"a negative memory": {func(c *Config) { c.ReplayMemory = -1 },
			`--replay-memory -1: want a size of 0 or more, such as 8M`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := Default()
			test.change(&config)
			err := config.Validate()
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestAllFaultsComeInOneError(t *testing.T) {
	err := Config{}.Validate()
	if err == nil {
		t.Fatal("the zero Config is valid, want it refused")
	}
	for _, flag := range []string{
		"--clamd-conf ", "--listen ", "--ops-listen ", "--max-file-size ", "--scan-timeout ", "--max-concurrent ", "--queue-timeout ",
	} {
		if !strings.Contains("\n"+err.Error(), "\n"+flag) {
			t.Errorf("no line begins with %q in\n%v", flag, err)
		}
	}
}

func TestWhatIsNoFault(t *testing.T) {
	tests := map[string]func(*Config){
		"no clamd endpoint":               func(c *Config) { c.ClamdListen = "" },
		"any free port for each endpoint": func(c *Config) { c.Listen, c.ClamdListen, c.OpsListen = "[::1]:0", "[::1]:0", "[::1]:0" },
		"no queue":                        func(c *Config) { c.Queue = 0 },
		"no replay memory":                func(c *Config) { c.ReplayMemory = 0 },
		"the largest size":                func(c *Config) { c.MaxFileSize = 2047 << 20 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			config := Default()
			change(&config)
			if err := config.Validate(); err != nil {
				t.Errorf("got %v, want no fault", err)
			}
		})
	}
}
