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
// END, each with z or n before it or in the bare form where clamd knows one,
// byte for byte as clamd 1.4.6 does. VERSION, VERSIONCOMMANDS and STATS are
// answered by a replica.
//
// A body is scanned only when it has come to its end marker. A connection that
// closes within a body, or closes its sending side, gets no reply, as from
// clamd.
//
// # Where it differs from clamd on purpose
//
//   - What reads the server's files or changes its state (SCAN, CONTSCAN,
//     MULTISCAN, ALLMATCHSCAN, FILDES, RELOAD, SHUTDOWN, QUIT, DETSTATS,
//     DETSTATSCLEAR) is answered COMMAND UNAVAILABLE, which is how clamd words
//     a command that its configuration has turned off.
//   - PING is answered with an ERROR while no replica is healthy.
//   - What clamd has no reply for, since it does not come up there (no replica,
//     a full queue, a scan that takes too long), is "stream: TEXT ERROR"; so is
//     an upload that stalls, where clamd says COMMAND READ TIMED OUT without
//     the command's number. TEXT has no colon, which clients take for the end
//     of a file name.
//   - The commands of a session are answered in their order. clamd answers PING
//     and VERSION before scans that came earlier.
//   - A bare command behind another one in the same packet of a session is
//     refused like any other bare command there; clamd waits for more. A
//     carriage return before the newline of a command is ignored in a session
//     too; there clamd loses count of its input.
//   - When a client is still sending as it is refused, the connection's other
//     half stays open for a few seconds, so that the client gets to read why.
package clamdapi
