#!/usr/bin/env bash
# Renders manifests/install.yaml from the chart, for those who install without
# Helm: the namespace, and what `helm install` would make with the chart's own
# values.
#
#   manifests/render.sh path/to/helm
set -euo pipefail
cd "$(dirname "$0")"

helm=${1:?usage: manifests/render.sh path/to/helm}
{
  cat <<'EOF'
# clamav-sidecar with the chart's own values, for `kubectl apply --server-side`.
# Rendered from manifests/chart/clamav-sidecar by `make manifests`: change that.
apiVersion: v1
kind: Namespace
metadata:
  name: clamav-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
EOF
  "$helm" template clamav-sidecar chart/clamav-sidecar --namespace clamav-system
} >.install.yaml
mv .install.yaml install.yaml
