//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"clamav-sidecar/test/clamd"
)

// The namespace of the mirror, and the mirror's address.
const (
	mirrorNamespace = "clamav-sidecar-e2e-mirror"
	mirrorURL       = "http://mirror." + mirrorNamespace + ".svc/"
)

// databases are the files that freshclam fetches from the mirror.
var databases = []string{"test.ndb", "test.hdb"}

// startMirror makes the mirror and puts the test signatures there.
func (c *cluster) startMirror(ctx context.Context) error {
	if err := c.createNamespace(ctx, mirrorNamespace, nil); err != nil {
		return err
	}
	c.own = append(c.own, mirrorNamespace)
	pod := c.mirror()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "mirror", Namespace: mirrorNamespace},
		Spec: corev1.ServiceSpec{
			Selector: pod.Labels,
			Ports:    []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}
	if err := c.Create(ctx, service); err != nil {
		return fmt.Errorf("create its Service: %w", err)
	}
	if err := c.Create(ctx, pod); err != nil {
		return fmt.Errorf("create its pod: %w", err)
	}
	if err := await(ctx, "it runs", func(ctx context.Context) error {
		if err := c.Get(ctx, pod.Name, pod.Namespace, pod); err != nil {
			return err
		}
		if pod.Status.Phase != corev1.PodRunning {
			return fmt.Errorf("its phase is %s", pod.Status.Phase)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := c.serveSignatures(ctx); err != nil {
		return err
	}
	program, err := c.buildMirror(ctx, pod.Spec.NodeName)
	if err != nil {
		return err
	}
	if err := c.putFile(ctx, "mirror", program); err != nil {
		return err
	}
	return await(ctx, "it serves", func(ctx context.Context) error {
		if err := c.Get(ctx, pod.Name, pod.Namespace, pod); err != nil {
			return err
		}
		if !ready(pod) {
			return fmt.Errorf("not ready: %+v", pod.Status.ContainerStatuses)
		}
		return nil
	})
}

// mirror is the mirror's pod, which waits for its program.
func (c *cluster) mirror() *corev1.Pod {
	spec := c.appPod("until [ -x /tmp/mirror ]; do sleep 0.2; done; exec /tmp/mirror /tmp")
	spec.Volumes = spec.Volumes[:1] // nothing to scan
	app := &spec.Containers[0]
	app.VolumeMounts = app.VolumeMounts[:1]
	app.ReadinessProbe = &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
		HTTPGet: &corev1.HTTPGetAction{Path: "/" + databases[0], Port: intstr.FromInt32(8080)},
	}}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "mirror", Namespace: mirrorNamespace, Labels: map[string]string{"app": "mirror"}},
		Spec:       spec,
	}
}

// buildMirror builds the mirror's program for a node.
func (c *cluster) buildMirror(ctx context.Context, nodeName string) ([]byte, error) {
	var node corev1.Node
	if err := c.Get(ctx, nodeName, "", &node); err != nil {
		return nil, fmt.Errorf("look at its node: %w", err)
	}
	dir, err := os.MkdirTemp("", "mirror-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "mirror")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./mirror")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+node.Status.NodeInfo.Architecture)
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build its program: %w: %s", err, output)
	}
	return os.ReadFile(path)
}

// serveSignatures has the mirror serve the test signatures, and more lines of
// test.ndb.
func (c *cluster) serveSignatures(ctx context.Context, more ...string) error {
	dir, err := os.MkdirTemp("", "signatures-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := clamd.WriteSignatures(dir); err != nil {
		return err
	}
	for _, name := range databases {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if name == "test.ndb" && len(more) > 0 {
			text = append(text, strings.Join(more, "\n")+"\n"...)
		}
		if err := c.putFile(ctx, name, text); err != nil {
			return err
		}
	}
	return nil
}

// putFile writes a file in the mirror's directory.
func (c *cluster) putFile(ctx context.Context, name string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	script := fmt.Sprintf("head -c %d >/tmp/.%[2]s && chmod 755 /tmp/.%[2]s && mv /tmp/.%[2]s /tmp/%[2]s", len(content), name)
	status, output, err := c.exec(ctx, c.mirror(), appContainer, script, bytes.NewReader(content))
	if err == nil && status != 0 {
		err = fmt.Errorf("exit status %d: %s", status, output)
	}
	if err != nil {
		return fmt.Errorf("write %s to the mirror: %w", name, err)
	}
	return nil
}
