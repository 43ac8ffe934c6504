//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// collect writes what there is to see in the namespaces of the suite, events, pods
// and their logs, into a directory below artifacts, which it returns. What it
// cannot get it names in the log.
func (c *cluster) collect(ctx context.Context, name string) string {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	dir := filepath.Join(c.artifacts, name)
	var namespaces corev1.NamespaceList
	if err := c.List(ctx, &namespaces); err != nil {
		log.Printf("keep artifacts: %v", err)
	}
	for i := range namespaces.Items {
		namespace := namespaces.Items[i].Name
		if namespace != releaseNamespace && !strings.HasPrefix(namespace, "clamav-sidecar-e2e") {
			continue
		}
		if err := c.collectFrom(ctx, namespace, filepath.Join(dir, namespace)); err != nil {
			log.Printf("keep artifacts of %s: %v", namespace, err)
		}
	}
	return dir
}

// collectFrom writes what there is to see in one namespace.
func (c *cluster) collectFrom(ctx context.Context, namespace, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var events corev1.EventList
	if err := c.WithNamespace(namespace).List(ctx, &events); err != nil {
		return err
	}
	var lines strings.Builder
	for i := range events.Items {
		event := &events.Items[i]
		fmt.Fprintf(&lines, "%s %s %s %s/%s: %s\n", event.LastTimestamp.Format(time.TimeOnly), event.Type, event.Reason,
			event.InvolvedObject.Kind, event.InvolvedObject.Name, event.Message)
	}
	if err := os.WriteFile(filepath.Join(dir, "events.txt"), []byte(lines.String()), 0o600); err != nil {
		return err
	}
	var pods corev1.PodList
	if err := c.WithNamespace(namespace).List(ctx, &pods); err != nil {
		return err
	}
	for i := range pods.Items {
		if err := c.collectPod(ctx, &pods.Items[i], dir); err != nil {
			return err
		}
	}
	return nil
}

// collectPod writes a pod and the logs of its containers.
func (c *cluster) collectPod(ctx context.Context, pod *corev1.Pod, dir string) error {
	text, err := yaml.Marshal(pod)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, pod.Name+".yaml"), text, 0o600); err != nil {
		return err
	}
	for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		output, err := c.logs(ctx, pod, container.Name)
		if err != nil {
			output = err.Error()
		}
		if err := os.WriteFile(filepath.Join(dir, pod.Name+"."+container.Name+".log"), []byte(output), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// logs is what a container has written.
func (c *cluster) logs(ctx context.Context, pod *corev1.Pod, container string) (string, error) {
	text, err := c.clients.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container}).DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("read the log of %s/%s, container %s: %w", pod.Namespace, pod.Name, container, err)
	}
	return string(text), nil
}
