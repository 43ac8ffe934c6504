package config

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// patience bounds every wait of these tests.
const patience = 30 * time.Second

var _ manager.LeaderElectionRunnable = (*Watcher)(nil)

// watching is a Watcher and what it told.
type watching struct {
	*Watcher
	changed []File
	refused []error
}

// watch makes one whose file is as it was when it was loaded.
func watch(t *testing.T) *watching {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	write(t, path, least)
	current, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	w := &watching{Watcher: &Watcher{Path: path, Every: time.Millisecond, Current: current}}
	w.Changed = func(file File) { w.changed = append(w.changed, file) }
	w.Refused = func(err error) { w.refused = append(w.refused, err) }
	return w
}

// told checks how often each was told so far.
func (w *watching) told(t *testing.T, changed, refused int) {
	t.Helper()
	if len(w.changed) != changed || len(w.refused) != refused {
		t.Errorf("got %d changes and %v refused, want %d and %d", len(w.changed), w.refused, changed, refused)
	}
}

// twice looks two times, so that what is told again shows.
func (w *watching) twice() {
	w.look()
	w.look()
}

func TestWatcher(t *testing.T) {
	other := strings.Replace(least, "clamav.clamav-system.svc", "scanner", 1)
	for name, test := range map[string]func(*testing.T, *watching){
		"a file that stays tells nothing": func(t *testing.T, w *watching) {
			w.twice()
			w.told(t, 0, 0)
		},
		"new contents are told once": func(t *testing.T, w *watching) {
			w.look()
			write(t, w.Path, other)
			w.twice()
			w.told(t, 1, 0)
			if got, want := w.changed[0].Client.Host, "scanner"; got != want {
				t.Errorf("got host %q, want %q", got, want)
			}
		},
		"a change between the load and the first look is told": func(t *testing.T, w *watching) {
			write(t, w.Path, other)
			w.twice()
			w.told(t, 1, 0)
		},
		"another comment is no change": func(t *testing.T, w *watching) {
			write(t, w.Path, "# checked\n"+least)
			w.twice()
			w.told(t, 0, 0)
		},
		"a bad file is refused once, and the old one stays": func(t *testing.T, w *watching) {
			write(t, w.Path, "clamd: {}\n")
			w.twice()
			w.told(t, 0, 1)
			if want := "clamd.host: Required"; !strings.Contains(w.refused[0].Error(), want) {
				t.Errorf("got error %v, want one with %q", w.refused[0], want)
			}
			write(t, w.Path, least)
			w.twice()
			w.told(t, 0, 1)
		},
		"an empty file is refused": func(t *testing.T, w *watching) {
			write(t, w.Path, "")
			w.twice()
			w.told(t, 0, 1)
		},
		"each bad file is refused": func(t *testing.T, w *watching) {
			for _, text := range []string{"clamd: {}\n", "sidecar: {}\n", "clamd: {}\n"} {
				write(t, w.Path, text)
				w.twice()
			}
			w.told(t, 0, 3)
		},
		"a file that is gone is told once, and again when it goes again": func(t *testing.T, w *watching) {
			for want := 1; want <= 2; want++ {
				if err := os.Remove(w.Path); err != nil {
					t.Fatal(err)
				}
				w.twice()
				w.told(t, 0, want)
				write(t, w.Path, least)
				w.look()
			}
		},
		"the links of a ConfigMap volume are followed": func(t *testing.T, w *watching) {
			dir := filepath.Dir(w.Path)
			for _, version := range []string{"1", "2"} {
				if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			write(t, filepath.Join(dir, "1", "config.yaml"), least)
			write(t, filepath.Join(dir, "2", "config.yaml"), other)
			point := func(version string) { // as the kubelet does: at once
				fresh := filepath.Join(dir, "..fresh")
				if err := os.Symlink(version, fresh); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(fresh, filepath.Join(dir, "..data")); err != nil {
					t.Fatal(err)
				}
			}
			point("1")
			w.Path = filepath.Join(dir, "..data", "config.yaml")
			w.twice()
			w.told(t, 0, 0)
			point("2")
			w.twice()
			w.told(t, 1, 0)
		},
	} {
		t.Run(name, func(t *testing.T) { test(t, watch(t)) })
	}
}

func TestStartWatchesUntilItsContextEnds(t *testing.T) {
	w := watch(t)
	changes := make(chan File, 1)
	w.Changed = func(file File) { changes <- file }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.Start(ctx) }()

	replaced := filepath.Join(t.TempDir(), "config.yaml")
	write(t, replaced, strings.Replace(least, "clamav.clamav-system.svc", "scanner", 1))
	if err := os.Rename(replaced, w.Path); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-changes:
		if want := "scanner"; got.Client.Host != want {
			t.Errorf("got host %q, want %q", got.Client.Host, want)
		}
	case <-time.After(patience):
		t.Fatalf("no change within %v", patience)
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("got error %v, want none", err)
		}
	case <-time.After(patience):
		t.Fatalf("not ended within %v", patience)
	}
}
