// Package registry pushes images, with what refers to them, to a registry.
package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"clamav-sidecar/manifests/images/dist"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Destination is a place in a registry.
type Destination struct {
	// Base is a registry with a path in it, such as registry.example/team. Images
	// are named after it: registry.example/team/sidecar.
	Base string
	// Credentials are those of the user.
	Credentials authn.Keychain
	// ResponseTimeout is how long the registry may take to answer one request
	// that it has received. How long all of a push may take is up to its context.
	ResponseTimeout time.Duration
}

// Push pushes an image under its tag and returns its digest. The tag comes last:
// who can pull by it finds all architectures and their bills of materials. Errors
// name the registry and what to do.
func (d Destination) Push(ctx context.Context, image dist.Stored) (name.Digest, error) {
	tag, err := d.tag(image)
	if err != nil {
		return name.Digest{}, fmt.Errorf(
			"failed to name the image: %w; REGISTRY is a registry and a path in it, such as registry.example/team", err)
	}
	digest, err := image.Index.Digest()
	if err != nil {
		return name.Digest{}, fmt.Errorf("failed to read the index of %s: %w", image.Name, err)
	}
	pushed := tag.Context().Digest(digest.String())
	if err := d.push(ctx, tag, pushed, image); err != nil {
		return name.Digest{}, explain(ctx, tag, err)
	}
	return pushed, nil
}

// tag names an image. The library takes "https://host" for a host "https".
func (d Destination) tag(image dist.Stored) (name.Tag, error) {
	if strings.Contains(d.Base+"/", "//") {
		return name.Tag{}, fmt.Errorf("%q has a scheme or an empty part", d.Base)
	}
	return name.NewTag(d.Base + "/" + image.Name + ":" + image.Tag)
}

func (d Destination) push(ctx context.Context, tag name.Tag, digest name.Digest, image dist.Stored) error {
	connections := http.DefaultTransport.(*http.Transport).Clone()
	connections.ResponseHeaderTimeout = d.ResponseTimeout
	defer connections.CloseIdleConnections()
	pusher, err := remote.NewPusher(
		remote.WithTransport(connections),
		remote.WithAuthFromKeychain(d.Credentials),
		remote.WithUserAgent("clamav-sidecar"),
		remote.WithContext(ctx),
	)
	if err != nil {
		return err
	}
	if err := pusher.Push(ctx, digest, image.Index); err != nil {
		return err
	}
	for _, referrer := range image.Referrers {
		own, err := referrer.Digest()
		if err != nil {
			return err
		}
		if err := pusher.Push(ctx, tag.Context().Digest(own.String()), referrer); err != nil {
			return err
		}
	}
	return pusher.Push(ctx, tag, image.Index)
}

// explain says what a push failed of and what helps.
func explain(ctx context.Context, tag name.Tag, err error) error {
	host := tag.RegistryStr()
	var answer *transport.Error
	var network net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("failed to push %s: interrupted: %w", tag, ctx.Err())
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return fmt.Errorf("failed to push %s: %s does not let this user push (%w); log in with: docker login %s", tag, host, err, host)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return fmt.Errorf("failed to push %s: %s did not answer in time (%w); try again, or look at the registry and the way to it", tag, host, err)
	default:
		return fmt.Errorf("failed to push %s: %w", tag, err)
	}
}
