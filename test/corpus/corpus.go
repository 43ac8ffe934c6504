// Package corpus holds what tests and benchmarks let clamd scan: the EICAR test
// file, a clean text, an encrypted archive, random bodies, and the files of
// Debian's clamav-testfiles. None of it is harmful. What a virus scanner would
// report is put together at run time, so that none reports this repository.
package corpus

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// EICAR returns the 68 bytes of the EICAR test file, which every virus scanner
// reports. The caller may change the slice.
func EICAR() []byte {
	const tail = `-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`
	return []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}` + strings.ToUpper("$eicar") + tail)
}

// Clean returns a short text in which no signature of test/clamd matches. The
// caller may change the slice.
func Clean() []byte {
	return []byte("The quick brown fox jumps over the lazy dog.\n")
}

// TestFilesEnv names the environment variable that leads to the files of
// Debian's clamav-testfiles where no package installs them.
const TestFilesEnv = "CLAMAV_TESTFILES"

// testFilesDir is where Debian's and Ubuntu's package puts them.
const testFilesDir = "/usr/share/clamav-testfiles"

// TestFiles returns the paths of the files of clamav-testfiles, sorted: archives,
// mails, documents and packed programs, each of which holds ClamAV's own test
// file.
//
// Homebrew ships no such files. A test that needs them fails there with this
// error, which names the remedy, rather than pass without having tested.
func TestFiles() ([]string, error) {
	dir := testFilesDir
	if set := os.Getenv(TestFilesEnv); set != "" {
		dir = set
	}
	var paths []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			paths = append(paths, path)
		}
		return err
	})
	if err == nil && len(paths) == 0 {
		err = fmt.Errorf("%s is empty", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("list the test files of ClamAV: %w; on Debian and Ubuntu run `make clamav`, "+
			"elsewhere unpack Debian's package clamav-testfiles and let %s name its directory", err, TestFilesEnv)
	}
	return paths, nil
}
