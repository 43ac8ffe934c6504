// Package inject makes pods scan: from the JSON of a pod, or of a workload with
// a pod template, and the settings, it makes the operations (RFC 6902) that add
// a volume with the client configuration, mounts and variables for the app's
// containers, the scanning sidecar, and a label by which to select the pods.
//
//	object, err := inject.Read(document, kind)
//	result, faults := injector.Inject(object, false)
//	patch := result.Patch.JSON()
//
// It is pure: no clock, no network, no state. The webhook and kubectl-clamav both
// use it, and nothing else of the project decides what an injected pod is.
//
// What it promises:
//
//   - Nothing is changed but what is added: operations touch no other field, and
//     the pod is never decoded into a type and written back, so fields newer than
//     this program survive.
//   - A pod that did not ask is not changed.
//   - A second injection changes nothing, and [Uninject] gives the original back
//     (but for lists that were null, which API servers do not store).
//   - All faults come at once, each with the path of the field and the remedy.
//   - What users have set themselves is kept, with a warning; what clashes with
//     the injection is refused.
package inject
