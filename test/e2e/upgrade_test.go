//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/e2e-framework/pkg/features"

	"clamav-sidecar/webhook/inject"
)

func TestAnUpgradeAndARemovalLeaveRunningPodsAlone(t *testing.T) {
	restored(t)
	of := newTeam(t, nil)
	next := system.images + "/sidecar:next"
	var before *corev1.Pod
	environment.Test(t, features.New("a release").
		Setup(step(func(ctx context.Context, t *testing.T) {
			before = of.deploy(ctx, t, "before", asks())
			old := system.podsOf(ctx, t, releaseNamespace, webhookPods)
			must(t, system.deploy(ctx, func(v values) { v["sidecar"] = values{"image": next} }))
			waitUntilGone(ctx, t, old) // Helm waits for the new ones only
		})).
		Assess("gives new pods the new image after an upgrade", step(func(ctx context.Context, t *testing.T) {
			after := of.deploy(ctx, t, "after", asks())
			if got := sidecarImage(after); got != next {
				t.Errorf("got %s, want %s", got, next)
			}
			wantScans(ctx, t, after)
			if status(t, after).Hash == status(t, before).Hash {
				t.Errorf("status %s does not tell old from new", after.Annotations[inject.StatusAnnotation])
			}
		})).
		Assess("leaves the pods that were there as they were", step(func(ctx context.Context, t *testing.T) {
			of.wantSame(ctx, t, before)
			wantScans(ctx, t, before)
		})).
		Assess("leaves no webhook configuration when it is removed", step(func(ctx context.Context, t *testing.T) {
			must(t, system.uninstall(ctx))
			var list admissionregistrationv1.MutatingWebhookConfigurationList
			must(t, system.List(ctx, &list))
			for i := range list.Items {
				if list.Items[i].Labels["app.kubernetes.io/part-of"] == "clamav-sidecar" {
					t.Errorf("%s is there", list.Items[i].Name)
				}
			}
		})).
		Assess("lets pods start without the sidecar then, and those that have it run on", step(func(ctx context.Context, t *testing.T) {
			wantUntouched(t, of.deploy(ctx, t, "late", asks()))
			of.wantSame(ctx, t, before)
		})).
		Feature())
}

// wantSame wants a pod to run as it did, ready and never restarted.
func (of *team) wantSame(ctx context.Context, t *testing.T, before *corev1.Pod) {
	t.Helper()
	now := of.pod(ctx, t, before.Labels["app"])
	if now.UID != before.UID || sidecarImage(now) != sidecarImage(before) || !ready(now) {
		t.Errorf("got pod %s with image %s, ready %t, want pod %s with %s, ready", now.Name, sidecarImage(now), ready(now), before.Name, sidecarImage(before))
	}
	for _, container := range append(now.Status.InitContainerStatuses, now.Status.ContainerStatuses...) {
		if container.RestartCount > 0 {
			t.Errorf("container %s was restarted", container.Name)
		}
	}
}

// sidecarImage is the image of our container in a pod, empty if there is none.
func sidecarImage(pod *corev1.Pod) string {
	if sidecar := sidecarOf(pod); sidecar != nil {
		return sidecar.Image
	}
	return ""
}

// status is what the webhook has noted on a pod.
func status(t *testing.T, pod *corev1.Pod) inject.Status {
	t.Helper()
	var of inject.Status
	must(t, json.Unmarshal([]byte(pod.Annotations[inject.StatusAnnotation]), &of))
	return of
}
