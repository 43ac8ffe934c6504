// Command webhook is the mutating admission webhook that injects the scanning
// sidecar. Its flags are described by --help and, with its configuration file,
// in docs/webhook.md.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"clamav-sidecar/cmd/internal/build"
	"clamav-sidecar/cmd/webhook/options"
	"clamav-sidecar/webhook"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	opts, err := options.Parse(args)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "%v\nwebhook --help lists all flags\n", err)
		return exitUsage
	case opts.Help:
		fmt.Fprint(stdout, options.Help())
		return 0
	case opts.ShowVersion:
		fmt.Fprintln(stdout, build.Line())
		return 0
	}
	if err := serve(opts, stderr); err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	return 0
}

// serve runs the webhook until the first SIGTERM or SIGINT. A second one ends
// the process at once.
func serve(opts options.Options, stderr io.Writer) error {
	opts.Version = build.Version()
	handler := opts.LogHandler(stderr)
	opts.Log = logr.FromSlogHandler(handler)
	// The libraries log there too, each in its own way.
	slog.SetDefault(slog.New(handler))
	ctrl.SetLogger(opts.Log)
	klog.SetLogger(opts.Log)
	var err error
	// An empty path is the cluster that the process runs in.
	if opts.REST, err = clientcmd.BuildConfigFromFlags("", opts.Kubeconfig); err != nil {
		return fmt.Errorf("failed to find the API server (--kubeconfig tells it outside of a cluster): %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)
	return webhook.Run(ctx, opts.Config)
}
