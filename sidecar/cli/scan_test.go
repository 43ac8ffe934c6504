package cli_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clamav-sidecar/sidecar"
	"clamav-sidecar/sidecar/cli"
	"clamav-sidecar/sidecar/scan"
	"clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// writeFiles writes the samples and gives the directory.
func writeFiles(t *testing.T) string {
	t.Helper()
	zip, err := corpus.EncryptedZip()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, body := range map[string][]byte{
		"clean": corpus.Clean(), "eicar": corpus.EICAR(), "encrypted.zip": zip, "empty": nil,
		"large": make([]byte, 2<<20), "odd\nname: OK": corpus.EICAR(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// clientConf writes a clamd.conf that names the daemon.
func clientConf(t *testing.T, daemon *clamd.Daemon) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clamd.conf")
	if err := clamd.WriteClientConf(path, nil, daemon); err != nil {
		t.Fatal(err)
	}
	return path
}

// scanFiles scans right after the start, with a limit of 1 MiB.
func scanFiles(t *testing.T, conf, stdin string, names ...string) (stdout, stderr string, code int) {
	t.Helper()
	config := sidecar.Default()
	config.ClamdConf, config.MaxFileSize, config.Log = conf, 1<<20, slog.New(slog.DiscardHandler)
	var out, faults bytes.Buffer
	err := sidecar.WithScanner(t.Context(), config, func(scanner *scan.Scanner) {
		code = cli.Scan(t.Context(), scanner, names, strings.NewReader(stdin), &out, &faults)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), faults.String(), code
}

func TestEachFileIsToldAndTheWorstGivesTheExitCode(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{})
	conf, dir := clientConf(t, daemon), writeFiles(t)
	infected := clamd.EICAR + " FOUND\n"
	tests := map[string]struct {
		files          []string
		stdin          string
		stdout, stderr string // DIR stands for the directory
		code           int
	}{
		"a clean file":     {files: []string{"clean"}, stdout: "DIR/clean: OK\n"},
		"an empty file":    {files: []string{"empty"}, stdout: "DIR/empty: OK\n"},
		"an infected file": {files: []string{"eicar"}, stdout: "DIR/eicar: " + infected, code: 1},
		"an encrypted archive": {files: []string{"encrypted.zip"},
			stdout: "DIR/encrypted.zip: Heuristics.Encrypted.Zip UNSCANNABLE (encrypted)\n", code: 1},
		"a file over the limit": {files: []string{"large"}, stderr: "DIR/large: the file is larger than the limit of 1M\n", code: 2},
		"a file that is not there": {files: []string{"nope"},
			stderr: "DIR/nope: no such file or directory\n", code: 2},
		"a directory": {files: []string{""},
			stderr: "DIR: it is a directory: name the files in it, for example with find DIR -type f -exec sidecar scan {} +\n", code: 2},
		"several files, in their order": {files: []string{"clean", "eicar", "clean"},
			stdout: "DIR/clean: OK\nDIR/eicar: " + infected + "DIR/clean: OK\n", code: 1},
		"something not scanned beside a clean file": {files: []string{"nope", "clean"},
			stdout: "DIR/clean: OK\n", stderr: "DIR/nope: no such file or directory\n", code: 2},
		"something found beside something not scanned": {files: []string{"nope", "eicar"},
			stdout: "DIR/eicar: " + infected, stderr: "DIR/nope: no such file or directory\n", code: 1},
		"a name that would write a line of its own": {files: []string{"odd\nname: OK"},
			stdout: `DIR/odd\x0aname: OK: ` + infected, code: 1},
		"standard input": {files: []string{"-"}, stdin: string(corpus.EICAR()), stdout: "stdin: " + infected, code: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var names []string
			for _, file := range test.files {
				if file != "-" {
					file = filepath.Join(dir, file)
				}
				names = append(names, file)
			}
			stdout, stderr, code := scanFiles(t, conf, test.stdin, names...)
			wantOut, wantErr := strings.ReplaceAll(test.stdout, "DIR/", dir+"/"), test.stderr
			if !strings.HasPrefix(wantErr, "DIR: ") {
				wantErr = strings.ReplaceAll(wantErr, "DIR/", dir+"/")
			} else {
				wantErr = dir + strings.TrimPrefix(wantErr, "DIR")
			}
			if stdout != wantOut || stderr != wantErr || code != test.code {
				t.Errorf("got exit code %d, output\n%s%swant %d, output\n%s%s", code, stdout, stderr, test.code, wantOut, wantErr)
			}
		})
	}
}

func TestAFileThatChangesMeanwhileIsNotClean(t *testing.T) {
	config := sidecar.Default()
	config.ClamdConf, config.Log = clientConf(t, clamd.StartT(t, clamd.Options{})), slog.New(slog.DiscardHandler)
	eicar := string(corpus.EICAR())
	tests := map[string]struct {
		before, after string
		want          string // outcome or error
	}{
		"as it was":                 {"clean text", "clean text", "clean"},
		"shorter than clamd scans":  {"abc", "abc", "clean"},
		"cut short":                 {"clean text", "clean", "the file changed while it was scanned: it had 10 bytes, 5 were read"},
		"cut to nothing":            {"clean text", "", "the file changed while it was scanned: it had 10 bytes, 0 were read"},
		"cut within what is found":  {eicar, eicar[:30], "the file changed while it was scanned: it had 68 bytes, 30 were read"},
		"grown":                     {"clean", "clean text", "the file changed while it was scanned: it had 5 bytes, 10 were read"},
		"grown to an infected one":  {"clean", eicar, "infected"},
		"of no size, as in /proc":   {"", "clean text", "clean"},
		"cut short behind the find": {eicar + "\n\n", eicar, "infected"},
	}
	err := sidecar.WithScanner(t.Context(), config, func(scanner *scan.Scanner) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "file")
				write := func(text string) {
					if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				write(test.before)
				file, err := os.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				write(test.after)
				opt := scan.Options{Endpoint: scan.CLI, Size: int64(len(test.before))}
				verdict, err := cli.ScanBody(t.Context(), scanner, file, opt)
				got := verdict.Outcome.String()
				if err != nil {
					got = err.Error()
				}
				if got != test.want || err != nil && verdict.Outcome != scan.None {
					t.Errorf("got %q with outcome %v, want %q", got, verdict.Outcome, test.want)
				}
			})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNamesAreEscaped(t *testing.T) {
	tests := map[string]struct{ name, want string }{
		"letters of any script":            {"Straße 文 😀.txt", "Straße 文 😀.txt"},
		"control characters":               {"a\nb\t\x1b[2J\x7f\x00", `a\x0ab\x09\x1b[2J\x7f\x00`},
		"C1 control characters":            {"\u0085\u009b2J", `\u0085\u009b2J`},
		"bidi embeddings and overrides":    {"\u202a\u202b\u202c\u202d\u202e", `\u202a\u202b\u202c\u202d\u202e`},
		"bidi isolates":                    {"\u2066\u2067\u2068\u2069", `\u2066\u2067\u2068\u2069`},
		"line separators, other spaces":    {"\u2028\u2029\u00a0\u3000", `\u2028\u2029\u00a0\u3000`},
		"what is not shown":                {"\u200b\ufeff\U000e0001", `\u200b\ufeff\U000e0001`},
		"what is no UTF-8":                 {"a\x9b\xffb\xe2\x80", `a\x9b\xffb\xe2\x80`},
		"the replacement character itself": {"\ufffd", "\ufffd"},
		"a backslash":                      {`a\x0ab`, `a\\x0ab`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := cli.Printable(test.name); got != test.want {
				t.Errorf("%q: got %s, want %s", test.name, got, test.want)
			}
		})
	}
}

func TestWithoutAReplicaNothingIsScanned(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{})
	conf, dir := clientConf(t, daemon), writeFiles(t)
	if err := daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "clean")
	stdout, stderr, code := scanFiles(t, conf, "", file)
	if want := fmt.Sprintf("%s: no healthy clamd replica", file); code != 2 || stdout != "" || !strings.HasPrefix(stderr, want) {
		t.Errorf("got exit code %d, %q and %q, want 2, nothing and %q", code, stdout, stderr, want)
	}
}
