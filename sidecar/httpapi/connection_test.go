package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"clamav-sidecar/sidecar/scan"
)

// raw sends text as it is, closes the sending side if asked to, and reads as
// many answers as come. The server may have answered and closed before all was
// sent: what counts is the answers.
func (s server) raw(t testing.TB, text string, closeWrite bool) []reply {
	t.Helper()
	conn := s.dial(t)
	_, err := io.WriteString(conn, text)
	if err == nil && closeWrite {
		err = conn.CloseWrite()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("send: %v", err)
	}
	return readAnswers(t, conn)
}

// readAnswers reads answers until the server closes.
func readAnswers(t testing.TB, conn net.Conn) []reply {
	t.Helper()
	var answers []reply
	for r := bufio.NewReader(conn); ; {
		if _, err := r.Peek(1); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
				t.Fatalf("after %d answers: got error %v, want the end", len(answers), err)
			}
			return answers
		}
		answers = append(answers, readAnswer(t, r))
	}
}

func readAnswer(t testing.TB, r *bufio.Reader) reply {
	t.Helper()
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("read an answer: %v", err)
	}
	return finish(t, response)
}

// wantOne fails unless there is one answer, behind which the server closes.
func wantOne(t testing.TB, answers []reply) reply {
	t.Helper()
	if len(answers) != 1 {
		t.Fatalf("got %d answers %v, want one", len(answers), answers)
	}
	if !answers[0].close {
		t.Errorf("got status %d without Connection: close, want it", answers[0].status)
	}
	return answers[0]
}

const host = "Host: localhost\r\n"

// post is the head of a request; its body follows.
func post(fields ...string) string {
	return "POST /v1/scan HTTP/1.1\r\n" + host + strings.Join(append(fields, "", ""), "\r\n")
}

func TestBadRequestsAreProblems(t *testing.T) {
	s := start(t, Config{Scanner: &scripted{}, UploadIdle: time.Second}, nil)
	form := func(body string) string {
		return post("Content-Type: "+formType, fmt.Sprint("Content-Length: ", len(body))) + body
	}
	for name, test := range map[string]struct {
		request string
		kind    problemType
		detail  string
	}{
		"no body":                         {post(), noFile, "send the file"},
		"a length of zero":                {post("Content-Length: 0"), noFile, "send the file"},
		"no chunk but the last":           {post("Transfer-Encoding: chunked") + "0\r\n\r\n", noFile, "send the file"},
		"HTTP/1.0 without a length":       {"POST /v1/scan HTTP/1.0\r\n\r\nhello", noFile, "send the file"},
		"an empty form":                   {form("--b--\r\n"), noFile, "no part"},
		"a form with no body at all":      {post("Content-Type: "+formType, "Content-Length: 0"), noFile, "send the file"},
		"a form of empty inputs":          {form(formOf(":", ":")), noFile, "no part"},
		"a form without a boundary":       {post("Content-Type: multipart/form-data", "Content-Length: 1") + "x", badForm, "boundary"},
		"a form with a bad boundary":      {post("Content-Type: multipart/form-data; boundary=\"\xff\"", "Content-Length: 1") + "x", badForm, "RFC 2046"},
		"a form with a bad Content-Type":  {post("Content-Type: multipart/form-data; boundary", "Content-Length: 1") + "x", badForm, "one way only"},
		"a form with two boundaries":      {post("Content-Type: multipart/form-data; boundary=b; boundary=c", "Content-Length: 1") + "x", badForm, "one way only"},
		"multipart/mixed":                 {post("Content-Type: Multipart/Mixed; boundary=b", "Content-Length: 1") + "x", badMedia, "multipart/form-data"},
		"two Content-Types":               {post("Content-Type: text/plain", "Content-Type: "+formType, "Content-Length: 1") + "x", badForm, "2 fields"},
		"a packed body":                   {post("Content-Encoding: gzip", "Content-Length: 1") + "x", badMedia, "Content-Encoding"},
		"a second coding":                 {post("Content-Encoding: identity", "Content-Encoding: br", "Content-Length: 1") + "x", badMedia, "Content-Encoding"},
		"10,000 parts":                    {form(formOf(slices.Repeat([]string{":x"}, 10000)...)), tooManyParts, "may have 100"},
		"a part header of 1 MiB":          {form("--b\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\nx\r\n--b--"), badForm, "longer than 16384"},
		"a name with line feeds":          {form("--b\r\nContent-Disposition: form-data; name=a; filename=\"a\nb\"\r\n\r\nx\r\n--b--"), badForm, "bare CR, LF"},
		"a body over the limit":           {post("Content-Length: 1048577"), tooLarge, "1048576"},
		"chunks over the limit":           {post("Transfer-Encoding: chunked") + "100001\r\n" + strings.Repeat("x", 1<<20+1) + "\r\n0\r\n\r\n", tooLarge, "1048576"},
		"a part over the limit":           {form(formOf("a:" + strings.Repeat("x", 1<<20+1))), tooLarge, "1048576"},
		"a form that is surely too large": {post("Content-Type: "+formType, "Content-Length: 1000000000"), tooLarge, "1000000000"},
		"a chunk that is none":            {post("Transfer-Encoding: chunked") + "xyz\r\nhello", uploadBroken, "broke off after 0 bytes"},
		"a chunk without its line end":    {post("Transfer-Encoding: chunked") + "5\r\nhelloworld", uploadBroken, "broke off after 5 bytes"},
		"a bad trailer":                   {post("Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\nx\r\n\r\n", uploadBroken, "broke off"},
		"a length that is too long":       {post("Content-Length: 6") + "hello", uploadBroken, "ended after 5 of 6 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			answers := s.raw(t, test.request, true)
			if len(answers) == 0 {
				t.Fatal("got no answer")
			}
			wantProblem(t, answers[0], test.kind, test.detail)
		})
	}
}

// What net/http refuses by itself never reaches the handler; the statuses are
// part of openapi.yaml all the same.
func TestInvalidHTTPIsRefused(t *testing.T) {
	scanner := &scripted{}
	s := start(t, Config{Scanner: scanner}, nil)
	for name, test := range map[string]struct {
		request string
		status  int
	}{
		"no HTTP":                       {"hello\r\n\r\n", 400},
		"no host":                       {"POST /v1/scan HTTP/1.1\r\n\r\n", 400},
		"a bad length":                  {post("Content-Length: x") + "x", 400},
		"a negative length":             {post("Content-Length: -1") + "x", 400},
		"two lengths":                   {post("Content-Length: 1", "Content-Length: 2") + "xx", 400},
		"a field with a blank":          {post("Content-Length : 1") + "x", 400},
		"another expectation":           {post("Expect: x", "Content-Length: 1") + "x", 417},
		"a header that is too large":    {post("X: "+strings.Repeat("x", 40<<10), "Content-Length: 1") + "x", 431},
		"another coding":                {post("Transfer-Encoding: gzip, chunked") + "1\r\nx\r\n0\r\n\r\n", 501},
		"a version that does not exist": {"POST /v1/scan HTTP/3.0\r\n" + host + "\r\n", 505},
	} {
		t.Run(name, func(t *testing.T) {
			if got := wantOne(t, s.raw(t, test.request, false)); got.status != test.status {
				t.Errorf("got status %d, want %d", got.status, test.status)
			}
		})
	}
	if len(scanner.calls) > 0 {
		t.Errorf("got %d scans, want none", len(scanner.calls))
	}
}

func TestExpectContinue(t *testing.T) {
	s := start(t, Config{Scanner: &scripted{}}, nil)
	t.Run("a file within the limit is called for", func(t *testing.T) {
		conn := s.dial(t)
		if _, err := io.WriteString(conn, post("Expect: 100-continue", "Content-Length: 5")); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		if got := readAnswer(t, r); got.status != http.StatusContinue {
			t.Fatalf("got %d %s, want 100", got.status, got.body)
		}
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		if got := readAnswer(t, r); got.status != http.StatusOK {
			t.Fatalf("got %d %s, want 200", got.status, got.body)
		}
	})
	for name, head := range map[string]string{
		"a file over the limit": post("Expect: 100-continue", "Content-Length: 1048577"),
		"a form over the limit": post("Expect: 100-continue", "Content-Type: "+formType, "Content-Length: 1048576000"),
		"a packed file":         post("Expect: 100-continue", "Content-Encoding: gzip", "Content-Length: 5"),
		"a file for no path":    strings.Replace(post("Expect: 100-continue", "Content-Length: 5"), "/v1", "/v2", 1),
	} {
		t.Run(name+" is not", func(t *testing.T) {
			t.Parallel()
			if got := wantOne(t, s.raw(t, head, false)); got.status < 400 {
				t.Errorf("got status %d, want a refusal", got.status)
			}
		})
	}
}

// A client may send all of its request before it reads anything. It must get
// its answer then, and not a reset.
func TestEarlyAnswerReachesAClientThatSendsOn(t *testing.T) {
	const size = 32 << 20
	s := start(t, Config{Scanner: &scripted{instead: func(context.Context, io.Reader) (scan.Verdict, error) {
		return scan.Verdict{}, scan.ErrUnavailable
	}}}, nil)
	large := bytes.Repeat([]byte("x"), 1<<20)
	for name, test := range map[string]struct {
		head string
		kind problemType
	}{
		"over the limit":  {post("Content-Type: "+formType, "Content-Length: 1000000000"), tooLarge},
		"unavailable":     {post("Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n", size), unavailable},
		"of a wrong kind": {post("Content-Encoding: gzip", fmt.Sprint("Content-Length: ", size)), badMedia},
		"for no path":     {strings.Replace(post(fmt.Sprint("Content-Length: ", size)), "/v1", "/v2", 1), notFound},
	} {
		t.Run(name, func(t *testing.T) {
			conn := s.dial(t)
			if _, err := io.WriteString(conn, test.head); err != nil {
				t.Fatal(err)
			}
			for range size / len(large) {
				if _, err := conn.Write(large); err != nil {
					t.Fatalf("send on: %v", err)
				}
			}
			begin := time.Now()
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			wantProblem(t, wantOne(t, readAnswers(t, conn)), test.kind, "")
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("the server closed %v after the client, want at once", took)
			}
		})
	}
}

func TestEarlyAnswerDoesNotWaitForASilentClient(t *testing.T) {
	s := start(t, Config{Scanner: &scripted{instead: func(context.Context, io.Reader) (scan.Verdict, error) {
		return scan.Verdict{}, scan.ErrUnavailable
	}}}, nil)
	for name, head := range map[string]string{
		"of a large body":  post("Content-Length: 1000000"),
		"of a small body":  post("Content-Length: 1000"),
		"of chunks":        post("Transfer-Encoding: chunked"),
		"that expects 100": post("Expect: 100-continue", "Content-Length: 1000"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			wantProblem(t, wantOne(t, s.raw(t, head, false)), unavailable, "")
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("took %v, want the connection to be closed after a few seconds", took)
			}
		})
	}
}

func TestConcurrentFormsDoNotMix(t *testing.T) {
	s := start(t, Config{Scanner: &scripted{}}, nil)
	for i := range 8 {
		t.Run(fmt.Sprint("client ", i), func(t *testing.T) {
			t.Parallel()
			clean, bad := strings.Repeat("x", 1000*i+1), strings.Repeat("y", 1000*i)+"encrypted"
			want := fmt.Sprintf(`"reason":"encrypted","bytes":%d,`, 3000*i+11)
			for range 20 {
				got := s.do(t, http.MethodPost, "/v1/scan", formType, formOf("a:"+clean, "b:"+bad, "c:"+clean))
				if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, want) {
					t.Errorf("got %d %s, want 422 with %s", got.status, got.body, want)
				}
			}
		})
	}
}

func TestConnectionIsKept(t *testing.T) {
	full := false
	s := start(t, Config{Scanner: &scripted{answer: func(ctx context.Context, body []byte) (scan.Verdict, error) {
		if full = !full; full {
			return scan.Verdict{}, scan.ErrUnavailable
		}
		return judge(ctx, body)
	}}}, nil)
	conn := s.dial(t)
	r := bufio.NewReader(conn)
	for i, test := range []struct {
		request string
		status  int
	}{
		{post("Content-Length: 5") + "hello", 503},
		{post("Content-Length: 5") + "hello", 200},
		{post("Content-Length: 0"), 400},
		{post("Transfer-Encoding: chunked") + "0\r\n\r\n", 400},
		{post("Content-Encoding: gzip", "Content-Length: 60000") + strings.Repeat("x", 60000), 415},
		{"GET /v1/version HTTP/1.1\r\n" + host + "\r\n", 200},
		{"POST /v1/version HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello", 405},
		{"POST /v1/scan HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", 503},
		{"POST /v1/scan HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", 200},
	} {
		if _, err := io.WriteString(conn, test.request); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if got := readAnswer(t, r); got.status != test.status {
			t.Errorf("request %d: got %d and %s, want %d", i, got.status, got.body, test.status)
		}
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("after HTTP/1.0: got %d bytes and error %v, want the end", n, err)
	}
}

func TestPipelinedRequestsAreAnsweredInTheirOrder(t *testing.T) {
	s := start(t, Config{Scanner: &scripted{}}, nil)
	form := formOf("a:encrypted")
	var requests strings.Builder
	var want []int
	for range 20 {
		requests.WriteString(post("Content-Length: 5") + "hello")
		requests.WriteString(post("Content-Type: "+formType, fmt.Sprint("Content-Length: ", len(form))) + form)
		requests.WriteString(post("Transfer-Encoding: chunked") + "5\r\nfails\r\n0\r\n\r\n")
		want = append(want, 200, 422, 502)
	}
	requests.WriteString(post("Connection: close", "Content-Length: 5") + "hello")
	want = append(want, 200)
	var got []int
	for _, answer := range s.raw(t, requests.String(), false) {
		got = append(got, answer.status)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got statuses %v, want %v", got, want)
	}
}

func TestBytesBehindTheLengthAreNoPartOfTheFile(t *testing.T) {
	s := start(t, Config{Scanner: &scripted{}}, nil)
	answers := s.raw(t, post("Content-Length: 5")+"hello, world\r\n\r\n", true)
	if len(answers) != 2 || answers[0].status != 200 || !strings.Contains(answers[0].body, `"bytes":5`) || answers[1].status != 400 {
		t.Errorf("got %v, want 200 for 5 bytes and 400 for the rest, which is no request", answers)
	}
}

func TestRefusalsAreLoggedOnceAndScansAreNot(t *testing.T) {
	s := start(t, Config{Scanner: &scripted{}}, nil)
	s.withID(t, "", "hello")
	s.withID(t, "", "fails")
	s.withID(t, formType, formOf("a:hello"))
	s.withID(t, formType, formOf("a:fails"))
	if log := s.log.String(); log != "" {
		t.Errorf("got %q, want nothing for scans", log)
	}
	for i, body := range []string{"", formOf(), formOf("a:x") + "x"} {
		s.withID(t, formType, body)
		if lines := strings.Count(s.log.String(), "\n"); lines != i+1 {
			t.Errorf("got %d lines %q, want %d", lines, s.log, i+1)
		}
	}
	if log := s.log.String(); strings.Count(log, "request refused") != 3 || strings.Count(log, "request_id=id-1") != 3 || strings.Count(log, "status=400") != 3 {
		t.Errorf("got %q, want each refusal with its status and request id", log)
	}
}
