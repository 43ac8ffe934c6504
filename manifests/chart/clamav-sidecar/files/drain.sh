#!/bin/sh
# Waits until clamd has no scan left, before it is told to end: at SIGTERM clamd
# drops those that run or wait, and their clients get no verdict.
#
#   drain.sh
#
# As long as clamd receives a file, has it in its queue or scans it, the file is in
# its temporary directory as clamav-*.tmp. How long this may take is up to the
# pod's terminationGracePeriodSeconds.
set -u
directory=${TEMPORARY_DIRECTORY:-/tmp}

# Meanwhile clients learn from DNS that this replica is going.
sleep "${PAUSE_SECONDS:-20}"

while ls "$directory"/clamav-*.tmp >/dev/null 2>&1; do
  sleep 1
done
