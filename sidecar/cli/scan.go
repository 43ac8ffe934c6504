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
	"unicode"
	"unicode/utf8"

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
		return scanBody(ctx, scanner, stdin, opt)
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
	if info.Mode().IsRegular() { // with size 0, as in /proc, there may be something to read
		opt.Size = info.Size()
	}
	return scanBody(ctx, scanner, file, opt)
}

// scanBody calls a body of a known size clean only if that many bytes were
// read: a file that is cut short or written to meanwhile was not seen as it is.
// What was found counts all the same.
func scanBody(ctx context.Context, scanner *scan.Scanner, body io.Reader, opt scan.Options) (scan.Verdict, error) {
	verdict, err := scanner.Scan(ctx, body, opt)
	if err == nil && verdict.Outcome == scan.Clean && opt.Size > 0 && verdict.Bytes != opt.Size {
		return scan.Verdict{}, fmt.Errorf("the file changed while it was scanned: it had %d bytes, %d were read", opt.Size, verdict.Bytes)
	}
	return verdict, err
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

// printable keeps a file's name from adding lines of its own to the output, and
// from changing how a terminal shows the rest. What is not printable is escaped
// as in Go, a byte that is no UTF-8 as \xNN, and so is the backslash: no two
// names look the same by it.
func printable(name string) string {
	var safe strings.Builder
	for len(name) > 0 {
		r, size := utf8.DecodeRuneInString(name)
		switch {
		case r == '\\':
			safe.WriteString(`\\`)
		case r < utf8.RuneSelf && !unicode.IsPrint(r), r == utf8.RuneError && size == 1:
			fmt.Fprintf(&safe, `\x%02x`, name[0])
		case unicode.IsPrint(r):
			safe.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&safe, `\u%04x`, r)
		default:
			fmt.Fprintf(&safe, `\U%08x`, r)
		}
		name = name[size:]
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
