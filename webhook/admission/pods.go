package admission

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"clamav-sidecar/webhook/inject"
)

// Pods has pods injected.
type Pods struct {
	config Config
	// namespaceAsks: the pods come from namespaces with our label.
	namespaceAsks bool
}

func (p *Pods) decide(ctx context.Context, request admission.Request) decision {
	kind, known := inject.KindOf(request.Kind.Group, request.Kind.Kind)
	if !known || !kind.IsPod() || request.Operation != admissionv1.Create || request.SubResource != "" {
		return unchanged("not-ours")
	}
	object, err := inject.Read(request.Object.Raw, kind)
	if err != nil {
		return unreadable(request, err)
	}
	injector := p.config.Injector()
	result, faults := injector.Inject(object, p.namespaceAsks)
	switch {
	case len(faults) > 0:
		return refused(request, faults)
	case len(result.Skipped) > 0:
		return p.skip(request, result)
	case !result.Wanted:
		return decision{response: patched(nil, result.Warnings), result: Unchanged, reason: "not-asked"}
	}
	if result.ConfigMap == injector.Defaults.ConfigMap {
		warning, err := p.config.ClientConfig.Ensure(ctx, request.Namespace, isDryRun(request))
		if err != nil {
			return withoutConfigMap(request, err)
		}
		if warning != "" {
			result.Warnings = append(result.Warnings, warning)
		}
	}
	if len(result.Patch) == 0 {
		return decision{response: patched(nil, result.Warnings), result: Unchanged, reason: "already-injected"}
	}
	return decision{response: patched(result.Patch, result.Warnings), result: Injected, reason: "asked"}
}

// skip leaves a pod as it is, or makes it so again where another webhook has put
// something in the way of the injection that we made a moment ago. It says so
// where somebody may see it: controllers do not show the warnings that they get.
func (p *Pods) skip(request admission.Request, result inject.Result) decision {
	why := "not injected: " + describeFaults(result.Skipped)
	if !isDryRun(request) {
		p.config.Events.Eventf(subject(request), nil, "Warning", "ClamAVSidecarSkipped", "Inject", "%s", why)
	}
	return decision{
		response: patched(result.Patch, append(result.Warnings, why)),
		result:   Skipped,
		reason:   result.Skipped[0].Origin,
	}
}
