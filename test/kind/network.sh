#!/usr/bin/env bash
# Connects the pods of a cluster that has no network plugin: each node gives its
# pods addresses of its own range and has a route to the ranges of the others. It
# enforces no NetworkPolicy. May be run again, and must be after a node's
# container was restarted, which forgets the routes.
#
#   test/kind/network.sh
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=settings.sh
. ./settings.sh

# conflist prints the configuration of a node's plugins for its range.
conflist() {
  jq -n --arg range "$1" '{
    cniVersion: "0.4.0", name: "routed",
    plugins: [
      {type: "ptp",
       ipam: {type: "host-local", ranges: [[{subnet: $range}]], routes: [{dst: "0.0.0.0/0"}]}},
      {type: "portmap", capabilities: {portMappings: true}}
    ]}'
}

# Nodes get their ranges some seconds after they have joined.
for ((second = 0; second < 60; second++)); do
  nodes=$(docker exec "$cluster-control-plane" kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes -o json | jq -r '
    .items[] | [.metadata.name, .spec.podCIDR, (.status.addresses[] | select(.type == "InternalIP").address)] | @tsv')
  if ! awk 'NF < 3' <<<"$nodes" | grep -q .; then
    break
  fi
  sleep 1
done

while read -r node range _; do
  {
    # What leaves the pods' network does so under the node's address.
    all=10.244.0.0/16 # kind's podSubnet
    echo "iptables -t nat -C POSTROUTING -s $all ! -d $all -j MASQUERADE 2>/dev/null ||"
    echo "  iptables -t nat -A POSTROUTING -s $all ! -d $all -j MASQUERADE"
    while read -r other range_of_other address; do
      [ "$other" = "$node" ] || echo "ip route replace $range_of_other via $address"
    done <<<"$nodes"
  } | docker exec -i "$node" sh -eu
  conflist "$range" | docker exec -i "$node" sh -c 'mkdir -p /etc/cni/net.d && cat >/etc/cni/net.d/10-routed.conflist'
done <<<"$nodes"
