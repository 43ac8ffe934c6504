package scan

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestPacedEndsAnUploadThatIsTooSlow(t *testing.T) {
	const idle = 20 * time.Second
	tests := map[string]struct {
		piece int           // bytes at a time
		every time.Duration // between two pieces
		n     int           // pieces, and then the end
		fails time.Duration // 0: it does not
	}{
		"one that says nothing":                {0, 0, 0, idle},
		"a byte a second":                      {1, time.Second, 1000, idle},
		"a byte a second, that ends in time":   {1, time.Second, 15, 0},
		"16 KiB just in time, again and again": {16 << 10, idle - time.Millisecond, 20, 0},
		"16 KiB in two pieces just in time":    {8 << 10, idle/2 - time.Millisecond, 20, 0},
		"a byte less than 16 KiB just in time": {16<<10 - 1, idle - time.Millisecond, 20, idle},
		"a byte less than 16 KiB, one by one":  {1<<14 - 1, 15 * time.Second, 20, idle},
		"1 MiB at once, and then nothing":      {1 << 20, 0, 1, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				stop, stopped := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(stopped)
					defer func() {
						time.Sleep(time.Nanosecond) // until the reader waits: no deadline can be set on a pipe that is closed
						client.Close()
					}()
					for range test.n {
						select {
						case <-time.After(test.every):
						case <-stop:
							return
						}
						if _, err := client.Write(make([]byte, test.piece)); err != nil {
							return
						}
					}
					if test.n == 0 {
						<-stop
					}
				}()
				defer func() { <-stopped }()
				defer server.Close()
				defer close(stop)
				start := time.Now()
				n, err := io.Copy(io.Discard, reader{&Paced{R: server, SetDeadline: server.SetReadDeadline, Idle: idle}})
				if test.fails == 0 {
					if err != nil || n != int64(test.n*test.piece) {
						t.Errorf("got %d bytes and error %v, want %d", n, err, test.n*test.piece)
					}
					return
				}
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("got %d bytes and error %v, want %v", n, err, os.ErrDeadlineExceeded)
				}
				if got := time.Since(start); got != test.fails {
					t.Errorf("got the error after %v, want %v", got, test.fails)
				}
			})
		})
	}
}

// uploader takes its time for each KiB, up to its deadline.
type uploader struct {
	takes    time.Duration
	deadline time.Time
}

func (u *uploader) setDeadline(t time.Time) error {
	u.deadline = t
	return nil
}

func (u *uploader) Read(p []byte) (int, error) {
	if left := time.Until(u.deadline); u.takes >= left {
		time.Sleep(left)
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(u.takes)
	return min(len(p), 1<<10), nil
}

func TestPacedCountsTheUploadersOwnTimeAlone(t *testing.T) {
	tests := map[string]struct {
		takes, away time.Duration // for each KiB, and between two reads
		reads       int           // that succeed, of 100
	}{
		"a fast uploader and a slow clamd":           {time.Second, time.Minute, 100},
		"an uploader that is too slow by itself":     {6 * time.Second, 0, 3},
		"an uploader that is too slow for any clamd": {6 * time.Second, time.Minute, 3},
		"an uploader that says nothing more":         {time.Hour, time.Minute, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := &uploader{takes: test.takes}
				body := &Paced{R: u, SetDeadline: u.setDeadline, Idle: 20 * time.Second}
				for i := range 100 {
					if _, err := body.Read(make([]byte, 1<<10)); err != nil {
						if i != test.reads || !errors.Is(err, os.ErrDeadlineExceeded) {
							t.Errorf("got %d reads and then %v, want %d", i, err, test.reads)
						}
						return
					}
					time.Sleep(test.away)
				}
				if test.reads != 100 {
					t.Errorf("got 100 reads, want %d", test.reads)
				}
			})
		})
	}
}

func TestPacedGivesTheErrorOfItsDeadline(t *testing.T) {
	body := &Paced{R: panics{}, SetDeadline: func(time.Time) error { return errBroken }, Idle: time.Second}
	for range 2 {
		if n, err := body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, errBroken) {
			t.Errorf("got %d bytes and error %v, want %v", n, err, errBroken)
		}
	}
}

func TestWhatWasReadWaitsNoLongerThanFiveSecondsForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer server.Close()
		go func() {
			defer client.Close()
			for range 20 {
				time.Sleep(time.Second)
				if _, err := client.Write([]byte{'x'}); err != nil {
					return
				}
			}
		}()
		u := upload{body: server, limit: 1000, held: held{memory: newMemory(0)}}
		defer u.held.free()
		block := u.held.first()
		for total, ended := 0, false; !ended; total += block.Len() {
			start := time.Now()
			var err error
			if ended, err = u.next(block); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > sendEvery+time.Second || !ended && block.Len() == 0 {
				t.Errorf("got %d bytes after %v, want some after %v", block.Len(), took, sendEvery)
			}
			if ended && total+block.Len() != 20 {
				t.Errorf("got %d bytes in all, want 20", total+block.Len())
			}
		}
	})
}
