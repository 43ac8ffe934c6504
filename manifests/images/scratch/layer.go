package scratch

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Binary returns a layer that holds the file at path and nothing else: as /name,
// owned by root, mode 0555, with modified as its time. Equal files give equal
// layers. The file is held in memory.
func Binary(path, name string, modified time.Time) (v1.Layer, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("failed to read the binary: %w", err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := &tar.Header{
		Typeflag: tar.TypeReg,
		Name:     name,
		Mode:     0o555,
		Size:     int64(len(content)),
		ModTime:  modified,
		Format:   tar.FormatUSTAR,
	}
	if err := w.WriteHeader(header); err != nil {
		return nil, fmt.Errorf("failed to archive %s: %w", path, err)
	}
	if _, err := w.Write(content); err != nil {
		return nil, fmt.Errorf("failed to archive %s: %w", path, err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("failed to archive %s: %w", path, err)
	}
	return layer(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	})
}

// RootFileSystem returns a layer that holds what the tar archive at path holds.
func RootFileSystem(path string) (v1.Layer, error) {
	made, err := layer(func() (io.ReadCloser, error) { return os.Open(path) })
	if err != nil {
		return nil, fmt.Errorf("failed to read the root file system %s: %w", path, err)
	}
	return made, nil
}

func layer(open tarball.Opener) (v1.Layer, error) {
	return tarball.LayerFromOpener(open,
		tarball.WithMediaType(types.OCILayer),
		tarball.WithCompressionLevel(gzip.BestCompression),
		tarball.WithCompressedCaching)
}
