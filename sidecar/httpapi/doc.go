// Package httpapi is the HTTP way to a verdict: POST a file to /v1/scan, and
// the status says what clamd thinks of it. Only 200 means clean.
//
//	server := httpapi.NewServer(httpapi.Config{Scanner: scanner, Version: version, Log: log})
//	err := server.Serve(listener)
//
// The body of a request is the file, or a multipart/form-data form of which
// every part is scanned, files and plain fields alike: 200 speaks for all of
// the request. A form that the readers of forms could take apart in more than
// one way is refused. Nothing is held whole in memory or on disk.
//
// An answer that is no verdict is a problem (RFC 9457). The whole contract,
// with the types of all problems, is openapi.yaml, which the server gives under
// /openapi.yaml, and against which test/openapi checks it.
//
// Uploads have no time limit, but a pace (Config.UploadIdle), which the handlers
// watch over by deadlines of their own; the server itself bounds only what comes
// before a body. When an answer is given before all of the body has been read,
// the connection is closed behind it, after some of the rest has been read and
// thrown away, since a client that still sends would otherwise see a reset and
// not the answer. A client that closes its side behind a whole body is answered
// like any other.
package httpapi
