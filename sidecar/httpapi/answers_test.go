package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar/scan"
	"clamav-sidecar/sidecar/upstream"
	"clamav-sidecar/test/corpus"
)

// withID sends a POST with a request id, so that the answer is known in full.
func (s server) withID(t testing.TB, contentType, body string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.address+"/v1/scan", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Request-ID", "id-1")
	request.Header.Set("Content-Type", contentType)
	return send(t, request)
}

func TestVerdictIsAnswered(t *testing.T) {
	s := start(t, Config{Scanner: &scripted{}}, nil)
	eicar := string(corpus.EICAR())
	const common = `"duration_ms":1.235,"engine":"1.4.6","signatures":{"version":27800,"built":"2026-11-20T09:00:00Z"}`
	const twice = `"duration_ms":2.469,"engine":"1.4.6","signatures":{"version":27800,"built":"2026-11-20T09:00:00Z"}`
	clean := func(name string, bytes int) string {
		return fmt.Sprintf(`{"name":%q,"field":"f","verdict":"clean","bytes":%d,%s}`, name, bytes, common)
	}
	infected := `{"name":"e","field":"f","verdict":"infected","signature":"Eicar-Test-Signature","bytes":68,` + common + `}`
	locked := `{"name":"l","field":"f","verdict":"unscannable","signature":"Heuristics.Encrypted.Zip","reason":"encrypted","bytes":9,` + common + `}`
	for name, test := range map[string]struct {
		contentType, body string
		status            int
		want              string
	}{
		"a clean file":       {"text/plain", "hello", 200, `{"verdict":"clean","bytes":5,` + common + `,"request_id":"id-1"}`},
		"an infected file":   {"", eicar, 406, `{"verdict":"infected","signature":"Eicar-Test-Signature","bytes":68,` + common + `,"request_id":"id-1"}`},
		"an encrypted file":  {"", "encrypted", 422, `{"verdict":"unscannable","signature":"Heuristics.Encrypted.Zip","reason":"encrypted","bytes":9,` + common + `,"request_id":"id-1"}`},
		"a form of one file": {formType, formOf("a:hello"), 200, `{"verdict":"clean","bytes":5,` + common + `,"request_id":"id-1","files":[` + clean("a", 5) + `]}`},
		"a form with an infected file in front": {formType, formOf("e:"+eicar, "a:hello"), 406,
			`{"verdict":"infected","signature":"Eicar-Test-Signature","bytes":73,` + twice + `,"request_id":"id-1","files":[` + infected + "," + clean("a", 5) + `]}`},
		"a form with an infected file behind": {formType, formOf("l:encrypted", "e:"+eicar), 406,
			`{"verdict":"infected","signature":"Eicar-Test-Signature","bytes":77,` + twice + `,"request_id":"id-1","files":[` + locked + "," + infected + `]}`},
		"a form with an encrypted file": {formType, formOf("a:hello", "l:encrypted"), 422,
			`{"verdict":"unscannable","signature":"Heuristics.Encrypted.Zip","reason":"encrypted","bytes":14,` + twice + `,"request_id":"id-1","files":[` + clean("a", 5) + "," + locked + `]}`},
		"a form whose only bad part is a plain field": {formType, formOf("a:hello", ":"+eicar), 406,
			`{"verdict":"infected","signature":"Eicar-Test-Signature","bytes":73,` + twice + `,"request_id":"id-1","files":[` + clean("a", 5) + "," + strings.Replace(infected, `"name":"e",`, "", 1) + `]}`},
		"a form with an input left empty": {formType, formOf(":", "a:hello"), 200, `{"verdict":"clean","bytes":5,` + common + `,"request_id":"id-1","files":[` + clean("a", 5) + `]}`},
		"a form with an empty file":       {formType, formOf("a:"), 200, `{"verdict":"clean","bytes":0,` + common + `,"request_id":"id-1","files":[` + clean("a", 0) + `]}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.withID(t, test.contentType, test.body)
			if got.status != test.status || got.body != test.want+"\n" {
				t.Errorf("\n got %d %s\nwant %d %s", got.status, got.body, test.status, test.want)
			}
			if kind := got.header.Get("Content-Type"); kind != jsonMedia {
				t.Errorf("Content-Type: got %q, want %q", kind, jsonMedia)
			}
			if id := got.header.Get("X-Request-ID"); id != "id-1" {
				t.Errorf("X-Request-ID: got %q, want id-1", id)
			}
		})
	}
}

func TestVerdictOfAClamdWithoutOfficialSignatures(t *testing.T) {
	s := start(t, Config{Scanner: &scripted{answer: func(context.Context, []byte) (scan.Verdict, error) {
		return scan.Verdict{Outcome: scan.Clean}, nil
	}}}, nil)
	want := `{"verdict":"clean","bytes":1,"duration_ms":1.235,"request_id":"id-1"}` + "\n"
	if got := s.withID(t, "", "x"); got.body != want {
		t.Errorf("got %s, want %s", got.body, want)
	}
}

// decode reads a problem and checks that it is one.
func decode(t testing.TB, r reply) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		t.Fatalf("status %d: the body %q is no problem: %v", r.status, r.body, err)
	}
	if kind := r.header.Get("Content-Type"); kind != problemMedia || p.Status != r.status || p.RequestID == "" || p.RequestID != r.header.Get("X-Request-ID") {
		t.Errorf("got status %d, %s, X-Request-ID %q with the problem %+v, want them to agree", r.status, kind, r.header.Get("X-Request-ID"), p)
	}
	return p
}

// wantProblem checks the kind of a problem and words of its detail.
func wantProblem(t testing.TB, r reply, kind problemType, detail string) problem {
	t.Helper()
	if r.status != kind.status {
		t.Fatalf("got status %d, want %d for %s; the body: %s", r.status, kind.status, kind.name, r.body)
	}
	p := decode(t, r)
	if p.Type != problemURN+kind.name || !strings.Contains(p.Detail, detail) {
		t.Errorf("got %s with %q, want %s with %q", p.Type, p.Detail, kind.name, detail)
	}
	return p
}

func TestErrorsOfTheScannerAreProblems(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		kind   problemType
		detail string
	}{
		"too large":       {fmt.Errorf("%w of 1M", scan.ErrTooLarge), tooLarge, "larger than the limit of 1M"},
		"a dial time-out": {fmt.Errorf("%w: dial: %w", scan.ErrUnavailable, os.ErrDeadlineExceeded), unavailable, "not available"},
		"unavailable":     {scan.ErrUnavailable, unavailable, "not available"},
		"too long":        {scan.ErrTimeout, scanTimeout, "too long"},
		"engine":          {fmt.Errorf("%w: no memory", scan.ErrEngine), engineError, "no memory"},
		"anything else":   {errors.New("secret of the inside"), internal, "request_id"},
		"upload":          {fmt.Errorf("%w: gone", scan.ErrUpload), uploadBroken, ""},
		"upload too slow": {scan.ErrUploadTimeout, uploadStall, "too slowly"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Config{Scanner: &scripted{answer: func(context.Context, []byte) (scan.Verdict, error) {
				// An error outweighs a verdict that comes with it.
				return scan.Verdict{Outcome: scan.Clean}, test.err
			}}}, nil)
			raw := s.withID(t, "", "x")
			wantProblem(t, raw, test.kind, test.detail)
			form := s.withID(t, formType, formOf("a:x"))
			p := wantProblem(t, form, test.kind, test.detail)
			if len(p.Files) != 1 || p.Files[0].Verdict != "error" || p.Files[0].Detail != p.Detail {
				t.Errorf("got files %+v, want the one, with verdict error and the detail", p.Files)
			}
			for _, r := range []reply{raw, form} {
				if after := r.header.Get("Retry-After"); (after != "") != (test.kind == unavailable) || after != "" && after != "1" {
					t.Errorf("got Retry-After %q, want 1 with 503 and none otherwise", after)
				}
				if strings.Contains(r.body, "secret") {
					t.Errorf("the answer tells of the inside: %s", r.body)
				}
			}
		})
	}
}

func TestVerdictThatIsNotOnAllOfTheBodyIsNone(t *testing.T) {
	verdict := func(o scan.Outcome, bytes, read int64) func(context.Context, io.Reader) (scan.Verdict, error) {
		return func(_ context.Context, body io.Reader) (scan.Verdict, error) {
			_, err := io.CopyN(io.Discard, body, read)
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return scan.Verdict{Outcome: o, Bytes: bytes}, err
		}
	}
	for name, instead := range map[string]func(context.Context, io.Reader) (scan.Verdict, error){
		"no outcome":                  verdict(scan.None, 10, 11),
		"an unknown outcome":          verdict(scan.Outcome(99), 10, 11),
		"clean without reading":       verdict(scan.Clean, 0, 0),
		"clean, half read":            verdict(scan.Clean, 5, 5),
		"clean, fewer bytes than are": verdict(scan.Clean, 9, 11),
		"infected, half read":         verdict(scan.Infected, 5, 5),
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Config{Scanner: &scripted{instead: instead}}, nil)
			wantProblem(t, s.withID(t, "", "0123456789"), internal, "")
			wantProblem(t, s.withID(t, formType, formOf("a:0123456789", "b:0123456789")), internal, "")
			if !strings.Contains(s.log.String(), "level=ERROR") {
				t.Errorf("got log %q, want an error", s.log)
			}
		})
	}
}

func TestFormWithAPartThatCannotBeScanned(t *testing.T) {
	s := start(t, Config{Scanner: &scripted{limit: 1000}}, nil)
	eicar := string(corpus.EICAR())
	large := "large:" + strings.Repeat("x", 1001)
	for name, test := range map[string]struct {
		body     string
		status   int
		verdict  string   // "": a problem
		verdicts []string // of the files
	}{
		"after a clean one":                  {formOf("a:x", "b:fails", "c:"+eicar), 502, "", []string{"clean", "error"}},
		"after an infected one":              {formOf("e:"+eicar, "b:fails", "c:x"), 406, "infected", []string{"infected", "error"}},
		"after an encrypted one":             {formOf("e:encrypted", "b:fails"), 422, "unscannable", []string{"unscannable", "error"}},
		"too large after a clean one":        {formOf("a:x", large), 413, "", []string{"clean", "error"}},
		"too large after an infected one":    {formOf("e:"+eicar, large), 406, "infected", []string{"infected", "error"}},
		"broken off after an infected one":   {formOf("e:"+eicar) + "x", 400, "", []string{"infected"}},
		"cut off within another":             {strings.TrimSuffix(formOf("e:"+eicar, "a:xyz"), "yz\r\n--b--\r\n"), 400, "", []string{"infected", "error"}},
		"a bad part after an infected one":   {strings.Replace(formOf("e:"+eicar, "a:x"), `"a"`, `"a`, 1), 400, "", []string{"infected"}},
		"too many parts after an infected 1": {formOf(append([]string{"e:" + eicar}, strings.Split(strings.Repeat("a:,", 100), ",")...)...), 413, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.withID(t, formType, test.body)
			var answer struct {
				Verdict string
				Files   []file
			}
			if err := json.Unmarshal([]byte(got.body), &answer); err != nil {
				t.Fatal(err)
			}
			if got.status != test.status || answer.Verdict != test.verdict {
				t.Errorf("got status %d and verdict %q, want %d and %q", got.status, answer.Verdict, test.status, test.verdict)
			}
			var verdicts []string
			for _, f := range answer.Files {
				verdicts = append(verdicts, f.Verdict)
				if (f.Detail != "") != (f.Verdict == "error") {
					t.Errorf("got verdict %s with detail %q, want a detail with errors only", f.Verdict, f.Detail)
				}
			}
			if test.verdicts != nil && fmt.Sprint(verdicts) != fmt.Sprint(test.verdicts) {
				t.Errorf("got files %v, want %v", verdicts, test.verdicts)
			}
		})
	}
}

func TestRequestIDAndTraceparent(t *testing.T) {
	scanner := &scripted{}
	s := start(t, Config{Scanner: scanner}, nil)
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for name, test := range map[string]struct {
		header, value, want string // want "": a new id, or none
	}{
		"an id":                          {"X-Request-ID", "a/b:c", "a/b:c"},
		"the longest id":                 {"X-Request-ID", strings.Repeat("x", 128), strings.Repeat("x", 128)},
		"an id that is too long":         {"X-Request-ID", strings.Repeat("x", 129), ""},
		"an id with a blank":             {"X-Request-ID", "a b", ""},
		"an id with a character":         {"X-Request-ID", "ä", ""},
		"no id":                          {"X-Request-ID", "", ""},
		"a traceparent":                  {"Traceparent", parent, parent},
		"a traceparent of a new version": {"Traceparent", "01" + parent[2:], ""},
		"upper case":                     {"Traceparent", strings.ToUpper(parent), ""},
		"a trace id of zeros":            {"Traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", ""},
		"a parent id of zeros":           {"Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", ""},
		"a traceparent with more":        {"Traceparent", parent + "-x", ""},
		"a short one":                    {"Traceparent", parent[:54], ""},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.address+"/v1/scan/name%0A.txt", strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set(test.header, test.value)
			got := send(t, request)
			opt := scanner.calls[len(scanner.calls)-1]
			echoed := got.header.Get(test.header)
			switch {
			case test.want != "" && echoed != test.want:
				t.Errorf("got %q, want %q", echoed, test.want)
			case test.header == "X-Request-ID" && test.want == "" && !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(echoed):
				t.Errorf("got %q, want a new id of 32 hexadecimal digits", echoed)
			case test.header == "Traceparent" && (echoed != test.want || opt.TraceID != strings.TrimPrefix(test.want, "00-")[:len(opt.TraceID)] || (opt.TraceID == "") != (test.want == "")):
				t.Errorf("got %q, trace id %q, want %q and its trace id", echoed, opt.TraceID, test.want)
			}
			if opt.RequestID != got.header.Get("X-Request-ID") || opt.Endpoint != scan.HTTP || opt.Size != 1 || opt.Name != "name%0A.txt" {
				t.Errorf("the scanner got %+v, want the same id, http, 1 byte and the name", opt)
			}
		})
	}
}

func TestReplicasAndVersion(t *testing.T) {
	checked := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	plain := testVersion
	plain.Signatures, plain.Built = 0, time.Time{}
	undated := testVersion
	undated.Built = time.Time{}
	s := start(t, Config{Scanner: &scripted{stats: upstream.Stats{Open: 9, Scanning: 3, Queued: 2}, known: []upstream.Replica{
		{Address: "10.0.0.1:3310", State: upstream.Healthy, InFlight: 3, Version: undated, Checked: checked},
		{Address: "10.0.0.2:3310", State: upstream.Healthy, Version: undated, Checked: checked, Blind: []string{upstream.BlindToLimits}},
		{Address: "10.0.0.3:3310", State: upstream.Down, Error: "connection refused", Version: plain, Checked: checked},
		{Address: "10.0.0.4:3310", State: upstream.Unknown},
	}}}, nil)
	for path, want := range map[string]string{
		"/v1/replicas": `{"replicas":[` +
			`{"address":"10.0.0.1:3310","state":"healthy","in_flight":3,"engine":"1.4.6","signatures":{"version":27800},"checked":"2026-11-22T10:00:00Z"},` +
			`{"address":"10.0.0.2:3310","state":"healthy","in_flight":0,"engine":"1.4.6","signatures":{"version":27800},"checked":"2026-11-22T10:00:00Z","blind_to":["limit"]},` +
			`{"address":"10.0.0.3:3310","state":"down","error":"connection refused","in_flight":0,"engine":"1.4.6","checked":"2026-11-22T10:00:00Z"},` +
			`{"address":"10.0.0.4:3310","state":"unknown","in_flight":0}],"queue":{"open":9,"scanning":3,"waiting":2}}`,
		"/v1/version": `{"version":"1.2.3","engines":[{"engine":"1.4.6","signatures":{"version":27800},"replicas":2},{"engine":"1.4.6","replicas":1}]}`,
	} {
		if got := s.do(t, http.MethodGet, path, "", ""); got.status != 200 || got.body != want+"\n" {
			t.Errorf("GET %s:\n got %d %s\nwant 200 %s", path, got.status, got.body, want)
		}
	}
	if got := s.do(t, http.MethodGet, "/openapi.yaml", "", ""); got.status != 200 || got.body != string(openapi) || got.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("GET /openapi.yaml: got %d, %s, %d bytes, want the embedded file", got.status, got.header.Get("Content-Type"), len(got.body))
	}
	if got := s.do(t, http.MethodHead, "/v1/version", "", ""); got.status != 200 || got.body != "" {
		t.Errorf("HEAD /v1/version: got %d with %q, want 200 without a body", got.status, got.body)
	}
}

func TestAgeOfSignatures(t *testing.T) {
	version := testVersion
	version.Built = time.Now().Add(-time.Hour).UTC()
	s := start(t, Config{Scanner: &scripted{known: []upstream.Replica{{Address: "a", State: upstream.Healthy, Version: version}}}}, nil)
	var answer replicasAnswer
	if err := json.Unmarshal([]byte(s.do(t, http.MethodGet, "/v1/replicas", "", "").body), &answer); err != nil {
		t.Fatal(err)
	}
	if age := answer.Replicas[0].Signatures.AgeSeconds; age < 3600 || age > 3600+int64(testTimeout.Seconds()) {
		t.Errorf("got an age of %d s, want 3600 and a little", age)
	}
}

func TestNoReplicasAreAnEmptyList(t *testing.T) {
	s := start(t, Config{Scanner: &scripted{}}, nil)
	if got := s.do(t, http.MethodGet, "/v1/replicas", "", ""); !strings.HasPrefix(got.body, `{"replicas":[],`) {
		t.Errorf("got %s, want an empty list", got.body)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	s := start(t, Config{Scanner: &scripted{}}, nil)
	for _, path := range []string{"/", "/v1/scan/a/b", "//v1/scan", "/v1/../v1/scan", "/v1", "/v2/scan", "/V1/scan", "/v1/scan%2fa"} {
		wantProblem(t, s.do(t, http.MethodPost, path, "", "x"), notFound, "/v1/scan")
	}
	for _, line := range []string{"OPTIONS *", "CONNECT localhost:80", "POST http://localhost/v1"} {
		wantProblem(t, s.raw(t, line+" HTTP/1.1\r\n"+host+"Connection: close\r\n\r\n", false)[0], notFound, "/v1/scan")
	}
	for path, allow := range map[string]string{
		"/v1/scan":      "POST, PUT",
		"/v1/scan/a":    "POST, PUT",
		"/v1/replicas":  "GET, HEAD",
		"/v1/version":   "GET, HEAD",
		"/openapi.yaml": "GET, HEAD",
	} {
		for _, method := range []string{"DELETE", "OPTIONS", "PATCH", "QUERY", "scan"} {
			got := s.do(t, method, path, "", "x")
			wantProblem(t, got, badMethod, allow)
			if got.header.Get("Allow") != allow {
				t.Errorf("%s %s: got Allow %q, want %q", method, path, got.header.Get("Allow"), allow)
			}
		}
	}
	for _, path := range []string{"/v1/scan", "/v1/scan/", "/v1/scan/a.txt", "/v1/scan/a%2Fb", "/v1/scan?x=y"} {
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			if got := s.do(t, method, path, "", "x"); got.status != 200 {
				t.Errorf("%s %s: got %d %s, want 200", method, path, got.status, got.body)
			}
		}
	}
}
