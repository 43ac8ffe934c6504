package sidecar

import (
	"context"
	"errors"
	"time"

	"clamav-sidecar/sidecar/clamdapi"
	"clamav-sidecar/sidecar/httpapi"
	"clamav-sidecar/sidecar/ops"
)

// Grace is how long running scans may take to finish once the context of [Run]
// has ended. Kubernetes kills a pod 30 s after it has asked it to end, unless
// terminationGracePeriodSeconds says otherwise.
const Grace = 25 * time.Second

// Run listens on all ports, serves until ctx ends, and then shuts down: it is
// no longer ready, takes no new connections, lets running scans finish, and cuts
// off what still runs after [Grace]. It returns nil unless the configuration is
// at fault, a part has failed, or a scan was cut off.
func Run(ctx context.Context, c Config) error { return run(ctx, c, Grace) }

func run(ctx context.Context, c Config, patience time.Duration) error {
	if err := c.Validate(); err != nil {
		return err
	}
	ports, err := listen(c)
	if err != nil {
		return err
	}
	defer ports.close()
	addresses := ports.addresses()
	pool, err := c.newPool(addresses.Clamd)
	if err != nil {
		return err
	}
	metrics := ops.NewMetrics(c.Version, pool)
	scanner := c.newScanner(pool, metrics.Observe)
	probes := ops.New(ops.Config{Metrics: metrics, Pool: pool, RequireScanner: c.RequireScanner, Log: c.Log})

	endpoints, watch := newGroup(), newGroup()
	poolCtx, stopPool := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPool()
	watch.run(func() error { return pool.Run(poolCtx) })
	watch.serve(webServer{probes.Server}, ports.ops)
	endpoints.serve(webServer{httpapi.NewServer(httpapi.Config{Scanner: scanner, Version: c.Version, Log: c.Log})}, ports.http)
	if ports.clamd != nil {
		endpoints.serve(clamdapi.New(clamdapi.Config{Scanner: scanner, Log: c.Log}), ports.clamd)
	}
	probes.Started()
	ports.warnExposed(c.Log)
	c.Log.Info("sidecar is up", "version", c.Version, "http", addresses.HTTP, "clamd", addresses.Clamd,
		"ops", addresses.Ops, "clamd_conf", c.ClamdConf)
	if c.Started != nil {
		c.Started(addresses)
	}

	select {
	case <-ctx.Done():
		c.Log.Info("shutting down: running scans may finish", "within", patience.String())
	case err = <-endpoints.failed:
	case err = <-watch.failed:
	}
	probes.Stopping()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err = errors.Join(err, endpoints.shutdown(grace))
	stopPool()
	return errors.Join(err, watch.shutdown(grace))
}
