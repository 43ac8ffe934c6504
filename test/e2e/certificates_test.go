//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/e2e-framework/pkg/features"
)

const certificates = "clamav-sidecar-webhook-certs" // the Secret

func TestNoAdmissionFailsWhenTheCertificatesAreLost(t *testing.T) {
	of := newTeam(t, nil)
	environment.Test(t, features.New("while pods are made again and again, and a Deployment is scaled").
		Assess("the Secret is emptied and all webhooks are replaced", step(func(ctx context.Context, t *testing.T) {
			of.deploy(ctx, t, "web", asks()) // the namespace has its ConfigMap then
			stop := of.admit(ctx, t)
			for range 2 {
				secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: certificates, Namespace: releaseNamespace}}
				system.merge(ctx, t, secret, `{"data":null}`)
				system.scale(ctx, t, of.namespace, "web", 3)
				system.restart(ctx, t, releaseNamespace, webhook)
				system.rolledOut(ctx, t, of.namespace, "web")
				system.scale(ctx, t, of.namespace, "web", 1)
				eventually(ctx, t, "the Secret is filled", func(ctx context.Context) error {
					err := system.Get(ctx, certificates, releaseNamespace, secret)
					if err == nil && !bytes.Contains(secret.Data["ca.crt"], []byte("BEGIN CERTIFICATE")) {
						err = errors.New("it has no ca.crt")
					}
					return err
				})
			}
			admitted, err := stop()
			if err != nil || admitted == 0 {
				t.Errorf("%d pods were admitted, error %v, want many and none", admitted, err)
			}
			t.Logf("%d pods were admitted", admitted)
		})).
		Feature())
}

// admit sends pods that ask for scanning to admission, as dry runs, until it is told
// to stop; then it returns how many were injected, and why others were not.
func (of *team) admit(ctx context.Context, t *testing.T) (stop func() (int, error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	done, quit := make(chan struct{}), make(chan struct{})
	var admitted int
	var failed error
	clients := system.GetControllerRuntimeClient()
	go func() {
		defer close(done)
		for {
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{GenerateName: "trial-", Namespace: of.namespace, Annotations: asks()},
				Spec:       system.appPod("true"),
			}
			err := clients.Create(ctx, pod, client.DryRunAll)
			if err == nil && sidecarOf(pod) == nil {
				err = errors.New("a pod was not injected")
			}
			if err != nil {
				failed = errors.Join(failed, err)
			} else {
				admitted++
			}
			select {
			case <-quit:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return func() (int, error) {
		close(quit)
		<-done
		return admitted, failed
	}
}
