package httpapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"clamav-sidecar/test/corpus"
)

// BenchmarkForm uploads a form of one large file and compares ways to take it
// apart with reading it as it is. cpu-s/GB is all that the process spends, the
// client within it; its difference from "not at all" is what a way costs.
func BenchmarkForm(b *testing.B) {
	const boundary = "------------------------d74496d66958873e"
	standard := func(src io.Reader) error {
		part, err := multipart.NewReader(src, boundary).NextPart()
		if err != nil {
			return err
		}
		return readAway(part)
	}
	for _, way := range []struct {
		name string
		read func(io.Reader) error
	}{
		{"not at all", readAway},
		{"formReader", func(src io.Reader) error {
			form, err := newFormReader(src, boundary, 1, make([]byte, formBuffer))
			if err != nil {
				return err
			}
			if _, err := form.Next(); err != nil {
				return err
			}
			return readAway(form)
		}},
		{"mime multipart", standard},
		{"mime multipart behind 64 KiB", func(src io.Reader) error { return standard(bufio.NewReaderSize(src, formBuffer)) }},
	} {
		b.Run(way.name, func(b *testing.B) {
			const size = 256 << 20
			head := "--" + boundary + "\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n"
			tail := "\r\n--" + boundary + "--\r\n"
			conn := dialHandler(b, way.read)
			random := make([]byte, 1<<20)
			if _, err := io.ReadFull(corpus.NewBody(1, int64(len(random))), random); err != nil {
				b.Fatal(err)
			}
			answers := bufio.NewReader(conn)
			before := cpuTime(b)
			b.SetBytes(size)
			for b.Loop() {
				fmt.Fprintf(conn, "POST / HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", host, len(head)+size+len(tail), head)
				for range size / len(random) {
					if _, err := conn.Write(random); err != nil {
						b.Fatal(err)
					}
				}
				io.WriteString(conn, tail)
				if got := readAnswer(b, answers); got.status != http.StatusOK {
					b.Fatalf("got status %d, want 200", got.status)
				}
			}
			b.ReportMetric((cpuTime(b)-before).Seconds()/(float64(b.N)*size/1e9), "cpu-s/GB")
		})
	}
}

// readAway reads to the end, by blocks as large as the scanner's.
func readAway(r io.Reader) error {
	block := make([]byte, formBuffer)
	for {
		if _, err := r.Read(block); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// dialHandler connects to a server that reads each body.
func dialHandler(b *testing.B, read func(io.Reader) error) net.Conn {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: testTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := read(r.Body); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(listener) }()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		conn.Close()
		s.Close()
		<-ended
	})
	return conn
}

// cpuTime is what the process has used so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
