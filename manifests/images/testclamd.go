package main

import (
	"fmt"
	"io"
	"strings"

	"clamav-sidecar/manifests/images/dist"
	"clamav-sidecar/manifests/images/scratch"
)

// testClamd makes the image of a clamd for tests from root file systems, which
// arguments like amd64=FILE.tar name. It takes the place of
// clamav/clamav-debian, so it has that image's user.
func testClamd(dir string, release *release, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	image := dist.Image{
		Name:        "test-clamd",
		Tag:         release.tag,
		Annotations: release.labels(dist.Repository("test-clamd"), "Debian's ClamAV, for tests in clusters that reach no registry", "GPL-2.0-only"),
	}
	for _, arg := range args {
		architecture, archive, found := strings.Cut(arg, "=")
		if !found {
			return fmt.Errorf("%q is not ARCHITECTURE=ARCHIVE", arg)
		}
		layer, err := scratch.RootFileSystem(archive)
		if err != nil {
			return err
		}
		made, err := scratch.Image{
			Architecture: architecture,
			Layer:        layer,
			User:         "1000:1000",
			Command:      []string{"clamd", "--foreground"},
			Env:          []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			Labels:       image.Annotations,
			Created:      release.time(),
		}.Build()
		if err != nil {
			return err
		}
		image.Platforms = append(image.Platforms, dist.Platform{Architecture: architecture, Image: made})
	}
	table := newTable(stdout)
	if err := write(dir, image, table); err != nil {
		return err
	}
	return table.Flush()
}
