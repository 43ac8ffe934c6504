package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar/scan"
)

func TestEveryCutOffUploadIsRefused(t *testing.T) {
	testCutOffUploads(t, start(t, Config{Scanner: &scripted{}}, nil))
}

// testCutOffUploads cuts small uploads off behind each of their bytes. They are
// clean, as each beginning of them is.
func testCutOffUploads(t *testing.T, s server) {
	form := formOf("a:hello", ":world", "c:")
	chunked := func(body string) string {
		var b strings.Builder
		for len(body) > 0 {
			n := min(7, len(body))
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		return b.String() + "0\r\n\r\n"
	}
	for name, test := range map[string]struct{ head, body string }{
		"with a length":           {post("Content-Length: 20"), strings.Repeat("x", 20)},
		"in chunks":               {post("Transfer-Encoding: chunked"), chunked(strings.Repeat("x", 20))},
		"a form with a length":    {post("Content-Type: "+formType, fmt.Sprint("Content-Length: ", len(form))), form},
		"a form in chunks":        {post("Content-Type: "+formType, "Transfer-Encoding: chunked"), chunked(form)},
		"HTTP/1.0 with a length ": {"POST /v1/scan HTTP/1.0\r\nContent-Length: 20\r\n\r\n", strings.Repeat("x", 20)},
	} {
		t.Run(name, func(t *testing.T) {
			for n := range len(test.body) {
				answers := s.raw(t, test.head+test.body[:n], true)
				wantProblem(t, wantOne(t, answers), uploadBroken, "")
			}
			conn := s.dial(t)
			if _, err := io.WriteString(conn, test.head+test.body); err != nil {
				t.Fatal(err)
			}
			if got := readAnswer(t, bufio.NewReader(conn)); got.status != http.StatusOK {
				t.Errorf("uncut: got %d and %s, want 200", got.status, got.body)
			}
		})
	}
}

func TestFormThatEndsEarlyIsRefusedAlthoughItsLengthIsRight(t *testing.T) {
	s := start(t, Config{Scanner: &scripted{}}, nil)
	form := strings.TrimSuffix(formOf("a:hello", ":world", "c:"), "\r\n")
	for n := 1; n < len(form); n++ {
		wantProblem(t, s.do(t, http.MethodPost, "/v1/scan", formType, form[:n]), badForm, "")
	}
}

func TestSlowUploadsAreRefused(t *testing.T) {
	s := start(t, Config{Scanner: &scripted{}, UploadIdle: 100 * time.Millisecond}, nil)
	for name, head := range map[string]string{
		"with a length":          post("Content-Length: 1000"),
		"in chunks":              post("Transfer-Encoding: chunked") + "400\r\n",
		"within a part":          post("Content-Type: "+formType, "Content-Length: 1000") + formOf("a:x")[:58],
		"within a part's header": post("Content-Type: "+formType, "Content-Length: 1000") + "--b\r\nX: ",
		"behind a form":          post("Content-Type: "+formType, "Content-Length: 1000") + formOf("a:x"),
	} {
		t.Run(name+", by a client that is silent", func(t *testing.T) {
			got := wantOne(t, s.raw(t, head, false))
			wantProblem(t, got, uploadStall, "too slowly")
		})
	}
	t.Run("by a client that sends a byte now and then", func(t *testing.T) {
		conn := s.dial(t)
		if _, err := io.WriteString(conn, post("Content-Length: 1000")); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for range 900 {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
				if _, err := conn.Write([]byte("x")); err != nil {
					return
				}
			}
		}()
		got := readAnswer(t, bufio.NewReader(conn))
		close(stop)
		<-stopped
		wantProblem(t, got, uploadStall, "too slowly")
	})
	t.Run("in the header, without an answer", func(t *testing.T) {
		slow := start(t, Config{Scanner: &scripted{}}, func(s *http.Server) { s.ReadHeaderTimeout = 50 * time.Millisecond })
		if answers := slow.raw(t, post()[:30], false); len(answers) > 0 {
			t.Errorf("got %v, want only the end", answers)
		}
	})
}

func TestSlowScanIsNotASlowUpload(t *testing.T) {
	const idle = 50 * time.Millisecond
	s := start(t, Config{UploadIdle: idle, Scanner: &scripted{answer: func(ctx context.Context, body []byte) (scan.Verdict, error) {
		select {
		case <-ctx.Done():
			return scan.Verdict{}, ctx.Err()
		case <-time.After(4 * idle):
			return judge(ctx, body)
		}
	}}}, nil)
	for name, test := range map[string]struct{ contentType, body string }{
		"a file":              {"", "hello"},
		"a form of two files": {formType, formOf("a:hello", "b:world")},
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.do(t, http.MethodPost, "/v1/scan", test.contentType, test.body); got.status != http.StatusOK {
				t.Errorf("got status %d and %s, want 200", got.status, got.body)
			}
		})
	}
}

func TestClientMayCloseItsSideBehindTheBody(t *testing.T) {
	// net/http notices it within this time, and cancels the request's context.
	const noticed = 200 * time.Millisecond
	s := start(t, Config{Scanner: &scripted{answer: func(ctx context.Context, body []byte) (scan.Verdict, error) {
		select {
		case <-ctx.Done():
			return scan.Verdict{}, ctx.Err()
		case <-time.After(noticed):
			return judge(ctx, body)
		}
	}}}, nil)
	form := formOf("a:hello", "b:world")
	for name, request := range map[string]string{
		"a file": post("Content-Length: 5") + "hello",
		"a form": post("Content-Type: "+formType, fmt.Sprint("Content-Length: ", len(form))) + form,
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.raw(t, request, true); len(got) != 1 || got[0].status != http.StatusOK {
				t.Errorf("got %v, want one answer with status 200", got)
			}
		})
	}
}
