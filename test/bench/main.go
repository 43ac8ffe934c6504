// Command bench measures the sidecar against the other ways to have a file
// scanned, side by side in one run, with one real clamd and unique bodies.
//
// It starts a clamd with test signatures and the sidecar's binary, and has 1, 4
// and 16 clients send bodies of several sizes by each way in turn. The ways take
// turns within every round, so that a machine that slows down slows all of them,
// and what is reported is the median over the rounds. Everything shares the
// machine's processors; the clients therefore send prepared bytes over plain
// sockets and do as little else as they can.
//
// The tables are Markdown on standard output, progress goes to standard error.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"clamav-sidecar/sidecar/clamd"
)

// options are the command's flags.
type options struct {
	sidecar   string
	clients   []int
	sizes     []int64
	ways      []string
	rounds    int
	time      time.Duration
	footprint bool
}

func main() {
	opts, err := parse(os.Args[1:])
	if err == nil {
		err = run(opts)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	flags := pflag.NewFlagSet("bench", pflag.ExitOnError)
	opts := options{}
	flags.StringVar(&opts.sidecar, "sidecar", "bin/sidecar", "the sidecar's binary")
	flags.IntSliceVar(&opts.clients, "clients", []int{1, 4, 16}, "numbers of clients at a time")
	sizes := flags.String("sizes", "1K,64K,1M,20M", "sizes of the bodies")
	flags.StringSliceVar(&opts.ways, "ways", nil, "only these ways (default all): "+strings.Join(wayNames(), ", "))
	flags.IntVar(&opts.rounds, "rounds", 5, "rounds of each cell; the median counts")
	flags.DurationVar(&opts.time, "time", time.Second, "time of each way in each round of each cell")
	flags.BoolVar(&opts.footprint, "footprint", true, "measure memory, start-up and size of the binary too")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	for _, s := range strings.Split(*sizes, ",") {
		size, err := clamd.ParseSize(s)
		if err != nil {
			return options{}, fmt.Errorf("--sizes: %w", err)
		}
		if size < bodyCounter {
			return options{}, fmt.Errorf("--sizes %s: want at least %d bytes", s, bodyCounter)
		}
		opts.sizes = append(opts.sizes, size)
	}
	for _, w := range opts.ways {
		if !knownWay(w) {
			return options{}, fmt.Errorf("--ways %s: want some of %s", w, strings.Join(wayNames(), ", "))
		}
	}
	return opts, nil
}

func run(opts options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	setup, err := start(ctx, opts.sidecar)
	if err != nil {
		return err
	}
	defer setup.close()
	fmt.Printf("Machine: %d processors. clamd with test signatures; %d rounds of %v, medians.\n\n",
		processors(), opts.rounds, opts.time)
	if len(opts.sizes) > 0 && len(opts.clients) > 0 {
		table := newTable()
		for _, size := range opts.sizes {
			for _, clients := range opts.clients {
				c := cell{size: size, clients: clients}
				progress("%s bodies, %s", clamd.FormatSize(size), plural(clients, "client"))
				results, err := measure(ctx, setup, c, opts)
				if err != nil {
					return err
				}
				table.add(c, results)
			}
		}
		table.print(os.Stdout)
	}
	if !opts.footprint {
		return nil
	}
	return footprint(ctx, setup, opts.sidecar)
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
