package clients

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	goclamd "github.com/dutchcoders/go-clamd"

	"clamav-sidecar/test/clamd"
)

func TestGoClamd(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{})
	client := goclamd.NewClamd("tcp://" + startSidecar(t, nil, daemon).Clamd)
	if err := client.Ping(); err != nil {
		t.Errorf("got %v from Ping, want nil", err)
	}
	versions, err := client.Version()
	if err != nil {
		t.Fatal(err)
	}
	if got := drain(versions); len(got) != 1 || !strings.HasPrefix(got[0].Raw, "ClamAV ") {
		t.Errorf("got %v from Version, want one line that begins with ClamAV", got)
	}
	stats, err := client.Stats()
	if err != nil || !strings.Contains(stats.State, "VALID PRIMARY") {
		t.Errorf("got %+v and %v from Stats, want the state VALID PRIMARY", stats, err)
	}

	paths := files(t)
	var got []string
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		abort := make(chan bool)
		results, err := client.ScanStream(bytes.NewReader(data), abort)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range drain(results) {
			switch r.Status {
			case goclamd.RES_OK:
				got = append(got, path+": OK")
			case goclamd.RES_FOUND:
				got = append(got, path+": "+r.Description+" FOUND")
			default:
				t.Errorf("got %q for %s", r.Raw, path)
			}
		}
		close(abort)
	}
	slices.Sort(got)
	compare(t, got, clamscan(t, daemon, paths))
}

func TestGoClamdUnderstandsWhyNothingWasScanned(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{})
	client := goclamd.NewClamd("tcp://" + startSidecar(t, nil, daemon).Clamd)
	if err := daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	abort := make(chan bool)
	defer close(abort)
	results, err := client.ScanStream(strings.NewReader("hello"), abort)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range drain(results) {
		if r.Status != goclamd.RES_ERROR || !strings.Contains(r.Description, "replica") {
			t.Errorf("got status %q and %q, want %q and a word of the replica", r.Status, r.Raw, goclamd.RES_ERROR)
		}
	}
}

func drain(results chan *goclamd.ScanResult) (all []*goclamd.ScanResult) {
	for r := range results {
		all = append(all, r)
	}
	return all
}
