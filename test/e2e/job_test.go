//go:build e2e

package e2e

import (
	"context"
	"errors"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/e2e-framework/pkg/features"
)

const scanOnce = "sh /files/scan.sh once"

func TestWhatEndsComesToItsEnd(t *testing.T) {
	of := newTeam(t, nil)
	environment.Test(t,
		features.New("a Job").
			Assess("completes, and has scanned", step(func(ctx context.Context, t *testing.T) {
				of.create(ctx, t, &batchv1.Job{
					ObjectMeta: metav1.ObjectMeta{Name: "job", Namespace: of.namespace},
					Spec:       of.scanningJob("job"),
				})
				of.wantCompleted(ctx, t, "job")
			})).
			Feature(),
		features.New("a CronJob").
			Assess("completes, and has scanned", step(func(ctx context.Context, t *testing.T) {
				of.create(ctx, t, &batchv1.CronJob{
					ObjectMeta: metav1.ObjectMeta{Name: "cron", Namespace: of.namespace},
					Spec: batchv1.CronJobSpec{
						Schedule:          "* * * * *",
						ConcurrencyPolicy: batchv1.ForbidConcurrent,
						JobTemplate:       batchv1.JobTemplateSpec{Spec: of.scanningJob("cron")},
					},
				})
				of.wantCompleted(ctx, t, "cron")
			})).
			Feature(),
		features.New("a pod whose init container scans").
			Assess("completes, and has scanned", step(func(ctx context.Context, t *testing.T) {
				spec := of.scanningJob("init")
				spec.Template.Annotations = asks("containers", appContainer)
				pod := &spec.Template.Spec
				pod.InitContainers = pod.Containers
				pod.Containers = system.appPod("true").Containers
				pod.Containers[0].Name = "main"
				of.create(ctx, t, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "init", Namespace: of.namespace}, Spec: spec})
				of.wantCompleted(ctx, t, "init")
			})).
			Feature(),
	)
}

// scanningJob is a Job that scans once.
func (of *team) scanningJob(app string) batchv1.JobSpec {
	spec := batchv1.JobSpec{Template: of.webApp(app, asks()).Spec.Template, BackoffLimit: new(int32)}
	spec.Template.Spec = system.appPod(scanOnce)
	spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	return spec
}

// wantCompleted waits until the first pod of an app has completed, its sidecar too,
// and wants it to have scanned.
func (of *team) wantCompleted(ctx context.Context, t *testing.T, app string) {
	t.Helper()
	var pod *corev1.Pod
	eventually(ctx, t, "the pod of "+app+" has completed", func(ctx context.Context) error {
		pods, err := system.pods(ctx, of.namespace, "app="+app)
		if err != nil || len(pods) == 0 {
			return errors.Join(errors.New("there is none"), err)
		}
		pod = &pods[0]
		if phase := pod.Status.Phase; phase != corev1.PodSucceeded {
			return errors.New("its phase is " + string(phase))
		}
		return nil
	})
	if got, err := system.logs(ctx, pod, appContainer); err != nil || got != allFound {
		t.Errorf("got %q, error %v, want %q", got, err, allFound)
	}
}
