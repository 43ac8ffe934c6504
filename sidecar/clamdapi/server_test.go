package clamdapi

import (
	"context"
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

func TestShutdownLetsWhatHasBegunComeToItsEnd(t *testing.T) {
	scanner := &scripted{}
	server := newServer(Config{Scanner: scanner})
	address := serve(t, server)
	silent, partial, session, upload := dial(t, address), dial(t, address), dial(t, address), dial(t, address)

	send(t, partial, "zPI")
	send(t, session, "zIDSESSION\x00zPING\x00")
	if got, want := next(t, session, 0), "1: PONG\x00"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	send(t, upload, "zIDSESSION\x00zPING\x00zINSTREAM\x00"+chunk("hello"))
	if got, want := next(t, upload, 0), "1: PONG\x00"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	awaitState(t, server, map[uint32]int{idle: 3, busy: 1})

	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done <- server.Shutdown(ctx)
	}()
	for name, conn := range map[string]net.Conn{
		"a connection without a command": silent, "half a command": partial, "a session between commands": session,
	} {
		if got := rest(t, conn); got != "" {
			t.Errorf("%s: got %q, want it closed", name, got)
		}
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("a new connection was accepted during the shutdown")
	}
	select {
	case err := <-done:
		t.Fatalf("Shutdown returned %v during an upload", err)
	default:
	}

	send(t, upload, chunk(" world")+endMarker+"zPING\x00")
	if got, want := rest(t, upload), "2: stream: OK\x00"; got != want {
		t.Errorf("got %q, want %q and no further command answered", got, want)
	}
	if err := <-done; err != nil {
		t.Errorf("got %v from Shutdown, want nil", err)
	}
}

// awaitState waits until so many connections are in each state.
func awaitState(t *testing.T, s *Server, want map[uint32]int) {
	t.Helper()
	await(t, fmt.Sprintf("connections by state are %v", want), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		got := map[uint32]int{}
		for c := range s.clients {
			got[c.state.Load()]++
		}
		return fmt.Sprint(got) == fmt.Sprint(want)
	})
}

// await waits until what is said holds.
func await(t *testing.T, said string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v and never found that %s", patience, said)
		}
	}
}

func TestShutdownCutsOffWhatTakesTooLong(t *testing.T) {
	server := New(Config{Scanner: &scripted{}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	conn := dial(t, l.Addr().String())
	send(t, conn, "zINSTREAM\x00"+chunk("hello"))
	awaitState(t, server, map[uint32]int{busy: 1})

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v from Shutdown, want %v", err, context.DeadlineExceeded)
	}
	if err := <-served; err != nil {
		t.Errorf("got %v from Serve, want nil", err)
	}
	if reply, _ := io.ReadAll(conn); len(reply) > 0 {
		t.Errorf("got reply %q to half a body, want none", reply)
	}
	awaitState(t, server, map[uint32]int{})
}

func TestServeAfterShutdownServesNothing(t *testing.T) {
	server := newServer(Config{Scanner: &scripted{}})
	if err := server.Shutdown(t.Context()); err != nil {
		t.Errorf("got %v from Shutdown, want nil", err)
	}
	serve(t, server)
}

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

func TestShutdownUnderLoadLosesNoScanThatItBegan(t *testing.T) {
	scanner := &scripted{scan: func(io.Reader) error {
		time.Sleep(time.Millisecond)
		return nil
	}}
	server := newServer(Config{Scanner: scanner})
	address := serve(t, server)
	const clients = 16
	answered := make(chan int, clients)
	var started sync.WaitGroup
	started.Add(clients)
	for i := range clients {
		go func() {
			n := 0
			defer func() { answered <- n }()
			for ; ; n++ {
				reply, err := askOnce(address, "zINSTREAM\x00"+chunk(fmt.Sprint("client ", i))+endMarker)
				if n == 0 {
					started.Done()
				}
				if err != nil || reply == "" {
					return
				}
				if reply != "stream: OK\x00" {
					t.Errorf("got reply %q", reply)
					return
				}
			}
		}()
	}
	started.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Errorf("got %v from Shutdown, want nil", err)
	}
	total := 0
	for range clients {
		total += <-answered
	}
	if got := len(scanner.scanned()); got != total {
		t.Errorf("%d bodies were scanned and %d answered", got, total)
	}
}

// askOnce sends text and gives all that comes back, for goroutines that may not
// end their test.
func askOnce(address, text string) (string, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	reply, err := io.ReadAll(conn)
	return string(reply), err
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

func TestConnectionTooManyIsClosedAtOnce(t *testing.T) {
	server := newServer(Config{Scanner: &scripted{}, MaxConnections: 2})
	address := serve(t, server)
	first, second := dial(t, address), dial(t, address)
	awaitState(t, server, map[uint32]int{idle: 2})
	third := dial(t, address)
	if got, _ := io.ReadAll(third); len(got) > 0 {
		t.Errorf("got %q on the third connection, want it closed", got)
	}
	for _, conn := range []net.Conn{first, second} {
		send(t, conn, "zINSTREAM\x00"+chunk("hello")+endMarker)
		if got, want := rest(t, conn), "stream: OK\x00"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	awaitState(t, server, map[uint32]int{})
	if got, want := ask(t, address, "zPING\x00"), "PONG\x00"; got != want {
		t.Errorf("with room again: got %q, want %q", got, want)
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
