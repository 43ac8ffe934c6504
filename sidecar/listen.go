package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"
)

// listeners are the bound ports; clamd is nil when that endpoint is off.
type listeners struct{ http, clamd, ops net.Listener }

// listen binds all ports, or none; the error names each that cannot be bound.
func listen(c Config) (listeners, error) {
	var (
		bound  [3]net.Listener
		faults []error
		// Every wait for a client has a deadline; keep-alives would add none,
		// and cost four system calls for each connection.
		config = net.ListenConfig{KeepAlive: -1}
	)
	for i, p := range c.ports() {
		if p.address == "" {
			continue
		}
		l, err := config.Listen(context.Background(), "tcp", p.address)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s %s: %s", p.flag, p.address, bindFault(err)))
			continue
		}
		bound[i] = l
	}
	ports := listeners{http: bound[0], clamd: bound[1], ops: bound[2]}
	if len(faults) > 0 {
		ports.close()
		return listeners{}, errors.Join(faults...)
	}
	return ports, nil
}

// bindFault is what err means, and what to do about it.
func bindFault(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "the port is taken: stop the process that listens on it, or choose another port"
	case errors.Is(err, syscall.EACCES):
		return "not permitted: choose a port above 1023"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine has no such address: choose 127.0.0.1, or leave the host out for every address"
	}
	return err.Error()
}

// close closes what is bound. A server that has closed its own is no fault.
func (l listeners) close() {
	for _, listener := range []net.Listener{l.http, l.clamd, l.ops} {
		if listener != nil {
			listener.Close()
		}
	}
}

func (l listeners) addresses() Addresses {
	a := Addresses{HTTP: l.http.Addr().String(), Ops: l.ops.Addr().String()}
	if l.clamd != nil {
		a.Clamd = l.clamd.Addr().String()
	}
	return a
}

// warnExposed logs each scanning port that others than this pod can reach.
func (l listeners) warnExposed(log *slog.Logger) {
	warn := func(flag string, listener net.Listener) {
		if a, ok := listener.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
			log.Warn("the port is open to everybody who can reach this address, and asks for no password; "+
				"bind it to 127.0.0.1 unless a network policy guards it", "flag", flag, "address", a.String())
		}
	}
	warn("--listen", l.http)
	if l.clamd != nil {
		warn("--clamd-listen", l.clamd)
	}
}
