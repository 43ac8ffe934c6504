package clientconfig

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"clamav-sidecar/webhook/clientconfig/render"
)

// FieldOwner owns the fields that are applied.
const FieldOwner = "clamav-sidecar-webhook"

const (
	// ensureTimeout bounds Ensure. The API server gives the webhook 5 s.
	ensureTimeout = 2 * time.Second
	// missingTimeout bounds Missing, which is worth a warning and no wait.
	missingTimeout = time.Second
	// settledPeriod is how long Ensure relies on what it found or made: longer
	// than a watch lags behind, and short, because pods wait for a ConfigMap
	// that is deleted meanwhile.
	settledPeriod = 5 * time.Second
	// foundPeriod is how long Missing does not look again for what it found.
	foundPeriod = time.Minute
)

// Keeper keeps the ConfigMap of each namespace. It is safe for concurrent use.
type Keeper struct {
	client   client.Client // reads from the cache
	live     client.Reader
	settings atomic.Pointer[render.Settings]
	// changed holds an event when the settings have changed since all that is
	// kept was looked at.
	changed chan event.TypedGenericEvent[render.Settings]

	settling singleflight.Group
	settled  *memory // of Ensure
	found    *memory // of Missing
}

// New makes a Keeper. The cached client reads from a cache with the options of
// [ByObject], as a manager's GetClient does; live reads from the API server, as
// its GetAPIReader does.
func New(cached client.Client, live client.Reader, settings render.Settings) *Keeper {
	k := &Keeper{
		client:  cached,
		live:    live,
		changed: make(chan event.TypedGenericEvent[render.Settings], 1),
		settled: newMemory(settledPeriod),
		found:   newMemory(foundPeriod),
	}
	k.settings.Store(&settings)
	return k
}

// Update replaces the settings. The leader brings each ConfigMap that is kept up
// to date some time after.
func (k *Keeper) Update(settings render.Settings) {
	k.settings.Store(&settings)
	select {
	case k.changed <- event.TypedGenericEvent[render.Settings]{Object: settings}:
	default: // one is on its way, and whoever takes it sees these settings
	}
}

// Ensure sees to it that the namespace has the ConfigMap before a pod is
// injected that mounts it. It answers from the cache where it can, and else
// makes at most two calls within 2 s. A namespace that has a ConfigMap of its
// own under the name gets a warning. On a dry run nothing is written, and the
// warning says what would be. An error means that the pod would not start, and
// names the remedy. With Manage false it does nothing.
func (k *Keeper) Ensure(ctx context.Context, namespace string, dryRun bool) (warning string, err error) {
	settings := *k.settings.Load()
	if !settings.Manage {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, ensureTimeout)
	defer cancel()
	key := types.NamespacedName{Namespace: namespace, Name: settings.Name}
	switch err := k.client.Get(ctx, key, &corev1.ConfigMap{}); {
	case err == nil:
		return "", nil
	case !apierrors.IsNotFound(err) && !errors.As(err, new(*cache.ErrCacheNotStarted)):
		return "", ensureError(key, err)
	}
	call := k.settling.DoChan(fmt.Sprintf("%s dry run %t", key, dryRun), func() (any, error) {
		if warning, known := k.settled.recall(key); known {
			return warning, nil
		}
		// The call is also for those who join, so it outlives a caller who goes.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ensureTimeout)
		defer cancel()
		warning, err := k.settle(ctx, key, settings, dryRun)
		if err == nil && !dryRun {
			k.settled.keep(key, warning)
		}
		return warning, err
	})
	select {
	case <-ctx.Done():
		return "", ensureError(key, ctx.Err())
	case result := <-call:
		if result.Err != nil {
			return "", ensureError(key, result.Err)
		}
		return result.Val.(string), nil
	}
}

// settle makes the ConfigMap unless there is one, whoever's.
func (k *Keeper) settle(ctx context.Context, key types.NamespacedName, settings render.Settings, dryRun bool) (warning string, err error) {
	for {
		found := metadata()
		switch err := k.live.Get(ctx, key, found); {
		case err == nil && kept(found.Labels):
			return "", nil // and the cache will have it soon
		case err == nil:
			return fmt.Sprintf("ConfigMap %q in namespace %q lacks the label %s=true: clamav-sidecar uses it as it is and does not keep it",
				key.Name, key.Namespace, render.Label), nil
		case !apierrors.IsNotFound(err):
			return "", err
		case dryRun:
			return fmt.Sprintf("ConfigMap %q would be made in namespace %q; this is a dry run", key.Name, key.Namespace), nil
		}
		// Without force, so that it is a conflict if somebody makes one just now:
		// then it is theirs.
		if err := k.apply(ctx, key, settings, ""); !apierrors.IsConflict(err) {
			return "", err
		}
	}
}

// apply writes what is ours of the ConfigMap. A resourceVersion that is not ""
// makes it a conflict if the ConfigMap has changed since.
func (k *Keeper) apply(ctx context.Context, key types.NamespacedName, settings render.Settings, resourceVersion string,
	options ...client.ApplyOption) error {
	configMap := corev1apply.ConfigMap(key.Name, key.Namespace).
		WithLabels(keptLabels()).
		WithData(render.Files(settings))
	if resourceVersion != "" {
		configMap.WithResourceVersion(resourceVersion)
	}
	if err := k.client.Apply(ctx, configMap, append(options, client.FieldOwner(FieldOwner))...); err != nil {
		return err
	}
	log.FromContext(ctx).Info("client configuration applied", "configMap", key.String())
	return nil
}

// Missing gives a warning when the namespace has no ConfigMap of that name, for
// pods whose ConfigMap is not kept: they would wait for it with no word of why.
// It asks the API server for the metadata only, for at most 1 s, and for one
// that it has found not again within a minute. There is no warning when it cannot
// tell, nor for the ConfigMap that is kept, which the first injection makes.
func (k *Keeper) Missing(ctx context.Context, namespace, name string) (warning string) {
	if settings := k.settings.Load(); settings.Manage && settings.Name == name {
		return ""
	}
	key := types.NamespacedName{Namespace: namespace, Name: name}
	if _, known := k.found.recall(key); known {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, missingTimeout)
	defer cancel()
	switch err := k.live.Get(ctx, key, metadata()); {
	case err == nil:
		k.found.keep(key, "")
	case apierrors.IsNotFound(err):
		return fmt.Sprintf("ConfigMap %q does not exist in namespace %q: pods that mount it will not start until it does",
			name, namespace)
	}
	return ""
}

// metadata is that of a ConfigMap, to read into.
func metadata() *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	return object
}
