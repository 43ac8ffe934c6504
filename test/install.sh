#!/usr/bin/env bash
# Installs what is missing on this machine, and does nothing if all is there.
#
#   test/install.sh run    ClamAV's programs, its test files, curl
#   test/install.sh test   that, the clients of others that the tests drive, the C
#                          compiler that Go's race detector needs, pgrep
#   test/install.sh npm    that, node and npm, for the clients that npm has
#   test/install.sh kind   only what the cluster of test/kind needs
#   test/install.sh kind-node   that, and what its node image is built with
#
# Debian and Ubuntu: apt-get, with sudo if need be. macOS: Homebrew. Elsewhere it
# says what to install. The tests start clamd themselves, on ports of their own;
# a clamd that the system's package starts is not touched.
set -euo pipefail

what=${1:?usage: test/install.sh run|test|npm|kind|kind-node}
PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/bin:/opt/homebrew/sbin:/opt/homebrew/opt/clamav/sbin:/usr/local/opt/clamav/sbin

# missing prints the Debian packages of what is not there.
missing() {
  case $what in
  kind | kind-node) missing_for_kind ;;
  *) missing_for_clamav ;;
  esac
}

# missing_for_kind leaves the container engine alone where one answers: it may be
# Docker's own package, or Docker Desktop.
missing_for_kind() {
  command -v curl >/dev/null || echo curl
  command -v jq >/dev/null || echo jq
  if [ "$(uname)" = Darwin ]; then
    return
  fi
  command -v dockerd >/dev/null || docker version >/dev/null 2>&1 || echo docker.io
  # The client is a package of its own since Debian 13.
  if ! command -v docker >/dev/null && apt-cache show docker-cli >/dev/null 2>&1; then
    echo docker-cli
  fi
  if [ "$what" = kind-node ]; then
    command -v debootstrap >/dev/null || echo debootstrap
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || echo debian-archive-keyring
  fi
}

missing_for_clamav() {
  command -v clamd >/dev/null || echo clamav-daemon
  command -v clamscan >/dev/null || echo clamav
  command -v clamdscan >/dev/null || echo clamdscan
  command -v freshclam >/dev/null || echo clamav-freshclam
  command -v curl >/dev/null || echo curl
  if [ "$what" = npm ]; then
    command -v node >/dev/null || echo nodejs
    command -v npm >/dev/null || echo npm
  fi
  if [ "$(uname)" = Darwin ]; then
    return
  fi
  [ -n "${CLAMAV_TESTFILES:-}" ] || [ -d /usr/share/clamav-testfiles ] || echo clamav-testfiles
  if [ "$what" != run ]; then
    command -v gcc >/dev/null || echo gcc libc6-dev
    command -v pgrep >/dev/null || echo procps
    /usr/bin/python3 -c 'import pyclamd' 2>/dev/null || echo python3-pyclamd
    perl -MClamAV::Client -e 1 2>/dev/null || echo libclamav-client-perl
  fi
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    printf 'test/install.sh: as root, run: %s\n' "$*" >&2
    exit 1
  fi
}

# apt_install reads the package lists again if they are empty or outdated.
apt_install() {
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -q -y)
  if ! apt-get install --simulate -qq "$@" >/dev/null 2>&1 ||
    ! as_root "${apt[@]}" install --no-install-recommends "$@"; then
    as_root "${apt[@]}" update
    as_root "${apt[@]}" install --no-install-recommends "$@"
  fi
}

read -r -a packages <<<"$(missing | tr '\n' ' ')"
if [ "${#packages[@]}" -eq 0 ]; then
  exit 0
fi
printf 'missing here: %s\n' "${packages[*]}"
if command -v apt-get >/dev/null; then
  apt_install "${packages[@]}"
elif command -v brew >/dev/null; then
  case $what in
  kind | kind-node) brew install "${packages[@]}" ;;
  npm) brew install node clamav ;; # npm is in node
  *) brew install clamav ;;
  esac
else
  echo 'test/install.sh: this machine has neither apt-get nor Homebrew; install what is named above with its own package manager' >&2
  exit 1
fi

read -r -a packages <<<"$(missing | tr '\n' ' ')"
if [ "${#packages[@]}" -ne 0 ]; then
  printf 'test/install.sh: still missing after the installation: %s\n' "${packages[*]}" >&2
  exit 1
fi
