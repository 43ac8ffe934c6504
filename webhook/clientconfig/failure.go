package clientconfig

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

// ensureError tells the user, whose pod is refused, what to do.
func ensureError(key types.NamespacedName, err error) error {
	remedy := "try again, or create one yourself"
	switch {
	case terminating(err):
		remedy = "the namespace is being deleted: wait until it is gone, or use another"
	case apierrors.IsForbidden(err):
		remedy = "create one yourself, or have an administrator raise the quota or give the webhook the right"
	case errors.Is(err, context.DeadlineExceeded), apierrors.IsTimeout(err), apierrors.IsServerTimeout(err),
		apierrors.IsTooManyRequests(err):
		remedy = "the API server is slow to answer: try again"
	}
	return fmt.Errorf("failed to provide ConfigMap %q in namespace %q, which holds the clamd.conf of injected pods: %w; %s",
		key.Name, key.Namespace, err, remedy)
}

// terminating says whether err is the API server's answer in a namespace that is
// being deleted.
func terminating(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}
