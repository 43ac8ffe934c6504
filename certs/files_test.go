package certs

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// writePair puts a serving certificate into a directory, as a Secret is mounted.
func writePair(t *testing.T, directory string, pair *keyPair) {
	t.Helper()
	cert, key := encoded(t, pair)
	for name, text := range map[string][]byte{servingCertKey: cert, servingKeyKey: key} {
		temporary := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(temporary, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temporary, filepath.Join(directory, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFilesAreServedAndReadAgainWhenTheyChange(t *testing.T) {
	t.Parallel()
	now, directory := time.Now(), t.TempDir()
	ca := authorityAt(t, now, 3*time.Hour)
	first, second := leafAt(t, ca, now, time.Hour, testHost), leafAt(t, ca, now, 2*time.Hour, testHost)
	writePair(t, directory, first)
	files, err := NewFiles(directory, func() time.Time { return now.Add(90 * time.Minute) })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() {
		if err := files.Start(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := files.Ready(nil); err == nil || !strings.Contains(err.Error(), directory) {
		t.Errorf("got readiness %v with an expired certificate, want an error that names the directory", err)
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(files); err != nil {
		t.Fatal(err)
	}
	checkExpiry(t, registry, map[string]time.Time{kindServing: first.cert.NotAfter})

	writePair(t, directory, second)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		got, err := files.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.Leaf.Equal(second.cert) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the new certificate is still not served")
		}
	}
	if err := files.Ready(nil); err != nil {
		t.Errorf("got %v with a valid certificate, want ready", err)
	}
	checkExpiry(t, registry, map[string]time.Time{kindServing: second.cert.NotAfter})
}

func TestMissingFilesAreAnErrorThatNamesThem(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	_, err := NewFiles(directory, nil)
	if err == nil || !strings.Contains(err.Error(), directory) || !strings.Contains(err.Error(), servingCertKey) {
		t.Errorf("got error %v, want one that names %s in %s", err, servingCertKey, directory)
	}
}
