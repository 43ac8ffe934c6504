package main

import (
	"errors"
	"fmt"
	"net"

	"clamav-sidecar/sidecar"
)

// ports are the sidecar's addresses, as host:port.
type ports struct{ http, clamd, ops string }

// choosePorts takes the sidecar's own defaults and variables, and sees that the
// ports are free, so that nobody scans with a stranger that listens there.
func choosePorts(lookup func(string) (string, bool)) (ports, error) {
	usual := sidecar.Default()
	var (
		chosen ports
		faults []error
	)
	for _, p := range []struct {
		env, usual, example string
		to                  *string
	}{
		{"CLAMAV_SIDECAR_LISTEN", usual.Listen, "127.0.0.1:4311", &chosen.http},
		{"CLAMAV_SIDECAR_CLAMD_LISTEN", usual.ClamdListen, "127.0.0.1:4310", &chosen.clamd},
		{"CLAMAV_SIDECAR_OPS_LISTEN", usual.OpsListen, ":4312", &chosen.ops},
	} {
		*p.to = p.usual
		if set, ok := lookup(p.env); ok {
			*p.to = set
		}
		listener, err := net.Listen("tcp", *p.to)
		if err != nil {
			faults = append(faults, fmt.Errorf("cannot listen on %q (%w): choose another port, for example %s=%s make run",
				*p.to, err, p.env, p.example))
			continue
		}
		listener.Close()
	}
	return chosen, errors.Join(faults...)
}

// dialable is the address to connect to, where the one to listen on has no host.
func dialable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || (host != "" && !net.ParseIP(host).IsUnspecified()) {
		return address
	}
	return net.JoinHostPort("127.0.0.1", port)
}
