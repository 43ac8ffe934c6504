package dist

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

func TestDirectoriesThatHoldNoImageAreRefused(t *testing.T) {
	without := t.TempDir()
	if _, err := layout.Write(without+"/sidecar", empty.Index); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ dir, want string }{
		"a directory that is missing": {t.TempDir(), "no such file"},
		"a layout without an index":   {without, "it names no index with a tag"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(c.dir, "sidecar")
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "make images") {
				t.Errorf("got the error %v, want one with %q that says what makes images", err, c.want)
			}
		})
	}
}
