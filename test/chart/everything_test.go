package chart

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// everything is all that an API server stores, of every kind of every group, by
// resource, namespace and name. Events are left out: whoever does something
// leaves them, and they go by themselves.
type everything map[string]*unstructured.Unstructured

// clusterwide lists and changes objects of any kind.
type clusterwide struct {
	discovery *discovery.DiscoveryClient
	dynamic   *dynamic.DynamicClient
}

func newClusterwide(t *testing.T) clusterwide {
	t.Helper()
	config := rest.CopyConfig(shared.cluster.Admin)
	config.QPS = -1
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return clusterwide{found, objects}
}

// list reads everything.
func (c clusterwide) list(t *testing.T) everything {
	t.Helper()
	groups, err := c.discovery.ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	all := everything{}
	for _, group := range groups {
		version, err := schema.ParseGroupVersion(group.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range group.APIResources {
			if !slices.Contains(kind.Verbs, "list") || kind.Name == "events" {
				continue
			}
			resource := version.WithResource(kind.Name)
			list, err := c.dynamic.Resource(resource).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatalf("failed to list %s: %v", resource, err)
			}
			for i := range list.Items {
				object := &list.Items[i]
				all[fmt.Sprintf("%s %s/%s", resource.GroupResource(), object.GetNamespace(), object.GetName())] = object
			}
		}
	}
	return all
}

// without gives what is there now and was not before.
func (e everything) without(before everything) everything {
	added := everything{}
	for key, object := range e {
		if before[key] == nil {
			added[key] = object
		}
	}
	return added
}

// keys gives the names in order.
func (e everything) keys() []string { return slices.Sorted(maps.Keys(e)) }

// but leaves out what begins so.
func (e everything) but(prefixes ...string) everything {
	rest := maps.Clone(e)
	maps.DeleteFunc(rest, func(key string, _ *unstructured.Unstructured) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
	})
	return rest
}

// get gives an object that has to be there.
func (e everything) get(t *testing.T, key string) *unstructured.Unstructured {
	t.Helper()
	object := e[key]
	if object == nil {
		t.Fatalf("no %q, there are %q", key, e.keys())
	}
	return object
}

// contents gives each object without what tells how often and by whom it was
// written.
func (e everything) contents() everything {
	bare := everything{}
	for key, object := range e {
		object = object.DeepCopy()
		for _, field := range []string{"resourceVersion", "generation", "managedFields", "uid", "creationTimestamp"} {
			unstructured.RemoveNestedField(object.Object, "metadata", field)
		}
		bare[key] = object
	}
	return bare
}

// wantSame compares with what is wanted.
func (e everything) wantSame(t *testing.T, want everything) {
	t.Helper()
	inventory(e).wantSame(t, inventory(want))
}

// releaseClaims does what the controllers of a cluster do, and none is here: a
// claim that is deleted, and in use by no pod, goes.
func (c clusterwide) releaseClaims(t *testing.T, namespace string) {
	t.Helper()
	claims := c.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}).Namespace(namespace)
	list, err := claims.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, claim := range list.Items {
		if claim.GetDeletionTimestamp() == nil {
			continue
		}
		claim.SetFinalizers(nil)
		if _, err := claims.Update(context.WithoutCancel(t.Context()), &claim, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
