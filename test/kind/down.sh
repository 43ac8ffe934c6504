#!/usr/bin/env bash
# Removes the cluster that up.sh has made, and stops the Docker engine if that was
# started for it: `make cluster-down`. What was built stays in the cache.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=settings.sh
. ./settings.sh

if docker version >/dev/null 2>&1; then
  "$(./program.sh kind)" delete cluster --name "$cluster" --kubeconfig "$kubeconfig"
fi
rm -f "$kubeconfig"
./engine.sh stop
