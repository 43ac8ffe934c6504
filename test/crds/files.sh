#!/usr/bin/env bash
# Prints the files, one a line, with the custom resource definitions of those
# kinds of others that the chart makes: PodMonitor and PrometheusRule of the
# Prometheus operator, Certificate and Issuer of cert-manager. They lie in Go's
# module cache, downloaded on first use; go.mod has the versions.
#
#   test/crds/files.sh | while read -r file; do kubectl apply --server-side -f "$file"; done
set -euo pipefail
cd "$(dirname "$0")"

# definitions MODULE DIRECTORY FILE... prints the paths of files of a module.
definitions() {
  local module=$1 directory=$2 root file
  shift 2
  go mod download "$module" >&2
  root=$(go list -m -f '{{.Dir}}' "$module")
  for file; do
    file=$root/$directory/$file
    [ -f "$file" ] || { echo "test/crds/files.sh: $file is missing: where does its module keep it in this version?" >&2; exit 1; }
    echo "$file"
  done
}

definitions github.com/prometheus-operator/prometheus-operator example/prometheus-operator-crd \
  monitoring.coreos.com_podmonitors.yaml monitoring.coreos.com_prometheusrules.yaml
definitions github.com/cert-manager/cert-manager deploy/crds \
  cert-manager.io_certificates.yaml cert-manager.io_issuers.yaml
