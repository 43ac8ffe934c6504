package kube_test

import (
	"strings"
	"testing"

	"clamav-sidecar/test/kube"
)

func TestTheAPIServerStoresWhatKubectlApplies(t *testing.T) {
	cluster := kube.Start(t)
	if _, problems, err := cluster.Kubectl(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}`, "apply", "-f", "-"); err != nil {
		t.Fatal(err, problems)
	}
	got, problems, err := cluster.Kubectl("", "get", "namespace", "shop", "-o", "name")
	if want := "namespace/shop"; err != nil || strings.TrimSpace(got) != want {
		t.Errorf("got %q (%v, %s), want %q", got, err, problems, want)
	}
}
