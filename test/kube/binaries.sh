#!/usr/bin/env bash
# Prints a directory that holds kube-apiserver, etcd and kubectl, and gets the
# three first if they are not there: setup-envtest downloads them where it can;
# elsewhere they are built from Go modules, which takes about ten minutes on two
# cores, once for each version. They are kept in the user's cache directory.
#
#   KUBEBUILDER_ASSETS=$(test/kube/binaries.sh) go test ./...
#   test/kube/binaries.sh node
#
# A KUBEBUILDER_ASSETS that is set already is taken as it is. With `node` there is
# also what else a node of a cluster runs, such as kubelet and kubeadm: five
# minutes more, and all is built, since it has to be of one version.
set -euo pipefail
cd "$(dirname "$0")"

for_node=
[ "${1:-}" != node ] || for_node=yes
if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -z "$for_node" ]; then
  echo "$KUBEBUILDER_ASSETS"
  exit 0
fi

say() { printf 'test/kube/binaries.sh: %s\n' "$*" >&2; }

# required prints the version that a go.mod requires of a module.
required() { awk -v module="$1" '$1 == "require" { $1 = ""; $0 = $0 } $1 == module { print $2 }' "$2"; }

kubernetes=$(required k8s.io/kubernetes kubernetes/go.mod)
etcd=$(required go.etcd.io/etcd/server/v3 etcd/go.mod)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/clamav-sidecar/kube
dir=$cache/$kubernetes-etcd-$etcd-$(go env GOOS)-$(go env GOARCH)
mkdir -p "$dir"

complete() { [ -x "$1/etcd" ] && [ -x "$1/kube-apiserver" ] && [ -x "$1/kubectl" ]; }

# download prints where setup-envtest has put the newest patch release of our
# minor. It fails soon where there is no way to its index.
download() {
  local minor=${kubernetes#v}
  timeout 300 go run sigs.k8s.io/controller-runtime/tools/setup-envtest@v0.25.1 \
    use "${minor%.*}.x" --bin-dir "$cache/envtest" --print path 2>"$cache/envtest.log"
}

# build NAME DIRECTORY PACKAGE [FLAGS...] builds a program, under another name
# until it is whole.
build() {
  local name=$1 module=$2 package=$3
  shift 3
  if [ ! -x "$dir/$name" ]; then
    say "building $name, this takes minutes ..."
    CGO_ENABLED=0 go build -C "$module" -trimpath -o "$dir/.$name.$$" "$@" "$package" >&2
    mv "$dir/.$name.$$" "$dir/$name"
  fi
}

# stamp prints linker flags: Kubernetes does not know its version otherwise, and
# programs ask an API server for it.
stamp() {
  local package version=${kubernetes#v}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf -- '-X %s.gitVersion=%s ' "$package" "$kubernetes"
    printf -- '-X %s.gitMajor=%s ' "$package" "${version%%.*}"
    printf -- '-X %s.gitMinor=%s ' "$package" "$(cut -d. -f2 <<<"$version")"
  done
}

# build_kubernetes NAME... builds programs of Kubernetes.
build_kubernetes() {
  local name
  for name in "$@"; do
    build "$name" kubernetes "k8s.io/kubernetes/cmd/$name" -ldflags "-s -w $(stamp)"
  done
}

if ! complete "$dir"; then
  if [ -z "$for_node" ]; then
    if downloaded=$(download) && complete "$downloaded"; then
      echo "$downloaded"
      exit 0
    fi
    say "setup-envtest cannot download here, building: $(tail -n 1 "$cache/envtest.log")"
  fi
  build etcd etcd go.etcd.io/etcd/server/v3 -ldflags '-s -w'
  build_kubernetes kube-apiserver kubectl
fi
if [ -n "$for_node" ]; then
  build_kubernetes kube-controller-manager kube-scheduler kube-proxy kubelet kubeadm
fi
echo "$dir"
