// Package scan turns an upload into a verdict: it is where the promise is kept
// that nothing is called clean unless clamd scanned all of it.
//
// [Scanner.Scan] reads a body to its end and has one clamd replica scan it. A
// body that is small enough is read first and sent in one write; so long as it
// is held in memory it can be scanned again on another replica. A larger one,
// or one that no replay memory is left for, is sent as it comes. The end marker,
// without which clamd scans nothing, is sent only when the reader has said
// io.EOF, and only an OK that follows it, and the end of every write before it,
// makes a [Clean].
//
// clamd does not scan bodies of five bytes or less and calls them OK. They are
// sent with zero bytes behind them, so that it does.
//
// Every way into the sidecar (HTTP, clamd's protocol, the command line) goes
// through here, and gets the same limits, metrics and log line.
package scan
