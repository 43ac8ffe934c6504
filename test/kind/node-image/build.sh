#!/usr/bin/env bash
# Makes a node image where kind's own cannot be pulled, of Debian's packages and
# of Go modules, and prints its name:
#
#   test/kind/node-image/build.sh
#
# Cold it takes half an hour on two cores, which is Kubernetes; with the programs
# and the root file system in the cache two minutes; with the image in Docker none.
# What is done is what the Dockerfile and the build of kind's own images do, and
# their files are taken from kind's module. Needs root, for Debian's root file system.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=../settings.sh
. ../settings.sh

if [ "$(uname)" != Linux ] || [ "$(id -u)" -ne 0 ]; then
  say 'no image for nodes can be pulled here, and one is built only on Linux as root'
  exit 1
fi

kubernetes=$(../../kube/binaries.sh node)
debian=$(./root.sh)
programs=()
for name in containerd ctr containerd-shim-runc-v2 coredns local-path-provisioner pause; do
  programs+=("$(../program.sh "$name")")
done
version=$("$kubernetes/kubectl" version --client -o json | jq -r .clientVersion.gitVersion)

# The image is as new as all that goes into it.
key=$({
  echo "$kubernetes" "$debian" "${programs[@]}" "$(../program.sh kind)"
  cat ./*.sh storage/* ../runc.sh
} | cksum | cut -d' ' -f1)
image=localhost/clamav-sidecar/kind-node:$version-$key
if docker image inspect "$image" >/dev/null 2>&1; then
  echo "$image"
  exit
fi

work=$(mktemp -d "$cache/.node.XXXXXX")
container=
finish() {
  [ -z "$container" ] || docker rm -f "$container" >/dev/null
  rm -rf "$work"
}
trap finish EXIT

# program NAME prints where a program of ours is.
program() {
  local path
  for path in "${programs[@]}" "$kubernetes"/*; do
    case ${path##*/} in "$1" | "$1"-v[0-9]* | "$1"-[0-9]*) echo "$path" && return ;; esac
  done
}

say "putting together the node's file system"
mkdir "$work/node"
tar -C "$work/node" -xf "$debian"
./tree.sh "$work/node" "$version"
for name in kubeadm kubelet kubectl; do
  install -m 755 "$kubernetes/$name" "$work/node/usr/bin/$name"
done
for name in containerd ctr containerd-shim-runc-v2; do
  install -m 755 "$(program "$name")" "$work/node/usr/local/bin/$name"
done
mkdir "$work/storage"
cp storage/kustomization.yaml "$(cd ../modules/local-path-provisioner && go list -m -f '{{.Dir}}' github.com/rancher/local-path-provisioner)/deploy/local-path-storage.yaml" "$work/storage"
"$kubernetes/kubectl" kustomize "$work/storage" >"$work/node/kind/manifests/default-storage.yaml"

# cri-base.json is the start of every container's configuration. The hook is kind's.
chroot "$work/node" ctr oci spec | jq '
  .hooks.createContainer += [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)
' >"$work/cri-base.json"
mv "$work/cri-base.json" "$work/node/etc/containerd/cri-base.json"
# kubeadm says which images it will start, and by which names.
images=$(chroot "$work/node" kubeadm config images list --kubernetes-version "$version")
pause=$(grep /pause: <<<"$images")
sed -i "s#sandbox_image = .*#sandbox_image = \"$pause\"#" "$work/node/etc/containerd/config.toml"

say 'importing it into Docker'
tar --numeric-owner -C "$work/node" -c . | docker import - "$image-bare" >/dev/null
# systemd wants a stop signal of its own, which only a build can set.
DOCKER_BUILDKIT=0 docker build -q -t "$image-base" - >/dev/null 2>&1 <<EOF
FROM $image-bare
ENV container=docker
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]
EOF

# pack IMAGE NAME makes an image with nothing but the program in it.
pack() {
  rm -rf "$work/image"
  install -D -m 755 "$(program "$2")" "$work/image/usr/local/bin/$2"
  tar --owner=0 --group=0 -C "$work/image" -c . |
    docker import --change 'ENV PATH=/usr/local/bin' --change "ENTRYPOINT [\"$2\"]" - "$1" >/dev/null
}

say 'putting the images that its pods run into it'
inside=(localhost/clamav-sidecar/debian:node localhost/clamav-sidecar/local-path-provisioner:node)
docker import "$debian" "${inside[0]}" >/dev/null
pack "${inside[1]}" local-path-provisioner
for name in $images; do
  inside+=("$name")
  base=${name##*/}
  if [ "${base%%:*}" != kube-proxy ]; then
    pack "$name" "${base%%:*}"
    continue
  fi
  # It calls iptables, nft and conntrack.
  mkdir "$work/proxy"
  cp "$(program kube-proxy)" "$work/proxy/kube-proxy"
  printf '%s\n' "FROM ${inside[0]}" 'COPY kube-proxy /usr/local/bin/' |
    DOCKER_BUILDKIT=0 docker build -q -t "$name" -f - "$work/proxy" >/dev/null 2>&1
done

container=$(docker run -d --entrypoint sleep --security-opt seccomp=unconfined "$image-base" infinity)
docker exec -d "$container" containerd
for ((second = 0; second < 30; second++)); do
  if docker exec "$container" timeout 5 ctr version >/dev/null 2>&1; then
    break
  fi
  sleep 1
done
# Pinned, so that the kubelet does not remove them when disk space is short.
if ! docker save "${inside[@]}" | docker exec -i "$container" ctr --namespace k8s.io \
  images import --label io.cri-containerd.pinned=pinned --no-unpack - >"$cache/import.log" 2>&1; then
  say "containerd did not take the images, the end of $cache/import.log:"
  tail -n 20 "$cache/import.log" >&2
  exit 1
fi
docker exec "$container" pkill containerd
docker commit --change 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' "$container" "$image" >/dev/null
docker rm -f "$container" >/dev/null
container=
docker rmi "${inside[@]}" "$image-base" "$image-bare" >/dev/null
docker images --format '{{.Repository}}:{{.Tag}}' localhost/clamav-sidecar/kind-node | grep -vxF "$image" |
  xargs -r docker rmi >/dev/null 2>&1 || true # of other versions, but for those that a cluster runs
say "made $image"
echo "$image"
