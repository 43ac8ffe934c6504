package clamdapi

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestServeReportsAListenerThatSomebodyElseClosed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := newServer(Config{Scanner: &scripted{}}).Serve(l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want %v", err, net.ErrClosed)
	}
}

func TestSlowClientsAreCutOff(t *testing.T) {
	server := newServer(Config{Scanner: &scripted{}, UploadIdle: 100 * time.Millisecond})
	server.limits.command, server.limits.session = 100*time.Millisecond, 100*time.Millisecond
	address := serve(t, server)
	for name, test := range map[string]struct {
		begin string
		drip  string // is sent byte by byte
		want  string
	}{
		"no command":                      {"", "", "COMMAND READ TIMED OUT\n"},
		"half a command":                  {"zPI", "", "COMMAND READ TIMED OUT\n"},
		"a command byte by byte":          {"z", strings.Repeat("A", 1000), "COMMAND READ TIMED OUT\n"},
		"a session without commands":      {"zIDSESSION\x00", "", "COMMAND READ TIMED OUT\n"},
		"a session and a dripped command": {"nIDSESSION\nnPING\nn", strings.Repeat("A", 1000), "1: PONG\nCOMMAND READ TIMED OUT\n"},
		"a body that has stopped":         {"zINSTREAM\x00" + chunk("hello"), "", "stream: the upload stalled ERROR\x00"},
		"a body byte by byte":             {"nINSTREAM\n\x00\x00\x10\x00", strings.Repeat("A", 4096), "stream: the upload stalled ERROR\n"},
		"lengths byte by byte":            {"zINSTREAM\x00", strings.Repeat("\x00\x00\x00\x01A", 1000), "stream: the upload stalled ERROR\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, address)
			send(t, conn, test.begin)
			var dripping sync.WaitGroup
			dripping.Go(func() {
				for i := range len(test.drip) {
					if _, err := conn.Write([]byte{test.drip[i]}); err != nil {
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
			})
			start := time.Now()
			// The connection may be reset while bytes drip in, behind the reply.
			got, err := io.ReadAll(conn)
			if string(got) != test.want || err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("got %q and %v, want %q", got, err, test.want)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("the client was cut off after %v, want at most a second", took)
			}
			conn.Close()
			dripping.Wait()
		})
	}
}

func TestClientThatIsStillSendingReadsWhyItWasRefused(t *testing.T) {
	server := newServer(Config{Scanner: &scripted{}})
	server.limits.linger = patience
	address := serve(t, server)
	conn := dial(t, address)
	send(t, conn, "zINSTREAM\x00\x7f\xff\xff\xff")
	piece := make([]byte, 1<<20)
	for range 64 {
		if _, err := conn.Write(piece); err != nil {
			t.Fatalf("got %v while sending, want that the rest is taken", err)
		}
	}
	if got, want := next(t, conn, 0), "INSTREAM size limit exceeded. ERROR\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	conn.Close()
	awaitState(t, server, map[uint32]int{})
}

func TestClientThatNeverStopsSendingIsLetGo(t *testing.T) {
	server := newServer(Config{Scanner: &scripted{}})
	conn := dial(t, serve(t, server))
	send(t, conn, "zINSTREAM\x00\x7f\xff\xff\xff")
	start := time.Now()
	for piece := make([]byte, 1<<10); ; time.Sleep(time.Millisecond) {
		if _, err := conn.Write(piece); err != nil {
			break
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the client was let go after %v, want %v", took, server.limits.linger)
	}
	awaitState(t, server, map[uint32]int{})
}

func TestClientTooManyWaitsForItsTurn(t *testing.T) {
	server := newServer(Config{Scanner: &scripted{}, MaxConnections: 2})
	address := serve(t, server)
	first, second := dial(t, address), dial(t, address)
	awaitState(t, server, map[uint32]int{idle: 2})
	third := dial(t, address)
	send(t, third, "zPING\x00")
	for _, conn := range []net.Conn{first, second} {
		send(t, conn, "zINSTREAM\x00"+chunk("hello"))
	}
	awaitState(t, server, map[uint32]int{busy: 2})
	send(t, second, endMarker)
	for conn, want := range map[net.Conn]string{second: "stream: OK\x00", third: "PONG\x00"} {
		if got := rest(t, conn); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestClientThatReadsNoReplyIsCutOff(t *testing.T) {
	server := newServer(Config{Scanner: &scripted{command: func(string) ([]byte, error) {
		return make([]byte, 1<<20), nil
	}}})
	server.limits.reply = 50 * time.Millisecond
	conn := dial(t, serve(t, server))
	send(t, conn, "nIDSESSION\n"+strings.Repeat("nVERSION\n", 100))
	awaitState(t, server, map[uint32]int{busy: 1})
	awaitState(t, server, map[uint32]int{})
}

func TestAcceptIsTriedAgainWhenItFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	failing := &failingListener{Listener: l, faults: 3}
	server := newServer(Config{Scanner: &scripted{}})
	served := make(chan error, 1)
	go func() { served <- server.Serve(failing) }()
	if got, want := ask(t, l.Addr().String(), "zPING\x00"), "PONG\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	failing.fail(1 << 30)
	dial(t, l.Addr().String()) // the Accept that waits already takes this one
	if err := server.Shutdown(t.Context()); err != nil {
		t.Errorf("got %v from Shutdown, want nil", err)
	}
	select {
	case err := <-served:
		if err != nil {
			t.Errorf("got %v from Serve, want nil", err)
		}
	case <-time.After(patience):
		t.Error("Serve did not return while Accept was failing")
	}
}

// failingListener has no file descriptors left a number of times.
type failingListener struct {
	net.Listener
	mu     sync.Mutex
	faults int
}

func (l *failingListener) fail(times int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = times
}

func (l *failingListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.faults > 0 {
		l.faults--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept", syscall.EMFILE)}
	}
	l.mu.Unlock()
	defer l.mu.Lock()
	return l.Listener.Accept()
}

func TestCommandsOfASessionAreAnsweredInTheirOrder(t *testing.T) {
	address := serveScripted(t, &scripted{})
	var sent, want strings.Builder
	sent.WriteString("zIDSESSION\x00")
	for i := 1; i <= 300; i += 3 {
		sent.WriteString("zINSTREAM\x00" + chunk("EICAR") + endMarker + "zPING\x00nINSTREAM\n" + endMarker)
		fmt.Fprintf(&want, "%d: stream: Eicar FOUND\x00%d: PONG\x00%d: stream: OK\n", i, i+1, i+2)
	}
	sent.WriteString("zEND\x00")
	if got := ask(t, address, sent.String()); got != want.String() {
		t.Errorf("got %q, want %q", got, want.String())
	}
}
