// Package manifest injects the objects of manifests, as files hold them and
// kubectl applies them, through the code of the webhook (package inject).
//
//	inputs, err := manifest.Open([]string{"deployment.yaml", "-"}, os.Stdin)
//	output := manifest.Inject(injector, inputs)
//	if len(output.Faults) == 0 {
//		err = output.Print(os.Stdout)
//	}
//
// Documents are told apart and read as kubectl does it, except that duplicate
// keys are refused. Only the places that the injection concerns are changed
// (package edit): every other byte of the input is in the output. All faults of
// all documents come at once.
//
// An object whose namespace asks is injected without an annotation of its own,
// if the Namespace object is in the input too: as it would be in the cluster,
// once both are applied.
package manifest
