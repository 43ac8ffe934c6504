package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clamav-sidecar/manifests/images/dist"
	"clamav-sidecar/manifests/images/sbom"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestTheSidecarFitsItsLimitAndItsBillNamesWhatItIsMadeOf(t *testing.T) {
	dir := compile(t, "../..", "./cmd/sidecar", "amd64")
	sidecar := products()[0]
	if sidecar.name != "sidecar" || sidecar.limit != 8<<20 {
		t.Fatalf("got the product %+v, want sidecar with a limit of 8 MiB", sidecar)
	}
	platform, err := sidecar.platform(filepath.Join(dir, "linux-amd64", "sidecar"), "amd64", testRelease(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(platform.Bill), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"clamav-sidecar/cmd/sidecar", "github.com/prometheus/client_golang", "github.com/gorilla/mux", "stdlib"} {
		if !slices.ContainsFunc(*bom.Components, func(c cdx.Component) bool { return c.Name == want }) {
			t.Errorf("the bill of materials does not name %s", want)
		}
	}
}

func TestTheLayoutHoldsTheImagesAndTheirBills(t *testing.T) {
	stored, err := dist.Read(buildTiny(t), "tiny")
	if err != nil {
		t.Fatal(err)
	}
	if stored.Tag != "1.2.3" {
		t.Errorf("got the tag %q, want 1.2.3", stored.Tag)
	}
	index, err := stored.Index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var images, subjects []v1.Hash
	for _, image := range index.Manifests {
		images = append(images, image.Digest)
	}
	for _, referrer := range stored.Referrers {
		manifest, err := referrer.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		if manifest.ArtifactType != sbom.MediaType {
			t.Errorf("got a referrer of the type %q, want %q", manifest.ArtifactType, sbom.MediaType)
		}
		subjects = append(subjects, manifest.Subject.Digest)
	}
	if len(images) != 2 || !slices.Equal(images, subjects) {
		t.Errorf("got bills of %v, want one for each image: %v", subjects, images)
	}
}

func TestTheArchiveThatContainerEnginesLoad(t *testing.T) {
	dir := buildTiny(t)
	for _, architecture := range architectures() {
		t.Run("for "+architecture, func(t *testing.T) {
			tag, err := name.NewTag("localhost/clamav-sidecar/tiny:1.2.3")
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "tiny-linux-"+architecture+".tar")
			image, err := tarball.ImageFromPath(path, &tag)
			if err != nil {
				t.Fatal(err)
			}
			config, err := image.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			if config.Architecture != architecture || config.Config.User != nonRoot {
				t.Errorf("got an image for %s of the user %s, want %s and %s", config.Architecture, config.Config.User, architecture, nonRoot)
			}
			manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(path) })
			if err != nil {
				t.Fatal(err)
			}
			if want := []string{"localhost/clamav-sidecar/tiny:1.2.3"}; len(manifest) != 1 || !slices.Equal(manifest[0].RepoTags, want) {
				t.Errorf("got the archive's manifest %+v, want one image with the tags %q", manifest, want)
			}
		})
	}
}

func TestTheClamdOfTests(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "root.tar")
	writeTar(t, root, "usr/sbin/clamd", "not really")
	var out bytes.Buffer
	if err := testClamd(dir, testRelease(), []string{"amd64=" + root, "arm64=" + root}, &out); err != nil {
		t.Fatal(err)
	}
	if want := "localhost/clamav-sidecar/test-clamd:1.2.3"; !strings.Contains(out.String(), want) {
		t.Errorf("got the table\n%s\nwant %s in it", &out, want)
	}
	stored, err := dist.Read(dir, "test-clamd")
	if err != nil {
		t.Fatal(err)
	}
	index, err := stored.Index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 2 {
		t.Fatalf("got %d images, want 2", len(index.Manifests))
	}
	image, err := stored.Index.Image(index.Manifests[1].Digest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Architecture != "arm64" || config.Config.User != "1000:1000" || len(config.Config.Env) != 1 || !slices.Equal(config.Config.Cmd, []string{"clamd", "--foreground"}) {
		t.Errorf("got the configuration %+v", config)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if got := entries(t, layers[0]); len(got) != 1 || got[0].Name != "usr/sbin/clamd" || got[0].Content != "not really" {
		t.Errorf("got the layer %+v, want what the root file system holds", got)
	}
}

func TestARootFileSystemThatIsNotThereIsNamed(t *testing.T) {
	for name, c := range map[string]struct{ arg, want string }{
		"a file that is missing":           {"amd64=/nonexistent.tar", "/nonexistent.tar"},
		"an argument without architecture": {"root.tar", `"root.tar" is not ARCHITECTURE=ARCHIVE`},
	} {
		t.Run(name, func(t *testing.T) {
			err := testClamd(t.TempDir(), testRelease(), []string{c.arg}, io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got the error %v, want %q in it", err, c.want)
			}
		})
	}
}

// writeTar writes an archive of one file.
func writeTar(t *testing.T, path, name, content string) {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, archive.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
