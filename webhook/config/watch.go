package config

import (
	"bytes"
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
)

// Watcher looks at a configuration file again and again, and tells when it says
// something else. It looks at the contents, since the kubelet updates a ConfigMap
// volume by replacing a link. The file has to be replaced as a whole, as it does.
type Watcher struct {
	Path string
	// Every is the time between two looks, above 0.
	Every time.Duration
	// Current is what is in force at the start.
	Current File
	// Changed is told what the file says now. Refused is told once of each bad
	// content, and once of a file that cannot be read; what was in force before
	// stays so. Both are called by Start, one at a time.
	Changed func(File)
	Refused func(error)

	text    []byte // of the last look
	problem string // why the file could not be read at the last look
}

// Start watches until ctx ends, and then returns nil. It goes into a manager as
// it is.
func (w *Watcher) Start(ctx context.Context) error {
	ticker := time.NewTicker(w.Every)
	defer ticker.Stop()
	for {
		w.look()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// NeedLeaderElection tells the manager that every replica watches.
func (*Watcher) NeedLeaderElection() bool { return false }

// look looks once.
func (w *Watcher) look() {
	text, err := read(w.Path)
	if err != nil {
		if err.Error() != w.problem {
			w.Refused(err)
		}
		w.problem = err.Error()
		return
	}
	w.problem = ""
	if w.text != nil && bytes.Equal(text, w.text) {
		return
	}
	w.text = text
	file, err := parseNamed(w.Path, text)
	switch {
	case err != nil:
		w.Refused(err)
	case !equality.Semantic.DeepEqual(file, w.Current):
		w.Current = file
		w.Changed(file)
	}
}
