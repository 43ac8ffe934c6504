package dist

import (
	"errors"
	"fmt"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// Stored is an image as its OCI layout has it.
type Stored struct {
	Name  string
	Tag   string
	Index v1.ImageIndex
	// Referrers refer to images of the index: their bills of materials.
	Referrers []v1.Image
}

// Read returns an image that Write has written. What it holds is read from its
// files when it is asked for.
func Read(dir, name string) (Stored, error) {
	stored := Stored{Name: name}
	if err := stored.read(filepath.Join(dir, name)); err != nil {
		return Stored{}, fmt.Errorf("failed to read the image %s, which `make images` makes: %w", filepath.Join(dir, name), err)
	}
	return stored, nil
}

func (s *Stored) read(dir string) error {
	root, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return err
	}
	manifest, err := root.IndexManifest()
	if err != nil {
		return err
	}
	for _, entry := range manifest.Manifests {
		if entry.MediaType.IsIndex() {
			s.Tag = entry.Annotations[annotationTag]
			if s.Index, err = root.ImageIndex(entry.Digest); err != nil {
				return err
			}
			continue
		}
		referrer, err := root.Image(entry.Digest)
		if err != nil {
			return err
		}
		s.Referrers = append(s.Referrers, referrer)
	}
	if s.Index == nil || s.Tag == "" {
		return errors.New("it names no index with a tag")
	}
	return nil
}
