#!/bin/bash
# Stands in front of runc where CAP_SYS_RESOURCE is missing, as in many sandboxes.
# There runc fails to start what asks for it: privileged containers, which nodes
# of kind are, rlimits above ours, and a negative oom_score_adj, which the kubelet
# gives to pods of the system. It takes these out of what the container engine
# has written for runc and leaves all else as it is. Where the capability is
# there, nothing is changed.
#
# It runs on the machine, as a runtime of dockerd, and in each node.
set -euo pipefail

real=/usr/sbin/runc # Debian's
[ -x "$real" ] || real=/usr/bin/runc # Docker's own package
sys_resource=24 # the capability's number in linux/capability.h

bounding=$(awk '$1 == "CapBnd:" { print $2 }' /proc/self/status)
if ((0x$bounding >> sys_resource & 1)); then
  exec "$real" "$@"
fi

# weaken FILE PATH edits the process, of the OCI runtime specification, at a path
# of a JSON file.
weaken() {
  local edited
  edited=$(jq "$2"' |= (
      del(.rlimits)
      | if .capabilities then .capabilities |= map_values(. - ["CAP_SYS_RESOURCE"]) else . end
      | if (.oomScoreAdj // 0) < 0 then del(.oomScoreAdj) else . end
    )' "$1")
  printf '%s\n' "$edited" >"$1"
}

# option NAME... prints the value of the option that goes by these names.
option() {
  local i name
  for ((i = 0; i < ${#arguments[@]}; i++)); do
    for name in "$@"; do
      case ${arguments[i]} in
      "$name") echo "${arguments[i + 1]}" && return ;;
      "$name"=*) echo "${arguments[i]#*=}" && return ;;
      esac
    done
  done
}

arguments=("$@")
for argument in "$@"; do
  case $argument in
  create | run)
    bundle=$(option --bundle -b)
    weaken "${bundle:-.}/config.json" .process
    break
    ;;
  exec)
    process=$(option --process -p)
    [ -z "$process" ] || weaken "$process" .
    break
    ;;
  esac
done
exec "$real" "$@"
