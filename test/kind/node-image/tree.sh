#!/usr/bin/env bash
# Makes a node of a root file system of Debian: adds kind's files and leaves only
# those units that a container can run, as kind's own Dockerfile does.
#
#   test/kind/node-image/tree.sh DIRECTORY KUBERNETES-VERSION
set -euo pipefail
cd "$(dirname "$0")"

tree=$1
version=$2
kind=$(cd ../modules/kind && go list -m -f '{{.Dir}}' sigs.k8s.io/kind)

# What is in Go's module cache is read-only, and nothing there is executable.
cp -r "$kind/images/base/files/." "$tree"
chmod -R u+w "$tree/kind" "$tree/etc" "$tree/usr/local/bin"
chmod 755 "$tree"/usr/local/bin/* "$tree"/kind/bin/*
mkdir -p "$tree/kind/manifests" "$tree/etc/kubernetes/manifests" "$tree/opt/cni/bin"
printf '%s' "$version" >"$tree/kind/version"
cp "$tree"/usr/lib/cni/{host-local,loopback,portmap,ptp} "$tree/opt/cni/bin"
install -m 755 ../runc.sh "$tree/usr/local/sbin/runc"

# Raising limits and lowering oom_score_adj need CAP_SYS_RESOURCE; see runc.sh.
sed -i '/^Limit/d; /^TasksMax/d; /^OOMScoreAdjust/d' "$tree/etc/systemd/system/containerd.service"

units=$tree/lib/systemd/system
rm -f "$units"/sysinit.target.wants/systemd-tmpfiles-setup.service \
  "$units"/multi-user.target.wants/* \
  "$tree"/etc/systemd/system/*.wants/* \
  "$units"/local-fs.target.wants/* \
  "$units"/sockets.target.wants/*udev* \
  "$units"/sockets.target.wants/*initctl* \
  "$units"/basic.target.wants/*
echo 'ReadKMsg=no' >>"$tree/etc/systemd/journald.conf"
chroot "$tree" systemctl --quiet enable kubelet.service containerd.service undo-mount-hacks.service
chroot "$tree" systemctl --quiet mask systemd-binfmt.service # it registers with the machine's kernel
