// Package clamd speaks clamd's wire protocol from the client's side and reads
// clamd.conf.
//
// A [Session] is one connection in IDSESSION mode: it carries many scans, one
// at a time. A body travels in [Block]s, which leave room around the data for
// the protocol's framing, so that a small body goes out in one write and a
// large one with one write a block and no copy.
//
// The package calls nothing a verdict: [ParseReply] turns each reply that
// clamd is known to give into a [Reply] and everything else into
// [ErrMalformed]. What a reply means for a file is for package scan to say.
//
// It imports only the standard library. The protocol is described in clamd(8);
// what that page leaves open was read off clamd 1.4.6.
package clamd
