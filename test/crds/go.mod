// The custom resource definitions of others that the chart has objects of, at
// the versions that the tests install; see files.sh. No code of these modules is
// built, so there is nothing for `go mod tidy` to find: it would empty this file.
module clamav-sidecar/test/crds

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
