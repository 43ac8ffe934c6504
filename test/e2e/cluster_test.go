//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	"sigs.k8s.io/e2e-framework/klient/k8s"
	"sigs.k8s.io/e2e-framework/klient/k8s/resources"
)

// patience is how long anything may take. No test needs it to pass.
const patience = 4 * time.Minute

// The label and the value by which a namespace enforces Pod Security.
const (
	enforce    = "pod-security.kubernetes.io/enforce"
	restricted = "restricted"
)

// cluster is the cluster under test.
type cluster struct {
	*resources.Resources
	clients    *kubernetes.Clientset
	kubeconfig string
	images     string // what the names of our images begin with, without the last slash
	tag        string // of our images, the chart's appVersion
	artifacts  string // directory
	// own are the namespaces that the suite has made for all of its tests.
	own []string
}

// eventually waits until try gives no error, and fails the test with its last one.
func eventually(ctx context.Context, t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	if err := await(ctx, what, try); err != nil {
		t.Fatal(err)
	}
}

// await waits until try gives no error.
func await(ctx context.Context, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %s until %s: %w", patience, what, err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// must ends the test if there is an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// createNamespace fails if the namespace is there already: it may be somebody's.
func (c *cluster) createNamespace(ctx context.Context, name string, labels map[string]string) error {
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if err := c.Create(ctx, object); err != nil {
		return fmt.Errorf("create namespace %s, which the suite wants to itself: %w", name, err)
	}
	return nil
}

// deleteNamespace returns when the namespace and all that is in it are gone.
func (c *cluster) deleteNamespace(ctx context.Context, name string) error {
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	return await(ctx, "namespace "+name+" is gone", func(ctx context.Context) error {
		err := c.Delete(ctx, object)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(errors.New("still there"), err)
	})
}

// pods lists pods by label, without those that are about to end.
func (c *cluster) pods(ctx context.Context, namespace, selector string) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := c.WithNamespace(namespace).List(ctx, &list, resources.WithLabelSelector(selector)); err != nil {
		return nil, fmt.Errorf("list pods %s in %s: %w", selector, namespace, err)
	}
	var pods []corev1.Pod
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp == nil {
			pods = append(pods, list.Items[i])
		}
	}
	return pods, nil
}

// podsOf is pods in a test; there must be some.
func (c *cluster) podsOf(ctx context.Context, t *testing.T, namespace, selector string) []corev1.Pod {
	t.Helper()
	pods, err := c.pods(ctx, namespace, selector)
	must(t, err)
	if len(pods) == 0 {
		t.Fatalf("no pods %s in %s", selector, namespace)
	}
	return pods
}

// ready tells whether a pod is.
func ready(pod *corev1.Pod) bool {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.PodReady {
			return pod.Status.Conditions[i].Status == corev1.ConditionTrue
		}
	}
	return false
}

// rolledOut waits until all replicas of a Deployment are of its newest template
// and available, and no other one is left.
func (c *cluster) rolledOut(ctx context.Context, t *testing.T, namespace, name string) {
	t.Helper()
	eventually(ctx, t, "Deployment "+name+" has rolled out", func(ctx context.Context) error {
		var d appsv1.Deployment
		if err := c.Get(ctx, name, namespace, &d); err != nil {
			return err
		}
		got := d.Status
		want := *d.Spec.Replicas
		if got.ObservedGeneration < d.Generation || got.Replicas != want || got.UpdatedReplicas != want || got.AvailableReplicas != want {
			return fmt.Errorf("status %+v, want %d replicas", got, want)
		}
		return nil
	})
}

// merge changes an object by a JSON merge patch.
func (c *cluster) merge(ctx context.Context, t *testing.T, object k8s.Object, patch string) {
	t.Helper()
	must(t, c.Patch(ctx, object, k8s.Patch{PatchType: types.MergePatchType, Data: []byte(patch)}))
}

// scale sets a Deployment's replicas, without waiting for them.
func (c *cluster) scale(ctx context.Context, t *testing.T, namespace, name string, replicas int) {
	t.Helper()
	c.merge(ctx, t, deploymentNamed(namespace, name), fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas))
}

// restart replaces a Deployment's pods one after the other and waits until that
// is done.
func (c *cluster) restart(ctx context.Context, t *testing.T, namespace, name string) {
	t.Helper()
	c.merge(ctx, t, deploymentNamed(namespace, name), fmt.Sprintf(
		`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, time.Now().Format(time.RFC3339Nano)))
	c.rolledOut(ctx, t, namespace, name)
}

func deploymentNamed(namespace, name string) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// exec runs a shell script in a container and returns its exit status, with what
// it has written, errors last. An error means that it could not be run.
func (c *cluster) exec(ctx context.Context, pod *corev1.Pod, container, script string, stdin io.Reader) (int, string, error) {
	request := c.clients.CoreV1().RESTClient().Post().
		Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: container,
			Command:   []string{"sh", "-c", script},
			Stdin:     stdin != nil,
			Stdout:    true,
			Stderr:    true,
		}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(c.GetConfig(), "GET", request.URL().String())
	if err != nil {
		return 0, "", fmt.Errorf("connect to %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	var stdout, stderr bytes.Buffer // they are written at the same time
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: stdin, Stdout: &stdout, Stderr: &stderr})
	output := stdout.String() + stderr.String()
	var exit utilexec.CodeExitError
	if errors.As(err, &exit) {
		return exit.Code, output, nil
	}
	if err != nil {
		return 0, output, fmt.Errorf("run %q in %s/%s: %w: %s", script, pod.Namespace, pod.Name, err, output)
	}
	return 0, output, nil
}
