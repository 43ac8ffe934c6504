package admission

import (
	"context"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/semaphore"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"clamav-sidecar/webhook/clientconfig"
	"clamav-sidecar/webhook/inject"
)

// The paths of the handlers, as the webhook configurations name them.
const (
	PodsPath          = "/inject/pods"
	NamespacePodsPath = "/inject/pods-of-namespace"
	WorkloadsPath     = "/inject/workloads"
)

// Config of the handlers.
type Config struct {
	// Injector gives the one of the present configuration; it is asked for each
	// request.
	Injector func() *inject.Injector
	// ClientConfig keeps the ConfigMaps that injected pods mount.
	ClientConfig *clientconfig.Keeper
	// Events takes note of pods that are skipped.
	Events  events.EventRecorder
	Metrics *Metrics
	Log     logr.Logger

	bodies *semaphore.Weighted // memory for bodies
}

// maxLogged bounds a message in the log, in bytes.
const maxLogged = 2 << 10

// decideTimeout is the webhook's time in the webhook configurations.
const decideTimeout = 5 * time.Second

// Handlers gives the handler of each path, and of all others.
func Handlers(c Config) map[string]http.Handler {
	c.bodies = semaphore.NewWeighted(bodyMemory)
	pods := func(namespaceAsks bool) http.Handler {
		return c.webhook("pods", &Pods{config: c, namespaceAsks: namespaceAsks})
	}
	return map[string]http.Handler{
		PodsPath:          pods(false),
		NamespacePodsPath: pods(true),
		WorkloadsPath:     c.webhook("workloads", &Workloads{config: c}),
		"/":               http.HandlerFunc(notFound),
	}
}

// decider answers a request, for the counters too.
type decider interface {
	decide(context.Context, admission.Request) decision
}

// decision is an answer.
type decision struct {
	response admission.Response
	result   Result
	// reason is a word for the counters.
	reason string
}

// webhook wraps a handler with what all have in common.
func (c Config) webhook(name string, d decider) http.Handler {
	return &reviews{memory: c.bodies, answer: func(ctx context.Context, request admission.Request) admission.Response {
		began := time.Now()
		decided := d.decide(ctx, request)
		c.Metrics.observe(name, decided, time.Since(began))
		c.log(name, request, decided)
		return decided.response
	}}
}

// log says what was decided: refusals and skips always, the daily bread only at
// debug level.
func (c Config) log(name string, request admission.Request, decided decision) {
	level := 1
	if decided.result != Injected && decided.result != Unchanged {
		level = 0
	}
	log := c.Log.V(level)
	if !log.Enabled() {
		return
	}
	values := []any{"handler", name, "result", decided.result, "reason", decided.reason, "object", describe(request),
		"user", request.UserInfo.Username, "dryRun", isDryRun(request), "uid", request.UID}
	if status := decided.response.Result; status != nil && status.Message != "" {
		values = append(values, "message", status.Message[:min(len(status.Message), maxLogged)])
	}
	log.Info("admission", values...)
}

// patched is an answer with a patch.
func patched(patch inject.Patch, warnings []string) admission.Response {
	response := admission.Allowed("").WithWarnings(warnings...)
	if len(patch) > 0 {
		// Patches, which controller-runtime would marshal, stay empty.
		response.Patch = patch.JSON()
		response.PatchType = new(admissionv1.PatchTypeJSONPatch)
	}
	return response
}

func isDryRun(request admission.Request) bool { return request.DryRun != nil && *request.DryRun }
