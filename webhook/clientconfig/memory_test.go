package clientconfig

import (
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func TestMemory(t *testing.T) {
	clock := time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)
	fresh := func() *memory {
		m := newMemory(time.Minute)
		m.now = func() time.Time { return clock }
		return m
	}
	key := types.NamespacedName{Namespace: "shop", Name: "clamav-configuration"}
	recalls := func(t *testing.T, m *memory, key types.NamespacedName, want string, known bool) {
		t.Helper()
		if got, has := m.recall(key); got != want || has != known {
			t.Errorf("got %q (%t), want %q (%t)", got, has, want, known)
		}
	}

	t.Run("what was never kept is not known", func(t *testing.T) {
		recalls(t, fresh(), key, "", false)
	})
	t.Run("a warning is known for one period", func(t *testing.T) {
		m := fresh()
		m.keep(key, "not ours")
		clock = clock.Add(time.Minute)
		recalls(t, m, key, "not ours", true)
		clock = clock.Add(1)
		recalls(t, m, key, "", false)
	})
	t.Run("what is over makes room", func(t *testing.T) {
		m := fresh()
		fill(m)
		clock = clock.Add(time.Minute + 1)
		m.keep(key, "")
		if got := len(m.notes); got != 1 {
			t.Errorf("got %d notes, want 1", got)
		}
		recalls(t, m, key, "", true)
	})
	t.Run("it never grows beyond its bound", func(t *testing.T) {
		m := fresh()
		fill(m)
		m.keep(key, "")
		if got := len(m.notes); got > maxRemembered {
			t.Errorf("got %d notes, want at most %d", got, maxRemembered)
		}
		recalls(t, m, key, "", true)
	})
}

func fill(m *memory) {
	for i := range maxRemembered {
		m.keep(types.NamespacedName{Namespace: strconv.Itoa(i)}, "")
	}
}
