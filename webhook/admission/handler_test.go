package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"clamav-sidecar/webhook/clientconfig"
	"clamav-sidecar/webhook/clientconfig/render"
	"clamav-sidecar/webhook/inject"
)

// empty is a cluster without objects, which an API server cannot be made to be
// for a fuzzer that wants thousands of requests a second.
type empty struct{ client.Client }

func (empty) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, key.Name)
}

// recorder keeps events.
type recorder struct{ notes []string }

func (r *recorder) Eventf(regarding, _ runtime.Object, _, reason, _, note string, values ...any) {
	object, _ := json.Marshal(regarding)
	r.notes = append(r.notes, reason+" "+string(object)+" "+fmt.Sprintf(note, values...))
}

// handlers are those of a webhook that leaves ConfigMaps alone.
func handlers() (map[string]http.Handler, *recorder) {
	settings := inject.DefaultSettings()
	settings.Image = "registry.example/clamav-sidecar:1.0"
	events := &recorder{}
	return Handlers(Config{
		Injector:     func() *inject.Injector { return &inject.Injector{Defaults: settings, Native: true, Version: "test"} },
		ClientConfig: clientconfig.New(empty{}, empty{}, render.Settings{Name: settings.ConfigMap}),
		Events:       events,
		Metrics:      NewMetrics(prometheus.NewRegistry()),
		Log:          logr.Discard(),
	}), events
}

// review is an AdmissionReview for an object of this kind.
func review(group, kind string, operation admissionv1.Operation, object string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","kind":{"group":%q,"version":"v1","kind":%q},
		"namespace":"shop","operation":%q,"userInfo":{},"object":%s}}`, group, kind, operation, object)
}

// answer is recorded, of a connection that is never slow.
type answer struct{ *httptest.ResponseRecorder }

func (answer) SetReadDeadline(time.Time) error  { return nil }
func (answer) SetWriteDeadline(time.Time) error { return nil }

// ask posts a review and gives the answer, nil if it is an HTTP error.
func ask(t testing.TB, handler http.Handler, body []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorded := answer{httptest.NewRecorder()}
	handler.ServeHTTP(recorded, request)
	if recorded.Code >= http.StatusBadRequest {
		return nil
	}
	var reviewed admissionv1.AdmissionReview
	if err := json.Unmarshal(recorded.Body.Bytes(), &reviewed); err != nil || reviewed.Response == nil {
		t.Fatalf("the answer is no AdmissionReview (%v): %q", err, recorded.Body)
	}
	return reviewed.Response
}

const (
	askingPod = `{"metadata":{"generateName":"web-","annotations":{"clamav-sidecar/inject":"true"}},"spec":{"containers":[{"name":"app"}]}}`
	plainPod  = `{"metadata":{"name":"web"},"spec":{"containers":[{"name":"app"}]}}`
	hostPod   = `{"metadata":{"generateName":"web-","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-1","uid":"r","controller":true}]},
		"spec":{"hostNetwork":true,"containers":[{"name":"app"}]}}`
	annotatedJob = `{"metadata":{"name":"web","annotations":{"clamav-sidecar/inject":"true"}},"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"app"}]}}}}`
)

func TestAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		path      string
		body      []byte
		allowed   bool
		patched   bool
		message   []string // words of it
		warning   string
		withEvent string
	}{
		"a pod that asks is patched": {
			path: PodsPath, body: review("", "Pod", admissionv1.Create, askingPod), allowed: true, patched: true},
		"a pod that does not ask is not": {
			path: PodsPath, body: review("", "Pod", admissionv1.Create, plainPod), allowed: true},
		"unless its namespace does": {
			path: NamespacePodsPath, body: review("", "Pod", admissionv1.Create, plainPod), allowed: true, patched: true},
		"a pod of such a namespace that cannot be injected is let through, with an event at its owner": {
			path: NamespacePodsPath, body: review("", "Pod", admissionv1.Create, hostPod), allowed: true,
			warning: "not injected: spec.hostNetwork", withEvent: `"kind":"ReplicaSet","namespace":"shop","name":"web-1","uid":"r"`},
		"a pod that is changed is none of ours": {
			path: PodsPath, body: review("", "Pod", admissionv1.Update, askingPod), allowed: true},
		"nor is a Service": {
			path: PodsPath, body: review("", "Service", admissionv1.Create, askingPod), allowed: true},
		"nor is a pod where workloads are wanted": {
			path: WorkloadsPath, body: review("", "Pod", admissionv1.Create, askingPod), allowed: true},
		"nor is a Deployment of another group": {
			path: WorkloadsPath, body: review("example.org", "Deployment", admissionv1.Create, annotatedJob), allowed: true},
		"a fault names the object that has no name yet, the field and the remedy": {
			path: PodsPath, body: review("", "Pod", admissionv1.Create, strings.Replace(askingPod, "inject", "injct", 1)),
			message: []string{"Pod shop/web-* cannot be injected", "metadata.annotations[clamav-sidecar/injct]", "did you mean"}},
		"what cannot be read is refused, for it may have asked": {
			path: PodsPath, body: review("", "Pod", admissionv1.Create, `{"spec":{"containers":"none"}}`),
			message: []string{"/spec/containers", "want a list"}},
		"annotations on a workload are carried, with a warning": {
			path: WorkloadsPath, body: review("batch", "Job", admissionv1.Create, annotatedJob), allowed: true, patched: true, warning: "carried to spec.template"},
		"but not when a Job is changed, whose template cannot be": {
			path: WorkloadsPath, body: review("batch", "Job", admissionv1.Update, annotatedJob), allowed: true, warning: "deleted and created again"},
	} {
		t.Run(name, func(t *testing.T) {
			all, events := handlers()
			got := ask(t, all[test.path], test.body)
			if got.Allowed != test.allowed || (len(got.Patch) > 0) != test.patched || got.UID != "u" {
				t.Errorf("got allowed %v, patch %s, uid %q, want allowed %v, patched %v, uid u",
					got.Allowed, got.Patch, got.UID, test.allowed, test.patched)
			}
			if test.patched && (got.PatchType == nil || *got.PatchType != admissionv1.PatchTypeJSONPatch) {
				t.Errorf("the patch type is %v", got.PatchType)
			}
			for _, want := range test.message {
				if !strings.Contains(got.Result.Message, want) {
					t.Errorf("the message is %q, want %q in it", got.Result.Message, want)
				}
			}
			if !slices.ContainsFunc(got.Warnings, func(w string) bool { return strings.Contains(w, test.warning) }) && test.warning != "" {
				t.Errorf("the warnings are %q, want %q in one", got.Warnings, test.warning)
			}
			if !strings.Contains(strings.Join(events.notes, "\n"), test.withEvent) || (len(events.notes) > 0) != (test.withEvent != "") {
				t.Errorf("the events are %q, want %q in one", events.notes, test.withEvent)
			}
		})
	}
}

func TestADryRunLeavesNoEvent(t *testing.T) {
	all, events := handlers()
	body := bytes.Replace(review("", "Pod", admissionv1.Create, hostPod), []byte(`"userInfo"`), []byte(`"dryRun":true,"userInfo"`), 1)
	if got := ask(t, all[NamespacePodsPath], body); !got.Allowed || len(got.Warnings) == 0 {
		t.Errorf("got allowed %v with warnings %q, want a warning", got.Allowed, got.Warnings)
	}
	if len(events.notes) > 0 {
		t.Errorf("the events are %q, want none", events.notes)
	}
}

// FuzzReview has whole requests read. Whatever comes, there is an answer or an
// HTTP error, and nothing is patched that did not ask.
func FuzzReview(f *testing.F) {
	for _, object := range []string{askingPod, plainPod, hostPod} {
		f.Add(PodsPath, review("", "Pod", admissionv1.Create, object))
		f.Add(NamespacePodsPath, review("", "Pod", admissionv1.Create, object))
	}
	f.Add(WorkloadsPath, review("batch", "Job", admissionv1.Create, annotatedJob))
	f.Add(WorkloadsPath, []byte(`{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{}}`))
	f.Add(PodsPath, []byte(`{"request":null}`))
	f.Add(PodsPath, []byte{})
	all, _ := handlers()
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		handler, known := all[path]
		if !known {
			return
		}
		got := ask(t, handler, body)
		if got == nil {
			return
		}
		if !got.Allowed && len(got.Patch) > 0 {
			t.Errorf("refused and patched: %s", got.Patch)
		}
		if len(got.Patch) == 0 {
			return
		}
		if path != NamespacePodsPath && !bytes.Contains(body, []byte("clamav-sidecar")) && !bytes.Contains(body, []byte(`\`)) {
			t.Errorf("patched, and nobody asked: %s", body)
		}
		var patch []struct{ Op, Path string }
		if err := json.Unmarshal(got.Patch, &patch); err != nil {
			t.Errorf("the patch is no JSON (%v): %s", err, got.Patch)
		}
	})
}
