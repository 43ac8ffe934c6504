// Command probe is what the pods run that check a new cluster; see ../check.sh.
//
//	probe serve ADDRESS        answer every request with $NODE_NAME
//	probe reach COUNT URL      succeed when COUNT different answers have come from URL
//	probe write FILE           write a file and read it back
//
// It exits 1 with a message when that has not worked within a minute.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "probe: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch {
	case len(args) == 2 && args[0] == "serve":
		return serve(args[1])
	case len(args) == 3 && args[0] == "reach":
		count, err := strconv.Atoi(args[1])
		if err != nil {
			return fmt.Errorf("failed to read the number of answers: %w", err)
		}
		return reach(ctx, count, args[2])
	case len(args) == 2 && args[0] == "write":
		return write(args[1])
	}
	return errors.New("usage: probe serve ADDRESS | reach COUNT URL | write FILE")
}

func serve(address string) error {
	server := &http.Server{
		Addr:              address,
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, os.Getenv("NODE_NAME"))
		}),
	}
	return server.ListenAndServe()
}

// reach asks over a new connection each time, since a Service chooses one of its
// pods for each connection.
func reach(ctx context.Context, count int, url string) error {
	client := &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true},
		Timeout:   5 * time.Second,
	}
	answers := map[string]bool{}
	var last error
	for len(answers) < count {
		answer, err := get(ctx, client, url)
		if err == nil {
			answers[answer] = true
		} else if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("got %d of %d different answers from %s", len(answers), count, url), last)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

func get(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1024))
	return string(body), err
}

func write(name string) error {
	if err := os.WriteFile(name, []byte("probe"), 0o600); err != nil {
		return err
	}
	content, err := os.ReadFile(name)
	if err == nil && string(content) != "probe" {
		err = fmt.Errorf("%s holds %q, want %q", name, content, "probe")
	}
	return err
}
