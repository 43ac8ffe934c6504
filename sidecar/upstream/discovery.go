package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"clamav-sidecar/sidecar/clamd"
)

const (
	lookInterval = 5 * time.Second
	// minLookInterval keeps scans that find no replica from asking DNS all the
	// time.
	minLookInterval = 500 * time.Millisecond
	lookTimeout     = 3 * time.Second
	maxReplicas     = 256
)

// discovery keeps the pool's replicas in step with clamd.conf and DNS. One
// goroutine owns it.
type discovery struct {
	pool     *Pool
	known    map[string][]string // name in clamd.conf -> its addresses when last resolved
	watchers *sync.WaitGroup
	fault    string // logged last, so that it is logged once
}

// look reads clamd.conf, resolves its names, and adds and removes replicas. A
// file that has turned bad, or a name that cannot be resolved now, leaves
// everything as it was; a name that no longer exists has no replicas.
func (d *discovery) look(ctx context.Context) {
	conf, err := clamd.ReadConf(d.pool.config.ClamdConf)
	if err != nil {
		conf = *d.pool.conf.Load()
	} else {
		d.pool.conf.Store(&conf)
	}
	var endpoints []endpoint
	if conf.LocalSocket != "" {
		endpoints = append(endpoints, endpoint{"unix", conf.LocalSocket})
	}
	port := strconv.Itoa(int(conf.Port))
	for _, host := range conf.Addrs {
		addresses, lookErr := d.resolve(ctx, host)
		err = errors.Join(err, lookErr)
		for _, a := range addresses {
			endpoints = append(endpoints, endpoint{"tcp", net.JoinHostPort(a, port)})
		}
	}
	endpoints = slices.DeleteFunc(endpoints, func(e endpoint) bool {
		if !sameSocket(e.address, d.pool.config.Self) {
			return false
		}
		err = errors.Join(err, errors.New("clamd.conf names this sidecar itself ("+e.address+
			"): point TCPAddr at the clamav service"))
		return true
	})
	d.report(err)
	d.update(ctx, endpoints)
}

// sameSocket says whether a connection to address ends at a listener on self:
// at the same address, or at one of this host's when self is every address. A
// connection to "every address" goes to the loopback one.
func sameSocket(address, self string) bool {
	a, errA := netip.ParseAddrPort(address)
	s, errS := netip.ParseAddrPort(self)
	if errA != nil || errS != nil || a.Port() != s.Port() {
		return false
	}
	target, listener := a.Addr().Unmap(), s.Addr().Unmap()
	switch {
	case target.IsUnspecified():
		return listener.IsUnspecified() || listener.IsLoopback()
	case listener.IsUnspecified():
		return target.IsLoopback() || isLocal(target)
	}
	return target == listener
}

// isLocal says whether address is one of this host's.
func isLocal(address netip.Addr) bool {
	locals, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(locals, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr().Unmap() == address
	})
}

// endpoint is where a replica listens.
type endpoint struct{ network, address string }

// resolve gives the addresses of host.
func (d *discovery) resolve(ctx context.Context, host string) ([]string, error) {
	if net.ParseIP(host) != nil {
		return []string{host}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	addresses, err := d.pool.config.LookupHost(ctx, host)
	var unknown *net.DNSError
	switch {
	case err == nil:
		d.known[host] = addresses
	case errors.As(err, &unknown) && unknown.IsNotFound:
		delete(d.known, host)
	}
	return d.known[host], err
}

// update starts a watch for each endpoint that is new and ends those of the
// ones that are gone.
func (d *discovery) update(ctx context.Context, endpoints []endpoint) {
	slices.SortFunc(endpoints, func(a, b endpoint) int { return strings.Compare(a.address, b.address) })
	endpoints = slices.Compact(endpoints)
	endpoints = endpoints[:min(len(endpoints), maxReplicas)]

	current := *d.pool.replicas.Load()
	next := make([]*replica, 0, len(endpoints))
	for _, e := range endpoints {
		i := slices.IndexFunc(current, func(r *replica) bool { return r.network == e.network && r.address == e.address })
		if i >= 0 {
			next = append(next, current[i])
			continue
		}
		r := newReplica(d.pool, e.network, e.address)
		watchCtx, stop := context.WithCancel(ctx)
		r.stop = stop
		d.watchers.Go(func() { r.watch(watchCtx) })
		next = append(next, r)
		d.pool.log.Info("replica found", "replica", e.address)
	}
	d.pool.replicas.Store(&next)
	for _, r := range current {
		if !slices.Contains(next, r) {
			r.stop()
			d.pool.log.Info("replica is gone", "replica", r.address)
		}
	}
}

// drop ends all watches.
func (d *discovery) drop() {
	for _, r := range *d.pool.replicas.Load() {
		r.stop()
	}
}

// report logs a fault when it first comes, and when it is over.
func (d *discovery) report(err error) {
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	switch {
	case fault == d.fault:
	case fault == "":
		d.pool.log.Info("replicas can be looked up again")
	default:
		d.pool.log.Error("cannot look up all replicas", "error", err)
	}
	d.fault = fault
}
