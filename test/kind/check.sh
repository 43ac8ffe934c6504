#!/usr/bin/env bash
# Checks that the cluster works: nodes, DNS, a Service across nodes, a volume that
# an ordinary user can write to, a native sidecar. Says what does not.
#
#   test/kind/check.sh
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=settings.sh
. ./settings.sh

namespace=clamav-sidecar-check
work=$(mktemp -d)
kubectl() { docker exec -i "$cluster-control-plane" kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"; }

# finish shows what there is to see if the check has failed, and cleans up.
finish() {
  local status=$?
  if [ "$status" -ne 0 ]; then
    say 'the cluster does not work as it should (make cluster-down removes it):'
    kubectl get nodes,pods,pvc --all-namespaces --output wide >&2 || true
    kubectl get events --all-namespaces --field-selector type=Warning >&2 || true
    kubectl --namespace "$namespace" logs --selector batch.kubernetes.io/job-name --all-containers --prefix >&2 || true
  fi
  kubectl delete namespace "$namespace" --ignore-not-found --wait=false >/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

# image makes an image of the program, loads it and prints its name.
image() {
  local program name
  program=$(./program.sh probe)
  name=localhost/clamav-sidecar/${program##*/}
  name=${name/probe-/probe:}
  if ! docker image inspect "$name" >/dev/null 2>&1; then
    cp "$program" "$work/probe"
    tar -C "$work" -c probe | docker import --change 'ENTRYPOINT ["/probe"]' - "$name" >/dev/null
  fi
  docker save --output "$work/probe.tar" "$name"
  ./load.sh "$work/probe.tar" >&2
  echo "$name"
}

say 'waiting for the nodes and for DNS'
kubectl wait --for=condition=Ready nodes --all --timeout 180s >/dev/null
kubectl --namespace kube-system rollout status deployment/coredns --timeout 180s >/dev/null
kubectl --namespace local-path-storage rollout status deployment/local-path-provisioner --timeout 180s >/dev/null

say 'checking Service, volume and sidecar'
kubectl delete namespace "$namespace" --ignore-not-found >/dev/null # of an interrupted run
probe=$(image)
sed "s#@IMAGE@#$probe#" check.yaml | kubectl apply --filename - >/dev/null
kubectl --namespace "$namespace" wait --for=condition=Complete jobs --all --timeout 180s >&2
server=$(awk '$1 == "server:" { print $2 }' "$kubeconfig")
curl --silent --show-error --fail --insecure --max-time 10 "$server/readyz" >/dev/null
