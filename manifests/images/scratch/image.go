// Package scratch makes OCI images that have no base image: what is in them is
// what the caller put there. It needs no container engine and no registry, and
// makes the same image, to the byte, from the same input and the same Go.
package scratch

import (
	"fmt"
	"maps"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image is an image of one layer for one architecture of Linux.
type Image struct {
	// Architecture is one of GOARCH.
	Architecture string
	Layer        v1.Layer
	// User is "UID:GID". It is numeric since Kubernetes cannot tell otherwise
	// that a user is not root.
	User       string
	Entrypoint []string
	Command    []string
	Env        []string
	// Labels go into the configuration, where container engines show them, and
	// as annotations into the manifest, where registries do.
	Labels  map[string]string
	Created time.Time
}

// Build makes the image.
func (i Image) Build() (v1.Image, error) {
	created := v1.Time{Time: i.Created.UTC()}
	base, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS:           "linux",
		Architecture: i.Architecture,
		Created:      created,
		Config: v1.Config{
			User:       i.User,
			Entrypoint: i.Entrypoint,
			Cmd:        i.Command,
			Env:        i.Env,
			Labels:     maps.Clone(i.Labels),
		},
		RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, fmt.Errorf("failed to configure an image: %w", err)
	}
	base = mutate.MediaType(base, types.OCIManifestSchema1)
	base = mutate.ConfigMediaType(base, types.OCIConfigJSON)
	image, err := mutate.Append(base, mutate.Addendum{Layer: i.Layer, History: v1.History{Created: created}})
	if err != nil {
		return nil, fmt.Errorf("failed to add the layer to an image: %w", err)
	}
	return mutate.Annotations(image, maps.Clone(i.Labels)).(v1.Image), nil
}

// Platform is what an index says of an image for the architecture.
func Platform(architecture string) *v1.Platform {
	return &v1.Platform{OS: "linux", Architecture: architecture}
}

// CompressedSize returns how many bytes of an image a node downloads.
func CompressedSize(image v1.Image) (int64, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return 0, fmt.Errorf("failed to make a manifest: %w", err)
	}
	size, err := image.Size() // of the manifest
	if err != nil {
		return 0, fmt.Errorf("failed to make a manifest: %w", err)
	}
	size += manifest.Config.Size
	for _, layer := range manifest.Layers {
		size += layer.Size
	}
	return size, nil
}
