package scan

import (
	"io"
	"time"
)

// pace is what an uploader has to send in each Paced.Idle, in bytes: with 20 s,
// 800 bytes a second.
const pace = 16 << 10

// Paced bounds the time that a slow or dead uploader may take: its reads fail
// with os.ErrDeadlineExceeded when neither 16 KiB nor the end has come within
// Idle, counted anew after each 16 KiB.
type Paced struct {
	R io.Reader
	// SetDeadline sets the absolute deadline for reads from R. The last one set
	// stays set.
	SetDeadline func(time.Time) error
	// Idle must be positive.
	Idle time.Duration

	armed bool
	got   int // bytes since SetDeadline
}

// Read reads from R.
func (p *Paced) Read(b []byte) (int, error) {
	if !p.armed || p.got >= pace {
		if err := p.SetDeadline(time.Now().Add(p.Idle)); err != nil {
			return 0, err
		}
		p.armed, p.got = true, 0
	}
	n, err := p.R.Read(b)
	p.got += n
	return n, err
}
