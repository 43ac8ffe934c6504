package webhook_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"clamav-sidecar/webhook"
	"clamav-sidecar/webhook/inject"
)

// authorities are the serial numbers of the CAs that all entries of both webhook
// configurations carry.
func (in *installation) authorities() ([]string, error) {
	var first []string
	for _, name := range webhook.Default().Configurations {
		configuration := get[admissionregistrationv1.MutatingWebhookConfiguration](in, "mutatingwebhookconfiguration", name)
		for _, entry := range configuration.Webhooks {
			var serials []string
			for rest := entry.ClientConfig.CABundle; ; {
				var block *pem.Block
				if block, rest = pem.Decode(rest); block == nil {
					break
				}
				cert, err := x509.ParseCertificate(block.Bytes)
				if err != nil {
					return nil, err
				}
				serials = append(serials, cert.SerialNumber.String())
			}
			slices.Sort(serials)
			if first == nil {
				first = serials
			}
			if len(serials) == 0 || !slices.Equal(first, serials) {
				return nil, fmt.Errorf("entry %s carries the CAs %v, another one %v", entry.Name, serials, first)
			}
		}
	}
	return first, nil
}

func TestTwoReplicasThatStartAtOnceMakeOneCA(t *testing.T) {
	in := install(t, 2)
	authorities, err := in.authorities()
	if err != nil || len(authorities) != 1 {
		t.Errorf("the webhook configurations carry %v (%v), want one CA", authorities, err)
	}
	for i, r := range in.replicas {
		in.balancer.only(r.config.Listen)
		if err := in.admit(t.Context(), in.client(t)); err != nil {
			t.Errorf("replica %d: %v", i, err)
		}
	}
}

func TestSecretsThatAreLostOrSpoilt(t *testing.T) {
	in := install(t, 2)
	secret := webhook.Default().CertSecret
	for _, damage := range []struct {
		what string
		do   func()
	}{
		{"deleted", func() { in.kubectl("", "delete", "secret", secret, "-n", home) }},
		{"filled with garbage", func() {
			in.kubectl("", "patch", "secret", secret, "-n", home, "-p",
				`{"stringData":{"ca.crt":"garbage","ca.key":"garbage","tls.crt":"garbage","tls.key":"garbage"}}`)
		}},
		{"emptied", func() {
			in.kubectl("", "patch", "secret", secret, "-n", home, "--type=json", "-p", `[{"op":"remove","path":"/data"}]`)
		}},
	} {
		t.Run("one that is "+damage.what+" is made again, and a new replica can serve", func(t *testing.T) {
			damage.do()
			in.start()
			in.waitReady()
			in.balancer.only(in.replicas[len(in.replicas)-1].config.Listen)
			in.eventually("the new replica serves", func() error { return in.admit(t.Context(), in.client(t)) })
		})
	}
	t.Run("and a replica that finds garbage at its start makes a new CA", func(t *testing.T) {
		for _, r := range in.replicas {
			r.stop()
			<-r.ended
		}
		in.replicas = nil
		in.kubectl("", "patch", "secret", secret, "-n", home, "-p", `{"stringData":{"ca.crt":"garbage"}}`)
		in.start()
		in.waitReady()
		in.eventually("it serves", func() error { return in.admit(t.Context(), in.client(t)) })
	})
}

// clock is one for certificates, which tests can move. It goes on by itself.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time            { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) move(offset time.Duration) { c.offset.Store(int64(offset)) }

// client has connections of its own, and no limit of its own.
func (in *installation) client(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	config := rest.CopyConfig(cluster.Admin)
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// admit has a pod admitted, and nothing stored. It wants it injected.
func (in *installation) admit(ctx context.Context, client *kubernetes.Clientset) error {
	p, err := client.CoreV1().Pods(in.scratch).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "load-", Annotations: map[string]string{inject.InjectAnnotation: "true"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil && p.Annotations[inject.StatusAnnotation] == "" {
		err = errors.New("admitted and not injected")
	}
	return err
}

// load has 200 pods a second admitted until it is stopped, and gives the number
// of admissions and the errors.
func (in *installation) load(t *testing.T) (stop func() (admissions int64, failures []error)) {
	ctx, cancel := context.WithCancel(t.Context())
	var (
		workers  sync.WaitGroup
		mu       sync.Mutex
		failures []error
		done     atomic.Int64
		client   = in.client(t)
		ticks    = make(chan struct{}, 200)
	)
	workers.Go(func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		defer close(ticks)
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				ticks <- struct{}{}
			}
		}
	})
	for range 16 {
		workers.Go(func() {
			for range ticks {
				if err := in.admit(context.WithoutCancel(ctx), client); err != nil {
					mu.Lock()
					failures = append(failures, err)
					mu.Unlock()
				}
				done.Add(1)
			}
		})
	}
	return func() (int64, []error) {
		cancel()
		workers.Wait()
		return done.Load(), failures
	}
}

func TestNoAdmissionFailsWhileCertificatesRotate(t *testing.T) {
	// A CA is replaced after 243 days, a serving certificate after 60. The clocks
	// of the webhook go from the past towards the present, so that each certificate
	// is valid for the API server, whose clock cannot be moved.
	const day = 24 * time.Hour
	times := &clock{}
	withClock := func(c *webhook.Config) { c.Now = times.now }
	times.move(-320 * day)
	in := prepare(t)
	in.start(withClock) // makes the CA
	in.waitReady()
	in.replicas[0].stop()
	<-in.replicas[0].ended
	in.replicas = nil

	times.move(-80 * day)
	in.start(withClock)
	in.start(withClock)
	in.waitReady()
	in.waitInForce()
	stop := in.load(t)
	// A webhook looks at its clock when a configuration changes, among others.
	moveClock := func(offset time.Duration) {
		times.move(offset)
		in.kubectl("", "annotate", "mutatingwebhookconfiguration", webhook.Default().Configurations[0], "--overwrite",
			fmt.Sprintf("moved=%v", offset))
	}
	before, err := in.authorities()
	if err != nil {
		t.Fatal(err)
	}
	expiries := func() string {
		return fmt.Sprint(in.replicas[0].metric(t, "certificate_expiry_timestamp_seconds", `kind="serving"`),
			in.replicas[1].metric(t, "certificate_expiry_timestamp_seconds", `kind="serving"`))
	}
	changed := func(from string) error {
		now := expiries()
		for expiry := range strings.Lines(from) {
			if strings.Contains(now, expiry) {
				return fmt.Errorf("a serving certificate has not changed: %s", now)
			}
		}
		return nil
	}

	moveClock(-76 * day)
	in.eventually("a second CA is published beside the first", func() error {
		got, err := in.authorities()
		if err == nil && (len(got) != 2 || !slices.Contains(got, before[0])) {
			err = fmt.Errorf("the CAs are %v, want %s and another one", got, before[0])
		}
		return err
	})
	serving := expiries()
	hours := time.Duration(0)
	in.eventually("both replicas serve certificates of the second CA", func() error {
		hours += time.Hour // longer than any API server takes to learn of it
		moveClock(-76*day + hours)
		return changed(serving)
	})
	serving = expiries()
	moveClock(-10 * day)
	in.eventually("both replicas serve renewed certificates", func() error { return changed(serving) })
	time.Sleep(2 * time.Second) // of load on the new ones

	admissions, failures := stop()
	if len(failures) > 0 {
		t.Errorf("%d of %d admissions failed, the first: %v", len(failures), admissions, failures[0])
	}
	t.Logf("%d admissions", admissions)
	if admissions < 200 {
		t.Errorf("only %d admissions were tried: that is no load", admissions)
	}
}

func TestCertificatesOfSomebodyElseAreServedFromTheirDirectory(t *testing.T) {
	directory := t.TempDir()
	bundle := issueInto(t, directory)
	in := prepare(t)
	for _, name := range webhook.Default().Configurations { // as cert-manager's cainjector does
		configuration := get[admissionregistrationv1.MutatingWebhookConfiguration](in, "mutatingwebhookconfiguration", name)
		for i := range configuration.Webhooks {
			configuration.Webhooks[i].ClientConfig.CABundle = bundle
		}
		if _, err := in.admin.AdmissionregistrationV1().MutatingWebhookConfigurations().Update(t.Context(), configuration, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	in.start(func(c *webhook.Config) { c.CertDir = directory })
	in.waitReady()
	in.waitInForce()
	if _, err := in.admin.CoreV1().Secrets(home).Get(t.Context(), webhook.Default().CertSecret, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("there is a Secret (%v), though the certificates are somebody else's", err)
	}
}

// issueInto writes a tls.crt and tls.key for 127.0.0.1 and gives the CA.
func issueInto(t *testing.T, directory string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	for name, content := range map[string][]byte{"tls.crt": text, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return text
}
