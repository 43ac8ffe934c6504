package main

import (
	"debug/buildinfo"
	"fmt"
	"io"
	"path/filepath"

	"clamav-sidecar/manifests/images/dist"
	"clamav-sidecar/manifests/images/sbom"
	"clamav-sidecar/manifests/images/scratch"
)

// sidecarLimit is the most that a node downloads for the sidecar, in bytes: it is
// in every pod that has files scanned.
const sidecarLimit = 8 << 20

// nonRoot is the user of the images, one that no distribution gives to anybody.
const nonRoot = "65532:65532"

// architectures are those that the product is built for.
func architectures() []string { return []string{"amd64", "arm64"} }

// product is a program that gets an image of its own.
type product struct {
	name        string
	description string
	// limit is the largest compressed size in bytes; 0: any.
	limit int64
}

func products() []product {
	return []product{
		{
			name:        "sidecar",
			description: "Scans files for malware beside an app, by means of a shared clamd",
			limit:       sidecarLimit,
		},
		{
			name:        "webhook",
			description: "Admission webhook that gives pods the scanning sidecar",
		},
	}
}

// build makes the images of products from DIR/linux-ARCH/NAME.
func build(dir string, release *release, products []product, stdout io.Writer) error {
	table := newTable(stdout)
	for _, product := range products {
		image := dist.Image{
			Name:        product.name,
			Tag:         release.tag,
			Annotations: release.labels(dist.Repository(product.name), product.description, "MIT"),
		}
		for _, architecture := range architectures() {
			binary := filepath.Join(dir, "linux-"+architecture, product.name)
			platform, err := product.platform(binary, architecture, release, image.Annotations)
			if err != nil {
				return err
			}
			image.Platforms = append(image.Platforms, platform)
		}
		if err := write(dir, image, table); err != nil {
			return err
		}
	}
	return table.Flush()
}

func (p product) platform(binary, architecture string, release *release, labels map[string]string) (dist.Platform, error) {
	if err := fits(binary, architecture); err != nil {
		return dist.Platform{}, err
	}
	layer, err := scratch.Binary(binary, p.name, release.time())
	if err != nil {
		return dist.Platform{}, err
	}
	image, err := scratch.Image{
		Architecture: architecture,
		Layer:        layer,
		User:         nonRoot,
		Entrypoint:   []string{"/" + p.name},
		Labels:       labels,
		Created:      release.time(),
	}.Build()
	if err != nil {
		return dist.Platform{}, err
	}
	size, err := scratch.CompressedSize(image)
	if err != nil {
		return dist.Platform{}, err
	}
	if p.limit > 0 && size > p.limit {
		return dist.Platform{}, fmt.Errorf(
			"the image of %s for %s has %d bytes compressed, %d more than its limit of %d: look for a dependency that has come in, with: go version -m %s",
			p.name, architecture, size, size-p.limit, p.limit, binary)
	}
	digest, err := image.Digest()
	if err != nil {
		return dist.Platform{}, fmt.Errorf("failed to take a digest: %w", err)
	}
	bill, err := sbom.Make(sbom.Subject{
		Name:         dist.Repository(p.name),
		Version:      release.tag,
		Architecture: architecture,
		Digest:       digest,
		Created:      release.time(),
	}, binary)
	if err != nil {
		return dist.Platform{}, err
	}
	return dist.Platform{Architecture: architecture, Image: image, Bill: bill}, nil
}

// fits reports an error unless a binary runs on the architecture, in an image
// that has no other file.
func fits(binary, architecture string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("failed to read the build information of %s: %w", binary, err)
	}
	want := map[string]string{"GOOS": "linux", "GOARCH": architecture, "CGO_ENABLED": "0"}
	for _, setting := range info.Settings {
		if value, ok := want[setting.Key]; ok && setting.Value != value {
			return fmt.Errorf("%s was built with %s=%s, an image needs %s=%s", binary, setting.Key, setting.Value, setting.Key, value)
		}
	}
	return nil
}
