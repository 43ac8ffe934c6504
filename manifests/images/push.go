package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"clamav-sidecar/manifests/images/dist"
	"clamav-sidecar/manifests/images/registry"

	"github.com/google/go-containerregistry/pkg/authn"
)

// responseTimeout is how long a registry may take to answer one request.
const responseTimeout = time.Minute

// push pushes the images that build has made of products, with the user's docker
// credentials, and prints the values by which the chart installs them.
func push(ctx context.Context, dir string, products []product, args []string, timeout time.Duration, stdout io.Writer) error {
	if len(args) != 1 || args[0] == "" {
		return errors.New("where to push is missing: make push REGISTRY=registry.example/team")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	destination := registry.Destination{
		Base:            args[0],
		Credentials:     authn.DefaultKeychain,
		ResponseTimeout: responseTimeout,
	}
	var values []string
	for _, product := range products {
		image, err := dist.Read(dir, product.name)
		if err != nil {
			return err
		}
		digest, err := destination.Push(ctx, image)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "pushed %s:%s, with a bill of materials for each architecture, as %s\n", digest.Context(), image.Tag, digest.DigestStr())
		values = append(values, fmt.Sprintf("--set %s.image=%s", product.name, digest))
	}
	fmt.Fprintf(stdout, "\nTo install them:\n\n  helm upgrade --install clamav-sidecar manifests/chart/clamav-sidecar \\\n    %s\n",
		strings.Join(values, " \\\n    "))
	return nil
}
