// Package chart tests the Helm chart with Helm 3 and 4 and a real API server:
// what is rendered for each way to set it up, that the API server and the
// product's own programs take it, which values there are and which are refused,
// and what a release leaves behind when it is upgraded, rolled back and removed.
//
// A set-up is a file of values, testdata/NAME.values.yaml. NAME.golden.yaml says
// what Helm makes of it, by its differences from the default set-up, and
// NAME.notes.txt what it tells the user. `go test ./test/chart -update` writes
// these anew.
//
// The programs are those in the directories that HELM_BINARIES and
// KUBEBUILDER_ASSETS name; `make test` gets them.
package chart
