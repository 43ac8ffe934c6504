package clamdapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// goodbye is what clients are told that have no command under way.
const goodbye = "the sidecar is shutting down ERROR\n"

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
		if got := rest(t, conn); got != goodbye {
			t.Errorf("%s: got %q, want %q", name, got, goodbye)
		}
		conn.Close()
	}
	await(t, "no new connection is accepted", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	select {
	case err := <-done:
		t.Fatalf("Shutdown returned %v during an upload", err)
	default:
	}

	send(t, upload, chunk(" world")+endMarker+"zPING\x00")
	if got, want := rest(t, upload), "2: stream: OK\x00"+goodbye; got != want {
		t.Errorf("got %q, want %q and no further command answered", got, want)
	}
	upload.Close()
	if err := <-done; err != nil {
		t.Errorf("got %v from Shutdown, want nil", err)
	}
}

func TestShutdownCutsOffWhatTakesTooLong(t *testing.T) {
	for name, test := range map[string]struct{ begin, want string }{
		"a scan":              {"zINSTREAM\x00" + chunk("hello") + endMarker, "stream: the sidecar is shutting down ERROR\x00"},
		"a scan in a session": {"nIDSESSION\nnINSTREAM\n" + chunk("hello") + endMarker, "1: stream: the sidecar is shutting down ERROR\n"},
		"an upload":           {"zINSTREAM\x00" + chunk("hello"), "stream: the sidecar is shutting down ERROR\x00"},
		"a command":           {"nSTATS\n", "the sidecar is shutting down ERROR\n"},
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			server := newServer(Config{Scanner: &scripted{
				scan: func(body io.Reader) error {
					if !strings.Contains(name, "upload") {
						<-release
					}
					return nil
				},
				command: func(string) ([]byte, error) {
					<-release
					return nil, nil
				},
			}})
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- server.Serve(l) }()
			conn := dial(t, l.Addr().String())
			send(t, conn, test.begin)
			awaitState(t, server, map[uint32]int{busy: 1})

			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if err := server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v from Shutdown, want %v", err, context.DeadlineExceeded)
			}
			if err := <-served; err != nil {
				t.Errorf("got %v from Serve, want nil", err)
			}
			if got := rest(t, conn); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			close(release)
			awaitState(t, server, map[uint32]int{})
		})
	}
}

func TestClientThatConnectsDuringTheShutdownIsTold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newServer(Config{Scanner: &scripted{}, MaxConnections: 2})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	address := l.Addr().String()
	upload := dial(t, address)
	send(t, upload, "zINSTREAM\x00"+chunk("hello"))
	awaitState(t, server, map[uint32]int{busy: 1})

	stopped := make(chan error, 1)
	server.mu.Lock() // so that Shutdown waits here
	go func() { stopped <- server.Shutdown(t.Context()) }()
	late := dial(t, address)
	send(t, late, "zINSTREAM\x00"+chunk("hello")+endMarker)
	server.mu.Unlock()
	if got := rest(t, late); got != goodbye && got != "stream: OK\x00" {
		t.Errorf("got %q, want %q, or that it was scanned", got, goodbye)
	}
	late.Close()
	send(t, upload, endMarker)
	if got, want := rest(t, upload), "stream: OK\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := <-stopped; err != nil {
		t.Errorf("got %v from Shutdown, want nil", err)
	}
	if err := <-served; err != nil {
		t.Errorf("got %v from Serve, want nil", err)
	}
}

func TestServeAfterShutdownServesNothing(t *testing.T) {
	server := newServer(Config{Scanner: &scripted{}})
	if err := server.Shutdown(t.Context()); err != nil {
		t.Errorf("got %v from Shutdown, want nil", err)
	}
	serve(t, server)
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
				if err != nil || reply == goodbye {
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

func TestShutdownEndsWhileClientsWaitForTheirTurn(t *testing.T) {
	server := newServer(Config{Scanner: &scripted{}, MaxConnections: 1})
	address := serve(t, server)
	first := dial(t, address)
	awaitState(t, server, map[uint32]int{idle: 1})
	dial(t, address)
	if err := server.Shutdown(t.Context()); err != nil {
		t.Errorf("got %v from Shutdown, want nil", err)
	}
	if got := rest(t, first); got != goodbye {
		t.Errorf("got %q, want %q", got, goodbye)
	}
}
