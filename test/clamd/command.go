package clamd

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"time"
)

// commandTimeout bounds a command whose context has no earlier deadline.
const commandTimeout = 10 * time.Second

// replies are what clamd answers to the commands that this package sends.
var replies = map[string]string{"PING": "PONG", "RELOAD": "RELOADING"}

// command sends one command on a connection of its own and checks the reply.
func (d *Daemon) command(ctx context.Context, name string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = ctx.Err() // rather than that the connection is closed
		}
		if err != nil {
			err = fmt.Errorf("send %s to clamd on %s: %w", name, d.endpoint(), err)
		}
	}()

	network := "tcp"
	if d.opts.NoTCP {
		network = "unix"
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, d.endpoint())
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	if _, err := fmt.Fprintf(conn, "z%s\x00", name); err != nil {
		return err
	}
	reply, err := bufio.NewReader(conn).ReadString(0)
	if err != nil {
		return err
	}
	if want := replies[name] + "\x00"; reply != want {
		return fmt.Errorf("got reply %q, want %q", reply, want)
	}
	return nil
}

// endpoint is where this package itself talks to clamd: the TCP address, or the
// path of the Unix socket if that is the only way in.
func (d *Daemon) endpoint() string {
	if d.opts.NoTCP {
		return d.Socket()
	}
	return d.Addr()
}
