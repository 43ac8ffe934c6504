#!/usr/bin/env bash
# Runs every fuzz target of the product's module for the given time, one after
# the other. A finding is written below the package's testdata/fuzz; commit it
# with the repair.
#
#   test/fuzz.sh 30s
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:?usage: test/fuzz.sh TIME}
grep -rE --include='*_test.go' --only-matching '^func Fuzz[A-Za-z0-9_]*' . | sort |
  while IFS=: read -r file func; do
    name=${func#func }
    printf '== %s %s for %s\n' "$(dirname "$file")" "$name" "$time"
    go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 10x "$(dirname "$file")" </dev/null
  done
