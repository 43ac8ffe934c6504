package clamdapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar/scan"
	"clamav-sidecar/sidecar/upstream"
)

func TestVerdictsAreWordedAsClamdWordsThem(t *testing.T) {
	for name, test := range map[string]struct {
		verdict scan.Verdict
		want    string
	}{
		"clean":                               {scan.Verdict{Outcome: scan.Clean}, "stream: OK\x00"},
		"infected":                            {scan.Verdict{Outcome: scan.Infected, Signature: "Win.Test-1"}, "stream: Win.Test-1 FOUND\x00"},
		"unscannable":                         {scan.Verdict{Outcome: scan.Unscannable, Signature: "Heuristics.Encrypted.Zip"}, "stream: Heuristics.Encrypted.Zip FOUND\x00"},
		"no outcome and no error is never OK": {scan.Verdict{}, "stream: the scan ended without a verdict ERROR\x00"},
		"an unknown outcome is never OK":      {scan.Verdict{Outcome: 99}, "stream: the scan ended without a verdict ERROR\x00"},
		"a signature without a name is still bad": {scan.Verdict{Outcome: scan.Infected}, "stream:  FOUND\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			address := serveScripted(t, &scripted{verdict: &test.verdict})
			if got := ask(t, address, "zINSTREAM\x00"+chunk("data")+endMarker); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestErrorsBeforeTheEndOfTheBodyEndTheSession(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"too large":       {fmt.Errorf("%w of 1M", scan.ErrTooLarge), "1: INSTREAM size limit exceeded. ERROR\x00"},
		"queue full":      {upstream.ErrQueueFull, "1: stream: the queue is full ERROR\x00"},
		"no replica":      {upstream.ErrNoReplica, "1: stream: no healthy clamd replica ERROR\x00"},
		"engine":          {fmt.Errorf("%w: disk:full\x00\r\n is OK, NOT FOUND", scan.ErrEngine), "1: stream: clamd could not scan the file, disk full    is ok, NOT found ERROR\x00"},
		"upload broke":    {fmt.Errorf("%w: EOF", scan.ErrUpload), "1: stream: the upload broke off, EOF ERROR\x00"},
		"upload too slow": {scan.ErrUploadTimeout, "1: stream: the upload stalled ERROR\x00"},
		"long":            {errors.New(strings.Repeat("é", 500)), "1: stream: " + strings.Repeat("é", 100) + " ERROR\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			address := serveScripted(t, &scripted{scan: func(io.Reader) error { return test.err }})
			got := ask(t, address, "zIDSESSION\x00zINSTREAM\x00"+chunk("data")+endMarker+"zPING\x00")
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestErrorAfterTheEndOfTheBodyLeavesTheSessionOpen(t *testing.T) {
	address := serveScripted(t, &scripted{scan: func(body io.Reader) error {
		data, err := io.ReadAll(body)
		if string(data) == "slow" {
			return scan.ErrTimeout
		}
		return err
	}})
	got := ask(t, address, "nIDSESSION\nnINSTREAM\n"+chunk("slow")+endMarker+"nINSTREAM\n"+chunk("quick")+endMarker+"nEND\n")
	want := "1: stream: the scan took too long ERROR\n2: stream: OK\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCleanBeforeTheEndOfTheBodyIsAnError(t *testing.T) {
	address := serve(t, newServer(Config{Scanner: early{&scripted{}}}))
	got := ask(t, address, "zINSTREAM\x00"+chunk("data"))
	want := "stream: the scan ended without a verdict ERROR\x00"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// early calls a body clean that it has not read.
type early struct{ *scripted }

func (early) Scan(context.Context, io.Reader, scan.Options) (scan.Verdict, error) {
	return scan.Verdict{Outcome: scan.Clean}, nil
}

func TestCommandsAreForwardedWordByWord(t *testing.T) {
	const stats = "POOLS: 1\n\nSTATE: VALID PRIMARY\nEND"
	address := serveScripted(t, &scripted{command: func(name string) ([]byte, error) {
		switch name {
		case "VERSION":
			return []byte("ClamAV 1.4.6/27800/Fri Nov 20 09:00:00 2026"), nil
		case "STATS":
			return []byte(stats), nil
		}
		return nil, upstream.ErrNoReplica
	}})
	for sent, want := range map[string]string{
		"zVERSION\x00":         "ClamAV 1.4.6/27800/Fri Nov 20 09:00:00 2026\x00",
		"VERSION":              "ClamAV 1.4.6/27800/Fri Nov 20 09:00:00 2026\n",
		"nSTATS\n":             stats + "\n",
		"zVERSIONCOMMANDS\x00": "no healthy clamd replica ERROR\x00",
		"zIDSESSION\x00zSTATS\x00nSTATS\nzEND\x00": "1: " + stats + "\x002: " + stats + "\n",
	} {
		if got := ask(t, address, sent); got != want {
			t.Errorf("sent %q: got %q, want %q", sent, got, want)
		}
	}
}

func TestPingSaysWhyNothingCanBeScanned(t *testing.T) {
	address := serveScripted(t, &scripted{down: true})
	for sent, want := range map[string]string{
		"zPING\x00":                              "no healthy clamd replica ERROR\x00",
		"PING":                                   "no healthy clamd replica ERROR\n",
		"zIDSESSION\x00zPING\x00nPING\nzEND\x00": "1: no healthy clamd replica ERROR\x002: no healthy clamd replica ERROR\n",
	} {
		if got := ask(t, address, sent); got != want {
			t.Errorf("sent %q: got %q, want %q", sent, got, want)
		}
	}
}

func TestBodiesReachTheScannerWhole(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 40<<10)
	for name, body := range map[string][]string{
		"empty":                    {},
		"one chunk":                {"hello"},
		"chunks of one byte":       strings.Split("hello world", ""),
		"chunks that end in zeros": {"\x00\x00\x00\x00", "\x00", "\x00\x00\x00\x00\x00"},
		"a chunk that is larger than all buffers":    {large},
		"small chunks around large ones":             {"a", large[:70000], "b", large[:readerSize], "c"},
		"chunks of the read buffer's size, and near": {large[:readerSize-4], large[:readerSize], large[:readerSize+4]},
	} {
		for _, packet := range []int{1 << 20, 1000, 7} {
			t.Run(fmt.Sprintf("%s, in packets of %d", name, packet), func(t *testing.T) {
				scanner := &scripted{}
				conn := dial(t, serveScripted(t, scanner))
				wire := "zINSTREAM\x00"
				for _, c := range body {
					wire += chunk(c)
				}
				wire += endMarker
				for piece := range slices.Chunk([]byte(wire), packet) {
					if _, err := conn.Write(piece); err != nil {
						t.Fatal(err)
					}
				}
				if got, want := rest(t, conn), "stream: OK\x00"; got != want {
					t.Errorf("got reply %q, want %q", got, want)
				}
				got, want := scanner.scanned(), strings.Join(body, "")
				if len(got) != 1 || got[0] != want {
					t.Errorf("got %d bodies, %.40q..., want the one that was sent, %.40q...", len(got), got, want)
				}
			})
		}
	}
}

func TestBodyWithoutItsEndIsNeverScanned(t *testing.T) {
	whole := "zINSTREAM\x00" + chunk("hello") + chunk("world") + endMarker
	for name, leave := range map[string]func(*net.TCPConn) error{
		"closes its sending side":  (*net.TCPConn).CloseWrite,
		"closes the connection":    (*net.TCPConn).Close,
		"resets the connection":    reset,
		"sends nothing any longer": func(*net.TCPConn) error { return nil },
	} {
		for cut := len("zINSTREAM\x00"); cut < len(whole); cut++ {
			t.Run(fmt.Sprintf("the client %s after %d bytes", name, cut), func(t *testing.T) {
				t.Parallel()
				scanner := recording{&scripted{}, make(chan error, 1)}
				conn := dial(t, serve(t, newServer(Config{Scanner: scanner, UploadIdle: 50 * time.Millisecond})))
				send(t, conn, whole[:cut])
				if err := leave(conn); err != nil {
					t.Fatal(err)
				}
				select {
				case err := <-scanner.results:
					if !errors.Is(err, scan.ErrUpload) && !errors.Is(err, scan.ErrUploadTimeout) {
						t.Errorf("got %v from the body, want that it broke off", err)
					}
				case <-time.After(patience):
					t.Error("the scan did not end")
				}
				if reply, _ := io.ReadAll(conn); strings.Contains(string(reply), "OK") {
					t.Errorf("got reply %q to a part of a body", reply)
				}
			})
		}
	}
}

// reset closes conn so that the other side gets an error and not the end.
func reset(conn *net.TCPConn) error {
	if err := conn.SetLinger(0); err != nil {
		return err
	}
	return conn.Close()
}

// recording passes on how each scan ended.
type recording struct {
	*scripted
	results chan error
}

func (r recording) Scan(ctx context.Context, body io.Reader, opt scan.Options) (scan.Verdict, error) {
	verdict, err := r.scripted.Scan(ctx, body, opt)
	r.results <- err
	return verdict, err
}
