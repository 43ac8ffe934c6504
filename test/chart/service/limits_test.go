package service_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"clamav-sidecar/test/corpus"
)

// zipped gives an archive with n files, each of which has that many MiB of blanks,
// then a text.
func zipped(t *testing.T, n int, size int64, text string) io.Reader {
	t.Helper()
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for i := range n {
		entry, err := w.Create(strconv.Itoa(i))
		must(t, err)
		for range size {
			_, err = entry.Write(bytes.Repeat([]byte{' '}, 1<<20))
			must(t, err)
		}
		_, err = fmt.Fprint(entry, i, text)
		must(t, err)
	}
	must(t, w.Close())
	return &archive
}

func TestOnlyWhatClamdHasScannedWholeIsClean(t *testing.T) {
	t.Parallel()
	p := filled(t, values{"limits": values{"scanSize": 4, "fileSize": 1}})
	p.serve(t)
	client := newPod(t, p.release, p.release.freshclam, p.database, p.port)
	const notClean = `stream: (Old\.UNOFFICIAL|Heuristics\.Limits\.Exceeded\.\w+) FOUND`
	encrypted, err := corpus.EncryptedZip()
	must(t, err)

	tests := map[string]struct {
		body io.Reader
		want string // a regular expression
		code int    // of clamdscan with the clients' clamd.conf
	}{
		"a clean file is":                   {strings.NewReader("a clean file"), `stream: OK`, 0},
		"a clean file of fileSize is":       {random(1, 1), `stream: OK`, 0},
		"an archive of clean files is":      {zipped(t, 3, 1, ""), `stream: OK`, 0},
		"an encrypted archive is not":       {bytes.NewReader(encrypted), `stream: Heuristics\.Encrypted\.Zip FOUND`, 1},
		"many files above scanSize are not": {zipped(t, 5, 1, ""), `stream: Heuristics\.Limits\.Exceeded\.MaxScanSize FOUND`, 1},
		"a file above fileSize is not":      {random(2, 2), `INSTREAM size limit exceeded\. ERROR`, 2},
		// Below MaxScanSize clamd would scan a part of the file, as much as MaxFileSize
		// allows, and say OK.
		"malware at the end of a file in an archive, below scanSize, is not": {zipped(t, 1, 3, oldMalware), notClean, 1},
		"malware at the end of a file in an archive, above scanSize, is not": {zipped(t, 1, 5, oldMalware), notClean, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "upload")
			body, err := io.ReadAll(test.body)
			must(t, err)
			must(t, os.WriteFile(file, body, 0o600))
			if got, err := scan(p.address(), bytes.NewReader(body)); err != nil || !regexp.MustCompile("^"+test.want+"$").MatchString(got) {
				t.Errorf("got %q and error %v, want %q", got, err, test.want)
			}
			clamdscan := client.command(t, []string{"clamdscan", "--config-file=/etc/clamav-client/clamd.conf", "--stream", "-"})
			clamdscan.Stdin = bytes.NewReader(body)
			text, err := clamdscan.CombinedOutput()
			if got := exitCode(err); got != test.code {
				t.Errorf("clamdscan: got exit code %d, want %d; it said:\n%s", got, test.code, text)
			}
		})
	}
}
