// Command kubectl-clamav is a kubectl plugin: it injects the scanning sidecar
// into manifests, exactly as the webhook injects it into pods, and takes it out
// again. It is described by --help and in docs/kubectl-clamav.md.
package main

import (
	"fmt"
	"io"
	"os"

	"clamav-sidecar/cmd/internal/build"
	"clamav-sidecar/cmd/kubectl-clamav/options"
	"clamav-sidecar/webhook/manifest"
)

// Exit codes.
const (
	exitFaults = 1 // in documents
	exitUsage  = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opts, err := options.Parse(args)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "%v\nkubectl clamav --help tells more\n", err)
		return exitUsage
	case opts.Help:
		fmt.Fprint(stdout, options.Help())
		return 0
	case opts.ShowVersion:
		fmt.Fprintln(stdout, build.Line())
		return 0
	}
	inputs, err := manifest.Open(opts.Filenames, stdin)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	output, err := change(opts, inputs)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	if code := report(opts, output, stderr); code != 0 {
		return code
	}
	write := output.Print
	if opts.Diff {
		write = output.PrintDiff
	}
	if err := write(stdout); err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	return 0
}

func change(opts options.Options, inputs []manifest.Input) (manifest.Output, error) {
	if opts.Command == options.Uninject {
		return manifest.Uninject(inputs), nil
	}
	injector, err := opts.Injector(build.Version())
	if err != nil {
		return manifest.Output{}, err
	}
	return manifest.Inject(injector, inputs), nil
}

// report tells of faults, of warnings, and of nothing having been done.
func report(opts options.Options, output manifest.Output, stderr io.Writer) int {
	for _, warning := range output.Warnings {
		fmt.Fprintf(stderr, "warning: %s\n", warning)
	}
	for _, fault := range output.Faults {
		fmt.Fprintf(stderr, "error: %s\n", fault)
	}
	if n := len(output.Faults); n > 0 {
		fmt.Fprintf(stderr, "nothing was printed: %d to mend\n", n)
		return exitFaults
	}
	if output.Injected == 0 {
		fmt.Fprintln(stderr, opts.Idle())
	}
	return 0
}
