package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// What -signatures may say besides the directory of a database.
const (
	auto = "auto"
	test = "test"
)

// database is the directory of the signatures to scan with. An empty path stands
// for the test signatures; reason then says why it has to be these.
type database struct{ path, reason string }

// installed are the directories in which packages keep the official signatures.
var installed = []string{
	"/var/lib/clamav",              // Debian, Ubuntu, Fedora
	"/opt/homebrew/var/lib/clamav", // Homebrew on Apple silicon
	"/usr/local/var/lib/clamav",    // Homebrew on Intel
	"/opt/local/share/clamav",      // MacPorts
	"/usr/local/share/clamav",      // built from source
}

// findSignatures finds the official signatures, tries to download them, or
// settles for the test signatures.
func (d *demo) findSignatures(ctx context.Context, wanted string) (database, error) {
	switch wanted {
	case test:
		return database{reason: "they were asked for with -signatures test"}, nil
	case auto:
	default:
		if err := checkOfficial(wanted); err != nil {
			return database{}, fmt.Errorf("-signatures %s: %w", wanted, err)
		}
		return database{path: wanted}, nil
	}
	for _, dir := range installed {
		if checkOfficial(dir) == nil {
			return database{path: dir}, nil
		}
	}
	path, err := d.download(ctx)
	switch {
	case err == nil:
		return database{path: path}, nil
	case ctx.Err() != nil:
		return database{}, ctx.Err()
	}
	return database{reason: "there are no official ones on this machine, and freshclam could not get them:\n" + err.Error()}, nil
}

// download brings the signatures in the user's cache up to date. Old ones do
// when there are no new ones to be had.
func (d *demo) download(ctx context.Context) (dir string, err error) {
	dir, err = os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place to keep them: %w", err)
	}
	dir = filepath.Join(dir, "clamav-sidecar", "signatures")
	fault := d.freshclam(ctx, dir)
	if err := checkOfficial(dir); err != nil {
		return "", errors.Join(fault, err)
	}
	if fault != nil {
		fmt.Fprintf(d.err, "the signatures could not be brought up to date (%v); going on with what %s holds\n", fault, dir)
	}
	return dir, nil
}

// checkOfficial says what a directory lacks of the official signatures.
func checkOfficial(dir string) error {
	for _, name := range []string{"main", "daily"} {
		var err error
		for _, extension := range []string{".cvd", ".cld"} {
			var f *os.File
			if f, err = os.Open(filepath.Join(dir, name+extension)); err == nil {
				f.Close()
				break
			}
		}
		if err != nil {
			return fmt.Errorf("%s holds no official signatures that can be read: it wants main.cvd and daily.cvd", dir)
		}
	}
	return nil
}
