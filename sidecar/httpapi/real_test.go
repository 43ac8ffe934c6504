package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar/scan"
	"clamav-sidecar/sidecar/upstream"
	"clamav-sidecar/test/clamd"
	"clamav-sidecar/test/corpus"
)

// startReal runs the endpoint on real scanning: the clamds, a pool and a scanner.
func startReal(t testing.TB, limit int64, scanTimeout time.Duration, daemons ...*clamd.Daemon) server {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	conf := filepath.Join(t.TempDir(), "clamd.conf")
	if err := clamd.WriteClientConf(conf, nil, daemons...); err != nil {
		t.Fatal(err)
	}
	pool, err := upstream.New(upstream.Config{
		ClamdConf:     conf,
		MaxConcurrent: 4,
		Queue:         4,
		QueueTimeout:  testTimeout,
		ScanTimeout:   scanTimeout,
		Log:           log,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run the pool: %v", err)
		}
	})
	scanner := scan.New(scan.Config{MaxFileSize: limit, ReplayMemory: 1 << 20, Log: log}, pool)
	return start(t, Config{Scanner: scanner, UploadIdle: 2 * time.Second, Log: log}, nil)
}

// clamscan gives the signature that clamscan finds in each file, "" for none.
func clamscan(t *testing.T, database string, paths []string) map[string]string {
	t.Helper()
	program, err := clamd.Find("clamscan")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	output, err := exec.CommandContext(ctx, program, append([]string{"--no-summary", "--alert-encrypted", "--database=" + database}, paths...)...).Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("clamscan: %v\n%s", err, output)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(output)) {
		path, verdict, _ := strings.Cut(strings.TrimSpace(line), ": ")
		found[path] = strings.TrimSuffix(strings.TrimSuffix(verdict, " FOUND"), "OK")
	}
	if len(found) != len(paths) {
		t.Fatalf("clamscan: got %d verdicts for %d files:\n%s", len(found), len(paths), output)
	}
	return found
}

func TestTestFilesGetTheVerdictOfClamscan(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{})
	s := startReal(t, 100<<20, testTimeout, daemon)
	paths, err := corpus.TestFiles()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"clean": corpus.Clean(), "eicar": corpus.EICAR()} {
		paths = append(paths, filepath.Join(dir, name))
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	found := clamscan(t, daemon.DatabaseDir(), paths)
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		part, err := w.CreateFormFile("file", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(content); err != nil {
			t.Fatal(err)
		}
		var got verdictAnswer
		r := s.do(t, http.MethodPost, "/v1/scan", "", string(content))
		if err := json.Unmarshal([]byte(r.body), &got); err != nil {
			t.Fatal(err)
		}
		wantStatus := http.StatusOK
		if found[path] != "" {
			wantStatus = http.StatusNotAcceptable
		}
		if r.status != wantStatus || got.Signature != found[path] || got.Bytes != int64(len(content)) {
			t.Errorf("%s: got %d %s, want %d %q", path, r.status, r.body, wantStatus, found[path])
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var got verdictAnswer
	r := s.do(t, http.MethodPost, "/v1/scan", w.FormDataContentType(), form.String())
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		t.Fatal(err)
	}
	if r.status != http.StatusNotAcceptable || len(got.Files) != len(paths) {
		t.Fatalf("the form: got status %d and %d files, want 406 and %d", r.status, len(got.Files), len(paths))
	}
	for i, f := range got.Files {
		if f.Name != paths[i] || f.Signature != found[paths[i]] || (f.Verdict == "clean") != (found[paths[i]] == "") {
			t.Errorf("the form's file %d: got %+v, want %q for %s", i, f, found[paths[i]], paths[i])
		}
	}
}

func TestStatusesWithARealClamd(t *testing.T) {
	const limit = 2 << 20
	encrypted, err := corpus.EncryptedZip()
	if err != nil {
		t.Fatal(err)
	}
	random := func(size int64) string {
		content, err := io.ReadAll(corpus.NewBody(uint64(size), size))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	eicar := string(corpus.EICAR())
	daemon := clamd.StartT(t, clamd.Options{Conf: map[string]string{"MaxFileSize": "300K", "StreamMaxLength": "1M"}})
	s := startReal(t, limit, testTimeout, daemon)
	for name, test := range map[string]struct {
		body   string
		status int
		words  string
	}{
		"clean":                             {"hello", 200, `"verdict":"clean"`},
		"one byte":                          {"x", 200, `"bytes":1`},
		"five bytes that a signature is on": {"11111", 406, clamd.Tiny},
		"infected":                          {eicar, 406, clamd.EICAR},
		"encrypted":                         {string(encrypted), 422, `"reason":"encrypted"`},
		"a large clean file":                {random(300 << 10), 200, `"verdict":"clean"`},
		"over MaxFileSize":                  {random(300<<10 + 1), 422, `"reason":"limit"`},
		"over StreamMaxLength":              {random(1<<20 + 1), 413, "StreamMaxLength"},
		"over the sidecar's limit":          {random(limit + 1), 413, "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			form := formOf("a:" + test.body)
			for how, got := range map[string]reply{
				"with a length":        s.do(t, http.MethodPost, "/v1/scan", "", test.body),
				"in chunks":            s.chunked(t, "", test.body),
				"a form":               s.do(t, http.MethodPost, "/v1/scan", formType, form),
				"a form in chunks":     s.chunked(t, formType, form),
				"a form of two":        s.do(t, http.MethodPost, "/v1/scan", formType, formOf("b:clean", "a:"+test.body)),
				"a form and a reverse": s.do(t, http.MethodPost, "/v1/scan", formType, formOf("a:"+test.body, "b:clean")),
			} {
				if got.status != test.status || !strings.Contains(got.body, test.words) {
					t.Errorf("%s: got %d %s, want %d with %s", how, got.status, got.body, test.status, test.words)
				}
			}
		})
	}
	t.Run("the only replica is gone, and comes back", func(t *testing.T) {
		if err := daemon.Kill(); err != nil {
			t.Fatal(err)
		}
		for _, contentType := range []string{"", formType} {
			got := s.do(t, http.MethodPost, "/v1/scan", contentType, formOf("a:hello"))
			wantProblem(t, got, unavailable, "")
			if got.header.Get("Retry-After") == "" {
				t.Error("got no Retry-After, want one")
			}
		}
		if err := daemon.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(testTimeout); ; time.Sleep(50 * time.Millisecond) {
			got := s.do(t, http.MethodPost, "/v1/scan", "", "hello")
			if got.status == http.StatusOK {
				return
			}
			if got.status != http.StatusServiceUnavailable || time.Now().After(end) {
				t.Fatalf("got %d %s, want 503 and then 200", got.status, got.body)
			}
		}
	})
}

// chunked posts body without a Content-Length.
func (s server) chunked(t testing.TB, contentType, body string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.address+"/v1/scan", io.MultiReader(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	return send(t, request)
}

func TestScanTimeoutWithARealClamd(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{})
	s := startReal(t, 1<<20, 300*time.Millisecond, daemon)
	if got := s.do(t, http.MethodPost, "/v1/scan", "", "hello"); got.status != http.StatusOK {
		t.Fatalf("got %d %s, want 200", got.status, got.body)
	}
	if err := daemon.Pause(); err != nil {
		t.Fatal(err)
	}
	got := s.do(t, http.MethodPost, "/v1/scan", "", "hello again")
	if err := daemon.Resume(); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, got, scanTimeout, "")
}

func TestCutOffUploadsWithARealClamd(t *testing.T) {
	testCutOffUploads(t, startReal(t, 1<<20, testTimeout, clamd.StartT(t, clamd.Options{})))
}

// A large upload is on its way to clamd already when it breaks off.
func TestLargeCutOffUploadWithARealClamd(t *testing.T) {
	const size = 5 << 20
	s := startReal(t, 2*size, testTimeout, clamd.StartT(t, clamd.Options{}))
	content, err := io.ReadAll(corpus.NewBody(1, size))
	if err != nil {
		t.Fatal(err)
	}
	file := string(content)
	form := formOf("a:" + file)
	for name, request := range map[string]string{
		"with a length":             post(fmt.Sprint("Content-Length: ", size)) + file[:size-1],
		"in chunks":                 post("Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n%s", size, file),
		"in chunks without an end":  post("Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n%s\r\n", size, file),
		"a form with a length":      post("Content-Type: "+formType, fmt.Sprint("Content-Length: ", len(form))) + form[:len(form)-3],
		"a form in chunks":          post("Content-Type: "+formType, "Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n%s\r\n", len(form), form),
		"a form that ends too soon": post("Content-Type: "+formType, fmt.Sprint("Content-Length: ", len(form)-8)) + form[:len(form)-8],
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.raw(t, request, true); len(got) != 1 || got[0].status != http.StatusBadRequest {
				t.Errorf("got %v, want one answer with status 400", got)
			}
		})
	}
}
