// Package rendered reads manifests/install.yaml, which `make manifests` renders
// from the chart, for tests that want a part of what an installation has.
package rendered

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Rights are the kinds that give the webhook what it may do.
func Rights() []string {
	return []string{"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
}

// Configurations is the kind of object that says which requests the webhook gets.
const Configurations = "MutatingWebhookConfiguration"

// Objects gives the documents of the file at path that are of one of these
// kinds, as YAML. One that has no object of a kind is an error.
func Objects(path string, kinds ...string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("failed to read what is rendered from the chart: %w", err)
	}
	kind := regexp.MustCompile(`(?m)^kind: (\S+)$`)
	var chosen, found []string
	for _, document := range strings.Split(string(text), "\n---\n") {
		if match := kind.FindStringSubmatch(document); len(match) == 2 && slices.Contains(kinds, match[1]) {
			chosen, found = append(chosen, document), append(found, match[1])
		}
	}
	for _, wanted := range kinds {
		if !slices.Contains(found, wanted) {
			return "", fmt.Errorf("%s has no %s; make manifests renders it anew", path, wanted)
		}
	}
	return strings.Join(chosen, "\n---\n"), nil
}

// Reachable has webhook configurations name the webhook by this base URL, such
// as https://127.0.0.1:9443, in place of its Service: the API server of a test
// has no network in which a Service would work.
func Reachable(configurations, base string) string {
	service := regexp.MustCompile(`service: \{name: \S+, namespace: \S+, port: 443, path: (\S+)\}`)
	return service.ReplaceAllString(configurations, "url: "+base+"$1")
}
