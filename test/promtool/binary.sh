#!/usr/bin/env bash
# Prints the path of promtool, and builds it first from its Go module if it is
# not there: about two minutes on two cores, once for each version. It is kept in
# the user's cache directory.
#
#   PROMTOOL=$(test/promtool/binary.sh) go test ./...
#
# A PROMTOOL that is set already is taken as it is.
set -euo pipefail
cd "$(dirname "$0")"

if [ -n "${PROMTOOL:-}" ]; then
  echo "$PROMTOOL"
  exit 0
fi

module=github.com/prometheus/prometheus
version=$(awk -v module="$module" '$1 == module { print $2 }' go.mod)
dir=${XDG_CACHE_HOME:-$HOME/.cache}/clamav-sidecar/promtool/$version-$(go env GOOS)-$(go env GOARCH)
mkdir -p "$dir"

# It is built under another name until it is whole, and without service
# discovery: the clients of all clouds would be most of it.
if [ ! -x "$dir/promtool" ]; then
  printf 'test/promtool/binary.sh: building promtool %s, this takes minutes ...\n' "$version" >&2
  CGO_ENABLED=0 go build -trimpath -tags remove_all_sd -o "$dir/.promtool.$$" \
    -ldflags "-s -w -X github.com/prometheus/common/version.Version=${version#v}" "$module/cmd/promtool" >&2
  mv "$dir/.promtool.$$" "$dir/promtool"
fi
echo "$dir/promtool"
