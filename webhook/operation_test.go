package webhook_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"clamav-sidecar/webhook"
	"clamav-sidecar/webhook/inject"
)

func TestWithTheWebhookDownOnlyWhatAskedForItIsRefused(t *testing.T) {
	in := install(t, 1)
	namespace := in.namespace()
	in.apply(workload("Deployment", "annotated", "", asks), "-n", namespace)
	in.replicas[0].stop()
	<-in.replicas[0].ended

	for what, manifest := range map[string]string{
		"an annotated pod":        pod("p", asks, ""),
		"an annotated Deployment": workload("Deployment", "new", "", asks),
		"a changed template":      strings.Replace(workload("Deployment", "annotated", "", asks), `"image":"app"`, `"image":"new"`, 1),
	} {
		if message := in.refuse(manifest, "-n", namespace); !strings.Contains(message, "clamav-sidecar.io") {
			t.Errorf("%s: the message is %q, want the name of the webhook", what, message)
		}
	}
	began := time.Now()
	for _, step := range []struct {
		what string
		do   func()
	}{
		{"a plain pod", func() { in.apply(pod("plain", "", ""), "-n", namespace) }},
		{"a plain Deployment", func() { in.apply(workload("Deployment", "plain", "", ""), "-n", namespace) }},
		{"scaling an annotated Deployment", func() { in.kubectl("", "scale", "deployment/annotated", "--replicas=3", "-n", namespace) }},
		{"its labels", func() { in.kubectl("", "label", "deployment/annotated", "team=x", "-n", namespace) }},
		{"its revision, as its controller writes it", func() {
			in.kubectl("", "annotate", "deployment/annotated", "deployment.kubernetes.io/revision=2", "-n", namespace)
		}},
		{"deleting it", func() { in.kubectl("", "delete", "deployment/annotated", "-n", namespace, "--wait=false") }},
	} {
		t.Run("not "+step.what, func(*testing.T) { step.do() })
	}
	t.Run("nor a rollout that a controller does", func(t *testing.T) {
		controller := in.impersonate(t, "system:serviceaccount:kube-system:cronjob-controller", "system:serviceaccounts:kube-system")
		in.apply(workload("CronJob", "plain", "", ""), "-n", namespace)
		job := get[corev1.PodTemplate](in, "cronjob", "plain", "-n", namespace) // for its name and UID
		if err := controller.createJob(namespace, job.Name, job.UID); err != nil {
			t.Error(err)
		}
	})
	// Each request to a webhook that does not answer would take its five seconds.
	t.Logf("all this took %v", time.Since(began))
}

func TestADryRunLeavesNothingBehind(t *testing.T) {
	in := install(t, 1)
	namespace := in.namespace()
	if _, err := in.admin.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Annotations: map[string]string{inject.InjectAnnotation: "true"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Fatal(err)
	}
	_, err := in.admin.CoreV1().ConfigMaps(namespace).Get(t.Context(), "clamav-configuration", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("after a dry run the ConfigMap is there (%v)", err)
	}
}

func TestTheClientConfigurationIsMadeAtTheFirstInjectionAndKept(t *testing.T) {
	in := install(t, 1)
	namespace := in.namespace()
	conf := func() (string, error) {
		configMap, err := in.admin.CoreV1().ConfigMaps(namespace).Get(t.Context(), "clamav-configuration", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return configMap.Data["clamd.conf"], nil
	}
	has := func(want string) func() error {
		return func() error {
			got, err := conf()
			if err == nil && !strings.Contains(got, want) {
				err = fmt.Errorf("clamd.conf is %q, want %q in it", got, want)
			}
			return err
		}
	}
	if _, err := conf(); !apierrors.IsNotFound(err) {
		t.Fatalf("the ConfigMap is there before any injection (%v)", err)
	}
	in.apply(pod("first", asks, ""), "-n", namespace)
	if err := has("TCPAddr clamav.clamav-system.svc\n")(); err != nil {
		t.Errorf("after the first injection: %v", err)
	}
	in.kubectl("", "patch", "configmap", "clamav-configuration", "-n", namespace, "-p", `{"data":{"clamd.conf":"TCPAddr elsewhere"}}`)
	in.eventually("it is restored when it is changed", has("TCPAddr clamav.clamav-system.svc\n"))
	in.kubectl("", "delete", "configmap", "clamav-configuration", "-n", namespace)
	in.eventually("it is restored when it is deleted", has("TCPAddr clamav.clamav-system.svc\n"))

	in.configure("clamd: {host: 12.34}\nsidecar: {image: x, max-file-size: lots}")
	in.eventually("a bad configuration is refused", func() error {
		if !strings.Contains(in.replicas[0].log.String(), "configuration refused") {
			return errors.New("the log does not say so")
		}
		return nil
	})
	if err := has("TCPAddr clamav.clamav-system.svc\n")(); err != nil {
		t.Errorf("after a bad configuration: %v", err)
	}
	in.configure(strings.Replace(configuration, "clamav.clamav-system.svc", "other.clamav-system.svc", 1))
	in.eventually("it follows the settings", has("TCPAddr other.clamav-system.svc\n"))
}

func TestWhereConfigMapsAreNotManagedAMissingOneIsWarnedOf(t *testing.T) {
	in := prepare(t)
	in.configure(configuration + "configMap: {manage: false}\n")
	in.start()
	in.waitReady()
	in.waitInForce()
	namespace := in.namespace()
	if warnings := in.apply(workload("Deployment", "web", "", asks), "-n", namespace); !strings.Contains(warnings, `"clamav-configuration" does not exist`) {
		t.Errorf("warnings are %q", warnings)
	}
	in.apply(pod("p", asks, ""), "-n", namespace)
	if _, err := in.admin.CoreV1().ConfigMaps(namespace).Get(t.Context(), "clamav-configuration", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the ConfigMap is there (%v), though it is not managed", err)
	}
	in.kubectl("", "create", "configmap", "clamav-configuration", "-n", namespace)
	if warnings := in.apply(workload("Deployment", "web2", "", asks), "-n", namespace); warnings != "" {
		t.Errorf("with the ConfigMap the warnings are %q, want none", warnings)
	}
}

func TestAWebhookThatIsAskedToEndDrainsFirst(t *testing.T) {
	const drain = 3 * time.Second
	in := install(t, 1, func(c *webhook.Config) { c.Drain = drain })
	r := in.replicas[0]
	client := in.client(t)
	r.stop()
	in.eventually("it is not ready", func() error {
		status, body, err := r.ops("/readyz")
		if err == nil && status == http.StatusOK {
			err = errors.New("it is ready")
		}
		if err == nil && !strings.Contains(body, "shutting down") {
			err = fmt.Errorf("it says %q", body)
		}
		return err
	})
	if err := in.admit(t.Context(), client); err != nil {
		t.Errorf("while it drains: %v", err)
	}
	select {
	case <-r.ended:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	if r.err != nil {
		t.Errorf("it ended with %v", r.err)
	}
}

func TestAnAPIServerThatHangsForAWhileEndsNoReplica(t *testing.T) {
	in := install(t, 2)
	resume, err := cluster.Pause()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(15 * time.Second) // client-go's default for renewing a lease is 10
	if err := resume(); err != nil {
		t.Fatal(err)
	}
	in.eventually("pods are injected again", func() error { return in.admit(t.Context(), in.client(t)) })
	for i, r := range in.replicas {
		select {
		case <-r.ended:
			t.Errorf("replica %d has ended: %v", i, r.err)
		default:
		}
	}
}

func TestNoAdmissionFailsWhileReplicasAreReplaced(t *testing.T) {
	withDrain := func(c *webhook.Config) { c.Drain = 500 * time.Millisecond }
	in := install(t, 2, withDrain)
	// In a namespace without the ConfigMap, so that each admission makes a call.
	stop := in.load(t)
	for range 3 {
		in.start(withDrain)
		in.waitReady()
		old := in.replicas[0]
		in.replicas = in.replicas[1:]
		in.balancer.remove(old.config.Listen)
		old.stop()
		select {
		case <-old.ended:
		case <-time.After(patience):
			t.Fatal("a replica does not end")
		}
		if old.err != nil {
			t.Errorf("a replica ended with %v", old.err)
		}
	}
	if admissions, failures := stop(); len(failures) > 0 || admissions < 200 {
		t.Errorf("%d of %d admissions failed, want none of at least 200: %v", len(failures), admissions, errors.Join(failures[:min(3, len(failures))]...))
	}
}

func TestItDoesAllWithTheRightsOfTheManifests(t *testing.T) {
	in := install(t, 1)
	namespace := in.namespace(inject.NamespaceLabel + "=" + inject.NamespaceEnabled)
	in.apply(pod("p", asks, ""), "-n", namespace)
	in.apply(workload("Deployment", "web", "", `,"annotations":{"clamav-sidecar/inject":"true","clamav-sidecar/config-map":"mine"}`), "-n", namespace)
	in.apply(pod("host", "", `,"hostNetwork":true`), "-n", namespace)
	in.kubectl("", "delete", "configmap", "clamav-configuration", "-n", namespace)
	in.eventually("the ConfigMap is restored", func() error {
		_, err := in.admin.CoreV1().ConfigMaps(namespace).Get(t.Context(), "clamav-configuration", metav1.GetOptions{})
		return err
	})
	in.eventually("an event", func() error {
		if events, _ := in.kubectl("", "get", "events.events.k8s.io", "-n", namespace, "-o", "name"); events == "" {
			return errors.New("there is none")
		}
		return nil
	})
	if log := in.replicas[0].log.String(); strings.Contains(log, "forbidden") {
		t.Errorf("something was forbidden:\n%s", log)
	}
}
