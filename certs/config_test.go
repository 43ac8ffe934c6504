package certs

import (
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

func TestAllFaultsOfAConfigAreNamed(t *testing.T) {
	t.Parallel()
	_, err := NewAuthority(Config{
		Namespace: "Clamav", Secret: "a b", Hosts: []string{"ok.svc", "not_ok", "10.0.0.1"},
		CALifetime: time.Hour, CertLifetime: 2 * time.Hour, Settle: 20 * time.Minute,
	})
	if err == nil {
		t.Fatal("got no error, want one")
	}
	for _, want := range []string{"restConfig", "namespace", "secret", "hosts[1]", "webhookConfigurations", "certLifetime", "settle"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want it to name %s", err, want)
		}
	}
	for _, fine := range []string{"hosts[0]", "hosts[2]", "caLifetime:"} {
		if strings.Contains(err.Error(), fine) {
			t.Errorf("got %q, want nothing about %s", err, fine)
		}
	}
}

func TestBeforeItIsStartedAnAuthorityIsNotReadyAndServesNothing(t *testing.T) {
	t.Parallel()
	a, err := NewAuthority(Config{
		RESTConfig: &rest.Config{Host: "https://127.0.0.1:1"}, Namespace: "clamav", Secret: testSecret,
		Hosts: []string{testHost}, WebhookConfigurations: []string{"clamav-sidecar"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Ready(nil); err == nil {
		t.Error("got ready, want an error")
	}
	if certificate, err := a.GetCertificate(nil); err == nil {
		t.Errorf("got certificate %v, want an error", certificate)
	}
	if a.NeedLeaderElection() {
		t.Error("got an authority that needs a leader, want one on every replica")
	}
}
