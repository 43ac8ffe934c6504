package clientconfig

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"clamav-sidecar/webhook/clientconfig/render"
)

// reconcileTimeout bounds the work on one ConfigMap; it is tried again later.
const reconcileTimeout = 30 * time.Second

// SetupWithManager adds the reconciler. It runs in the leader only, so that two
// replicas with different settings, as during a roll-out, do not undo each
// other's work; but every replica fills its cache from the start, which Ensure
// reads.
func (k *Keeper) SetupWithManager(manager ctrl.Manager) error {
	changes := source.Channel(k.changed, handler.TypedFuncs[render.Settings, reconcile.Request]{GenericFunc: k.enqueueAll})
	err := ctrl.NewControllerManagedBy(manager).
		Named("client-configuration").
		For(&corev1.ConfigMap{}).
		WatchesRawSource(changes).
		WithOptions(controller.Options{NeedLeaderElection: new(true), EnableWarmup: new(true),
			ReconciliationTimeout: reconcileTimeout}).
		Complete(reconcile.Func(k.reconcile))
	if err != nil {
		return fmt.Errorf("failed to set up the reconciler of client configurations: %w", err)
	}
	return nil
}

// enqueueAll has each ConfigMap that is kept looked at.
func (k *Keeper) enqueueAll(ctx context.Context, _ event.TypedGenericEvent[render.Settings],
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	var all corev1.ConfigMapList
	if err := k.client.List(ctx, &all); err != nil {
		// The cache is not to be read before it starts and after it ends, and then
		// there is nothing to do: at its start each ConfigMap is looked at anyway.
		log.FromContext(ctx).Info("failed to list client configurations", "error", err.Error())
		return
	}
	for i := range all.Items {
		queue.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])})
	}
}

// reconcile brings one ConfigMap to what the settings say.
func (k *Keeper) reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	settings := *k.settings.Load()
	if !settings.Manage || request.Name != settings.Name {
		return reconcile.Result{}, nil
	}
	var found corev1.ConfigMap
	err := k.client.Get(ctx, request.NamespacedName, &found)
	switch {
	case apierrors.IsNotFound(err):
		return reconcile.Result{}, k.restore(ctx, request, settings)
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("failed to read ConfigMap %s: %w", request, err)
	case !found.DeletionTimestamp.IsZero() || upToDate(&found, settings):
		return reconcile.Result{}, nil
	}
	err = k.apply(ctx, request.NamespacedName, settings, found.ResourceVersion, client.ForceOwnership)
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err), terminating(err):
		return reconcile.Result{}, nil // it has changed since, and the watch will tell
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("failed to bring ConfigMap %s up to date: %w", request, err)
	}
	return reconcile.Result{}, nil
}

// restore makes a ConfigMap again that has been deleted or has lost the label.
// What stands there by now without the label is its namespace's own.
func (k *Keeper) restore(ctx context.Context, request reconcile.Request, settings render.Settings) error {
	warning, err := k.settle(ctx, request.NamespacedName, settings, false)
	switch {
	case apierrors.IsNotFound(err), terminating(err):
		return nil // the namespace is gone, or is going
	case err != nil:
		return fmt.Errorf("failed to restore ConfigMap %s: %w", request, err)
	case warning != "":
		log.FromContext(ctx).Info("client configuration is no longer kept", "reason", warning)
	}
	return nil
}
