# What the scripts of this directory share; they source it. It sets, and does
# nothing else:
#
#   cluster     the cluster's name, which is part of its containers' names
#   cache       the directory for all that is built or fetched; outside the
#               repository, so that every clone and `make clean` find it again
#   kubeconfig  the file with the way to the cluster; never ~/.kube/config
#   say         a function that reports progress on standard error
# shellcheck shell=bash disable=SC2034 # it is others that use them

cluster=clamav-sidecar
cache=${XDG_CACHE_HOME:-$HOME/.cache}/clamav-sidecar/kind
kubeconfig=$cache/kubeconfig

say() { printf '%s test/kind/%s: %s\n' "$(date +%H:%M:%S)" "$(basename "$0")" "$*" >&2; }
