//go:build npm

package clients

import (
	"strings"
	"testing"

	"clamav-sidecar/test/clamd"
)

// npmPackages are those of package.json, with what each says of a clamd that
// answers.
var npmPackages = []string{"clamdjs", "clamav.js", "clamscan"}

func TestPackagesOfNpm(t *testing.T) {
	daemon := clamd.StartT(t, clamd.Options{})
	s := startSidecar(t, nil, daemon)
	paths := files(t)
	want := clamscan(t, daemon, paths)
	for _, name := range npmPackages {
		t.Run(name, func(t *testing.T) {
			said, out := script(t, s, []string{"node", "scan_npm.js", name}, paths)
			compare(t, out, want)
			for _, want := range []string{"PING true", "VERSION ClamAV "} {
				if !strings.Contains(said, want) {
					t.Errorf("got %q, want %q in it", said, want)
				}
			}
		})
	}
}

func TestPackagesOfNpmTakeNothingForCleanThatWasNotScanned(t *testing.T) {
	for _, name := range npmPackages {
		t.Run(name, func(t *testing.T) {
			checkRefusals(t, []string{"node", "scan_npm.js", name})
		})
	}
}
