package upstream

import (
	"context"
	_ "embed" // the samples
	"time"

	"clamav-sidecar/sidecar/clamd"
)

// What a replica can be blind to: files that its clamd.conf makes it call OK
// although it did not scan all of them. No reply of clamd tells.
const (
	// BlindToEncrypted replicas lack AlertEncrypted yes.
	BlindToEncrypted = "encrypted"
	// BlindToLimits replicas lack AlertExceedsMax yes.
	BlindToLimits = "limit"
)

// The samples hold nothing that a signature could match, so that a clamd which
// says OK to one has not reported that it could not look inside.
var (
	//go:embed samples/encrypted.zip
	encryptedSample []byte // a zip archive with one file, encrypted as zip does
	//go:embed samples/nested.gz
	nestedSample []byte // gzip within gzip, 101 times; the highest MaxRecursion is 100
)

// sample is a file that a clamd which is not blind to its kind does not call OK.
type sample struct {
	kind   string
	option string // of clamd.conf, that opens its eyes
	body   []byte
}

func samples() []sample {
	return []sample{
		{BlindToEncrypted, "AlertEncrypted", encryptedSample},
		{BlindToLimits, "AlertExceedsMax", nestedSample},
	}
}

// examine has the replica scan the samples, and gives those that it calls OK.
func (r *replica) examine(ctx context.Context) (blind []sample, err error) {
	conn, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	session := clamd.NewSession(conn)
	defer session.Close()
	release := context.AfterFunc(ctx, func() { session.Close() })
	defer release()
	for _, s := range samples() {
		block := new(clamd.Block)
		block.Grow(copy(block.Free(), s.body))
		reply, err := exchange(session, []*clamd.Block{block}, time.Now().Add(checkTimeout))
		if err != nil {
			return nil, err
		}
		if reply.Status == clamd.OK {
			blind = append(blind, s)
		}
	}
	return blind, nil
}

// examineOnce examines a replica that has come up. One that is too busy to
// answer is examined at its next check.
func (r *replica) examineOnce(ctx context.Context) {
	if r.examined.Load() || !r.is(Healthy) {
		return
	}
	blind, err := r.examine(ctx)
	if err != nil {
		r.pool.log.Debug("replica not examined yet", "replica", r.address, "error", err)
		return
	}
	r.examined.Store(true)
	var kinds []string
	for _, s := range blind {
		kinds = append(kinds, s.kind)
		r.pool.log.Warn("replica calls files clean that it has not scanned: set "+s.option+" yes in its clamd.conf",
			"replica", r.address, "blind_to", s.kind)
	}
	r.mu.Lock()
	r.blind = kinds
	r.mu.Unlock()
}
