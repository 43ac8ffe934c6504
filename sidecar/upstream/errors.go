package upstream

import "errors"

// Why a body was not scanned. None of them says anything of the body.
var (
	// ErrQueueFull is a scan beyond MaxConcurrent + Queue.
	ErrQueueFull = errors.New("the queue is full")
	// ErrQueueTimeout is a scan that waited QueueTimeout for a slot.
	ErrQueueTimeout = errors.New("waited too long for a free scan slot")
	// ErrNoReplica is a scan that no replica could be found for.
	ErrNoReplica = errors.New("no healthy clamd replica")
	// ErrInterrupted is a scan whose replica was lost under it, and that could
	// not be moved to another.
	ErrInterrupted = errors.New("the clamd replica was lost during the scan")
	// ErrScanTimeout is a replica that took longer than ScanTimeout.
	ErrScanTimeout = errors.New("the scan took too long")
)
