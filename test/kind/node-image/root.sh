#!/usr/bin/env bash
# Makes the root file system that a node is built upon, Debian with systemd and
# what kubelet, kube-proxy and containerd call, and prints its archive:
#
#   test/kind/node-image/root.sh
#
# Packages come from the machine's own Debian mirror. The archive is kept until
# this script changes. Needs root and debootstrap.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=../settings.sh
. ../settings.sh

# Of the newest Debian whose systemd still runs on cgroup v1, which some of the
# machines have that reach no registry.
suite=bookworm
packages=(
  systemd systemd-sysv dbus
  conntrack iptables nftables iproute2 ethtool util-linux mount kmod socat # Kubernetes' programs call these
  libseccomp2 runc containernetworking-plugins pigz e2fsprogs
  ca-certificates curl hostname jq procps # kind's scripts and ours
)

archive=$cache/root-$suite-$(dpkg --print-architecture)-$(cksum <root.sh | cut -d' ' -f1).tar
if [ ! -f "$archive" ]; then
  say "making a root file system of Debian $suite, this takes a minute or two ..."
  # The machine's own source of Debian, not of its security updates.
  # shellcheck disable=SC2016 # fields of the format, not variables
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(SUITE)' 'Identifier: Packages' |
    awk '$2 == "Debian" && $3 !~ /security/ { print $1; exit }')
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/.root.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  if ! debootstrap --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" \
    "$suite" "$work/root" "${mirror:-http://deb.debian.org/debian}" >"$cache/debootstrap.log" 2>&1; then
    say "debootstrap failed, the end of $cache/debootstrap.log:"
    tail -n 20 "$cache/debootstrap.log" >&2
    exit 1
  fi
  rm -rf "$work"/root/var/cache/apt/* "$work"/root/var/lib/apt/lists/* \
    "$work"/root/usr/share/{doc,info,locale,man}/* "$work"/root/dev/*
  tar --numeric-owner -C "$work/root" -cf "$work/root.tar" .
  rm -f "$cache"/root-*.tar # of other versions
  mv "$work/root.tar" "$archive"
fi
echo "$archive"
