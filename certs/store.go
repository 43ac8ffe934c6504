package certs

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stored is the Secret as it was read.
type stored struct {
	state
	// fault says what of it is missing or cannot be used, whatever the time is.
	fault error
	// object is nil if there is none.
	object *corev1.Secret
}

var (
	errNoSecret    = errors.New("it does not exist")
	errEmptySecret = errors.New("it is empty")
	// errOvertaken says that a write was refused because somebody else made,
	// changed or deleted the object after it was read.
	errOvertaken = errors.New("somebody else was faster")
)

// labels are put on a Secret that is made here. Those of one that was there
// belong to whoever made it, such as Helm.
func labels() map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":      "clamav-sidecar",
		"app.kubernetes.io/component": "webhook",
	}
}

// read gets the Secret as it is now.
func (a *Authority) read(ctx context.Context) (stored, error) {
	// Without a resourceVersion, a read is never older than the request.
	object, err := a.secrets.Get(ctx, a.config.Secret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return stored{fault: errNoSecret}, nil
	case err != nil:
		return stored{}, fmt.Errorf("failed to read secret %s/%s: %w", a.config.Namespace, a.config.Secret, err)
	}
	s, fault := decode(object.Data)
	if len(object.Data) == 0 {
		fault = errEmptySecret
	}
	return stored{state: s, fault: fault, object: object}, nil
}

// store makes the Secret hold next, if it is still as it was read and does not
// hold it already; if it was changed, the error is errOvertaken. Steps say how
// next came about.
func (a *Authority) store(ctx context.Context, secret stored, next state, steps []string) error {
	object := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: a.config.Secret, Labels: labels()}, Type: corev1.SecretTypeOpaque}
	if secret.object != nil {
		object = secret.object.DeepCopy()
	}
	written, err := next.encode(object.Data)
	if err != nil {
		return err
	}
	if reflect.DeepEqual(written, object.Data) {
		return nil
	}
	object.Data = written
	overtaken := false
	if secret.object == nil {
		_, err = a.secrets.Create(ctx, object, metav1.CreateOptions{})
		overtaken = apierrors.IsAlreadyExists(err)
	} else {
		_, err = a.secrets.Update(ctx, object, metav1.UpdateOptions{})
		overtaken = apierrors.IsConflict(err) || apierrors.IsNotFound(err)
	}
	switch {
	case overtaken:
		return errOvertaken
	case err != nil:
		return fmt.Errorf("failed to write secret %s/%s: %w", a.config.Namespace, a.config.Secret, err)
	}
	values := []any{
		"namespace", a.config.Namespace, "secret", a.config.Secret, "steps", steps,
		"caExpires", next.ca.cert.NotAfter, "servingExpires", next.serving.cert.NotAfter,
	}
	if secret.fault != nil {
		values = append(values, "found", secret.fault.Error())
	}
	a.config.Log.Info("wrote the certificates", values...)
	return nil
}
