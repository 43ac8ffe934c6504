#!/usr/bin/env bash
# Loads images into every node of the cluster, from archives such as `make images`
# leaves in dist/. A node that has the image already, under the same name, is left out.
#
#   test/kind/load.sh dist/*-linux-amd64.tar
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=settings.sh
. "$(dirname "$0")/settings.sh"
[ "$#" -gt 0 ] || { echo 'usage: test/kind/load.sh ARCHIVE...' >&2; exit 2; }
kind=$("$(dirname "$0")/program.sh" kind)

# described prints "ID NAME" of the image in an archive; the id is its
# configuration's digest, which docker's archives name the configuration's file by.
described() {
  tar -xOf "$1" manifest.json | jq -r '
    .[0] | "sha256:" + (.Config | sub(".*[/:]"; "") | rtrimstr(".json")) + " " + .RepoTags[0]'
}

# has tells whether a node's containerd has the image: it lists images by name and
# by id, both with the digest of the same manifest. What it warns of is not ours;
# where it fails, loading the image will fail and say why.
has() {
  docker exec "$1" ctr --namespace k8s.io images ls 2>/dev/null |
    awk -v id="$2" -v name="$3" '$1 == id { a = $3 } $1 == name { b = $3 } END { exit !(a != "" && a == b) }'
}

nodes=$("$kind" get nodes --name "$cluster")
for archive in "$@"; do
  read -r id name <<<"$(described "$archive")"
  missing=()
  for node in $nodes; do
    has "$node" "$id" "$name" || missing+=("$node")
  done
  if [ "${#missing[@]}" -ne 0 ]; then
    say "loading $name into ${missing[*]}"
    "$kind" load image-archive "$archive" --name "$cluster" --nodes "$(IFS=,; echo "${missing[*]}")"
  fi
done
