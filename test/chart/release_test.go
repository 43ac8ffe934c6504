package chart

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// release is one in a namespace of its own. There can be one at a time, since
// webhook configurations have no namespace.
type release struct {
	clusterwide
	helm
	namespace, setup string
	before           everything // without the release
}

func newRelease(t *testing.T, h helm, setup string) *release {
	t.Helper()
	r := &release{clusterwide: newClusterwide(t), helm: h, setup: setup, namespace: "release-" + strings.ToLower(rand.Text()[:8])}
	kubectl(t, "", "create", "namespace", r.namespace)
	r.before = r.list(t)
	t.Cleanup(func() {
		if t.Failed() { // the next one is to find none of it
			_, _, _ = r.try("uninstall", releaseName, "--namespace", r.namespace)
		}
	})
	return r
}

// change installs or upgrades, with further arguments. An upgrade takes the values
// of the set-up as they are: left to itself, Helm takes those of the revision
// before when there are none.
func (r *release) change(t *testing.T, how string, args ...string) {
	t.Helper()
	if how == "upgrade" {
		args = append(args, "--reset-values")
	}
	r.run(t, append([]string{how, releaseName, directory, "--namespace", r.namespace, "-f", valuesOf(r.setup)}, args...)...)
}

// objects gives what the release has brought, as it is now. Helm's own Secrets,
// one for each revision, are left out.
func (r *release) objects(t *testing.T) everything {
	t.Helper()
	return r.list(t).without(r.before).but("secrets " + r.namespace + "/sh.helm.release.")
}

// uninstall removes the release and gives what is left of it.
func (r *release) uninstall(t *testing.T) []string {
	t.Helper()
	if problems := r.run(t, "uninstall", releaseName, "--namespace", r.namespace); !strings.Contains(problems, "uninstalled") {
		t.Errorf("helm says %q", problems)
	}
	r.releaseClaims(t, r.namespace)
	return r.list(t).without(r.before).keys()
}

// certificates are what others write into objects of the release: the Secret's
// data, and the caBundle of each entry of the webhook configurations.
func certificates(t *testing.T, objects everything, namespace, secret string) (data map[string]string, bundles []string) {
	t.Helper()
	data, _, err := unstructured.NestedStringMap(objects.get(t, "secrets "+namespace+"/"+secret).Object, "data")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"clamav-sidecar-pods", "clamav-sidecar-workloads"} {
		configuration := objects.get(t, "mutatingwebhookconfigurations.admissionregistration.k8s.io /"+name)
		entries, _, err := unstructured.NestedSlice(configuration.Object, "webhooks")
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			bundle, _, err := unstructured.NestedString(entry.(map[string]any), "clientConfig", "caBundle")
			if err != nil {
				t.Fatal(err)
			}
			bundles = append(bundles, bundle)
		}
	}
	if len(data) == 0 || len(bundles) != 4 || slices.Contains(bundles, "") {
		t.Fatalf("got a Secret of %d files and the caBundles %q, want all written", len(data), bundles)
	}
	return data, bundles
}

// lease is written by the webhook every few seconds.
func lease(namespace string) string {
	return "leases.coordination.k8s.io " + namespace + "/clamav-sidecar-webhook"
}

// The webhook runs all the while, as it does in a cluster.
func TestARelease(t *testing.T) {
	for _, setup := range []string{"default", "per-replica"} {
		each(t, func(t *testing.T, h helm) {
			t.Run(setup, func(t *testing.T) {
				r := newRelease(t, h, setup)
				r.change(t, "install")
				webhook := run(t, r.namespace, r.objects(t))
				first := r.objects(t)
				wantAll(t, r, first)
				data, bundles := certificates(t, first, r.namespace, "clamav-sidecar-webhook-certs")

				r.wantUpgradesWithoutChange(t, first)

				r.change(t, "upgrade", "--set", "clamav.limits.fileSize=50", "--set", "clamav.replicaCount=3")
				changed := r.objects(t)
				wantChanged(t, first, changed, workloadsThatReadLimits(setup)...)
				r.run(t, "rollback", releaseName, "1", "--namespace", r.namespace)
				again := r.objects(t)
				again.but(lease(r.namespace)).contents().wantSame(t, first.but(lease(r.namespace)).contents())
				if gotData, gotBundles := certificates(t, again, r.namespace, "clamav-sidecar-webhook-certs"); fmt.Sprint(gotData) != fmt.Sprint(data) || !slices.Equal(gotBundles, bundles) {
					t.Errorf("the certificates have changed: %q, %q", gotData, gotBundles)
				}
				if err := webhook.ready(t); err != nil {
					t.Error(err)
				}

				team := wantInjection(t, r, webhook, bundles[0])
				said := len(webhook.log.String())
				left := r.uninstall(t)
				// It tries to bring its certificates back, and may not.
				eventually(t, "the webhook is refused its Secret", func() error {
					if log := webhook.log.String()[said:]; !strings.Contains(log, "failed to keep the certificates") {
						return fmt.Errorf("it says\n%s", log)
					}
					return nil
				})
				webhook.end()
				left = append(left, r.list(t).without(r.before).keys()...)
				slices.Sort(left)
				// The ConfigMaps of teams stay, for the pods that have them mounted.
				if left, want := slices.Compact(left), []string{"configmaps " + team + "/clamav-configuration", "namespaces /" + team}; !slices.Equal(left, want) {
					t.Errorf("left are %q, want %q", left, want)
				}
			})
		})
	}
}

// workloadsThatReadLimits are those whose pods a changed limit rolls.
func workloadsThatReadLimits(setup string) []string {
	if setup == "per-replica" {
		return []string{"deployments.apps clamav-sidecar-webhook", "statefulsets.apps clamav"}
	}
	return []string{"deployments.apps clamav", "deployments.apps clamav-sidecar-webhook"}
}

// wantAll wants the objects to be those that are rendered.
func wantAll(t *testing.T, r *release, objects everything) {
	t.Helper()
	rendered := parse(t, r.run(t, "template", releaseName, directory, "--namespace", r.namespace, "-f", valuesOf(r.setup)))
	// The API server adds an object for the address of each Service that has one.
	got := slices.Sorted(maps.Keys(installed(objects.but("ipaddresses.networking.k8s.io "))))
	if want := slices.Sorted(maps.Keys(rendered)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// wantUpgradesWithoutChange upgrades twice with the same values. The API server
// itself may write a claim anew at the first.
func (r *release) wantUpgradesWithoutChange(t *testing.T, first everything) {
	t.Helper()
	r.change(t, "upgrade")
	once := r.objects(t).but(lease(r.namespace))
	once.contents().wantSame(t, first.but(lease(r.namespace)).contents())
	r.change(t, "upgrade")
	r.objects(t).but(lease(r.namespace)).wantSame(t, once)
}

// wantChanged wants just these workloads to have another pod template.
func wantChanged(t *testing.T, before, after everything, want ...string) {
	t.Helper()
	var got []string
	for _, key := range after.keys() {
		template := func(e everything) any {
			found, _, _ := unstructured.NestedMap(e.get(t, key).Object, "spec", "template")
			return found
		}
		if fmt.Sprint(template(after)) != fmt.Sprint(template(before)) {
			resource, name, _ := strings.Cut(key, " ")
			_, name, _ = strings.Cut(name, "/")
			got = append(got, resource+" "+name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the upgrade makes new pods of %q, want %q", got, want)
	}
}

// wantInjection has the webhook inject a pod of a team, and wants the team's
// namespace to get the ConfigMap that the release's own has. It gives the name of
// the namespace.
func wantInjection(t *testing.T, r *release, webhook *running, bundle string) string {
	t.Helper()
	team := "team-" + strings.ToLower(rand.Text()[:8])
	kubectl(t, "", "create", "namespace", team)
	roots, err := base64.StdEncoding.DecodeString(bundle)
	if err != nil {
		t.Fatal(err)
	}
	webhook.inject(t, roots, team)
	all := r.list(t)
	files := func(namespace string) map[string]string {
		data, _, err := unstructured.NestedStringMap(all.get(t, "configmaps "+namespace+"/clamav-configuration").Object, "data")
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if got, want := files(team), files(r.namespace); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the team gets %q, the release's namespace has %q", got, want)
	}
	return team
}

// kubectl wants it to succeed.
func kubectl(t *testing.T, input string, args ...string) string {
	t.Helper()
	stdout, stderr, err := shared.cluster.Kubectl(input, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	return stdout
}
