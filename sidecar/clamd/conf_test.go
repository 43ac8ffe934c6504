package clamd_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"clamav-sidecar/sidecar/clamd"
)

func TestParseConfReadsWhereClamdIs(t *testing.T) {
	tests := map[string]struct {
		text string
		want clamd.Conf
	}{
		"one address": {
			"TCPSocket 3310\nTCPAddr clamav.security.svc\n",
			clamd.Conf{Addrs: []string{"clamav.security.svc"}, Port: 3310},
		},
		"several addresses in their order": {
			"TCPAddr b\nTCPSocket 3310\nTCPAddr a\nTCPAddr 10.0.0.1\n",
			clamd.Conf{Addrs: []string{"b", "a", "10.0.0.1"}, Port: 3310},
		},
		"IPv6 addresses": {
			"TCPSocket 3310\nTCPAddr ::1\nTCPAddr fe80::1%eth0\n",
			clamd.Conf{Addrs: []string{"::1", "fe80::1%eth0"}, Port: 3310},
		},
		"a port alone, which for a client means this host": {
			"TCPSocket 65535\n",
			clamd.Conf{Addrs: []string{"localhost"}, Port: 65535},
		},
		"a Unix socket": {
			"LocalSocket /run/clamav/clamd.ctl\n",
			clamd.Conf{LocalSocket: "/run/clamav/clamd.ctl"},
		},
		"a Unix socket whose path has a blank": {
			"LocalSocket /run/clam av/clamd.ctl\n",
			clamd.Conf{LocalSocket: "/run/clam av/clamd.ctl"},
		},
		"a Unix socket and TCP": {
			"LocalSocket /a\nTCPSocket 1\nTCPAddr b\nStreamMaxLength 25M\n",
			clamd.Conf{LocalSocket: "/a", Addrs: []string{"b"}, Port: 1, StreamMaxLength: 25 << 20},
		},
		"a stream length in gigabytes": {
			"TCPSocket 1\nTCPAddr a\nStreamMaxLength 2g\n",
			clamd.Conf{Addrs: []string{"a"}, Port: 1, StreamMaxLength: 2 << 30},
		},
		"no limit on the stream": {
			"TCPSocket 1\nTCPAddr a\nStreamMaxLength 0\n",
			clamd.Conf{Addrs: []string{"a"}, Port: 1},
		},
		"lines that end with CR LF": {
			"TCPSocket 3310\r\nTCPAddr a\r\n\r\n# text\r\nStreamMaxLength 1K\r\n",
			clamd.Conf{Addrs: []string{"a"}, Port: 3310, StreamMaxLength: 1 << 10},
		},
		"a last line without an end": {
			"TCPSocket 3310\nTCPAddr a",
			clamd.Conf{Addrs: []string{"a"}, Port: 3310},
		},
		"blanks, tabs and quotes": {
			"  TCPSocket\t3310  \n\tTCPAddr \t \"a\" \nLocalSocket \"/run/a b\"\nTCPAddr\tc\t\n",
			clamd.Conf{Addrs: []string{"a", "c"}, Port: 3310, LocalSocket: "/run/a b"},
		},
		"comments and empty lines": {
			"# TCPAddr commented\n\n   # TCPAddr indented\n#TCPSocket 1\nTCPSocket 2\nTCPAddr a\n \t \n",
			clamd.Conf{Addrs: []string{"a"}, Port: 2},
		},
		"options of others, good and bad": {
			"LogTime yes\nTCPSocket 1\nMaxFileSize nonsense\nTCPAddr a\nExample\nLocalSocketMode 666\nTCPAddress b\ntcpaddr c\n",
			clamd.Conf{Addrs: []string{"a"}, Port: 1},
		},
		// clamd and clamdscan take the first too.
		"the first of an option that is given twice": {
			"TCPSocket 1\nTCPSocket 2\nTCPAddr a\nStreamMaxLength 1M\nStreamMaxLength 5M\nLocalSocket /a\nLocalSocket /b\n",
			clamd.Conf{Addrs: []string{"a"}, Port: 1, LocalSocket: "/a", StreamMaxLength: 1 << 20},
		},
		"as many addresses as there may be": {
			"TCPSocket 1\n" + strings.Repeat("TCPAddr a\n", 64),
			clamd.Conf{Addrs: strings.Fields(strings.Repeat("a ", 64)), Port: 1},
		},
		"a host name as long as DNS allows": {
			"TCPSocket 1\nTCPAddr " + strings.Repeat("a", 253) + "\n",
			clamd.Conf{Addrs: []string{strings.Repeat("a", 253)}, Port: 1},
		},
		"a file of one mebibyte": {
			padded("TCPSocket 1\nTCPAddr a\n", 1<<20),
			clamd.Conf{Addrs: []string{"a"}, Port: 1},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := clamd.ParseConf(strings.NewReader(test.text))
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v and error %v, want %+v", got, err, test.want)
			}
		})
	}
}

// padded is text with comments behind it, size bytes long.
func padded(text string, size int) string {
	const comment = "# what goes here does not matter\n"
	all := text + strings.Repeat(comment, size/len(comment)+1)
	return all[:size]
}

func TestParseConfNamesEachFault(t *testing.T) {
	const good = "TCPSocket 3310\nTCPAddr a\n"
	tests := map[string]struct {
		text string
		want []string // parts of the message
	}{
		"nothing":                      {"", []string{"names no clamd", "TCPSocket", "LocalSocket"}},
		"comments alone":               {"# a\n\n", []string{"names no clamd"}},
		"options of others alone":      {"LogTime yes\n", []string{"names no clamd"}},
		"an address without a port":    {"TCPAddr a\n", []string{"TCPSocket is not", "TCPSocket 3310"}},
		"an address without a value":   {good + "TCPAddr\n", []string{"line 3", "TCPAddr", `""`}},
		"an address of quotes":         {good + "TCPAddr \"\"\n", []string{"line 3", "TCPAddr"}},
		"an address with a port":       {good + "TCPAddr [::1]:3310\n", []string{"line 3", "[::1]:3310"}},
		"a URL":                        {good + "TCPAddr tcp://a\n", []string{"line 3", "tcp://a"}},
		"two addresses on one line":    {good + "TCPAddr a b\n", []string{"line 3", "a b"}},
		"a comment behind an address":  {good + "TCPAddr a # b\n", []string{"line 3", "a # b"}},
		"an address with a zero byte":  {good + "TCPAddr a\x00b\n", []string{"line 3", `a\x00b`}},
		"an address that is no UTF-8":  {good + "TCPAddr \xff\n", []string{"line 3", `\xff`}},
		"an address over 253 bytes":    {good + "TCPAddr " + strings.Repeat("a", 254) + "\n", []string{"line 3"}},
		"a 65th address":               {"TCPSocket 1\n" + strings.Repeat("TCPAddr a\n", 65), []string{"line 66", "more than 64"}},
		"port 0":                       {"TCPSocket 0\nTCPAddr a\n", []string{"line 1", `"0"`, "1 to 65535"}},
		"a port over 65535":            {"TCPSocket 65536\nTCPAddr a\n", []string{"line 1", `"65536"`}},
		"a negative port":              {"TCPSocket -1\nTCPAddr a\n", []string{"line 1", `"-1"`}},
		"a port that is a word":        {"TCPSocket clamd\nTCPAddr a\n", []string{"line 1", `"clamd"`}},
		"no port":                      {"TCPSocket\nTCPAddr a\n", []string{"line 1", `""`}},
		"a comment behind a port":      {"TCPSocket 3310 # clamd\nTCPAddr a\n", []string{"line 1", "3310 # clamd"}},
		"a relative socket":            {"LocalSocket run/clamd\n", []string{"line 1", `"run/clamd"`, "absolute"}},
		"no socket":                    {"LocalSocket\n", []string{"line 1", "absolute"}},
		"a stream length in words":     {good + "StreamMaxLength lots\n", []string{"line 3", "StreamMaxLength", `"lots"`, "100M"}},
		"no stream length":             {good + "StreamMaxLength\n", []string{"line 3", "StreamMaxLength"}},
		"a negative stream length":     {good + "StreamMaxLength -1\n", []string{"line 3", `"-1"`}},
		"a stream length with MB":      {good + "StreamMaxLength 25MB\n", []string{"line 3", `"25MB"`}},
		"a stream length over 63 bits": {good + "StreamMaxLength 9999999999G\n", []string{"line 3", "too large"}},
		"a bad value given twice":      {good + "StreamMaxLength 1M\nStreamMaxLength x\n", []string{"line 4", `"x"`}},
		"a fault after CR LF":          {"TCPSocket 1\r\nTCPAddr a\r\nTCPAddr !\r\n", []string{"line 3", `"!"`}},
		"all faults in one error": {
			"TCPSocket x\n# text\nTCPAddr !\nStreamMaxLength y\nLocalSocket z",
			[]string{"line 1", `"x"`, "line 3", `"!"`, "line 4", `"y"`, "line 5", `"z"`},
		},
		"a file over one mebibyte":               {padded(good, 1<<20+1), []string{"larger than 1M"}},
		"a file over one mebibyte with CR LF":    {strings.ReplaceAll(padded(good, 1<<20), "\n", "\r\n"), []string{"larger than 1M"}},
		"a file whose address is cut at the end": {padded("TCPSocket 1\n", 1<<20-9) + "\nTCPAddr abc\n", []string{"larger than 1M"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := clamd.ParseConf(strings.NewReader(test.text))
			if err == nil || !reflect.DeepEqual(got, clamd.Conf{}) {
				t.Fatalf("got %+v and error %v, want an error and nothing else", got, err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got error %q, want one that says %q", err, part)
				}
			}
		})
	}
}

func TestParseConfGivesTheReadersError(t *testing.T) {
	_, err := clamd.ParseConf(iotest.ErrReader(fs.ErrPermission))
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got error %v, want %v", err, fs.ErrPermission)
	}
}

func TestReadConfNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "clamd.conf")

	if _, err := clamd.ReadConf(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: got error %v, want %v with its path", err, fs.ErrNotExist)
	}
	if _, err := clamd.ReadConf(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory: got error %v, want one with its path", err)
	}
	writeFile(t, path, "TCPSocket none\n")
	if _, err := clamd.ReadConf(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a bad file: got error %v, want one with its path and line 1", err)
	}
	writeFile(t, path, "TCPSocket 3310\nTCPAddr a\n")
	if conf, err := clamd.ReadConf(path); err != nil || conf.Port != 3310 || len(conf.Addrs) != 1 {
		t.Errorf("a good file: got %+v and error %v, want one address with port 3310", conf, err)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzParseConf(f *testing.F) {
	for _, seed := range []string{
		"TCPSocket 3310\nTCPAddr a\n", "LocalSocket /a", "TCPSocket 1\r\nTCPAddr \"::1\"\r\nStreamMaxLength 2G", "# a\n\nTCPAddr\ta b\n", "\x00", "TCPSocket",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		conf, err := clamd.ParseConf(strings.NewReader(string(text)))
		if err != nil {
			if !reflect.DeepEqual(conf, clamd.Conf{}) {
				t.Fatalf("got %+v with error %v, want nothing with it", conf, err)
			}
			return
		}
		if (len(conf.Addrs) == 0) != (conf.Port == 0) || len(conf.Addrs) == 0 && conf.LocalSocket == "" || conf.StreamMaxLength < 0 {
			t.Fatalf("got %+v, want a way to reach clamd", conf)
		}
		again, err := clamd.ParseConf(strings.NewReader(written(conf)))
		if err != nil || !reflect.DeepEqual(again, conf) {
			t.Fatalf("written and read again: got %+v and error %v, want %+v", again, err, conf)
		}
	})
}

// written is a clamd.conf that says what conf does.
func written(conf clamd.Conf) string {
	var text strings.Builder
	for _, a := range conf.Addrs {
		fmt.Fprintf(&text, "TCPAddr %s\n", a)
	}
	if conf.Port != 0 {
		fmt.Fprintf(&text, "TCPSocket %d\n", conf.Port)
	}
	if conf.LocalSocket != "" {
		fmt.Fprintf(&text, "LocalSocket \"%s\"\n", conf.LocalSocket)
	}
	fmt.Fprintf(&text, "StreamMaxLength %s\n", clamd.FormatSize(conf.StreamMaxLength))
	return text.String()
}
