//go:build e2e

package e2e

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/e2e-framework/klient/k8s/resources"
	"sigs.k8s.io/e2e-framework/pkg/features"
)

// kill ends pods without giving them any time.
func kill(ctx context.Context, t *testing.T, pods ...corev1.Pod) {
	t.Helper()
	for i := range pods {
		must(t, system.Delete(ctx, &pods[i], resources.WithGracePeriod(0)))
	}
}

func TestWhenAReplicaIsKilledNoScanThroughTheSidecarFails(t *testing.T) {
	of := newTeam(t, nil)
	environment.Test(t, features.New("while apps scan").
		Assess("one of two replicas is killed", step(func(ctx context.Context, t *testing.T) {
			direct := startLoad(ctx, t, of.deploy(ctx, t, "direct", asks()))
			local := startLoad(ctx, t, of.deploy(ctx, t, "local", asks("clamdscan", "local")))
			kill(ctx, t, waitForPods(ctx, t, clamdPods, 2)[0])
			waitForPods(ctx, t, clamdPods, 2)
			// Directly to the service nobody tries the other replica.
			wantOutcomes(t, direct.stop(ctx, t), "clean clamdscan 2", "infected clamdscan 2")
			wantOutcomes(t, local.stop(ctx, t))
		})).
		Feature())
}

func TestWhenAllReplicasAreKilledNothingIsCalledClean(t *testing.T) {
	of := newTeam(t, nil)
	var direct, local *load
	environment.Test(t, features.New("while apps scan").
		Setup(step(func(ctx context.Context, t *testing.T) {
			direct = startLoad(ctx, t, of.deploy(ctx, t, "direct", asks()))
			local = startLoad(ctx, t, of.deploy(ctx, t, "local", asks("clamdscan", "local")))
			of.deploy(ctx, t, "picky", asks("require-scanner", "true"))
		})).
		Assess("all replicas are killed, and apps stay ready but for those that require the scanner", step(func(ctx context.Context, t *testing.T) {
			pods := waitForPods(ctx, t, clamdPods, 2)
			system.scale(ctx, t, releaseNamespace, clamdDeployment, 0) // none comes back until it is let
			kill(ctx, t, pods...)
			of.becomes(ctx, t, "picky", false)
			for _, app := range []string{"direct", "local"} {
				pod := of.pod(ctx, t, app)
				if !ready(pod) || slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.RestartCount > 0 }) {
					t.Errorf("%s is not ready, or was restarted: %+v", app, pod.Status)
				}
			}
		})).
		Assess("they are back, and all is as before", step(func(ctx context.Context, t *testing.T) {
			system.scale(ctx, t, releaseNamespace, clamdDeployment, 2)
			waitForPods(ctx, t, clamdPods, 2)
			of.becomes(ctx, t, "picky", true)
			for _, app := range []string{"direct", "local"} {
				eventually(ctx, t, app+" scans", func(ctx context.Context) error {
					_, got, err := system.exec(ctx, of.pod(ctx, t, app), appContainer, scanOnce, nil)
					if err == nil && got != allFound {
						err = errors.New(got)
					}
					return err
				})
			}
		})).
		Assess("meanwhile scans have failed, and none was right or wrong by chance", step(func(ctx context.Context, t *testing.T) {
			for _, l := range []*load{direct, local} {
				got := l.stop(ctx, t)
				wantOutcomes(t, got, notScanned...)
				if got["infected http 503"] == 0 || got["infected clamdscan 2"] == 0 {
					t.Errorf("no scan has failed: %v", got)
				}
			}
		})).
		Teardown(step(func(ctx context.Context, t *testing.T) {
			system.scale(ctx, t, releaseNamespace, clamdDeployment, 2)
			waitForPods(ctx, t, clamdPods, 2)
		})).
		Feature())
}

// becomes waits until an app's pod is ready, or is not.
func (of *team) becomes(ctx context.Context, t *testing.T, app string, want bool) {
	t.Helper()
	eventually(ctx, t, app+" has changed", func(ctx context.Context) error {
		pods, err := system.pods(ctx, of.namespace, "app="+app)
		if err == nil && (len(pods) != 1 || ready(&pods[0]) != want) {
			err = errors.New("not yet")
		}
		return err
	})
}

func TestWithoutTheWebhookOnlyWhatAsksForItWaits(t *testing.T) {
	of := newTeam(t, nil)
	environment.Test(t, features.New("a cluster whose webhook is away").
		Setup(step(func(ctx context.Context, t *testing.T) {
			of.deploy(ctx, t, "annotated", asks())
			system.scale(ctx, t, releaseNamespace, webhook, 0)
			waitForPods(ctx, t, webhookPods, 0)
		})).
		Assess("refuses a Deployment that asks, and says who is missing", step(func(ctx context.Context, t *testing.T) {
			eventually(ctx, t, "it refuses", func(ctx context.Context) error {
				d := of.webApp("asking", asks())
				err := system.Create(ctx, d)
				if err == nil {
					return errors.Join(errors.New("it was admitted"), system.Delete(ctx, d))
				}
				if !strings.Contains(err.Error(), "workloads.clamav-sidecar.io") {
					t.Errorf("got %v, want the webhook's name", err)
				}
				return nil
			})
		})).
		Assess("starts pods that do not", step(func(ctx context.Context, t *testing.T) {
			wantUntouched(t, of.deploy(ctx, t, "plain", nil))
		})).
		Assess("leaves running pods alone, and lets their Deployment be scaled", step(func(ctx context.Context, t *testing.T) {
			wantScans(ctx, t, of.pod(ctx, t, "annotated"))
			system.scale(ctx, t, of.namespace, "annotated", 2)
		})).
		Assess("starts what has waited when it is back", step(func(ctx context.Context, t *testing.T) {
			system.scale(ctx, t, releaseNamespace, webhook, 2)
			waitForPods(ctx, t, webhookPods, 2)
			system.rolledOut(ctx, t, of.namespace, "annotated")
			for _, pod := range system.podsOf(ctx, t, of.namespace, "app=annotated") {
				wantScans(ctx, t, &pod)
			}
		})).
		Teardown(step(func(ctx context.Context, t *testing.T) {
			system.scale(ctx, t, releaseNamespace, webhook, 2)
			waitForPods(ctx, t, webhookPods, 2)
		})).
		Feature())
}
