//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/e2e-framework/pkg/features"
)

func TestReplicasWithVolumesOfTheirOwnOutliveANode(t *testing.T) {
	restored(t)
	of := newTeam(t, nil)
	var leaving string
	var scans *load
	environment.Test(t, features.New("a release with a volume for each replica").
		Setup(step(func(ctx context.Context, t *testing.T) {
			must(t, system.deploy(ctx, func(v values) {
				v["clamav"].(values)["persistence"] = values{"mode": "perReplica", "size": "128Mi"}
			}))
			scans = startLoad(ctx, t, of.deploy(ctx, t, "web", asks("clamdscan", "local")))
		})).
		Assess("spreads over the workers", step(func(ctx context.Context, t *testing.T) {
			pods := waitForPods(ctx, t, clamdPods, 2)
			if pods[0].Spec.NodeName == pods[1].Spec.NodeName {
				t.Errorf("all on %s", pods[0].Spec.NodeName)
			}
			mirror := system.podsOf(ctx, t, mirrorNamespace, "app=mirror")[0]
			for _, pod := range pods {
				if pod.Spec.NodeName != mirror.Spec.NodeName {
					leaving = pod.Spec.NodeName
				}
			}
		})).
		Assess("stays available while a node is drained", step(func(ctx context.Context, t *testing.T) {
			cordon(ctx, t, leaving, true)
			for _, selector := range []string{webhookPods, clamdPods} {
				for _, pod := range system.podsOf(ctx, t, releaseNamespace, selector) {
					if pod.Spec.NodeName == leaving {
						evict(ctx, t, &pod)
					}
				}
			}
			waitForPods(ctx, t, webhookPods, 2)
			of.deploy(ctx, t, "meanwhile", asks())
		})).
		Assess("is whole again when the node is back", step(func(ctx context.Context, t *testing.T) {
			cordon(ctx, t, leaving, false)
			waitForPods(ctx, t, clamdPods, 2)
			wantOutcomes(t, scans.stop(ctx, t))
		})).
		Teardown(step(func(ctx context.Context, t *testing.T) {
			if leaving != "" {
				cordon(ctx, t, leaving, false)
			}
		})).
		Feature())
}

// cordon has the scheduler put no pods on a node, or put some there again.
func cordon(ctx context.Context, t *testing.T, node string, on bool) {
	t.Helper()
	system.merge(ctx, t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, fmt.Sprintf(`{"spec":{"unschedulable":%t}}`, on))
}

// evict has a pod leave its node as a drain does: when its budget lets it. It
// returns when the pod is gone.
func evict(ctx context.Context, t *testing.T, pod *corev1.Pod) {
	t.Helper()
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace}}
	eventually(ctx, t, pod.Name+" has left its node", func(ctx context.Context) error {
		var now corev1.Pod
		err := system.Get(ctx, pod.Name, pod.Namespace, &now)
		switch {
		case apierrors.IsNotFound(err) || err == nil && now.UID != pod.UID:
			return nil
		case err != nil || now.DeletionTimestamp != nil:
			return errors.Join(errors.New("it is still there"), err)
		}
		return errors.Join(errors.New("just asked to go"), system.clients.CoreV1().Pods(pod.Namespace).EvictV1(ctx, eviction))
	})
}
