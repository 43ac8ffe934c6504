package scan

import (
	"io"
	"time"
)

// pace is what an uploader has to send in each Paced.Idle, in bytes: with 20 s,
// 800 bytes a second.
const pace = 16 << 10

// notice is how long nobody must have read before that is held in the
// uploader's favour. Shorter pauses, which are many, are not worth the effort.
const notice = 100 * time.Millisecond

// Paced bounds the time that a slow or dead uploader may take: its reads fail
// with os.ErrDeadlineExceeded when neither 16 KiB nor the end has come within
// Idle, counted anew after each 16 KiB. The time in which nobody reads, since
// clamd takes its own, does not count.
type Paced struct {
	R io.Reader
	// SetDeadline sets the absolute deadline for reads from R. The last one set
	// stays set.
	SetDeadline func(time.Time) error
	// Idle must be positive.
	Idle time.Duration

	deadline time.Time // zero before the first read
	left     time.Time // when the last read ended
	got      int       // bytes since the deadline began
}

// Read reads from R.
func (p *Paced) Read(b []byte) (int, error) {
	now := time.Now()
	deadline := p.deadline
	if deadline.IsZero() || p.got >= pace {
		deadline, p.got = now.Add(p.Idle), 0
	} else if away := now.Sub(p.left); away > notice {
		deadline = deadline.Add(away)
	}
	if deadline != p.deadline {
		if err := p.SetDeadline(deadline); err != nil {
			return 0, err
		}
		p.deadline = deadline
	}
	n, err := p.R.Read(b)
	p.got += n
	p.left = time.Now()
	return n, err
}
