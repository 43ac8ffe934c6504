package chart

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// actAsCertManager does what cert-manager does once it has seen Certificates: it
// makes their Secrets, which it does not take away again, and writes the CA into
// the webhook configurations. It gives the names of the Secrets.
func actAsCertManager(t *testing.T, r *release) []string {
	t.Helper()
	var secrets []string
	for key, object := range r.objects(t) {
		if !strings.HasPrefix(key, "certificates.cert-manager.io ") {
			continue
		}
		name, _, err := unstructured.NestedString(object.Object, "spec", "secretName")
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, name)
		kubectl(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":%q},"type":"kubernetes.io/tls",
			"stringData":{"ca.crt":"CA","tls.crt":"certificate","tls.key":"key"}}`, name), "apply", "--namespace", r.namespace, "-f", "-")
	}
	for _, configuration := range []string{"clamav-sidecar-pods", "clamav-sidecar-workloads"} {
		var patch []map[string]string
		for entry := range 2 {
			patch = append(patch, map[string]string{"op": "add", "path": fmt.Sprintf("/webhooks/%d/clientConfig/caBundle", entry), "value": caBundle})
		}
		text, err := json.Marshal(patch)
		if err != nil {
			t.Fatal(err)
		}
		kubectl(t, "", "patch", "mutatingwebhookconfiguration", configuration, "--field-manager=cert-manager-cainjector", "--type=json", "--patch", string(text))
	}
	slices.Sort(secrets)
	return secrets
}

// caBundle is a PEM block of a certificate, which no one has the key of, in
// base64.
const caBundle = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1BPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="

func TestAReleaseWithCertManager(t *testing.T) {
	each(t, func(t *testing.T, h helm) {
		r := newRelease(t, h, "cert-manager")
		r.change(t, "install")
		wantAll(t, r, r.objects(t))
		secrets := actAsCertManager(t, r)
		first := r.objects(t)
		data, bundles := certificates(t, first, r.namespace, secrets[len(secrets)-1])

		r.wantUpgradesWithoutChange(t, first)
		r.change(t, "upgrade", "--set", "webhook.logLevel=debug")
		wantChanged(t, first, r.objects(t), "deployments.apps clamav-sidecar-webhook")
		r.run(t, "rollback", releaseName, "1", "--namespace", r.namespace)
		again := r.objects(t)
		again.contents().wantSame(t, first.contents())
		if gotData, gotBundles := certificates(t, again, r.namespace, secrets[len(secrets)-1]); fmt.Sprint(gotData) != fmt.Sprint(data) || !slices.Equal(gotBundles, bundles) {
			t.Errorf("the certificates have changed: %q, %q", gotData, gotBundles)
		}
		wantLeft(t, r, secrets)
	})
}

// wantLeft uninstalls and wants nothing to be left but these Secrets, which are
// cert-manager's to take away.
func wantLeft(t *testing.T, r *release, secrets []string) {
	t.Helper()
	var want []string
	for _, secret := range secrets {
		want = append(want, "secrets "+r.namespace+"/"+secret)
	}
	if left := r.uninstall(t); !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
}

// The Secrets of cert-manager are in nobody's way when the webhook makes its own
// certificates, and the other way round.
func TestAnUpgradeChangesTheSetUp(t *testing.T) {
	each(t, func(t *testing.T, h helm) {
		t.Run("to cert-manager and back", func(t *testing.T) {
			r := newRelease(t, h, "default")
			r.change(t, "install")
			run(t, r.namespace, r.objects(t)).end()
			r.setup = "cert-manager"
			r.change(t, "upgrade")
			wantAll(t, r, r.objects(t))
			secrets := actAsCertManager(t, r)
			r.setup = "default"
			r.change(t, "upgrade")
			owned := r.objects(t)
			for _, secret := range secrets {
				owned = owned.but("secrets " + r.namespace + "/" + secret)
			}
			wantAll(t, r, owned)
			run(t, r.namespace, owned).end()
			wantLeft(t, r, secrets)
		})
		t.Run("to a volume for each replica and back", func(t *testing.T) {
			r := newRelease(t, h, "default")
			r.change(t, "install")
			for _, r.setup = range []string{"per-replica", "default"} {
				r.change(t, "upgrade")
				r.releaseClaims(t, r.namespace)
				wantAll(t, r, r.objects(t))
			}
			wantLeft(t, r, nil)
		})
	})
}

// A team that has installed with Helm 3 goes on with Helm 4.
func TestHelm4TakesOverWhatHelm3HasInstalled(t *testing.T) {
	r := newRelease(t, shared.helms[0], "default")
	r.change(t, "install")
	webhook := run(t, r.namespace, r.objects(t))
	first := r.objects(t)
	r.helm = shared.helms[1]
	r.wantUpgradesWithoutChange(t, first)
	if err := webhook.ready(t); err != nil {
		t.Error(err)
	}
	webhook.end()
	wantLeft(t, r, nil)
}
