package webhook_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"clamav-sidecar/test/kube"
	"clamav-sidecar/webhook/inject"
)

// cluster is the API server of all tests of this package; they use namespaces of
// their own, and run one after the other since webhook configurations have none.
var cluster *kube.Cluster

func TestMain(m *testing.M) {
	os.Exit(func() int {
		directory, err := os.MkdirTemp("", "webhook-test")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(directory)
		ctrl.SetLogger(logr.Discard()) // each replica has a log of its own
		klog.SetLogger(logr.Discard())
		if cluster, err = kube.New(directory); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer cluster.Stop()
		return m.Run()
	}())
}

// kubectl runs kubectl and wants it to succeed. It gives what was printed,
// warnings included.
func (in *installation) kubectl(input string, args ...string) (stdout, stderr string) {
	in.t.Helper()
	stdout, stderr, err := cluster.Kubectl(input, args...)
	if err != nil {
		in.t.Fatalf("kubectl %s: %v\n%s%s", strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout, stderr
}

// apply applies a manifest and gives the warnings.
func (in *installation) apply(manifest string, args ...string) string {
	in.t.Helper()
	_, warnings := in.kubectl(manifest, append([]string{"apply", "-f", "-"}, args...)...)
	return warnings
}

// refuse applies a manifest that must be refused, and gives the message.
func (in *installation) refuse(manifest string, args ...string) string {
	in.t.Helper()
	stdout, stderr, err := cluster.Kubectl(manifest, append([]string{"apply", "-f", "-"}, args...)...)
	if err == nil {
		in.t.Fatalf("accepted, want it refused:\n%s\n%s", manifest, stdout)
	}
	return stderr
}

// namespace makes one, with its service account as the controllers of a cluster
// would.
func (in *installation) namespace(labels ...string) string {
	in.t.Helper()
	name := "team-" + strings.ToLower(rand.Text()[:8])
	in.kubectl("", "create", "namespace", name)
	in.kubectl("", "create", "serviceaccount", "default", "--namespace", name)
	if len(labels) > 0 {
		in.kubectl("", append([]string{"label", "namespace", name}, labels...)...)
	}
	return name
}

// get reads an object as the API server gives it.
func get[T any](in *installation, args ...string) *T {
	in.t.Helper()
	text, _ := in.kubectl("", append([]string{"get", "-o", "json"}, args...)...)
	object := new(T)
	if err := json.Unmarshal([]byte(text), object); err != nil {
		in.t.Fatal(err)
	}
	return object
}

// podOf makes the pod of a template, as a controller does, and gives what the
// API server has stored.
func (in *installation) podOf(namespace string, template corev1.PodTemplateSpec, owner metav1.OwnerReference) (*corev1.Pod, error) {
	in.t.Helper()
	owner.Controller = new(true)
	owner.UID = "00000000-0000-0000-0000-000000000000"
	return in.admin.CoreV1().Pods(namespace).Create(in.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: owner.Name + "-", Labels: template.Labels, Annotations: template.Annotations,
			OwnerReferences: []metav1.OwnerReference{owner},
		},
		Spec: template.Spec,
	}, metav1.CreateOptions{})
}

// controller is the API server as one of the cluster's controllers sees it.
type controller struct{ *kubernetes.Clientset }

func (in *installation) impersonate(t *testing.T, user string, groups ...string) controller {
	t.Helper()
	config := rest.CopyConfig(cluster.Admin)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:masters")}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return controller{client}
}

// createJob makes a Job of a CronJob that was annotated before the webhook was
// there.
func (c controller) createJob(namespace, cronJob string, uid types.UID) error {
	_, err := c.BatchV1().Jobs(namespace).Create(context.Background(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: cronJob + "-1", Annotations: map[string]string{inject.InjectAnnotation: "true"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "CronJob", Name: cronJob, UID: uid, Controller: new(true)}},
		},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "app", Image: "app"}},
		}}},
	}, metav1.CreateOptions{})
	return err
}
