#!/usr/bin/env bash
# Prints where a program of the cluster is, and builds it first from Go modules if
# it is not there, once for each version:
#
#   test/kind/program.sh kind
#
# Those of a node, which are Linux's whatever this machine is: containerd, ctr,
# containerd-shim-runc-v2, coredns, local-path-provisioner, pause, probe.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=settings.sh
. ./settings.sh

name=${1:?usage: test/kind/program.sh NAME}

# version prints the version that a module's go.mod requires of another module.
version() { awk -v module="$2" '$1 == "require" { $1 = ""; $0 = $0 } $1 == module { print $2; exit }' "modules/$1/go.mod"; }

# build MODULE VERSION PACKAGE [FLAGS...] builds the program, under another name
# until it is whole.
build() {
  local module=$1 version=$2 package=$3 program
  shift 3
  program=$cache/programs/$name-$version-$(go env GOOS)-$(go env GOARCH)
  if [ ! -x "$program" ]; then
    say "building $name $version, this takes a minute or more ..."
    mkdir -p "$cache/programs"
    CGO_ENABLED=0 go build -C "$module" -trimpath -ldflags '-s -w' -o "$program.$$" "$@" "$package" >&2
    mv "$program.$$" "$program"
  fi
  echo "$program"
}

# of MODULE PACKAGE [FLAGS...] builds the program at the version of the module
# that the package is in.
of() {
  local module=$1 package=$2 of=$3
  shift 3
  build "modules/$module" "$(version "$module" "$of")" "$package" "$@"
}

[ "$name" = kind ] || export GOOS=linux
case $name in
kind) of kind sigs.k8s.io/kind sigs.k8s.io/kind ;;
containerd | ctr | containerd-shim-runc-v2)
  # Snapshotters that no node here uses, of which one needs C.
  of containerd "github.com/containerd/containerd/v2/cmd/$name" github.com/containerd/containerd/v2 \
    -tags 'no_btrfs no_devmapper no_zfs no_aufs'
  ;;
coredns) of coredns github.com/coredns/coredns github.com/coredns/coredns ;;
local-path-provisioner)
  of local-path-provisioner github.com/rancher/local-path-provisioner github.com/rancher/local-path-provisioner
  ;;
pause | probe) build . "$(cksum <"$name/main.go" | cut -d' ' -f1)" "./$name" ;;
*)
  say "there is no program $name here, its first lines name them"
  exit 2
  ;;
esac
