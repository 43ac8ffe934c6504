package sbom

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// MediaType is that of a bill. Registries list the referrers of an image by it.
const MediaType = "application/vnd.cyclonedx+json"

// emptyConfig is what the OCI image specification puts where a manifest is not of
// an image and needs no configuration.
const (
	emptyConfig          = "{}"
	emptyConfigMediaType = "application/vnd.oci.empty.v1+json"
)

// Referrer returns a manifest, in the form of an image, that holds a bill and
// refers to the image that it is of: pushed beside that, it is listed among its
// referrers.
func Referrer(bill []byte, subject v1.Descriptor, annotations map[string]string) (v1.Image, error) {
	config, err := descriptor([]byte(emptyConfig), emptyConfigMediaType)
	if err != nil {
		return nil, err
	}
	layer, err := descriptor(bill, MediaType)
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  MediaType,
		Config:        config,
		Layers:        []v1.Descriptor{layer},
		Subject:       &v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest},
		Annotations:   annotations,
	})
	if err != nil {
		return nil, fmt.Errorf("failed to write the manifest of a bill of materials: %w", err)
	}
	return partial.CompressedToImage(referrer{manifest: manifest, bill: bill})
}

func descriptor(content []byte, mediaType types.MediaType) (v1.Descriptor, error) {
	digest, size, err := v1.SHA256(bytes.NewReader(content))
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("failed to take a digest: %w", err)
	}
	return v1.Descriptor{MediaType: mediaType, Size: size, Digest: digest}, nil
}

// referrer is an image in form only. The library's own ways to change an image
// cannot set the type of what it holds.
type referrer struct {
	manifest []byte
	bill     []byte
}

var _ partial.CompressedImageCore = referrer{}

func (r referrer) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (r referrer) RawManifest() ([]byte, error)        { return r.manifest, nil }
func (r referrer) RawConfigFile() ([]byte, error)      { return []byte(emptyConfig), nil }

func (r referrer) LayerByDigest(v1.Hash) (partial.CompressedLayer, error) {
	return static.NewLayer(r.bill, MediaType), nil
}
