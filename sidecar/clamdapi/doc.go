// Package clamdapi is the endpoint that speaks clamd's protocol, so that
// clamdscan and every clamd client library can be pointed at the sidecar and
// gain what stands behind it: limits, queue, choice of replica and retry.
//
//	server := clamdapi.New(clamdapi.Config{Scanner: scanner, Log: log})
//	go server.Serve(listener)
//	...
//	err := server.Shutdown(ctx)
//
// It answers PING, VERSION, VERSIONCOMMANDS, STATS, INSTREAM and IDSESSION ...
// END, each with z or n before it, or bare where clamd knows a bare form, byte
// for byte as clamd 1.4.6 does. VERSION, VERSIONCOMMANDS and STATS are answered
// by a replica.
//
// A body is scanned only when it has come to its end marker, and OK is said only
// of one that was. A connection on which a scan has begun, or may just begin,
// is not closed without an ERROR: there are clients that take the end of the
// connection for a clean file (pyclamd 0.4.0) or look for OK anywhere in the
// reply (clamdjs 1.0.2).
//
// # Where it differs from clamd on purpose
//
//   - What reads the server's files or changes its state (SCAN, CONTSCAN,
//     MULTISCAN, ALLMATCHSCAN, FILDES, RELOAD, SHUTDOWN, QUIT, DETSTATS,
//     DETSTATSCLEAR) is answered COMMAND UNAVAILABLE, which is how clamd words
//     a command that its configuration has turned off.
//   - PING is answered with an ERROR while no replica is healthy.
//   - What clamd has no reply for, since it does not come up there (no replica,
//     a full queue, a scan that takes too long), is "stream: TEXT ERROR". So is
//     a body that breaks off, where clamd says nothing, and one that stalls,
//     where it says COMMAND READ TIMED OUT without the command's number. TEXT
//     has no colon, which clients take for the end of a file's name.
//   - The commands of a session are answered in their order. clamd answers PING
//     and VERSION before scans that came earlier.
//   - In a session, a bare command that comes in one packet with the command
//     before it is refused like any other, and a carriage return before the
//     newline of a command is ignored. clamd loses its place in both cases.
//   - Bodies of five bytes or less are scanned: see package scan.
//   - When a client is still sending as it is refused, our side of the
//     connection is closed, and the other only seconds later, so that the client
//     comes to read why.
//   - On shutdown, clients without a command under way are told so, unasked, as
//     clamd tells those that time out.
package clamdapi
