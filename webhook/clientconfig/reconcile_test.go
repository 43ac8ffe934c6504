package clientconfig

import (
	"context"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"clamav-sidecar/webhook/clientconfig/render"
)

// kept starts a replica and has it make the ConfigMap in a namespace.
func (c cluster) kept(t *testing.T) (*replica, string) {
	t.Helper()
	namespace := c.namespace(t)
	r := c.replica(t, settings, options{})
	r.ensure(t, namespace)
	r.seen(t, namespace)
	return r, namespace
}

// becomes waits until the ConfigMap is what s wants.
func (c cluster) becomes(t *testing.T, namespace string, s render.Settings) {
	t.Helper()
	eventually(t, func() string { return differs(c.configMap(t, namespace, s.Name), s) })
}

// catchUp returns when the reconciler has seen all that happened before: it works
// on one ConfigMap at a time, in the order of the changes.
func (r *replica) catchUp(t *testing.T, c cluster) {
	t.Helper()
	namespace := c.namespace(t)
	current := *r.settings.Load()
	r.ensure(t, namespace)
	r.seen(t, namespace)
	c.change(t, namespace, `{"data":{"clamd.conf":""}}`)
	c.becomes(t, namespace, current)
}

func selective(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	c.own(t, namespace, "of-the-team")
	r := c.replica(t, settings, options{})
	r.ensure(t, namespace)
	c.change(t, namespace, `{"metadata":{"annotations":{"note":"theirs"}},"data":{"large":"theirs"},"binaryData":{"raw":"AAAA"}}`)

	var list corev1.ConfigMapList
	eventually(t, func() string {
		if err := r.cache.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != 1 || list.Items[0].ResourceVersion != c.configMap(t, namespace, settings.Name).ResourceVersion {
			return "the cache does not hold the changed ConfigMap and no other"
		}
		return ""
	})
	got := list.Items[0]
	if what := differs(&got, settings); what != "" {
		t.Error(what)
	}
	if len(got.Data) != 2 || got.BinaryData != nil || got.Annotations != nil || got.ManagedFields != nil {
		t.Errorf("got %v, want nothing but what is ours", got)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, request := range r.requests {
		if all := "GET /api/v1/configmaps "; strings.HasPrefix(request, all) && request != all+render.Label+"=true" {
			t.Errorf("got request %q, want the label selected", request)
		}
	}
}

func changed(t *testing.T, c cluster) {
	for name, patch := range map[string]string{
		"a file is edited":     `{"data":{"clamd.conf":"TCPSocket 1"}}`,
		"a file is taken away": `{"data":{"clamd.local.conf":null}}`,
		"a label is edited":    `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"Helm"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, namespace := c.kept(t)
			c.change(t, namespace, `{"metadata":{"labels":{"team":"shop"},"annotations":{"note":"theirs"}},"data":{"more":"theirs"}}`)
			c.change(t, namespace, patch)
			c.becomes(t, namespace, settings)
			got := c.configMap(t, namespace, settings.Name)
			if got.Labels["team"] != "shop" || got.Annotations["note"] != "theirs" || got.Data["more"] != "theirs" {
				t.Errorf("got labels %v, annotations %v and data %v, want those of others still there", got.Labels, got.Annotations, got.Data)
			}
		})
	}
}

func deleted(t *testing.T, c cluster) {
	_, namespace := c.kept(t)
	c.delete(t, namespace)
	c.becomes(t, namespace, settings)
}

func released(t *testing.T, c cluster) {
	r, namespace := c.kept(t)
	c.change(t, namespace, `{"metadata":{"labels":{"clamav-sidecar/client-configuration":null}}}`)
	r.catchUp(t, c)
	c.change(t, namespace, `{"data":{"clamd.conf":"TCPSocket 1"}}`)
	r.catchUp(t, c)
	r.Update(moved)
	r.catchUp(t, c)
	configMap := c.configMap(t, namespace, settings.Name)
	if got, want := configMap.Data["clamd.conf"], "TCPSocket 1"; got != want || configMap.Labels[render.Label] != "" {
		t.Errorf("got labels %v and clamd.conf %q, want it without the label and %q", configMap.Labels, got, want)
	}
	if got, want := r.ensure(t, namespace), "lacks the label"; !strings.Contains(got, want) {
		t.Errorf("got warning %q, want one with %q", got, want)
	}
	c.delete(t, namespace)
	r.catchUp(t, c)
	if got := c.configMap(t, namespace, settings.Name); got != nil {
		t.Errorf("got %v, want none", got)
	}
}

func releasedLate(t *testing.T, c cluster) {
	r, namespace := c.kept(t)
	r.meanwhile(http.MethodPatch, namespace, func(context.Context) {
		r.meanwhile(http.MethodPatch, namespace, func(context.Context) {})
		c.change(t, namespace, `{"metadata":{"labels":{"clamav-sidecar/client-configuration":null}}}`)
	})
	c.change(t, namespace, `{"data":{"clamd.conf":"TCPSocket 1"}}`)
	eventually(t, func() string {
		if r.count(http.MethodPatch, namespace) < 2 {
			return "the change is not being undone"
		}
		return ""
	})
	r.catchUp(t, c)
	configMap := c.configMap(t, namespace, settings.Name)
	if got, want := configMap.Data["clamd.conf"], "TCPSocket 1"; got != want || configMap.Labels[render.Label] != "" {
		t.Errorf("got labels %v and clamd.conf %q, want it without the label and %q", configMap.Labels, got, want)
	}
}

func goingNamespace(t *testing.T, c cluster) {
	for name, end := range map[string]func(*testing.T, string){
		"terminating": func(*testing.T, string) {},
		"gone":        func(t *testing.T, namespace string) { c.end(t, namespace) },
	} {
		t.Run(name, func(t *testing.T) {
			r, namespace := c.kept(t)
			c.remove(t, namespace)
			end(t, namespace)
			c.delete(t, namespace)
			r.catchUp(t, c)
			r.catchUp(t, c)
			if got := c.configMap(t, namespace, settings.Name); got != nil {
				t.Errorf("got %v, want none", got)
			}
			// One for Ensure; one try, and no other after it.
			if got := r.count(http.MethodPatch, namespace); got != 2 {
				t.Errorf("got %d PATCH requests, want 2", got)
			}
		})
	}
}

// end ends a namespace that is being deleted, as its controller would.
func (c cluster) end(t *testing.T, name string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := c.SubResource("finalize").Update(t.Context(), namespace); err != nil { //nolint:misspell // Kubernetes' spelling
		t.Fatal(err)
	}
}

func outdated(t *testing.T, c cluster) {
	r, namespace := c.kept(t)
	r.stop()
	c.replica(t, moved, options{})
	c.becomes(t, namespace, moved)
}

func updated(t *testing.T, c cluster) {
	r, first := c.kept(t)
	second := c.namespace(t)
	r.ensure(t, second)
	c.change(t, second, `{"data":{"more":"theirs"}}`)
	r.Update(moved)
	for _, namespace := range []string{first, second} {
		c.becomes(t, namespace, moved)
	}
	if got := c.configMap(t, second, settings.Name).Data["more"]; got != "theirs" {
		t.Errorf("got data %q of others, want theirs", got)
	}
	third := c.namespace(t)
	r.ensure(t, third)
	if what := differs(c.configMap(t, third, settings.Name), moved); what != "" {
		t.Errorf("in a namespace that comes after it: %s", what)
	}
}

func renaming(t *testing.T, c cluster) {
	old, namespace := c.kept(t)
	old.stop() // the cache is of one name
	r := c.replica(t, renamed, options{})
	r.ensure(t, namespace)
	if what := differs(c.configMap(t, namespace, renamed.Name), renamed); what != "" {
		t.Errorf("the new one: %s", what)
	}
	c.change(t, namespace, `{"data":{"clamd.conf":"TCPSocket 1"}}`)
	// What is done to the new one after it is undone after it.
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"data":{"clamd.conf":""}}`))
	if err := c.Patch(t.Context(), c.configMap(t, namespace, renamed.Name), patch); err != nil {
		t.Fatal(err)
	}
	c.becomes(t, namespace, renamed)
	if got, want := c.configMap(t, namespace, settings.Name).Data["clamd.conf"], "TCPSocket 1"; got != want {
		t.Errorf("got clamd.conf %q of the old one, want %q", got, want)
	}
}

func turnedOff(t *testing.T, c cluster) {
	r, namespace := c.kept(t)
	r.Update(manual)
	c.change(t, namespace, `{"data":{"clamd.conf":"TCPSocket 1"}}`)
	r.seenVersion(t, c, namespace)
	request := reconcile.Request{NamespacedName: client.ObjectKey{Namespace: namespace, Name: settings.Name}}
	if _, err := r.reconcile(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if got, want := c.configMap(t, namespace, settings.Name).Data["clamd.conf"], "TCPSocket 1"; got != want {
		t.Errorf("got clamd.conf %q, want %q", got, want)
	}
	r.Update(moved)
	c.becomes(t, namespace, moved)
}

// seenVersion waits until the cache holds the ConfigMap as it is now.
func (r *replica) seenVersion(t *testing.T, c cluster, namespace string) {
	t.Helper()
	eventually(t, func() string {
		var found corev1.ConfigMap
		if err := r.cache.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: settings.Name}, &found); err != nil {
			return err.Error()
		}
		if got, want := found.ResourceVersion, c.configMap(t, namespace, settings.Name).ResourceVersion; got != want {
			return "the cache holds version " + got + ", want " + want
		}
		return ""
	})
}

func elected(t *testing.T, c cluster) {
	namespace := c.namespace(t)
	first := c.replica(t, settings, options{elected: true})
	first.ensure(t, namespace)
	first.seen(t, namespace)
	first.catchUp(t, c) // it leads
	second := c.replica(t, moved, options{elected: true})
	second.ensure(t, namespace)
	for range 3 {
		c.change(t, namespace, `{"data":{"clamd.conf":"TCPSocket 1"}}`)
		c.becomes(t, namespace, settings)
	}
	second.wantCalls(t, namespace, 0, 0)

	fresh := c.namespace(t)
	if got := second.ensure(t, fresh); got != "" {
		t.Errorf("got warning %q, want none", got)
	}
	if c.configMap(t, fresh, settings.Name) == nil {
		t.Error("got no ConfigMap from the replica that does not lead")
	}
	first.stop()
	c.becomes(t, namespace, moved)
	c.becomes(t, fresh, moved)
}
