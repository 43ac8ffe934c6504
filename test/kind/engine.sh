#!/usr/bin/env bash
# Starts a Docker engine if none can be reached, and stops it if it is ours:
#
#   test/kind/engine.sh start
#   test/kind/engine.sh stop
#
# dockerd runs in the background with its usual socket and directories; it starts
# and stops a containerd of its own. It needs root; macOS: Docker Desktop.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=settings.sh
. ./settings.sh

log=$cache/dockerd.log
pid_file=$cache/dockerd.pid # with the process's id and start time, since ids are used again

reached() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# started_at prints when a process started, in clock ticks since the machine did.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# runs_ours tells whether the dockerd that we started is still there; sets pid.
runs_ours() {
  local started
  read -r pid started 2>/dev/null <"$pid_file" && [ -n "$started" ] && [ "$(started_at "$pid")" = "$started" ]
}

start() {
  local pid second
  if reached; then
    return
  fi
  if [ "$(uname)" != Linux ]; then
    say 'no Docker engine can be reached: start Docker Desktop'
    exit 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    say 'no Docker engine can be reached by you: start it, or run this as root, and one is started'
    exit 1
  fi
  mkdir -p "$cache"
  install -m 755 runc.sh "$cache/runc" # outside the repository, whose directory may go while it runs
  say "starting dockerd, its log is $log"
  setsid dockerd --add-runtime "clamav-sidecar=$cache/runc" --default-runtime clamav-sidecar \
    >"$log" 2>&1 </dev/null &
  pid=$!
  echo "$pid $(started_at "$pid")" >"$pid_file"
  for ((second = 0; second < 60; second++)); do
    if reached; then
      return
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 1
  done
  say 'dockerd cannot be reached; the end of its log:'
  tail -n 20 "$log" >&2
  stop
  exit 1
}

stop() {
  local pid second
  if runs_ours; then
    say "stopping dockerd (process $pid)"
    kill "$pid"
    for ((second = 0; second < 60; second++)); do
      [ -n "$(started_at "$pid")" ] || break
      sleep 1
    done
  fi
  rm -f "$pid_file"
}

case ${1:-} in
start) start ;;
stop) stop ;;
*)
  echo 'usage: test/kind/engine.sh start|stop' >&2
  exit 2
  ;;
esac
