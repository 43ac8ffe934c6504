package clientconfig

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"clamav-sidecar/webhook/clientconfig/render"
	"clamav-sidecar/webhook/inject"
)

// keptLabels are on each ConfigMap that is kept.
func keptLabels() map[string]string {
	return map[string]string{
		render.Label:                   "true",
		"app.kubernetes.io/managed-by": "clamav-sidecar",
	}
}

// kept says whether an object with these labels is ours to change.
func kept(of map[string]string) bool { return of[render.Label] == "true" }

// ByObject goes into the options of the manager's cache. It holds no ConfigMaps
// then but those of this name that are kept, at most one for each namespace, and
// of these only what a [Keeper] looks at: whoever may make ConfigMaps somewhere
// must not be able to fill the webhook's memory. Objects from the cache are
// therefore not fit to be written back. The right to list and to watch can be
// limited to the name, too.
func ByObject(name string) map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&corev1.ConfigMap{}: {
			Field:     fields.OneTermEqualSelector("metadata.name", name),
			Label:     labels.SelectorFromSet(labels.Set{render.Label: "true"}),
			Transform: slim,
		},
	}
}

// longestFile is far above what is rendered, in bytes.
const longestFile = 64 << 10

// slim drops from a ConfigMap what is not ours. What is too long to be ours
// becomes empty, which is out of date as well.
func slim(object any) (any, error) {
	configMap, ok := object.(*corev1.ConfigMap)
	if !ok {
		return object, nil // the note that one was deleted unseen
	}
	configMap.ManagedFields = nil
	configMap.Annotations = nil
	configMap.BinaryData = nil
	maps.DeleteFunc(configMap.Data, func(key, _ string) bool {
		return key != inject.ServiceConf && key != inject.LocalConf
	})
	for key, text := range configMap.Data {
		if len(text) > longestFile {
			configMap.Data[key] = ""
		}
	}
	return configMap, nil
}

// upToDate says whether an apply would change nothing.
func upToDate(configMap *corev1.ConfigMap, s render.Settings) bool {
	for key, value := range keptLabels() {
		if configMap.Labels[key] != value {
			return false
		}
	}
	want := render.Files(s)
	for _, key := range []string{inject.ServiceConf, inject.LocalConf} {
		text, has := configMap.Data[key]
		wantText, wanted := want[key]
		if has != wanted || text != wantText {
			return false
		}
	}
	return true
}
