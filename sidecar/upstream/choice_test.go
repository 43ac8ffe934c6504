package upstream

import (
	"fmt"
	"net"
	"testing"
)

// loaded is a pool of replicas that have that many bodies in flight.
func loaded(state State, loads ...int64) (*Pool, []*replica) {
	p := &Pool{}
	var all []*replica
	for i, load := range loads {
		r := newReplica(p, "tcp", fmt.Sprintf("127.0.0.%d:3310", i+2))
		r.state.Store(state)
		r.inFlight.Store(load)
		all = append(all, r)
	}
	p.replicas.Store(&all)
	return p, all
}

func TestChoiceOfTwoIsTheLessLoaded(t *testing.T) {
	p, all := loaded(Healthy, 3, 2)
	for range 1000 {
		if got := p.choose(nil); got != all[1] {
			t.Fatalf("got %s with %d in flight, want the one with 2", got.address, got.inFlight.Load())
		}
	}
}

func TestChoiceIsNeverTheMostLoaded(t *testing.T) {
	p, all := loaded(Healthy, 1, 9, 0, 2, 2)
	chosen := map[*replica]int{}
	for range 10000 {
		chosen[p.choose(nil)]++
	}
	// The one with 9 loses against any other. Those with 2 are chosen from one
	// pair in ten or more: that one of them never is has a chance below 1e-400.
	for i, r := range all {
		if got, most := chosen[r], r.inFlight.Load() == 9; most && got > 0 || !most && got == 0 {
			t.Errorf("replica %d with %d in flight: got chosen %d times of 10000", i, r.inFlight.Load(), got)
		}
	}
	if chosen[all[2]] <= chosen[all[0]] || chosen[all[0]] <= chosen[all[3]] {
		t.Errorf("got %d, %d and %d choices for 0, 1 and 2 in flight, want the fewer the more in flight", chosen[all[2]], chosen[all[0]], chosen[all[3]])
	}
}

func TestChoiceAmongEqualsIsEven(t *testing.T) {
	const draws = 20000
	for _, n := range []int{2, 3, 7} {
		p, all := loaded(Healthy, make([]int64, n)...)
		chosen := map[*replica]int{}
		for range draws {
			chosen[p.choose(nil)]++
		}
		// A fifth off the mean is more than ten standard deviations.
		for i, r := range all {
			if got, mean := chosen[r], draws/n; got < mean*4/5 || got > mean*6/5 {
				t.Errorf("replica %d of %d: got chosen %d times of %d, want about %d", i, n, got, draws, mean)
			}
		}
	}
}

func TestChoicePassesOverWhatIsTriedOrDown(t *testing.T) {
	p, all := loaded(Healthy, 0, 0, 5)
	if got := p.choose(all[:2]); got != all[2] {
		t.Errorf("with two tried: got %v, want the third", got)
	}
	if got := p.choose(all); got != nil {
		t.Errorf("with all tried: got %s, want none", got.address)
	}
	all[0].state.Store(Down)
	all[1].state.Store(Unknown)
	for range 100 {
		if got := p.choose(nil); got != all[2] {
			t.Fatalf("with one healthy: got %s, want that one", got.address)
		}
	}
	if got := p.choose(all[2:]); got != all[1] {
		t.Errorf("with none healthy that is not tried: got %v, want the one not yet checked", got)
	}
	all[1].state.Store(Down)
	if got := p.choose(all[2:]); got != nil {
		t.Errorf("with all others down: got %s, want none", got.address)
	}
}

func TestScansGoToTheReplicaWithLessToDo(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	busy := func(conn *net.TCPConn, id int, body string) {
		if body == "slow" {
			held(released)(conn, id, body)
		}
		ok(conn, id, body)
	}
	peers := startPeers(t, busy, busy)
	p := startPool(t, confOfPeers(t, peers...), nil)
	awaitHealthy(t, p, 2)
	ended := make(chan Result, 1)
	go func() {
		result, err := p.Scan(t.Context(), blocksOf([]byte("slow")))
		if err != nil {
			t.Errorf("the slow scan: got error %v, want none", err)
		}
		ended <- result
	}()
	eventually(t, "a replica has the slow body", func() bool { return sentTo(peers, "slow") == 1 })
	var others []string
	for range 20 {
		others = append(others, wantOK(t, p).Replica)
	}
	close(released)
	slow := (<-ended).Replica
	for _, other := range others {
		if other == slow {
			t.Fatalf("got %v while %s was at work, want all from the other one", others, slow)
		}
	}
}
