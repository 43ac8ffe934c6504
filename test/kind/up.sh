#!/usr/bin/env bash
# Makes a kind cluster of one control-plane and two worker nodes, and checks that
# it works: `make cluster`. Where the stock node image can be pulled, that is used;
# elsewhere one is built (node-image/build.sh). A cluster that is there already is
# only checked. README.md says what is put where.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=settings.sh
. ./settings.sh

# stock prints the node image that this kind was released with.
stock() {
  local dir
  dir=$(cd modules/kind && go list -m -f '{{.Dir}}' sigs.k8s.io/kind)
  sed -n 's/^const Image = "\(.*\)"$/\1/p' "$dir/pkg/apis/config/defaults/image.go"
}

# create makes the cluster.
create() {
  local image
  image=$(stock)
  cp cluster.yaml "$cache/cluster.yaml"
  if ! docker image inspect "$image" >/dev/null 2>&1 && ! docker pull -q "$image" >"$cache/pull.log" 2>&1; then
    say "$image cannot be pulled: $(tail -n 1 "$cache/pull.log")"
    ../install.sh kind-node >&2
    image=$(node-image/build.sh)
    cat without-registry.yaml >>"$cache/cluster.yaml"
  fi
  say "making the cluster of $image"
  "$kind" create cluster --quiet --name "$cluster" --image "$image" --config "$cache/cluster.yaml" --kubeconfig "$kubeconfig"
}

../install.sh kind >&2
mkdir -p "$cache"
./engine.sh start
kind=$(./program.sh kind)
if "$kind" get clusters 2>/dev/null | grep -qx "$cluster"; then
  say 'the cluster is there already'
  if ! "$kind" export kubeconfig --quiet --name "$cluster" --kubeconfig "$kubeconfig"; then
    say 'it was not finished; make cluster-down removes it'
    exit 1
  fi
else
  create
fi
if [[ $(docker inspect --format '{{.Config.Image}}' "$cluster-control-plane") = localhost/* ]]; then
  ./network.sh
fi
./check.sh
cat <<EOF

The cluster stands; make cluster-down removes it. Reach it by

  export KUBECONFIG=$(printf %q "$kubeconfig")
EOF
