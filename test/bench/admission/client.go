package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"clamav-sidecar/webhook/admission"
)

// protocol is one of HTTP's. API servers speak HTTP/1.1 with webhooks that are
// not on their own host (k8s.io/apiserver, pkg/util/webhook/client.go).
type protocol string

const (
	http1 protocol = "HTTP/1.1"
	http2 protocol = "HTTP/2"
)

// newTransport has TLS 1.3, and trusts the authorities (PEM) for the webhook's
// Service.
func newTransport(p protocol, authorities []byte) (*http.Transport, error) {
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(authorities) {
		return nil, errors.New("the webhook configuration has no caBundle")
	}
	t := &http.Transport{
		TLSClientConfig: &tls.Config{
			RootCAs: trusted, ServerName: "clamav-sidecar-webhook." + home + ".svc", MinVersion: tls.VersionTLS13,
		},
		MaxIdleConnsPerHost: 1000,
		DisableCompression:  true, // as API servers have it for webhooks
		Protocols:           &http.Protocols{},
	}
	t.Protocols.SetHTTP1(p == http1)
	t.Protocols.SetHTTP2(p == http2)
	return t, nil
}

// uidLength is that of a UID, such as 5b0a4c54-3c3c-4e0e-9d0b-3f6f6f0f6a51.
const uidLength = 36

// client sends the review of one pod again and again, each time with another
// UID. It is for one goroutine.
type client struct {
	transport http.RoundTripper
	url       string
	review    []byte
	uid       []byte // where it stands in review
	answer    bytes.Buffer
}

func newClient(transport http.RoundTripper, address string, s subject) (*client, error) {
	placeholder := strings.Repeat("u", uidLength)
	review, err := json.Marshal(newReview(s, types.UID(placeholder)))
	if err != nil {
		return nil, err
	}
	at := bytes.Index(review, []byte(placeholder))
	return &client{
		transport: transport, url: "https://" + address + admission.PodsPath + "?timeout=5s",
		review: review, uid: review[at : at+uidLength],
	}, nil
}

// newReview is what an API server asks about a pod that a controller makes.
func newReview(s subject, uid types.UID) *admissionv1.AdmissionReview {
	kind := metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}
	resource := metav1.GroupVersionResource{Version: "v1", Resource: "pods"}
	return &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: uid, Kind: kind, Resource: resource, RequestKind: &kind, RequestResource: &resource,
			Namespace: shop, Operation: admissionv1.Create,
			UserInfo: authenticationv1.UserInfo{
				Username: "system:serviceaccount:kube-system:replicaset-controller", UID: "0b6f5f0e-7c5a-4b60-9d0c-2a3c1a2b3c4d",
				Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"},
				Extra:  map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/credential-id": {"JTI=7c4f3a0e-2f4e-4a5e-8a43-5b1f6a6b7c8d"}},
			},
			Object:  runtime.RawExtension{Raw: s.json},
			DryRun:  new(false),
			Options: runtime.RawExtension{Raw: []byte(`{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}`)},
		},
	}
}

// admit sends a review with this number in its UID, and fails unless the answer
// is a patch under the same UID.
func (c *client) admit(ctx context.Context, number uint64) error {
	copy(c.uid, fmt.Sprintf("%08x-0000-4000-8000-%012x", number>>48, number&(1<<48-1)))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(c.review))
	if err != nil {
		return err
	}
	request.Header["Content-Type"] = []string{"application/json"}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	c.answer.Reset()
	if _, err := c.answer.ReadFrom(response.Body); err != nil {
		return err
	}
	text := c.answer.Bytes()
	if response.StatusCode != http.StatusOK || !bytes.Contains(text, c.uid) ||
		!bytes.Contains(text, []byte(`"allowed":true`)) || !bytes.Contains(text, []byte(`"patchType":"JSONPatch"`)) {
		return fmt.Errorf("the answer is %s %q, want a patch", response.Status, text)
	}
	return nil
}
