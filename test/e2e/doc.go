// Package e2e tries the whole system on a real cluster: the chart, installed with
// Helm; real pods, that kubelets start; a real clamd, whose signatures freshclam
// fetches from a mirror in the cluster. README.md says how to run it.
//
// The tests have the build tag e2e: without a cluster there is nothing to run.
// They share one release and change it, so none runs beside another; each leaves
// it as it found it.
package e2e
