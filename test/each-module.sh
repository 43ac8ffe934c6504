#!/usr/bin/env bash
# Runs a command in the directory of every Go module of the repository that has
# Go files: the product's own, and those under test/. Stops at the first failure.
#
#   test/each-module.sh go vet ./...
set -euo pipefail
cd "$(dirname "$0")/.."

find . -name go.mod -not -path './.git/*' | sort | while read -r mod; do
  dir=$(dirname "$mod")
  if [ -z "$(find "$dir" -name '*.go' -print | head -n 1)" ]; then
    continue # lists tools only
  fi
  printf '== %s: %s\n' "$dir" "$*"
  (cd "$dir" && "$@" </dev/null)
done
