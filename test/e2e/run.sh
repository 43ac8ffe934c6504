#!/usr/bin/env bash
# Runs the suite on the cluster of test/kind, with the images of `make images`:
# `make e2e`, which makes both first. Arguments go to go test:
#
#   test/e2e/run.sh -run TestANewSignature
set -euo pipefail
cd "$(dirname "$0")"
kind=../kind
# shellcheck source-path=SCRIPTDIR/../kind source=settings.sh
. "$kind/settings.sh"

case $(docker version --format '{{.Server.Arch}}') in
arm64 | aarch64) arch=arm64 ;;
*) arch=amd64 ;;
esac
dist=../../dist
for image in sidecar webhook test-clamd; do
  "$kind/load.sh" "$dist/$image-linux-$arch.tar"
done

# What the release is upgraded to: the same sidecar under another name.
program=$("$kind/program.sh" kind)
sidecar=$(tar -xOf "$dist/sidecar-linux-$arch.tar" manifest.json | jq -r '.[0].RepoTags[0]')
for node in $("$program" get nodes --name "$cluster"); do
  docker exec "$node" ctr --namespace k8s.io images tag --force "$sidecar" "${sidecar%:*}:next" >/dev/null 2>&1 || {
    say "$node cannot tag $sidecar"
    exit 1
  }
done

HELM_BINARIES=$(../helm/binaries.sh)
export HELM_BINARIES KUBECONFIG=$kubeconfig
exec go test -tags e2e -count=1 -timeout 20m -v "$@" .
