package clientconfig

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// maxRemembered bounds a memory. It is above the namespaces that see a first
// injection, or a workload that is applied, within one period of it.
const maxRemembered = 4096

// memory holds, for a while, what was found out of ConfigMaps, so that a burst
// of requests costs one call. It is safe for concurrent use.
type memory struct {
	period time.Duration
	now    func() time.Time

	mu    sync.Mutex
	notes map[types.NamespacedName]note
}

type note struct {
	warning string
	until   time.Time
}

func newMemory(period time.Duration) *memory {
	return &memory{period: period, now: time.Now, notes: map[types.NamespacedName]note{}}
}

// recall gives the warning that was kept for key, and whether one was, be it
// "".
func (m *memory) recall(key types.NamespacedName) (warning string, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept, known := m.notes[key]
	if !known || m.now().After(kept.until) {
		return "", false
	}
	return kept.warning, true
}

// keep remembers the warning for key from now on for one period. When the memory
// is full of what is not over, all of that is forgotten: it costs calls, no
// more.
func (m *memory) keep(key types.NamespacedName, warning string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if len(m.notes) >= maxRemembered {
		maps.DeleteFunc(m.notes, func(_ types.NamespacedName, n note) bool { return now.After(n.until) })
	}
	if len(m.notes) >= maxRemembered {
		clear(m.notes)
	}
	m.notes[key] = note{warning: warning, until: now.Add(m.period)}
}
