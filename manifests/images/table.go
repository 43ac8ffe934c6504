package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"clamav-sidecar/manifests/images/dist"
	"clamav-sidecar/manifests/images/scratch"
)

// newTable starts the table of images that were made. It shows when it is flushed.
func newTable(stdout io.Writer) *tabwriter.Writer {
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "IMAGE\tPLATFORM\tDIGEST\tCOMPRESSED")
	return table
}

// write writes an image to the directory and adds it to the table.
func write(dir string, image dist.Image, table *tabwriter.Writer) error {
	index, err := dist.Write(dir, image)
	if err != nil {
		return err
	}
	title := image.Reference()
	for _, platform := range image.Platforms {
		digest, err := platform.Image.Digest()
		if err != nil {
			return fmt.Errorf("failed to take a digest: %w", err)
		}
		size, err := scratch.CompressedSize(platform.Image)
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "%s\tlinux/%s\t%s\t%.1f MiB\n", title, platform.Architecture, digest, float64(size)/(1<<20))
	}
	fmt.Fprintf(table, "%s\tall\t%s\t\n", title, index)
	return nil
}
