package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// patience is longer than any push of a test takes.
const patience = time.Minute

// startRegistry returns HOST:PORT/team of a registry in this process, and has
// pushes read a docker configuration without credentials.
func startRegistry(t *testing.T, wrap func(http.Handler) http.Handler, options ...registry.Option) string {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	options = append(options, registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(wrap(registry.New(options...)))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://") + "/team"
}

func open(handler http.Handler) http.Handler { return handler }

func TestPushedImages(t *testing.T) {
	dir := buildTiny(t)
	for name, referrersAPI := range map[string]bool{
		"in a registry that lists referrers":        true,
		"in a registry that knows no referrers API": false,
	} {
		t.Run(name, func(t *testing.T) {
			base := startRegistry(t, open, registry.WithReferrersSupport(referrersAPI))
			var out bytes.Buffer
			if err := push(t.Context(), dir, tiny(), []string{base}, patience, &out); err != nil {
				t.Fatal(err)
			}
			index := pull(t, base+"/tiny:1.2.3")
			digest, err := index.Digest()
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("--set tiny.image=%s/tiny@%s", base, digest); !strings.Contains(out.String(), want) {
				t.Errorf("got the output\n%s\nwant %q in it", &out, want)
			}
			manifest, err := index.IndexManifest()
			if err != nil {
				t.Fatal(err)
			}
			var platforms []string
			for _, entry := range manifest.Manifests {
				platforms = append(platforms, entry.Platform.String())
				image, err := index.Image(entry.Digest)
				if err != nil {
					t.Fatal(err)
				}
				checkImage(t, dir, image, entry.Platform.Architecture)
				checkBill(t, base+"/tiny@"+entry.Digest.String(), entry)
			}
			if want := []string{"linux/amd64", "linux/arm64"}; !slices.Equal(platforms, want) {
				t.Errorf("got images for %q, want %q", platforms, want)
			}
			if !maps.Equal(manifest.Annotations, tinyLabels()) {
				t.Errorf("got the annotations %q on the index, want %q", manifest.Annotations, tinyLabels())
			}
		})
	}
}

func pull(t *testing.T, reference string) v1.ImageIndex {
	t.Helper()
	parsed, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(parsed)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func tinyLabels() map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       "clamav-sidecar/tiny",
		"org.opencontainers.image.description": "Prints a word",
		"org.opencontainers.image.version":     "1.2.3",
		"org.opencontainers.image.revision":    "0123abc",
		"org.opencontainers.image.created":     "2023-11-14T22:13:20Z",
		"org.opencontainers.image.licenses":    "MIT",
	}
}

// checkImage looks at all that is in an image of testdata/tiny.
func checkImage(t *testing.T, dir string, image v1.Image, architecture string) {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.OS != "linux" || config.Architecture != architecture {
		t.Errorf("got an image for %s/%s, want linux/%s", config.OS, config.Architecture, architecture)
	}
	if config.Config.User != "65532:65532" {
		t.Errorf("got the user %q, want 65532:65532", config.Config.User)
	}
	if want := []string{"/tiny"}; !slices.Equal(config.Config.Entrypoint, want) {
		t.Errorf("got the entrypoint %q, want %q", config.Config.Entrypoint, want)
	}
	if !config.Created.Equal(time.Unix(created, 0)) {
		t.Errorf("got created at %v, want the time of the commit", config.Created)
	}
	if !maps.Equal(config.Config.Labels, tinyLabels()) {
		t.Errorf("got the labels %q, want %q", config.Config.Labels, tinyLabels())
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(manifest.Annotations, tinyLabels()) {
		t.Errorf("got the annotations %q, want %q", manifest.Annotations, tinyLabels())
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) != 1 {
		t.Fatalf("got %d layers, want 1", len(layers))
	}
	binary, err := os.ReadFile(filepath.Join(dir, "linux-"+architecture, "tiny"))
	if err != nil {
		t.Fatal(err)
	}
	want := entry{Name: "tiny", Mode: 0o555, Type: '0', Modified: time.Unix(created, 0).UTC(), Content: string(binary)}
	if got := entries(t, layers[0]); len(got) != 1 || got[0] != want {
		for i := range got {
			got[i].Content = fmt.Sprintf("%d bytes", len(got[i].Content))
		}
		t.Errorf("got the layer %+v, want the binary alone, mode 0555, root's", got)
	}
}

// checkBill looks for the bill of materials among the referrers of an image.
func checkBill(t *testing.T, reference string, image v1.Descriptor) {
	t.Helper()
	digest, err := name.NewDigest(reference)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := remote.Referrers(digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := listed.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("got %d referrers, want the bill of materials alone", len(manifest.Manifests))
	}
	referrer, err := remote.Image(digest.Context().Digest(manifest.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	about, err := referrer.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if want := "application/vnd.cyclonedx+json"; about.ArtifactType != want {
		t.Errorf("got a referrer of the type %q, want %q", about.ArtifactType, want)
	}
	if about.Subject == nil || about.Subject.Digest != image.Digest || about.Subject.Size != image.Size || about.Subject.MediaType != image.MediaType {
		t.Errorf("got the subject %+v, want the image %+v", about.Subject, image)
	}
	layers, err := referrer.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(content, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if got := (*bom.Metadata.Component.Hashes)[0].Value; got != image.Digest.Hex {
		t.Errorf("got a bill of materials of the image %s, want %s", got, image.Digest.Hex)
	}
	if !slices.ContainsFunc(*bom.Components, func(c cdx.Component) bool { return c.Name == "github.com/google/go-containerregistry" }) {
		t.Errorf("got the components %+v, want the module that the program imports among them", *bom.Components)
	}
}

func TestThePushTakesTheUsersDockerCredentials(t *testing.T) {
	base := startRegistry(t, func(handler http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != "ann" || password != "secret" {
				w.Header().Set("WWW-Authenticate", `Basic realm="team"`)
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			handler.ServeHTTP(w, r)
		})
	})
	dir := buildTiny(t)
	host, _, _ := strings.Cut(base, "/")
	err := push(t.Context(), dir, tiny(), []string{base}, patience, io.Discard)
	if want := "docker login " + host; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got the error %v, want %q in it", err, want)
	}
	login := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, base64.StdEncoding.EncodeToString([]byte("ann:secret")))
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(login), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := push(t.Context(), dir, tiny(), []string{base}, patience, io.Discard); err != nil {
		t.Errorf("got %v after docker login", err)
	}
}

func TestPushesWithNothingToPushOrNowhereToGo(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no registry":         {nil, "make push REGISTRY="},
		"an empty registry":   {[]string{""}, "make push REGISTRY="},
		"images not yet made": {[]string{"registry.example/team"}, "which `make images` makes"},
	} {
		t.Run(name, func(t *testing.T) {
			err := push(t.Context(), t.TempDir(), tiny(), c.args, patience, io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got the error %v, want %q in it", err, c.want)
			}
		})
	}
}
