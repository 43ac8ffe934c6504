//go:build e2e

package e2e

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/e2e-framework/pkg/features"

	"clamav-sidecar/webhook/inject"
)

func TestATeamAnnotatesADeployment(t *testing.T) {
	of := newTeam(t, nil)
	environment.Test(t,
		annotated(of, "direct", asks()),
		annotated(of, "local", asks("clamdscan", "local")),
		annotated(of, "picky", asks("require-scanner", "true", "mode", "container")),
	)
}

// annotated deploys an app with annotations on its pods, which must be able to scan.
func annotated(of *team, app string, annotations map[string]string) features.Feature {
	var pod *corev1.Pod
	return features.New("its annotations: "+app).
		Assess("its pod becomes ready", step(func(ctx context.Context, t *testing.T) {
			pod = of.deploy(ctx, t, app, annotations)
		})).
		Assess("its pod has the sidecar, the volume and the variables", step(func(_ context.Context, t *testing.T) {
			wantInjected(t, pod)
		})).
		Assess("what is infected is found, what is clean is not", step(func(ctx context.Context, t *testing.T) {
			wantScans(ctx, t, pod)
		})).
		Feature()
}

// wantInjected wants the app's container to have what it needs to scan.
func wantInjected(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if pod.Annotations[inject.StatusAnnotation] == "" || pod.Labels[inject.InjectedLabel] != inject.Injected {
		t.Errorf("annotations %v and labels %v do not tell of the injection", pod.Annotations, pod.Labels)
	}
	if sidecarOf(pod) == nil {
		t.Errorf("%s has no container %s", pod.Name, inject.ContainerName)
	}
	app := pod.Spec.Containers[0]
	for _, name := range []string{inject.ConfVariable, inject.URLVariable} {
		found := false
		for _, variable := range app.Env {
			found = found || variable.Name == name && variable.Value != ""
		}
		if !found {
			t.Errorf("no variable %s in %+v", name, app.Env)
		}
	}
	mounted := false
	for _, mount := range app.VolumeMounts {
		mounted = mounted || mount.Name == inject.VolumeName && mount.MountPath == inject.MountPath && mount.ReadOnly
	}
	if !mounted {
		t.Errorf("%s is not mounted: %+v", inject.MountPath, app.VolumeMounts)
	}
}
