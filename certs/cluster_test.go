package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedadmissionv1 "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

const (
	testSecret = "webhook-certificates"
	testHost   = "webhook.clamav.svc"
	patience   = time.Minute // far longer than anything takes
)

// installation is a namespace of a real cluster with two webhook configurations
// and a user who has just the rights of an Authority.
type installation struct {
	t              *testing.T
	admin          *kubernetes.Clientset
	user           *rest.Config
	namespace      string
	configurations []string
}

// install makes an installation, without its webhook configurations.
func install(t *testing.T, admin *rest.Config, name string) *installation {
	t.Helper()
	unlimited := rest.CopyConfig(admin)
	unlimited.QPS = -1
	client, err := kubernetes.NewForConfig(unlimited)
	if err != nil {
		t.Fatal(err)
	}
	i := &installation{t: t, admin: client, user: rest.CopyConfig(unlimited), namespace: name, configurations: []string{name + "-pods", name + "-workloads"}}
	i.user.Impersonate = rest.ImpersonationConfig{UserName: name}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	i.grant()
	return i
}

// grant gives the user the rights that the package comment lists.
func (i *installation) grant() {
	i.t.Helper()
	meta := metav1.ObjectMeta{Name: i.namespace, Namespace: i.namespace}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: i.namespace}}
	rbac, ctx, create := i.admin.RbacV1(), i.t.Context(), metav1.CreateOptions{}
	_, roleErr := rbac.Roles(i.namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "watch", "update"}, ResourceNames: []string{testSecret}},
	}}, create)
	_, bindErr := rbac.RoleBindings(i.namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: i.namespace}}, create)
	meta.Namespace = ""
	_, clusterRoleErr := rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{admissionregistrationv1.GroupName}, Resources: []string{"mutatingwebhookconfigurations"},
			Verbs: []string{"get", "watch", "patch"}, ResourceNames: i.configurations},
	}}, create)
	_, clusterBindErr := rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: i.namespace}}, create)
	if err := errors.Join(roleErr, bindErr, clusterRoleErr, clusterBindErr); err != nil {
		i.t.Fatal(err)
	}
}

// webhookConfiguration is one of ours: two entries, which match nothing, and
// fields that are none of our business.
func webhookConfiguration(name string) *admissionregistrationv1.MutatingWebhookConfiguration {
	c := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kept": "yes"}}}
	for _, entry := range []string{"opted-in", "namespaces"} {
		c.Webhooks = append(c.Webhooks, webhookEntry(entry))
	}
	return c
}

func webhookEntry(name string) admissionregistrationv1.MutatingWebhook {
	ignore, none, port, path := admissionregistrationv1.Ignore, admissionregistrationv1.SideEffectClassNone, int32(8443), "/pods"
	return admissionregistrationv1.MutatingWebhook{
		Name: name + ".clamav-sidecar.example.com",
		ClientConfig: admissionregistrationv1.WebhookClientConfig{
			Service: &admissionregistrationv1.ServiceReference{Namespace: "clamav", Name: "webhook", Port: &port, Path: &path},
		},
		Rules: []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{"example.com"}, APIVersions: []string{"v1"}, Resources: []string{"nothing"}},
		}},
		FailurePolicy: &ignore, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
	}
}

// configure makes the webhook configurations of these names.
func (i *installation) configure(names ...string) {
	i.t.Helper()
	for _, name := range names {
		if _, err := i.webhooks().Create(i.t.Context(), webhookConfiguration(name), metav1.CreateOptions{}); err != nil {
			i.t.Fatal(err)
		}
		i.t.Cleanup(func() { // configurations are not in the namespace
			_ = i.webhooks().Delete(context.Background(), name, metav1.DeleteOptions{})
		})
	}
}

// change updates a webhook configuration as somebody else would.
func (i *installation) change(name string, change func(*admissionregistrationv1.MutatingWebhookConfiguration)) {
	i.t.Helper()
	i.eventually("the configuration is changed", func() error {
		c, err := i.webhooks().Get(i.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(c)
		_, err = i.webhooks().Update(i.t.Context(), c, metav1.UpdateOptions{})
		return err
	})
}

// spoil updates the data of the Secret as somebody else would.
func (i *installation) spoil(change func(data map[string][]byte)) {
	i.t.Helper()
	i.eventually("the secret is changed", func() error {
		secret, err := i.secrets().Get(i.t.Context(), testSecret, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(secret.Data)
		_, err = i.secrets().Update(i.t.Context(), secret, metav1.UpdateOptions{})
		return err
	})
}

// published are the bundles of all entries of all configurations.
func (i *installation) published(ctx context.Context) (all [][]byte, err error) {
	for _, name := range i.configurations {
		c, err := i.webhooks().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		for _, webhook := range c.Webhooks {
			all = append(all, webhook.ClientConfig.CABundle)
		}
	}
	return all, nil
}

// data is what the Secret holds.
func (i *installation) data() map[string][]byte {
	i.t.Helper()
	secret, err := i.secrets().Get(i.t.Context(), testSecret, metav1.GetOptions{})
	if err != nil {
		i.t.Fatal(err)
	}
	return secret.Data
}

// eventually waits until check gives nil.
func (i *installation) eventually(what string, check func() error) {
	i.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	i.t.Fatalf("%s: still not so: %v", what, err)
}

// replica is a running Authority and a TLS server that serves its certificate.
type replica struct {
	*Authority
	address string
	stop    func()
}

// start starts a replica that ends with the test, or before by its stop.
func (i *installation) start(change func(*Config)) *replica {
	i.t.Helper()
	config := Config{
		RESTConfig: i.user, Namespace: i.namespace, Secret: testSecret,
		Hosts: []string{testHost, "127.0.0.1"}, WebhookConfigurations: i.configurations,
		Settle: time.Second, Log: testr.New(i.t),
	}
	if change != nil {
		change(&config)
	}
	authority, err := NewAuthority(config)
	if err != nil {
		i.t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: authority.GetCertificate})
	if err != nil {
		i.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := authority.Start(ctx); err != nil {
			i.t.Error(err)
		}
	})
	running.Go(func() { accept(listener, &running) })
	stop := sync.OnceFunc(func() {
		cancel()
		_ = listener.Close()
		running.Wait()
	})
	i.t.Cleanup(stop)
	return &replica{Authority: authority, address: listener.Addr().String(), stop: stop}
}

// accept shakes hands with every client until the listener is closed.
func accept(listener net.Listener, running *sync.WaitGroup) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		running.Go(func() {
			defer connection.Close()
			_ = connection.SetDeadline(time.Now().Add(patience))
			_ = connection.(*tls.Conn).Handshake() // the client tells what is wrong
		})
	}
}

// handshake connects to the replica as an API server would that has the bundle.
func (r *replica) handshake(text []byte, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	dialer := &net.Dialer{Timeout: patience}
	connection, err := tls.DialWithDialer(dialer, "tcp", r.address, &tls.Config{
		RootCAs: roots, ServerName: testHost, Time: func() time.Time { return now },
	})
	if err != nil {
		return err
	}
	return connection.Close()
}

// trusted waits until the replicas are ready and every published bundle trusts
// what they serve.
func (i *installation) trusted(replicas ...*replica) {
	i.t.Helper()
	i.eventually("replicas are ready and trusted", func() error {
		bundles, err := i.published(i.t.Context())
		if err != nil {
			return err
		}
		for n, r := range replicas {
			if err := r.Ready(nil); err != nil {
				return fmt.Errorf("replica %d: %w", n, err)
			}
			for _, text := range bundles {
				if err := r.handshake(text, r.config.Now()); err != nil {
					return fmt.Errorf("replica %d: %w", n, err)
				}
			}
		}
		return nil
	})
}

// only waits until every published bundle is this one.
func (i *installation) only(text []byte) {
	i.t.Helper()
	i.eventually("the bundle is what it should be", func() error {
		bundles, err := i.published(i.t.Context())
		if err != nil {
			return err
		}
		for n, got := range bundles {
			if strings.TrimSpace(string(got)) != strings.TrimSpace(string(text)) {
				return fmt.Errorf("got bundle %d\n%s\nwant\n%s", n, got, text)
			}
		}
		return nil
	})
}

func (i *installation) secrets() typedcorev1.SecretInterface {
	return i.admin.CoreV1().Secrets(i.namespace)
}

func (i *installation) webhooks() typedadmissionv1.MutatingWebhookConfigurationInterface {
	return i.admin.AdmissionregistrationV1().MutatingWebhookConfigurations()
}
