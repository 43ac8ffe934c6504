package certs

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"clamav-sidecar/test/kube"
)

func TestAgainstARealAPIServer(t *testing.T) {
	admin := kube.Start(t).Admin
	for name, test := range map[string]func(*testing.T, *installation){
		"two that start at once make one CA":                  testTwoAtOnce,
		"no handshake fails while certificates rotate":        testRotation,
		"a deleted secret comes back with the same CA":        testDeletedSecret,
		"a spoilt secret is repaired from memory":             testSpoiltSecret,
		"a spoilt secret that nobody remembers is made anew":  testSpoiltAndForgotten,
		"a secret with another CA is adopted without a gap":   testOtherCA,
		"certificates that have expired are replaced":         testExpired,
		"replicas with other hosts share a certificate":       testOtherHosts,
		"a changed caBundle is put right":                     testChangedBundle,
		"only the caBundle is touched":                        testOnlyCABundle,
		"a configuration may come late, and come again":       testLateConfiguration,
		"nothing is published to what was changed or deleted": testPublishGuard,
		"a replica that starts in a rotation goes on with it": testRestartInRotation,
		"without its rights it says what it may not":          testWithoutRights,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == ' ' || r == ',' })
			test(t, install(t, admin, strings.Join(words[:min(5, len(words))], "-")))
		})
	}
}

func testTwoAtOnce(t *testing.T, i *installation) {
	i.configure(i.configurations...)
	a, b := i.start(nil), i.start(nil)
	i.trusted(a, b)
	ca := i.data()[caCertKey]
	i.only(ca)
	secret, err := i.secrets().Get(t.Context(), testSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := secret.Labels["app.kubernetes.io/name"]; got != "clamav-sidecar" {
		t.Errorf("got label app.kubernetes.io/name %q, want clamav-sidecar", got)
	}
	if got, want := len(secret.Data), 4; got != want {
		t.Errorf("got %d keys in the secret, want %d", got, want)
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(a); err != nil {
		t.Fatal(err)
	}
	checkExpiry(t, registry, map[string]time.Time{
		kindCA:      a.status.Load().served.ca.cert.NotAfter,
		kindServing: a.status.Load().served.serving.cert.NotAfter,
	})
}

func testDeletedSecret(t *testing.T, i *installation) {
	i.configure(i.configurations...)
	a, b := i.start(nil), i.start(nil)
	i.trusted(a, b)
	before := i.data()
	if err := i.secrets().Delete(t.Context(), testSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	i.eventually("the secret is back", func() error {
		_, err := i.secrets().Get(t.Context(), testSecret, metav1.GetOptions{})
		return err
	})
	if got := i.data(); !maps.EqualFunc(got, before, bytes.Equal) {
		t.Errorf("got a secret with other contents, want what it was: ca.crt is now\n%s", got[caCertKey])
	}
	i.trusted(a, b)
}

// spoilt are ways to spoil a Secret.
var spoilt = map[string]func(t *testing.T, data map[string][]byte){
	"garbage everywhere": func(_ *testing.T, data map[string][]byte) {
		for key := range data {
			data[key] = []byte("garbage")
		}
	},
	"no keys at all": func(_ *testing.T, data map[string][]byte) { clear(data) },
	"a CA key that does not fit": func(t *testing.T, data map[string][]byte) {
		_, data[caKeyKey] = encoded(t, authorityAt(t, time.Now(), time.Hour))
	},
	"a serving key that does not fit": func(t *testing.T, data map[string][]byte) {
		_, data[servingKeyKey] = encoded(t, authorityAt(t, time.Now(), time.Hour))
	},
	"a serving certificate of another CA": func(t *testing.T, data map[string][]byte) {
		now := time.Now()
		data[servingCertKey], data[servingKeyKey] = encoded(t, leafAt(t, authorityAt(t, now, time.Hour), now, time.Hour, testHost))
	},
	"a serving certificate in the place of the CA": func(_ *testing.T, data map[string][]byte) {
		data[caCertKey], data[caKeyKey] = data[servingCertKey], data[servingKeyKey]
	},
	"an expired CA": func(t *testing.T, data map[string][]byte) {
		data[caCertKey], data[caKeyKey] = encoded(t, authorityAt(t, time.Now().Add(-2*time.Hour), time.Hour))
	},
}

func testSpoiltSecret(t *testing.T, i *installation) {
	i.configure(i.configurations...)
	a, b := i.start(nil), i.start(nil)
	i.trusted(a, b)
	ca := i.data()[caCertKey]
	for how, spoil := range spoilt {
		i.spoil(func(data map[string][]byte) { spoil(t, data) })
		i.eventually(how+": it is repaired", i.usable)
		if got := i.data()[caCertKey]; !bytes.Equal(got, ca) {
			t.Errorf("%s: got another CA, want the one before", how)
		}
		i.trusted(a, b)
		i.only(ca)
	}
}

// usable says what is wrong with the Secret.
func (i *installation) usable() error {
	s, err := decode(i.data())
	if err == nil && !s.serving.signedBy(s.ca, time.Now()) {
		return errors.New("the serving certificate is not of the CA")
	}
	return err
}

func testSpoiltAndForgotten(t *testing.T, i *installation) {
	i.configure(i.configurations...)
	for how, spoil := range spoilt {
		before := i.start(nil)
		i.trusted(before)
		before.stop()
		i.spoil(func(data map[string][]byte) { spoil(t, data) })
		after := i.start(nil)
		i.trusted(after)
		i.only(i.data()[caCertKey]) // nothing of the CA before is left, in the end
		if err := i.usable(); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		after.stop()
	}
}

func testExpired(t *testing.T, i *installation) {
	i.configure(i.configurations...)
	var moved atomic.Int64 // nanoseconds
	moved.Store(int64(-2 * DefaultCALifetime))
	clock := func(c *Config) { c.Now = func() time.Time { return time.Now().Add(time.Duration(moved.Load())) } }
	a, b := i.start(clock), i.start(clock)
	i.trusted(a, b)
	ca := i.data()[caCertKey]
	moved.Store(0)
	i.eventually("there is a new CA", func() error {
		if bytes.Equal(i.data()[caCertKey], ca) {
			return errors.New("it is the expired one")
		}
		return nil
	})
	i.trusted(a, b)
	i.only(i.data()[caCertKey])
}

func testOtherHosts(t *testing.T, i *installation) {
	i.configure(i.configurations...)
	a := i.start(nil)
	i.trusted(a)
	ca := i.data()[caCertKey]
	b := i.start(func(c *Config) { c.Hosts = []string{"other.clamav.svc", testHost, "::1"} })
	i.trusted(a, b)
	s, err := decode(i.data())
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{testHost, "127.0.0.1", "other.clamav.svc", "::1"}; !s.serving.serves(want) {
		t.Errorf("got a certificate for %v, want one for %v", s.serving.hosts(), want)
	}
	if !bytes.Equal(i.data()[caCertKey], ca) {
		t.Error("got another CA, want the one before")
	}
}

func testChangedBundle(t *testing.T, i *installation) {
	i.configure(i.configurations...)
	a := i.start(nil)
	i.trusted(a)
	ca := i.data()[caCertKey]
	foreign := encodeCertificate(authorityAt(t, time.Now(), time.Hour).cert)
	for _, change := range map[string]func(*admissionregistrationv1.MutatingWebhookConfiguration){
		"emptied in one entry": func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			c.Webhooks[0].ClientConfig.CABundle = nil
		},
		"replaced by somebody else's": func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			c.Webhooks[0].ClientConfig.CABundle = foreign
		},
		"joined by somebody else's": func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			c.Webhooks[0].ClientConfig.CABundle = slices.Concat(ca, foreign)
		},
		"left out of a new entry": func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			c.Webhooks = append(c.Webhooks, webhookEntry("new"))
		},
		"gone with an entry": func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			c.Webhooks = c.Webhooks[:len(c.Webhooks)-1]
		},
	} {
		i.change(i.configurations[0], change)
		i.only(ca)
		i.trusted(a)
	}
}

func testOnlyCABundle(t *testing.T, i *installation) {
	i.configure(i.configurations...)
	i.trusted(i.start(nil))
	for _, name := range i.configurations {
		got, err := i.webhooks().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var ours []string
		for _, owner := range got.ManagedFields {
			if owner.Manager == FieldOwner {
				ours = append(ours, owner.FieldsV1.GetRawString())
			}
		}
		entries := `{"f:webhooks":{`
		for n, entry := range webhookConfiguration(name).Webhooks {
			if n > 0 {
				entries += ","
			}
			entries += `"k:{\"name\":\"` + entry.Name + `\"}":{".":{},"f:clientConfig":{"f:caBundle":{}},"f:name":{}}`
		}
		if want := []string{entries + "}}"}; !slices.EqualFunc(ours, want, equalFields) {
			t.Errorf("got our fields %v, want %v", ours, want)
		}
		untouched, err := i.webhooks().Create(t.Context(), webhookConfiguration(name+"-other"), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for n := range got.Webhooks {
			got.Webhooks[n].ClientConfig.CABundle = nil
		}
		if !slices.EqualFunc(got.Webhooks, untouched.Webhooks, equalWebhooks) || !maps.Equal(got.Labels, untouched.Labels) {
			t.Errorf("got\n%+v\nwant, but for caBundle,\n%+v", got, untouched)
		}
	}
}

func testLateConfiguration(t *testing.T, i *installation) {
	i.configure(i.configurations[0])
	a := i.start(nil)
	late := i.configurations[1]
	i.eventually("it says which configuration is missing, and only that", func() error {
		err := a.Ready(nil)
		if err == nil || !strings.Contains(err.Error(), late) || strings.Contains(err.Error(), i.configurations[0]) {
			return errors.New("Ready is " + message(err))
		}
		return nil
	})
	if _, err := i.webhooks().Get(t.Context(), late, metav1.GetOptions{}); err == nil {
		t.Error("got a configuration that nobody made")
	}
	i.configure(late)
	i.trusted(a)
	if err := i.webhooks().Delete(t.Context(), late, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	i.eventually("it misses the configuration again", func() error {
		if a.Ready(nil) == nil {
			return errors.New("it is ready")
		}
		return nil
	})
	i.configure(late)
	i.trusted(a)
	i.only(i.data()[caCertKey])
}

func testWithoutRights(t *testing.T, i *installation) {
	i.configure(i.configurations...)
	if err := i.admin.RbacV1().ClusterRoleBindings().Delete(t.Context(), i.namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	a := i.start(nil)
	i.eventually("it says what it may not read", func() error {
		err := a.Ready(nil)
		if err == nil || !strings.Contains(err.Error(), "forbidden") || !strings.Contains(err.Error(), i.configurations[0]) {
			return errors.New("Ready is " + message(err))
		}
		return nil
	})
	if _, err := a.GetCertificate(nil); err != nil {
		t.Errorf("got %v, want a certificate, for configurations that others keep", err)
	}
}

func testPublishGuard(t *testing.T, i *installation) {
	i.configure(i.configurations...)
	a := i.start(nil)
	i.trusted(a)
	a.stop()
	before := a.look(t.Context())
	name := i.configurations[0]
	i.change(name, func(c *admissionregistrationv1.MutatingWebhookConfiguration) { c.Labels["changed"] = "yes" })
	if _, err := a.publish(t.Context(), before[0], bundle{}); !errors.Is(err, errOvertaken) {
		t.Errorf("got error %v from a changed configuration, want %v", err, errOvertaken)
	}
	before = a.look(t.Context())
	if err := i.webhooks().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.publish(t.Context(), before[0], bundle{}); !errors.Is(err, errOvertaken) {
		t.Errorf("got error %v from a deleted configuration, want %v", err, errOvertaken)
	}
	if _, err := i.webhooks().Get(t.Context(), name, metav1.GetOptions{}); err == nil {
		t.Error("got the deleted configuration back, want it to stay deleted")
	}
	i.configure(name)
	if _, err := a.publish(t.Context(), before[0], bundle{}); !errors.Is(err, errOvertaken) {
		t.Errorf("got error %v from a configuration made again, want %v", err, errOvertaken)
	}
}
