#!/usr/bin/env bash
# Runs a command with what the tests need in its environment, and gets each of
# the programs first if it is not there:
#
#   KUBEBUILDER_ASSETS  directory with kube-apiserver, etcd and kubectl
#   HELM_BINARIES       directory with helm3 and helm4
#   PROMTOOL            path of promtool
#
#   test/environment.sh go test ./...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# Apart from export, which would hide a failure.
KUBEBUILDER_ASSETS=$("$here/kube/binaries.sh")
HELM_BINARIES=$("$here/helm/binaries.sh")
PROMTOOL=$("$here/promtool/binary.sh")
export KUBEBUILDER_ASSETS HELM_BINARIES PROMTOOL

exec "$@"
