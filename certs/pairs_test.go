package certs

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// authorityAt is a CA made at that time.
func authorityAt(t *testing.T, now time.Time, lifetime time.Duration) *keyPair {
	t.Helper()
	ca, err := newCA(now, lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// leafAt is a serving certificate issued at that time.
func leafAt(t *testing.T, ca *keyPair, now time.Time, lifetime time.Duration, hosts ...string) *keyPair {
	t.Helper()
	leaf, err := ca.issue(now, now.Add(lifetime), hosts)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func encoded(t *testing.T, pair *keyPair) (cert, key []byte) {
	t.Helper()
	cert, key, err := pair.encode()
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// checkExpiry compares the metric of expiry with the times wanted by kind.
func checkExpiry(t *testing.T, registry prometheus.Gatherer, want map[string]time.Time) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got, wantValues := map[string]float64{}, map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			got[family.GetName()+" "+metric.GetLabel()[0].GetValue()] = metric.GetGauge().GetValue()
		}
	}
	for kind, at := range want {
		wantValues["clamav_sidecar_webhook_certificate_expiry_timestamp_seconds "+kind] = float64(at.Unix())
	}
	if !reflect.DeepEqual(got, wantValues) {
		t.Errorf("got metrics %v, want %v", got, wantValues)
	}
}

func equalFields(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

func equalWebhooks(a, b admissionregistrationv1.MutatingWebhook) bool { return reflect.DeepEqual(a, b) }

func message(err error) string {
	if err == nil {
		return "nil"
	}
	return err.Error()
}
