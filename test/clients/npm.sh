#!/usr/bin/env bash
# Has the clamd clients of npm (package.json) scan through the sidecar. Needs
# node and npm, which it does not install: on Debian and Ubuntu,
# `apt-get install nodejs npm`.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
  echo 'test/clients/npm.sh: node and npm are not installed' >&2
  exit 1
fi
npm ci --no-audit --no-fund --ignore-scripts
go test -race -tags npm -run Npm .
