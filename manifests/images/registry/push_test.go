package registry

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clamav-sidecar/manifests/images/dist"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
)

// anyImage is an image that a push does not get rid of.
func anyImage(t *testing.T) dist.Stored {
	t.Helper()
	index, err := random.Index(64, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	return dist.Stored{Name: "sidecar", Tag: "1.2.3", Index: index}
}

// refuse has a registry answer all requests with a status.
func refuse(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// silence has a registry take requests and answer none until the client gives up.
func silence(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestPushesThatFail(t *testing.T) {
	const patience = time.Minute
	cases := map[string]struct {
		registry        http.HandlerFunc
		responseTimeout time.Duration
		deadline        time.Duration
		want            string
	}{
		"a registry that asks who it is has the user log in": {
			refuse(http.StatusUnauthorized), patience, patience, "log in with: docker login HOST",
		},
		"a registry that forbids it has the user log in as another": {
			refuse(http.StatusForbidden), patience, patience, "HOST does not let this user push",
		},
		"a registry that answers no request is given up": {
			silence, 50 * time.Millisecond, patience, "HOST did not answer in time",
		},
		"a registry that is too slow for all of a push is given up": {
			silence, patience, 50 * time.Millisecond, "HOST did not answer in time",
		},
		"a registry that has no such thing is named": {
			refuse(http.StatusNotFound), patience, patience, "failed to push HOST/team/sidecar:1.2.3: ",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.registry)
			defer server.Close()
			host := strings.TrimPrefix(server.URL, "http://")
			ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
			defer cancel()
			destination := Destination{Base: host + "/team", Credentials: authn.NewMultiKeychain(), ResponseTimeout: c.responseTimeout}
			_, err := destination.Push(ctx, anyImage(t))
			if want := strings.ReplaceAll(c.want, "HOST", host); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got the error %v, want %q in it", err, want)
			}
		})
	}
}

func TestAnInterruptedPushEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cancel()
		silence(w, r)
	}))
	defer server.Close()
	destination := Destination{
		Base:            strings.TrimPrefix(server.URL, "http://"),
		Credentials:     authn.NewMultiKeychain(),
		ResponseTimeout: time.Minute,
	}
	_, err := destination.Push(ctx, anyImage(t))
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("got the error %v, want one that says that it was interrupted", err)
	}
}

func TestTheTagComesWhenAllElseIsThere(t *testing.T) {
	var paths []string
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	var lock sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			lock.Lock()
			paths = append(paths, r.URL.Path)
			lock.Unlock()
		}
		store.ServeHTTP(w, r)
	}))
	defer server.Close()
	image := anyImage(t)
	referrer, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	image.Referrers = []v1.Image{referrer}
	destination := Destination{
		Base:            strings.TrimPrefix(server.URL, "http://") + "/team",
		Credentials:     authn.NewMultiKeychain(),
		ResponseTimeout: time.Minute,
	}
	if _, err := destination.Push(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	lock.Lock()
	defer lock.Unlock()
	tag := "/v2/team/sidecar/manifests/1.2.3"
	if len(paths) != 4 || slices.Index(paths, tag) != 3 {
		t.Errorf("got the manifests %q, want those of image, index and referrer, then %s", paths, tag)
	}
}

func TestAPlaceThatIsNoRegistryIsRefused(t *testing.T) {
	for _, base := range []string{"https://registry.example/team", "registry.example/Team", "registry.example/team/"} {
		t.Run(base, func(t *testing.T) {
			_, err := Destination{Base: base}.Push(t.Context(), anyImage(t))
			if want := "REGISTRY is a registry and a path in it, such as registry.example/team"; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got the error %v, want %q in it", err, want)
			}
		})
	}
}
