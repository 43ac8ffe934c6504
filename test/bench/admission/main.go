// Command admission measures the webhook: the injection by itself, beside the
// plain way of webhooks that decode a pod into its type and have the two texts
// compared; and the whole binary with a real API server behind it and requests
// over TLS before it, in throughput, latency and memory.
//
// The ways take turns within every round, so that a machine that slows down slows
// all of them, and what is reported is the median over the rounds, and the
// spread. Everything shares the machine's processors: the webhook, the API
// server, etcd, and this program, which makes the load.
//
// KUBEBUILDER_ASSETS names the directory of kube-apiserver, etcd and kubectl, as
// for the tests (test/kube). The tables are Markdown on standard output, progress
// goes to standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/pflag"
)

// image is that of the sidecar. Nobody runs it.
const image = "registry.example/clamav-sidecar:1.0"

// options are the command's flags.
type options struct {
	webhook, manifests string // paths
	injection, serving bool
	rounds             int
	time               time.Duration
	clients            []int
	rate               float64
	rateTime           time.Duration
	admissions         int
}

func main() {
	opts := parse(os.Args[1:])
	if err := run(opts); err != nil {
		fmt.Fprintln(os.Stderr, "admission:", err)
		os.Exit(1)
	}
}

func parse(args []string) options {
	flags := pflag.NewFlagSet("admission", pflag.ExitOnError)
	opts := options{}
	flags.StringVar(&opts.webhook, "webhook", "bin/webhook", "the webhook's binary")
	flags.StringVar(&opts.manifests, "manifests", "manifests/install.yaml", "the rendered manifests")
	flags.BoolVar(&opts.injection, "injection", true, "measure the injection by itself")
	flags.BoolVar(&opts.serving, "serving", true, "measure the binary")
	flags.IntVar(&opts.rounds, "rounds", 5, "rounds; the median counts")
	flags.DurationVar(&opts.time, "time", 500*time.Millisecond, "time of each way in each round")
	flags.IntSliceVar(&opts.clients, "clients", []int{1, 4, 16}, "numbers of requests at a time")
	flags.Float64Var(&opts.rate, "rate", 500, "requests a second for the latency")
	flags.DurationVar(&opts.rateTime, "rate-time", 4*time.Second, "time of each round at this rate")
	flags.IntVar(&opts.admissions, "admissions", 100_000, "admissions after which memory is looked at")
	if err := flags.Parse(args); err != nil { // ExitOnError: it does not return
		panic(err)
	}
	return opts
}

func run(opts options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if opts.rounds < 1 || opts.time <= 0 || opts.rate <= 0 || opts.rateTime <= 0 {
		return errors.New("--rounds, --time, --rate and --rate-time must be above 0")
	}
	subjects, err := newSubjects()
	if err != nil {
		return err
	}
	fmt.Printf("Machine: %d processors. %d rounds, medians.\n\n", runtime.NumCPU(), opts.rounds)
	for _, s := range subjects {
		fmt.Printf("- %s\n", s.describe())
	}
	if opts.injection {
		if err := measureInjection(ctx, os.Stdout, subjects, opts); err != nil {
			return err
		}
	}
	if opts.serving {
		return measureServing(ctx, os.Stdout, subjects, opts)
	}
	return nil
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
