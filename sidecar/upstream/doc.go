// Package upstream knows the clamd replicas: where they are, which of them
// work, how much each has to do, and how to get one body scanned by one of
// them.
//
// A [Pool] finds the replicas that clamd.conf names, through DNS, again and
// again, and asks each for its VERSION every few seconds. A scan takes three
// steps, and package scan takes them:
//
//	err := pool.Admit() // or ErrQueueFull: nothing is read yet
//	defer pool.Leave()
//	// read the body ...
//	result, err := pool.Scan(ctx, blocks) // a body held in memory, or
//	stream, err := pool.Open(ctx)         // one that is sent as it comes
//
// At most Config.MaxConcurrent bodies are scanned at a time. A body counts only
// from its end marker on, when clamd gives it a thread, so that slow uploads
// hold none of these slots. A body held in memory is scanned again on another
// replica when the first dies under it; a stream is not.
package upstream
