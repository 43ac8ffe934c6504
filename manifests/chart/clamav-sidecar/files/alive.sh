#!/bin/sh
# Says whether clamd lives: it answers, or it works.
#
#   alive.sh
#
# While its queue is full clamd answers nobody, and while it loads signatures with
# ConcurrentDatabaseReload no neither. It uses the processor then, which one that
# hangs does not.
set -u
conf=/etc/clamav/local.conf
seen=${TEMPORARY_DIRECTORY:-/tmp}/alive
least=100 # hundredths of a second between two probes

# --ping fails where nothing listens and takes any listener for an answer,
# --version waits for an answer and does not mind if nothing listens.
clamdscan --config-file="$conf" --ping=1 && timeout 20 clamdscan --config-file="$conf" --version
answer=$?

# The processor time of clamd in hundredths of a second: utime and stime of
# proc(5), behind the name, which is in brackets.
read -r stat <"/proc/${CLAMD_PID:-1}/stat" || exit "$answer"
# shellcheck disable=SC2086 # into words
set -- ${stat##*) }
used=$((${12} + ${13}))
before=$used
[ ! -f "$seen" ] || read -r before <"$seen"
echo "$used" >"$seen"

[ "$answer" -eq 0 ] || [ $((used - before)) -ge "$least" ]
