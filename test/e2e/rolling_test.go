//go:build e2e

package e2e

import (
	"context"
	"testing"

	"sigs.k8s.io/e2e-framework/pkg/features"
)

func TestReplicasShareAVolumeOnOneNode(t *testing.T) {
	environment.Test(t, features.New("the replicas of clamd").
		Assess("are all on the node of their volume", step(func(ctx context.Context, t *testing.T) {
			pods := waitForPods(ctx, t, clamdPods, 2)
			for _, pod := range pods {
				if pod.Spec.NodeName != pods[0].Spec.NodeName {
					t.Errorf("%s is on %s, %s on %s", pod.Name, pod.Spec.NodeName, pods[0].Name, pods[0].Spec.NodeName)
				}
				claim := ""
				for _, volume := range pod.Spec.Volumes {
					if volume.PersistentVolumeClaim != nil {
						claim = volume.PersistentVolumeClaim.ClaimName
					}
				}
				if want := "clamav-signatures"; claim != want {
					t.Errorf("%s has the claim %q, want %q", pod.Name, claim, want)
				}
			}
		})).
		Feature())
}

func TestARollingUpdateOfClamAVFailsNoScan(t *testing.T) {
	of := newTeam(t, nil)
	environment.Test(t, features.New("while apps scan").
		Assess("all replicas are replaced and each scan is answered", step(func(ctx context.Context, t *testing.T) {
			direct := startLoad(ctx, t, of.deploy(ctx, t, "direct", asks()))
			local := startLoad(ctx, t, of.deploy(ctx, t, "local", asks("clamdscan", "local")))
			before := waitForPods(ctx, t, clamdPods, 2)
			system.restart(ctx, t, releaseNamespace, clamdDeployment)
			for _, pod := range waitForPods(ctx, t, clamdPods, 2) {
				if pod.Name == before[0].Name || pod.Name == before[1].Name {
					t.Errorf("%s was not replaced", pod.Name)
				}
			}
			wantOutcomes(t, direct.stop(ctx, t))
			wantOutcomes(t, local.stop(ctx, t))
		})).
		Feature())
}
