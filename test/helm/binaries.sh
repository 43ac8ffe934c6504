#!/usr/bin/env bash
# Prints a directory that holds helm3 and helm4, and builds the two first if they
# are not there, from Go modules: about five minutes on two cores, once for each
# version. They are kept in the user's cache directory.
#
#   HELM_BINARIES=$(test/helm/binaries.sh) go test ./...
#
# A HELM_BINARIES that is set already is taken as it is.
set -euo pipefail
cd "$(dirname "$0")"

if [ -n "${HELM_BINARIES:-}" ]; then
  echo "$HELM_BINARIES"
  exit 0
fi

# required prints the version that a go.mod requires of a module.
required() { awk -v module="$1" '$1 == module { print $2 }' "$2"; }

helm3=$(required helm.sh/helm/v3 v3/go.mod)
helm4=$(required helm.sh/helm/v4 v4/go.mod)
dir=${XDG_CACHE_HOME:-$HOME/.cache}/clamav-sidecar/helm/$helm3-$helm4-$(go env GOOS)-$(go env GOARCH)
mkdir -p "$dir"

# build MAJOR VERSION builds Helm as its releases are, under another name until
# it is whole. It is told its version, and version 3 also the newest Kubernetes
# that it knows, which `helm template` takes for the cluster's.
build() {
  local major=$1 version=$2 kubernetes
  [ ! -x "$dir/helm$major" ] || return 0
  printf 'test/helm/binaries.sh: building Helm %s, this takes minutes ...\n' "$version" >&2
  kubernetes=$(required k8s.io/client-go "v$major/go.mod") # v0.37.1 is of Kubernetes 1.37
  CGO_ENABLED=0 go build -C "v$major" -trimpath -o "$dir/.helm$major.$$" -ldflags "-s -w \
    -X helm.sh/helm/v$major/internal/version.version=$version \
    -X helm.sh/helm/v$major/pkg/chartutil.k8sVersionMinor=$(cut -d. -f2 <<<"$kubernetes")" \
    "helm.sh/helm/v$major/cmd/helm" >&2
  mv "$dir/.helm$major.$$" "$dir/helm$major"
}

build 3 "$helm3"
build 4 "$helm4"
echo "$dir"
