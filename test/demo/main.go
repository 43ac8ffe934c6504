// Command demo shows the project at work, with nothing but ClamAV installed: it
// shows a sample Deployment before and after the injection, starts a real clamd
// and the sidecar in front of it, scans a clean file and the EICAR test file over
// HTTP and with clamdscan, and then keeps both running, to be tried out, until it
// is interrupted. It leaves no process and no file behind but the official
// signatures, if it could download them, in the user's cache.
//
// The sidecar's ports are the usual ones. CLAMAV_SIDECAR_LISTEN,
// CLAMAV_SIDECAR_CLAMD_LISTEN and CLAMAV_SIDECAR_OPS_LISTEN choose others.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"clamav-sidecar/test/clamd"
)

func main() {
	signatures := flag.String("signatures", auto, "auto: official ones, or else the test signatures; test: these; or the directory of a virus database")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	d := demo{out: os.Stdout, err: os.Stderr}
	err := d.run(ctx, *signatures)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

// demo is one run of it.
type demo struct {
	out, err io.Writer
	dir      string // for all its files; gone when it ends
	ports    ports
	clamd    *clamd.Daemon
	sidecar  *process
}

// run returns nil when ctx ends, and an error when something goes wrong before.
func (d *demo) run(ctx context.Context, signatures string) error {
	err := d.show(ctx, signatures)
	if ctx.Err() != nil {
		err = nil // what an interrupt has broken off is no fault
	}
	return errors.Join(err, d.close())
}

// show starts everything, scans, and then waits.
func (d *demo) show(ctx context.Context, signatures string) (err error) {
	if d.ports, err = choosePorts(os.LookupEnv); err != nil {
		return err
	}
	if d.dir, err = os.MkdirTemp("", "clamav-demo-"); err != nil {
		return fmt.Errorf("make a directory for the demo: %w", err)
	}
	database, err := d.findSignatures(ctx, signatures)
	if err != nil {
		return err
	}
	d.warnIfTest(database)
	if err := d.injection(ctx); err != nil {
		return err
	}
	if err := d.startClamd(ctx, database); err != nil {
		return err
	}
	if err := d.startSidecar(ctx); err != nil {
		return err
	}
	if err := d.tour(ctx); err != nil {
		return err
	}
	d.invite()
	d.warnIfTest(database)
	fmt.Fprintln(d.out, "\nCtrl-C ends it.")
	return d.wait(ctx)
}

// close ends what was started, in reverse, and removes the files.
func (d *demo) close() error {
	var faults []error
	if d.sidecar != nil {
		fmt.Fprintln(d.out, "\nstopping the sidecar and clamd")
		faults = append(faults, d.sidecar.stop())
	}
	if d.clamd != nil {
		faults = append(faults, d.clamd.Close())
	}
	if d.dir != "" {
		faults = append(faults, os.RemoveAll(d.dir))
	}
	return errors.Join(faults...)
}

// startClamd starts a clamd on a free port.
func (d *demo) startClamd(ctx context.Context, database database) error {
	if database.path != "" {
		fmt.Fprintf(d.out, "starting clamd with the signatures in %s (this takes up to a minute, and over 1 GiB of memory)\n", database.path)
	} else {
		fmt.Fprintln(d.out, "starting clamd")
	}
	var err error
	if d.clamd, err = clamd.Start(ctx, clamd.Options{DatabaseDir: database.path}); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "clamd is up: %s, process %d\n", d.clamd.Addr(), d.clamd.PID())
	return nil
}

// wait returns nil when ctx ends, and an error when a process does before.
func (d *demo) wait(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.sidecar.ended:
			return fmt.Errorf("the sidecar ended by itself: %w", d.sidecar.outcome())
		case <-time.After(200 * time.Millisecond):
			if d.clamd.PID() == 0 {
				return errors.New("clamd ended by itself; the last lines of its log:\n" + lastLines(d.clamd.Log(), 5))
			}
		}
	}
}

// file is the path of one of the demo's own files.
func (d *demo) file(name string) string { return filepath.Join(d.dir, name) }

// lastLines are the last n lines of text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
