package openapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"clamav-sidecar/sidecar/clamd"
	"clamav-sidecar/sidecar/httpapi"
	"clamav-sidecar/sidecar/scan"
	"clamav-sidecar/sidecar/upstream"
)

const testTimeout = 20 * time.Second // bounds every wait

// scripted gives the outcome that the body's first word names. All statuses
// have to occur at will, so it stands in for a scanner with a real clamd.
type scripted struct{}

var version = clamd.Version{Engine: "1.4.6", Signatures: 27800, Built: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)}

func (scripted) MaxFileSize() int64 { return 1 << 20 }

func (scripted) Stats() upstream.Stats { return upstream.Stats{Open: 2, Scanning: 1, Queued: 1} }

func (scripted) Replicas() []upstream.Replica {
	return []upstream.Replica{
		{Address: "10.0.0.1:3310", State: upstream.Healthy, InFlight: 1, Version: version, Checked: time.Now()},
		{Address: "10.0.0.2:3310", State: upstream.Down, Error: "connection refused", Version: clamd.Version{Engine: "1.4.6"}, Checked: time.Now()},
		{Address: "/run/clamd.sock", State: upstream.Unknown},
	}
}

func (s scripted) Scan(_ context.Context, body io.Reader, opt scan.Options) (scan.Verdict, error) {
	if opt.Size > s.MaxFileSize() {
		return scan.Verdict{}, scan.ErrTooLarge
	}
	content, err := io.ReadAll(body)
	verdict := scan.Verdict{Bytes: int64(len(content)), Duration: time.Millisecond, Version: version}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return verdict, scan.ErrUploadTimeout
	case err != nil:
		return verdict, fmt.Errorf("%w: %w", scan.ErrUpload, err)
	}
	word, _, _ := strings.Cut(string(content), " ")
	switch word {
	case "infected":
		verdict.Outcome, verdict.Signature = scan.Infected, "Eicar-Test-Signature"
	case "encrypted":
		verdict.Outcome, verdict.Signature, verdict.Reason = scan.Unscannable, "Heuristics.Encrypted.Zip", scan.Encrypted
	case "limit":
		verdict.Outcome, verdict.Signature, verdict.Reason = scan.Unscannable, "Heuristics.Limits.Exceeded.MaxFileSize", scan.Limit
	case "engine":
		return verdict, scan.ErrEngine
	case "busy":
		return verdict, scan.ErrUnavailable
	case "slow":
		return verdict, scan.ErrTimeout
	case "nothing": // no outcome and no error: a fault of the scanner
	case "plain":
		verdict.Outcome, verdict.Version = scan.Clean, clamd.Version{}
	default:
		verdict.Outcome = scan.Clean
	}
	return verdict, nil
}

// serve runs the endpoint until the test ends and gives its address.
func serve(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httpapi.NewServer(httpapi.Config{
		Scanner:    scripted{},
		Version:    "1.2.3",
		UploadIdle: 100 * time.Millisecond,
		Log:        slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close the server: %v", err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return listener.Addr().String()
}

// load reads the description that the server gives.
func load(t *testing.T, address string) (*openapi3.T, routers.Router) {
	t.Helper()
	text := exchange(t, address, "GET /openapi.yaml HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	doc, err := openapi3.NewLoader().LoadFromData(text.body)
	if err != nil {
		t.Fatalf("load openapi.yaml: %v", err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("openapi.yaml is not valid: %v", err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, router
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// exchange sends a request as it is and reads the answer.
func exchange(t *testing.T, address, request string) answer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, testTimeout)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, body}
}

const formType = "Content-Type: multipart/form-data; boundary=b"

// formOf is a form with a file for each content.
func formOf(contents ...string) string {
	var b strings.Builder
	for i, content := range contents {
		fmt.Fprintf(&b, "--b\r\nContent-Disposition: form-data; name=\"f%d\"; filename=\"a.txt\"\r\n\r\n%s\r\n", i, content)
	}
	return b.String() + "--b--\r\n"
}

// sample is what follows a request's line and Host.
type sample struct {
	status int
	valid  bool // as the description has it
	text   string
}

func whole(status int, body string, fields ...string) sample {
	fields = append(fields, fmt.Sprint("Content-Length: ", len(body)), "", "")
	return sample{status, true, strings.Join(fields, "\r\n") + body}
}

func broken(status int, head string) sample { return sample{status, false, head} }

const octets = "Content-Type: application/octet-stream"

// scans are the requests to /v1/scan.
var scans = map[string]sample{
	"a clean file":                       whole(200, "clean", octets),
	"a clean file, traced":               whole(200, "clean", octets, "X-Request-ID: id-1", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
	"without official signatures":        whole(200, "plain", "Content-Type: text/plain"),
	"a clean form":                       whole(200, formOf("clean", "clean"), formType),
	"an infected file":                   whole(406, "infected", octets),
	"a form with an infected file":       whole(406, formOf("clean", "infected"), formType),
	"a form with one that then fails":    whole(406, formOf("infected", "engine"), formType),
	"an encrypted file":                  whole(422, "encrypted", octets),
	"a file over a limit of clamd":       whole(422, "limit", octets),
	"a form with an encrypted file":      whole(422, formOf("encrypted", "clean"), formType),
	"no file":                            broken(400, "Content-Length: 0\r\n\r\n"),
	"a broken upload":                    broken(400, "Transfer-Encoding: chunked\r\n\r\nx\r\n"),
	"a bad form":                         broken(400, formType+"\r\nContent-Length: 5\r\n\r\nhello"),
	"a form that breaks off":             broken(400, formType+"\r\nContent-Length: 121\r\n\r\n"+strings.Repeat(strings.TrimSuffix(formOf("clean"), "--b--\r\n"), 2)[:121]),
	"a stalled upload":                   broken(408, "Content-Length: 5\r\n\r\nx"),
	"a file that is too large":           broken(413, "Content-Length: 1048577\r\n\r\n"),
	"a form that is too large":           broken(413, formType+"\r\nContent-Length: 1000000000\r\n\r\n"),
	"a form with too many parts":         whole(413, formOf(make([]string, 101)...), formType),
	"a packed file":                      broken(415, "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"),
	"multipart/mixed":                    broken(415, "Content-Type: multipart/mixed; boundary=b\r\nContent-Length: 1\r\n\r\nx"),
	"an unknown expectation":             broken(417, "Expect: x\r\nContent-Length: 1\r\n\r\nx"),
	"a large header":                     broken(431, "X: "+strings.Repeat("x", 40<<10)+"\r\n\r\n"),
	"a scanner that gives no verdict":    whole(500, "nothing", octets),
	"an unknown coding":                  broken(501, "Transfer-Encoding: gzip\r\n\r\n"),
	"an error of clamd":                  whole(502, "engine", octets),
	"a form with an error of clamd":      whole(502, formOf("clean", "engine", "clean"), formType),
	"no room":                            whole(503, "busy", octets),
	"a form without room":                whole(503, formOf("busy"), formType),
	"a scan that takes too long":         whole(504, "slow", octets),
	"a form with one that takes so long": whole(504, formOf("slow"), formType),
}

var reads = map[string]sample{"plain": broken(200, "\r\n")}

// operations are all that is documented, with the requests that are sent there.
var operations = []struct {
	method, path, at string
	samples          map[string]sample
}{
	{"POST", "/v1/scan", "/v1/scan", scans},
	{"PUT", "/v1/scan", "/v1/scan", scans},
	{"POST", "/v1/scan/{name}", "/v1/scan/a.txt", scans},
	{"PUT", "/v1/scan/{name}", "/v1/scan/a.txt", scans},
	{"GET", "/v1/replicas", "/v1/replicas", reads},
	{"GET", "/v1/version", "/v1/version", reads},
	{"GET", "/openapi.yaml", "/openapi.yaml", reads},
}

func TestAnswersAreAsDocumented(t *testing.T) {
	address := serve(t)
	doc, router := load(t, address)
	documented := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			documented[method+" "+path] = true
		}
	}
	for _, op := range operations {
		name := op.method + " " + op.path
		if !documented[name] {
			t.Errorf("%s is tested and not documented", name)
			continue
		}
		delete(documented, name)
		t.Run(name, func(t *testing.T) {
			seen := map[int]bool{}
			for what, s := range op.samples {
				t.Run(what, func(t *testing.T) {
					seen[s.status] = true
					request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\n%s", op.method, op.at, s.text)
					got := exchange(t, address, request)
					if got.status != s.status {
						t.Fatalf("got status %d and %s, want %d", got.status, got.body, s.status)
					}
					validate(t, router, request, s.valid, got)
				})
			}
			for status := range doc.Paths.Value(op.path).GetOperation(op.method).Responses.Map() {
				if !seen[atoi(t, status)] {
					t.Errorf("status %s is documented and did not occur", status)
				}
			}
		})
	}
	for name := range documented {
		t.Errorf("%s is documented and not tested", name)
	}
}

// validate checks an answer, and the request if it is one that the description
// allows.
func validate(t *testing.T, router routers.Router, text string, valid bool, got answer) {
	t.Helper()
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n\r\n" + body)))
	if err != nil {
		// One that net/http refuses: only its line counts.
		line, _, _ := strings.Cut(head, "\r\n")
		request, err = http.ReadRequest(bufio.NewReader(strings.NewReader(line + "\r\nHost: localhost\r\n\r\n")))
	}
	if err != nil {
		t.Fatal(err)
	}
	route, params, err := router.FindRoute(request)
	if err != nil {
		t.Fatalf("find the operation: %v", err)
	}
	input := &openapi3filter.RequestValidationInput{Request: request, PathParams: params, Route: route}
	if valid {
		if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
			t.Errorf("the request: %v", err)
		}
	}
	if route.Operation.Responses.Status(got.status) == nil {
		t.Errorf("status %d is not documented", got.status)
	}
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input,
		Status:                 got.status,
		Header:                 got.header,
		Body:                   io.NopCloser(bytes.NewReader(got.body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		t.Errorf("the answer %s: %v", got.body, err)
	}
}

func atoi(t *testing.T, status string) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(status, &n); err != nil {
		t.Fatalf("status %q is documented: %v", status, err)
	}
	return n
}
