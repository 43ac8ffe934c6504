package service_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"clamav-sidecar/test/clamd"
)

var (
	// complaint is what ClamAV's programs say of options that they do not like.
	complaint = regexp.MustCompile(`(?i)option|deprecat|unknown|unsupported|pars|ignor|invalid|obsolete`)
	// noName is what freshclam says where it asks a name service in vain, or where
	// a mirror turns that off.
	noName = regexp.MustCompile(`Can't query current\.cvd\.clamav\.net|Invalid DNS reply\. Falling back to HTTP mode|DNS Update Info disabled`)
)

// complaints gives the lines of a program's output that tell of a bad option.
func complaints(output string) []string {
	return slices.DeleteFunc(strings.Split(output, "\n"), func(line string) bool {
		return !complaint.MatchString(line) || noName.MatchString(line)
	})
}

// warnings gives the lines of a program's output that are warnings or errors.
func warnings(output string) []string {
	return slices.DeleteFunc(strings.Split(output, "\n"), func(line string) bool {
		return !strings.Contains(line, "WARNING") && !strings.Contains(line, "ERROR") || noName.MatchString(line)
	})
}

// wantConfigured has clamconf read a pod's clamd.conf and freshclam.conf, and
// wants the settings among what it took from them.
func wantConfigured(t *testing.T, p *pod, settings ...string) {
	t.Helper()
	clamconf := p.command(t, []string{"clamconf", "--config-dir=/etc/clamav"})
	text, err := clamconf.CombinedOutput()
	must(t, err)
	options, _, _ := strings.Cut(string(text), "Software settings") // what follows is not of the files
	if bad := complaints(options); len(bad) > 0 {
		t.Errorf("clamconf complains: %q", bad)
	}
	for _, want := range settings {
		if !strings.Contains(options, "\n"+want+"\n") {
			name, _, _ := strings.Cut(want, " ")
			t.Errorf("got %q, want %q", regexp.MustCompile(`(?m)^`+name+` .*$`).FindAllString(options, -1), want)
		}
	}
}

// freshclamPod is the pod in which freshclam runs.
func freshclamPod(t *testing.T, r release, database string, port int) *pod {
	t.Helper()
	spec := r.freshclam
	if spec.Containers == nil {
		spec = r.clamd
	}
	return newPod(t, r, spec, database, port)
}

// throughProxy are lines of freshclam.conf by which it asks for everything at
// the mirror, as a proxy: so no test fetches the official signatures.
func throughProxy(t *testing.T, m *mirror) string {
	t.Helper()
	address, err := url.Parse(m.URL)
	must(t, err)
	return fmt.Sprintf("HTTPProxyServer %s\nHTTPProxyPort %s\nMaxAttempts 1", address.Hostname(), address.Port())
}

func TestClamdAndFreshclamAcceptWhatTheChartRenders(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		values   values
		settings []string // as clamconf shows them
	}{
		"for the default values": {nil, []string{
			`LogTime = "yes"`, `LogClean disabled`, `LogSyslog disabled`, `LogVerbose disabled`, `Foreground = "yes"`,
			`MaxScanSize = "419430400"`, `MaxFileSize = "419430400"`, `StreamMaxLength = "104857600"`,
			`MaxConnectionQueueLength = "200"`, `MaxThreads = "10"`, `SendBufTimeout = "500"`, `SelfCheck = "120"`,
			`AlertExceedsMax = "yes"`, `AlertEncrypted = "yes"`, `Checks = "12"`, `ConcurrentDatabaseReload = "yes"`,
		}},
		"for a volume per replica": {values{"persistence": values{"mode": "perReplica"}}, nil},
		"for no volume":            {values{"persistence": values{"mode": "emptyDir"}}, nil},
		"with every limit changed": {values{
			"selfCheck": 77, "freshclamCheck": 50,
			"limits": values{
				"scanSize": 2000, "fileSize": 30, "connectionQueueLength": 17, "maxThreads": 3, "sendBufTimeout": 1500,
			},
		}, []string{
			`SelfCheck = "77"`, `Checks = "50"`, `MaxScanSize = "2097152000"`, `MaxFileSize = "2097152000"`,
			`StreamMaxLength = "31457280"`, `MaxConnectionQueueLength = "17"`, `MaxThreads = "3"`, `SendBufTimeout = "1500"`,
		}},
		"with the largest limits": {values{"limits": values{"scanSize": 2047, "fileSize": 2047}},
			[]string{`MaxFileSize = "2146435072"`, `StreamMaxLength = "2146435072"`}},
		"with lines of one's own": {values{"extraConfig": "# mail\nAlertOLE2Macros yes\nMaxRecursion 12\n"},
			[]string{`AlertOLE2Macros = "yes"`, `MaxRecursion = "12"`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.values == nil {
				test.values = values{}
			}
			proxy := startMirror(t, httptest.NewServer)
			proxy.fail(http.StatusBadGateway)
			test.values["extraFreshclamConfig"] = throughProxy(t, proxy)
			r := render(t, test.values)
			database := volume(t, r.clamd)
			must(t, clamd.WriteSignatures(database))
			replica := newPod(t, r, r.clamd, database, freePort(t))
			wantConfigured(t, replica, test.settings...)

			daemon := replica.serve(t)
			freshclam := freshclamPod(t, r, database, replica.port).start(t, "freshclam")
			freshclam.says(t, checkFailed)
			if want := "CONNECT database.clamav.net:443"; !proxy.asked(want) {
				t.Errorf("freshclam asked for %q, want %q", proxy.seen(), want)
			}
			said := daemon.output.String()
			if got := append(warnings(said), complaints(said)...); len(got) > 0 {
				t.Errorf("clamd warns: %q", got)
			}
			if bad := complaints(freshclam.output.String()); len(bad) > 0 {
				t.Errorf("freshclam complains: %q", bad)
			}
		})
	}
}

// Each database alone, for freshclam goes no further than the first that fails.
func TestFreshclamAsksTheMirrorForTheOfficialDatabasesThatAreWanted(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"main", "daily", "bytecode"} {
		t.Run("only "+name, func(t *testing.T) {
			t.Parallel()
			m := startMirror(t, httptest.NewServer)
			askMirrors(t, values{"mirror": m.URL + "/", "officialDatabases": []string{name}})
			requests := m.seen()
			strangers := slices.DeleteFunc(slices.Clone(requests), func(request string) bool {
				return request == "GET /"+name+".cvd" || request == "GET /"+name+".cld"
			})
			if !m.asked(name) || len(strangers) > 0 {
				t.Errorf("got requests %q, want some for %s alone", requests, name)
			}
		})
	}
}

// askMirrors has freshclam look for signatures on an empty volume.
func askMirrors(t *testing.T, clamav values, environment ...string) {
	t.Helper()
	if clamav["extraFreshclamConfig"] == nil {
		clamav["extraFreshclamConfig"] = "MaxAttempts 1"
	}
	r := render(t, clamav)
	p := freshclamPod(t, r, volume(t, r.freshclam), freePort(t))
	freshclam := p.start(t, "freshclam", environment...)
	freshclam.says(t, checkFailed)
	if bad := complaints(freshclam.output.String()); len(bad) > 0 {
		t.Errorf("freshclam complains: %q", bad)
	}
}

func TestMirrorsAreAskedInTheirOrder(t *testing.T) {
	t.Parallel()
	t.Run("the second when the first fails", func(t *testing.T) {
		t.Parallel()
		first, second := startMirror(t, httptest.NewServer), startMirror(t, httptest.NewServer)
		first.fail(http.StatusInternalServerError)
		askMirrors(t, values{"mirror": []string{first.URL, second.URL + "/clamav"}})
		if !first.asked("GET /daily.c") || !second.asked("GET /clamav/daily.c") {
			t.Errorf("got requests %q and %q, want that both were asked for daily", first.seen(), second.seen())
		}
	})
	t.Run("by https where no scheme is given", func(t *testing.T) {
		t.Parallel()
		m := startMirror(t, httptest.NewTLSServer)
		authorities := filepath.Join(directory(t), "ca.pem")
		certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.Certificate().Raw})
		must(t, os.WriteFile(authorities, certificate, 0o644))
		askMirrors(t, values{"mirror": strings.TrimPrefix(m.URL, "https://")}, "CURL_CA_BUNDLE="+authorities)
		if !m.asked("GET /daily.c") {
			t.Errorf("got requests %q, want one for daily", m.seen())
		}
	})
}

func TestFreshclamWarnsOfNothingWhereAllIsServed(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"shared", "perReplica", "emptyDir"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			m := startMirror(t, httptest.NewServer)
			m.put("/a/ours.ndb", ndb("Old", oldMalware))
			m.put("/b/hashes.hdb", hdb())
			r := render(t, values{
				"persistence": values{"mode": mode}, "officialDatabases": []string{},
				"customDatabaseURLs": []string{m.URL + "/a/ours.ndb", m.URL + "/b/hashes.hdb"},
			})
			database := volume(t, r.clamd)
			fill(t, database)
			replica := newPod(t, r, r.clamd, database, freePort(t))
			daemon := replica.serve(t)
			freshclam := freshclamPod(t, r, database, replica.port).start(t, "freshclam")
			freshclam.says(t, notified)
			daemon.says(t, "Reading databases from")
			for _, p := range []*process{daemon, freshclam} {
				if got := warnings(p.output.String()); len(got) > 0 {
					t.Errorf("%s warns: %q", p.name, got)
				}
			}
			want := []string{"GET /a/ours.ndb", "GET /b/hashes.hdb"}
			if got := m.seen(); !slices.Equal(got, want) {
				t.Errorf("got requests %q, want %q: official databases are not wanted", got, want)
			}
		})
	}
}

func TestTheClientsConfigurationIsAccepted(t *testing.T) {
	t.Parallel()
	r := render(t, values{})
	database := volume(t, r.clamd)
	fill(t, database)
	replica := newPod(t, r, r.clamd, database, freePort(t))
	replica.serve(t)
	p := freshclamPod(t, r, database, replica.port)
	file := filepath.Join(database, "upload")
	must(t, os.WriteFile(file, []byte(oldMalware), 0o644))

	clamdscan := p.command(t, []string{"clamdscan", "--config-file=/etc/clamav-client/clamd.conf", "--stream", "--no-summary", file})
	text, err := clamdscan.CombinedOutput()
	if want := file + ": Old.UNOFFICIAL FOUND\n"; exitCode(err) != 1 || string(text) != want {
		t.Errorf("got %q and exit code %d, want %q and 1", text, exitCode(err), want)
	}
}

// exitCode is that of a command whose Run or Output gave the error; -1 if it did
// not end by itself.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.ExitCode()
	}
	return -1
}
