package upstream

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"clamav-sidecar/sidecar/clamd"
	"clamav-sidecar/test/corpus"
)

const (
	tooLarge = "%d: INSTREAM size limit exceeded. ERROR\x00"
	diskFull = "%d: Error writing to temporary file ERROR\x00"
)

func TestScanIsMovedFromAReplicaThatGivesNoVerdict(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		does behaviour
		want error // when there is no other replica
	}{
		"which hangs up":                    {hangUp, ErrInterrupted},
		"which resets the connection":       {reset, ErrInterrupted},
		"which says half a line":            {says("%d: stream: O"), ErrInterrupted},
		"which does not end its line":       {says("%d: stream: OK"), ErrInterrupted},
		"which resets before its line ends": {then(writes("%d: stream: OK"), reset), ErrInterrupted},
		"which answers another body":        {writes("9%d: stream: OK\x00"), clamd.ErrMalformed},
		"which answers no body":             {writes("stream: OK\x00"), clamd.ErrMalformed},
		"which answers garbage":             {writes("\xca\xfe\x00"), clamd.ErrMalformed},
		"which does not stop":               {writes(strings.Repeat("garbage", 10000)), clamd.ErrMalformed},
		"which finds something nameless":    {writes("%d: stream: (null) FOUND\x00"), clamd.ErrMalformed},
		"which answers twice":               {writes("%d: stream: OK\x00%d: stream: OK\x00"), clamd.ErrMalformed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			peers := startPeers(t, test.does, ok)
			p := startPool(t, confOfPeers(t, peers...), nil)
			awaitHealthy(t, p, 2)
			for range 40 { // it is chosen first in half of them
				if got := wantOK(t, p).Replica; got != peers[1].addr() {
					t.Fatalf("got a verdict from %s, want one from %s", got, peers[1].addr())
				}
			}
			if odd, s := peers[0].got(""), p.Stats(); odd == 0 || s.Retries == 0 || s.Ejections == 0 {
				t.Errorf("got %d bodies at the odd replica and %+v, want some bodies, retries and ejections", odd, s)
			}

			alone := startPeers(t, test.does)
			p = startPool(t, confOfPeers(t, alone...), nil)
			awaitHealthy(t, p, 1)
			got, err := p.Scan(t.Context(), blocksOf(corpus.Clean()))
			if !errors.Is(err, test.want) || got.Reply != (clamd.Reply{}) {
				t.Errorf("without another one: got %+v and error %v, want no reply and %v", got.Reply, err, test.want)
			}
			if sent := alone[0].got(""); sent != 1 {
				t.Errorf("without another one: got the body %d times, want once", sent)
			}
		})
	}
}

func TestScanTakesAReplyThatComesBeforeAReset(t *testing.T) {
	t.Parallel()
	peers := startPeers(t, then(ok, reset), then(ok, reset))
	p := startPool(t, confOfPeers(t, peers...), nil)
	awaitHealthy(t, p, 2)
	for range 40 {
		wantOK(t, p)
	}
	if s := p.Stats(); s.Retries != 0 || s.Ejections != 0 {
		t.Errorf("got %+v, want neither retries nor ejections", s)
	}
}

func TestScanIsNotMovedFromAReplicaThatIsSlow(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	defer close(released)
	peers := startPeers(t, held(released), held(released))
	p := startPool(t, confOfPeers(t, peers...), func(c *Config) { c.ScanTimeout = 100 * time.Millisecond })
	awaitHealthy(t, p, 2)
	got, err := p.Scan(t.Context(), blocksOf(corpus.Clean()))
	if !errors.Is(err, ErrScanTimeout) || got.Reply != (clamd.Reply{}) {
		t.Errorf("got %+v and error %v, want no reply and %v", got.Reply, err, ErrScanTimeout)
	}
	eventually(t, "the body was sent", func() bool { return sentTo(peers, "") > 0 })
	if sent := sentTo(peers, ""); sent != 1 {
		t.Errorf("got the body sent %d times, want once", sent)
	}
}

func TestScanIsMovedFromAReplicaWithAFaultOfItsOwn(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault string
		text  string
	}{
		"its disk":              {diskFull, "Error writing to temporary file"},
		"its disk, and OK then": {diskFull + "%d: stream: OK\x00", "Error writing to temporary file"},
		"its memory":            {"%d: stream: Can't allocate memory ERROR\x00", "Can't allocate memory"},
		"its time":              {"COMMAND READ TIMED OUT\n", "COMMAND READ TIMED OUT"},
		"its end, in its own words": {
			"%d: PROTOCOL ERROR: ancillary data sent without FILDES. ERROR\x00", "PROTOCOL ERROR: ancillary data sent without FILDES."},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			peers := startPeers(t, says(test.fault), ok)
			p := startPool(t, confOfPeers(t, peers...), nil)
			awaitHealthy(t, p, 2)
			for range 40 {
				wantOK(t, p)
			}
			if s := p.Stats(); s.Retries == 0 || s.Ejections != 0 {
				t.Errorf("got %+v, want retries and no ejection", s)
			}

			all := startPeers(t, says(test.fault), says(test.fault), says(test.fault), says(test.fault), says(test.fault))
			p = startPool(t, confOfPeers(t, all...), nil)
			awaitHealthy(t, p, len(all))
			got, err := p.Scan(t.Context(), blocksOf(corpus.Clean()))
			if err != nil || got.Reply.Status != clamd.Error || got.Reply.Text != test.text {
				t.Errorf("from all: got %+v and error %v, want %q", got.Reply, err, test.text)
			}
			if sent := sentTo(all, ""); sent != 3 {
				t.Errorf("got the body sent %d times, want 3", sent)
			}
		})
	}
}

func TestScanTakesARefusalAsItIs(t *testing.T) {
	t.Parallel()
	for name, does := range map[string]behaviour{
		"too large":     says(tooLarge),
		"unknown error": says("%d: stream: Can't open file or directory ERROR\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			peers := startPeers(t, does, does)
			p := startPool(t, confOfPeers(t, peers...), nil)
			awaitHealthy(t, p, 2)
			got, err := p.Scan(t.Context(), blocksOf(corpus.Clean()))
			if err != nil || got.Reply.Status != clamd.Error {
				t.Errorf("got %+v and error %v, want clamd's error", got.Reply, err)
			}
			if sent := sentTo(peers, ""); sent != 1 {
				t.Errorf("got the body sent %d times, want once", sent)
			}
			if s := p.Stats(); s.Ejections != 0 {
				t.Errorf("got %+v, want no ejection", s)
			}
		})
	}
}

// sentTo counts the bodies that the peers got and that hold part.
func sentTo(peers []*peer, part string) int {
	n := 0
	for _, p := range peers {
		n += p.got(part)
	}
	return n
}

func TestAFileThatKillsReplicasIsSentThreeTimesAtMost(t *testing.T) {
	t.Parallel()
	const poison = "poison"
	// A replica that such a file kills and that is back at once.
	dies := func(conn *net.TCPConn, id int, body string) {
		if strings.Contains(body, poison) {
			reset(conn, id, body)
			return
		}
		ok(conn, id, body)
	}
	for name, warm := range map[string]int{"on new sessions": 0, "on sessions used before": 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			peers := startPeers(t, dies, dies, dies, dies, dies)
			p := startPool(t, confOfPeers(t, peers...), nil)
			awaitHealthy(t, p, len(peers))
			for range warm {
				wantOK(t, p)
			}
			got, err := p.Scan(t.Context(), blocksOf([]byte(poison)))
			if !errors.Is(err, ErrInterrupted) || got.Reply != (clamd.Reply{}) {
				t.Errorf("got %+v and error %v, want no reply and %v", got.Reply, err, ErrInterrupted)
			}
			if sent := sentTo(peers, poison); sent != 3 {
				t.Errorf("got it sent %d times, want 3", sent)
			}
			for _, peer := range peers {
				if sent := peer.got(poison); warm == 0 && sent > 1 {
					t.Errorf("%s got it %d times, want once at most", peer.addr(), sent)
				}
			}
			awaitHealthy(t, p, len(peers))
			wantOK(t, p)
		})
	}
}
