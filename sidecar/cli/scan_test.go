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
