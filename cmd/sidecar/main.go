// Command sidecar scans files for malware: it takes them over HTTP and over
// clamd's protocol, has a clamd replica scan them, and gives the verdict. Its
// configuration is described by --help and in docs/sidecar.md.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"clamav-sidecar/cmd/internal/build"
	"clamav-sidecar/cmd/sidecar/options"
	"clamav-sidecar/sidecar"
	"clamav-sidecar/sidecar/cli"
	"clamav-sidecar/sidecar/scan"
)

// Exit codes. Those of `sidecar scan` are in package cli.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	// The sidecar passes bytes on and computes next to nothing: with more than
	// one processor its goroutines mostly wake each other up across them, which
	// takes a fifth more processor time (docs/benchmarks.md).
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

func run(args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opts, err := options.Parse(args, environ)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "%v\nsidecar --help lists all flags\n", err)
		return exitUsage
	case opts.Help:
		fmt.Fprint(stdout, options.Help())
		return 0
	case opts.ShowVersion:
		fmt.Fprintln(stdout, build.Line())
		return 0
	}
	opts.Version = build.Version()
	opts.Log = opts.Logger(stderr)
	for _, name := range opts.Strangers {
		opts.Log.Warn("no flag belongs to this environment variable; sidecar --help lists those that do", "name", name)
	}
	if opts.Scan {
		return scanCommand(opts, stdin, stdout, stderr)
	}
	if err := serve(opts.Config); err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	return 0
}

// serve runs the sidecar until the first SIGTERM or SIGINT. A second one ends
// the process at once.
func serve(config sidecar.Config) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)
	return sidecar.Run(ctx, config)
}

// scanCommand leaves signals to the system: when the process ends, clamd drops
// what it got.
func scanCommand(opts options.Options, stdin io.Reader, stdout, stderr io.Writer) int {
	var code int
	err := sidecar.WithScanner(context.Background(), opts.Config, func(scanner *scan.Scanner) {
		code = cli.Scan(context.Background(), scanner, opts.Files, stdin, stdout, stderr)
	})
	if err != nil {
		fmt.Fprintln(stderr, err)
		return cli.ExitNotScanned
	}
	return code
}
