// Package dist keeps images in a directory, in the forms that programs take who
// have no registry:
//
//	NAME/                   OCI layout: the index of all architectures, the bills of materials
//	NAME-linux-ARCH.tar     an archive for `docker load` and `kind load image-archive`
//	NAME-linux-ARCH.cdx.json    the bill of materials
package dist

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"clamav-sidecar/manifests/images/sbom"
	"clamav-sidecar/manifests/images/scratch"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// project is the first part of the images' names.
const project = "clamav-sidecar/"

// local is the registry in the names of loaded archives, as in the chart's own
// values: there is none on a node, so that an image that has not been loaded is
// not asked of a registry that is somebody else's.
const local = "localhost/"

// annotationTag is where an OCI layout keeps the tag of an image.
const annotationTag = "org.opencontainers.image.ref.name"

// Repository is the full name of an image, without a registry.
func Repository(name string) string { return project + name }

// Reference is the name of an image in its archives, with its tag.
func (i Image) Reference() string { return local + Repository(i.Name) + ":" + i.Tag }

// Image is an image for some architectures.
type Image struct {
	// Name is such as "sidecar"; Repository(Name) is the full one.
	Name        string
	Tag         string
	Annotations map[string]string
	Platforms   []Platform
}

// Platform is an image for one architecture.
type Platform struct {
	Architecture string
	Image        v1.Image
	// Bill is its bill of materials; nil if there is none.
	Bill []byte
}

// Write writes the files of an image, in place of those from before, and returns
// the digest of its index. A layout appears when it is complete.
func Write(dir string, image Image) (v1.Hash, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // for everybody to read
		return v1.Hash{}, fmt.Errorf("failed to make the directory of the images: %w", err)
	}
	reference, err := name.NewTag(image.Reference())
	if err == nil && image.Tag == "" {
		err = errors.New("its tag is empty")
	}
	if err != nil {
		return v1.Hash{}, fmt.Errorf("failed to name the image: %w; set another TAG", err)
	}
	for _, platform := range image.Platforms {
		file := filepath.Join(dir, image.Name+"-linux-"+platform.Architecture)
		if err := tarball.WriteToFile(file+".tar", reference, platform.Image); err != nil {
			return v1.Hash{}, fmt.Errorf("failed to write %s.tar: %w", file, err)
		}
		if platform.Bill == nil {
			continue
		}
		if err := os.WriteFile(file+".cdx.json", platform.Bill, 0o644); err != nil { //nolint:gosec // for everybody to read
			return v1.Hash{}, fmt.Errorf("failed to write the bill of materials: %w", err)
		}
	}
	index, err := writeLayout(filepath.Join(dir, image.Name), image)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("failed to write the OCI layout of %s: %w", image.Name, err)
	}
	return index, nil
}

func writeLayout(dir string, image Image) (v1.Hash, error) {
	partialDir := dir + ".partial"
	if err := os.RemoveAll(partialDir); err != nil {
		return v1.Hash{}, err
	}
	path, err := layout.Write(partialDir, empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	index := index(image)
	annotations := map[string]string{annotationTag: image.Tag}
	if err := path.AppendIndex(index, layout.WithAnnotations(annotations)); err != nil {
		return v1.Hash{}, err
	}
	for _, platform := range image.Platforms {
		if platform.Bill == nil {
			continue
		}
		subject, err := partial.Descriptor(platform.Image)
		if err != nil {
			return v1.Hash{}, err
		}
		referrer, err := sbom.Referrer(platform.Bill, *subject, image.Annotations)
		if err != nil {
			return v1.Hash{}, err
		}
		if err := path.AppendImage(referrer); err != nil {
			return v1.Hash{}, err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return v1.Hash{}, err
	}
	if err := os.Rename(partialDir, dir); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}

func index(image Image) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, platform := range image.Platforms {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        platform.Image,
			Descriptor: v1.Descriptor{Platform: scratch.Platform(platform.Architecture)},
		})
	}
	return mutate.Annotations(index, image.Annotations).(v1.ImageIndex)
}
