// Package webhook runs the admission webhook: it wires the parts together and
// has no logic of its own.
//
//	inject        what an injected pod is
//	admission     the handlers of admission requests
//	clientconfig  the ConfigMaps that injected pods mount
//	config        the configuration file
//	certs         (beside this package) the certificates
//
// Several replicas run side by side and need no leader to serve: only the
// keeping of ConfigMaps is one replica's at a time.
package webhook
