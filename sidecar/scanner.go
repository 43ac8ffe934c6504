package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"clamav-sidecar/sidecar/scan"
	"clamav-sidecar/sidecar/upstream"
)

// WithScanner runs do with a scanner that listens nowhere, as the command line
// needs one. The scanner works until do returns.
func WithScanner(ctx context.Context, c Config, do func(*scan.Scanner)) error {
	if err := c.Validate(); err != nil {
		return err
	}
	pool, err := c.newPool("")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	do(c.newScanner(pool, nil))
	cancel()
	return <-ended
}

// newPool is the pool of the replicas that clamd.conf names; self is the
// address of our own clamd endpoint, "" if there is none.
func (c Config) newPool(self string) (*upstream.Pool, error) {
	pool, err := upstream.New(upstream.Config{
		ClamdConf:     c.ClamdConf,
		Self:          self,
		MaxConcurrent: c.MaxConcurrent,
		Queue:         c.Queue,
		QueueTimeout:  c.QueueTimeout,
		ScanTimeout:   c.ScanTimeout,
		Log:           c.Log,
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("--clamd-conf %s: there is no such file: write one that names the clamav service "+
			"with TCPSocket and TCPAddr, or name another file", c.ClamdConf)
	case err != nil:
		return nil, fmt.Errorf("--clamd-conf: %w", err)
	}
	return pool, nil
}

func (c Config) newScanner(pool *upstream.Pool, observe func(scan.Options, scan.Verdict, error)) *scan.Scanner {
	return scan.New(scan.Config{
		MaxFileSize:  c.MaxFileSize,
		ReplayMemory: c.ReplayMemory,
		Observe:      observe,
		Log:          c.Log,
	}, pool)
}
