//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/e2e-framework/pkg/features"

	"clamav-sidecar/webhook/inject"
)

func TestTheAnnotationMayStandOnTheDeploymentItself(t *testing.T) {
	of := newTeam(t, nil)
	environment.Test(t, features.New("a Deployment with the annotation, its template without").
		Assess("its pod scans", step(func(ctx context.Context, t *testing.T) {
			d := of.webApp("web", nil)
			d.Annotations = asks()
			of.create(ctx, t, d)
			system.rolledOut(ctx, t, of.namespace, d.Name)
			wantScans(ctx, t, of.pod(ctx, t, d.Name))
		})).
		Feature())
}

func TestANamespaceAsksForAllOfItsPods(t *testing.T) {
	of := newTeam(t, map[string]string{inject.NamespaceLabel: inject.NamespaceEnabled})
	environment.Test(t, features.New("a namespace with the label").
		Assess("a pod that says nothing scans", step(func(ctx context.Context, t *testing.T) {
			wantScans(ctx, t, of.deploy(ctx, t, "silent", nil))
		})).
		Assess("a pod that opts out is left as it is", step(func(ctx context.Context, t *testing.T) {
			wantUntouched(t, of.deploy(ctx, t, "reluctant", map[string]string{inject.InjectAnnotation: "false"}))
		})).
		Feature())
}

func TestWhereAllIsRestrictedAppsScanAsWell(t *testing.T) {
	of := newTeam(t, map[string]string{enforce: restricted})
	environment.Test(t, features.New("a namespace with Pod Security restricted and a ResourceQuota").
		Assess("an annotated Deployment scans", step(func(ctx context.Context, t *testing.T) {
			of.create(ctx, t, &corev1.ResourceQuota{
				ObjectMeta: metav1.ObjectMeta{Name: "quota", Namespace: of.namespace},
				Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
					corev1.ResourceRequestsCPU:    resource.MustParse("1"),
					corev1.ResourceRequestsMemory: resource.MustParse("1Gi"),
					corev1.ResourceLimitsCPU:      resource.MustParse("8"),
					corev1.ResourceLimitsMemory:   resource.MustParse("2Gi"),
				}},
			})
			wantScans(ctx, t, of.deploy(ctx, t, "web", asks()))
		})).
		Feature())
}

func TestAPodThatAsksForNothingIsLeftAsItIs(t *testing.T) {
	of := newTeam(t, nil)
	environment.Test(t, features.New("a plain pod").
		Assess("is stored as it is in kube-system, which the webhook never sees", step(func(ctx context.Context, t *testing.T) {
			plain := func(namespace string) *corev1.Pod {
				return &corev1.Pod{
					ObjectMeta: metav1.ObjectMeta{Name: "plain", Namespace: namespace, Labels: map[string]string{"app": "plain"}},
					Spec:       system.appPod("exec sleep 100000"),
				}
			}
			stored, unseen := plain(of.namespace), plain(metav1.NamespaceSystem)
			clients := system.GetControllerRuntimeClient()
			must(t, clients.Create(ctx, stored, client.DryRunAll))
			must(t, clients.Create(ctx, unseen, client.DryRunAll))
			if got, want := asJSON(t, stored), asJSON(t, unseen); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})).
		Feature())
}

// asJSON is all of a pod that does not tell where and when it was made.
func asJSON(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	text, err := json.Marshal([]any{pod.Labels, pod.Annotations, pod.Spec})
	must(t, err)
	return string(text)
}
