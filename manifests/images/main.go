// Command images makes the container images of the product from its binaries,
// and pushes them. It needs neither a container engine nor, to make them, a
// registry. `make images` and `make push` run it; docs/images.md describes what
// comes out.
//
//	images build -tag TAG [flags]                   sidecar and webhook, from DIST/linux-ARCH/NAME
//	images test-clamd -tag TAG [flags] ARCH=TAR...  the clamd of tests, from root file systems
//	images push [flags] REGISTRY                    sidecar and webhook, as built, to REGISTRY/NAME:TAG
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// errUsage is a command line that makes no sense. What is wrong with a flag of it
// is printed already.
var errUsage = errors.New("usage: images build|test-clamd|push [flags] [arguments]; -h lists the flags of each")

func main() {
	os.Exit(exitCode(runUntilSignal(os.Args[1:]), os.Stderr))
}

// runUntilSignal runs a command until it ends or a signal comes. A second signal
// ends the process at once.
func runUntilSignal(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, args, os.Stdout, os.Stderr)
}

// exitCode says what the process exits with, and prints the error.
func exitCode(err error, stderr io.Writer) int {
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, err)
		return exitUsage
	default:
		fmt.Fprintln(stderr, "images:", err)
		return exitFailed
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	flags := flag.NewFlagSet("images "+args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	dist := flags.String("dist", "dist", "directory of the images")
	var command func(args []string) error
	switch args[0] {
	case "build":
		release := releaseFlags(flags)
		command = func([]string) error { return build(*dist, release, products(), stdout) }
	case "test-clamd":
		release := releaseFlags(flags)
		command = func(args []string) error { return testClamd(*dist, release, args, stdout) }
	case "push":
		timeout := flags.Duration("timeout", 10*time.Minute, "how long the push may take")
		command = func(args []string) error { return push(ctx, *dist, products(), args, *timeout, stdout) }
	default:
		return errUsage
	}
	switch err := flags.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return errUsage
	}
	return command(flags.Args())
}

// release is what is the same for all images that are made at once.
type release struct {
	tag string
	// revision is the commit of the sources; empty if unknown.
	revision string
	// created is the time of that commit, in seconds since 1970: images of one
	// commit are the same whenever they are made.
	created int64
}

func releaseFlags(flags *flag.FlagSet) *release {
	var r release
	flags.StringVar(&r.tag, "tag", "", "tag of the images, and the version that they say they are of")
	flags.StringVar(&r.revision, "revision", "", "commit that the binaries were built from")
	flags.Int64Var(&r.created, "created", 0, "time of that commit, in seconds since 1970")
	return &r
}

func (r *release) time() time.Time { return time.Unix(r.created, 0).UTC() }

// labels describe an image, under the names that the OCI image specification has
// for them.
func (r *release) labels(title, description, licenses string) map[string]string {
	const prefix = "org.opencontainers.image."
	labels := map[string]string{
		prefix + "title":       title,
		prefix + "description": description,
		prefix + "licenses":    licenses,
		prefix + "version":     r.tag,
		prefix + "created":     r.time().Format(time.RFC3339),
	}
	if r.revision != "" {
		labels[prefix+"revision"] = r.revision
	}
	return labels
}
