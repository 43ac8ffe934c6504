// Package cli scans files that are named on the command line, and tells the
// verdicts as clamscan does.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"clamav-sidecar/sidecar/scan"
	"clamav-sidecar/sidecar/upstream"
)

// Exit codes of `sidecar scan`, which are clamdscan's. With several files,
// something found outweighs something not scanned.
const (
	ExitClean      = 0
	ExitFound      = 1 // at least one file is infected, or could not be looked at fully
	ExitNotScanned = 2 // none is, but at least one got no verdict
)

// firstCheck bounds the wait for the first health checks.
const firstCheck = 5 * time.Second

// Scan scans the files one after the other and writes one line for each: a
// verdict to stdout, or to stderr why there is none. The name "-" is stdin. It
// gives the exit code. It waits for the first health checks, and then for no
// replica that is down.
func Scan(ctx context.Context, scanner *scan.Scanner, names []string, stdin io.Reader, stdout, stderr io.Writer) int {
	awaitReplica(ctx, scanner)
	found, failed := false, false
	for _, name := range names {
		verdict, err := scanFile(ctx, scanner, name, stdin)
		if name == "-" {
			name = "stdin"
		}
		if err == nil {
			found = found || verdict.Outcome != scan.Clean
			_, err = fmt.Fprintf(stdout, "%s: %s\n", printable(name), describe(verdict))
		}
		if err != nil {
			failed = true
			fmt.Fprintf(stderr, "%s: %v\n", printable(name), err)
		}
	}
	switch {
	case found:
		return ExitFound
	case failed:
		return ExitNotScanned
	}
	return ExitClean
}

func scanFile(ctx context.Context, scanner *scan.Scanner, name string, stdin io.Reader) (scan.Verdict, error) {
	opt := scan.Options{Endpoint: scan.CLI, Name: name}
	if name == "-" {
		return scanner.Scan(ctx, stdin, opt)
	}
	file, err := os.Open(name)
	if err != nil {
		return scan.Verdict{}, reason(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return scan.Verdict{}, reason(err)
	}
	if info.IsDir() {
		return scan.Verdict{}, errors.New("it is a directory: name the files in it, for example with find DIR -type f -exec sidecar scan {} +")
	}
	if info.Mode().IsRegular() {
		opt.Size = info.Size()
	}
	return scanner.Scan(ctx, file, opt)
}

// describe puts a verdict in the words of clamscan, which has none for a file
// that clamd could not look at fully.
func describe(v scan.Verdict) string {
	switch v.Outcome {
	case scan.Clean:
		return "OK"
	case scan.Infected:
		return v.Signature + " FOUND"
	default:
		return fmt.Sprintf("%s UNSCANNABLE (%s)", v.Signature, v.Reason)
	}
}

// reason leaves out the name of the file, which stands before it already.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// printable keeps a file's name from adding lines of its own to the output.
func printable(name string) string {
	var safe strings.Builder
	for _, r := range []byte(name) {
		if r < ' ' || r == 0x7f {
			fmt.Fprintf(&safe, `\x%02x`, r)
			continue
		}
		safe.WriteByte(r)
	}
	return safe.String()
}

// awaitReplica waits until a replica is healthy, or all are known to be down,
// so that the first scan does not go to one that does not answer.
func awaitReplica(ctx context.Context, scanner *scan.Scanner) {
	ctx, cancel := context.WithTimeout(ctx, firstCheck)
	defer cancel()
	for !scanner.Ready() && !allDown(scanner.Replicas()) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func allDown(replicas []upstream.Replica) bool {
	for _, r := range replicas {
		if r.State != upstream.Down {
			return false
		}
	}
	return len(replicas) > 0
}
