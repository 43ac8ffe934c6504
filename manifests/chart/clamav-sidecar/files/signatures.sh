#!/bin/sh
# Waits until databases of signatures are on the volume, so that clamd starts
# with all of them or not at all.
#
#   signatures.sh wait DATABASE...    until another pod's freshclam has put them there
#   signatures.sh fetch DATABASE...   has freshclam fetch them, again and again
#   signatures.sh update              has freshclam update them, for ever
#
# DATABASE is main, daily or bytecode, or a file name such as ours.ndb. Signatures
# that are there, however old, are enough: a mirror that fails stops no scans.
set -u
directory=${DATABASE_DIRECTORY:-/var/lib/clamav}
pause=${PAUSE_SECONDS:-60}
case ${1-} in
  wait | fetch | update) how=$1 ;;
  *)
    echo 'usage: signatures.sh wait|fetch DATABASE... or signatures.sh update' >&2
    exit 2
    ;;
esac
shift

# stop kills what await has started. Neither freshclam nor sleep makes more of
# SIGTERM, and the shell of a program that is just being started may lose it.
stop() {
  [ -z "${!-}" ] || kill -KILL "$!" 2>/dev/null
  wait
  exit 143
}
trap stop TERM INT

# await runs a program so that a signal is not kept waiting for its end.
await() {
  "$@" &
  wait "$!"
}

# missing prints the databases that are not there. The official ones are .cvd as
# fetched whole, .cld once they have been updated in part.
missing() {
  for name in "$@"; do
    found=
    for file in "$directory/$name" "$directory/$name.cvd" "$directory/$name.cld"; do
      [ ! -f "$file" ] || [ ! -s "$file" ] || found=$file
    done
    if [ -z "$found" ]; then
      printf ' %s' "$name"
    fi
  done
}

# prepare removes from the volume what a freshclam that was killed has left (no
# other one works on it), and puts the chart's own signatures there.
prepare() {
  rm -rf "$directory"/tmp.*
  for name in unscannable.cdb unscannable.ndb; do
    if [ ! -f "/etc/clamav/$name" ]; then
      rm -f "$directory/$name"
    elif [ "$(cat "/etc/clamav/$name")" != "$(cat "$directory/$name" 2>/dev/null)" ]; then
      # Only then: clamd loads all signatures anew for it.
      cp "/etc/clamav/$name" "$directory/tmp.$name" && mv "$directory/tmp.$name" "$directory/$name"
    fi
  done
}

# freshclam ends where a server forbids it to fetch a database. In clamd's pod that
# would take clamd out of service, signatures or not.
while [ "$how" = update ]; do
  prepare
  await freshclam --daemon --foreground --config-file=/etc/clamav/freshclam.conf
  echo "signatures: freshclam has ended and has said why; starting it again in $pause s"
  await sleep "$pause"
done

if [ "$how" = fetch ]; then
  prepare
fi

said=
while absent=$(missing "$@"); [ -n "$absent" ]; do
  if [ "$how" = wait ]; then
    if [ "$absent" != "$said" ]; then
      echo "signatures: waiting for$absent; freshclam fetches them, its log says how far it is: kubectl logs deployment/clamav-freshclam --all-containers"
      said=$absent
    fi
    await sleep 2
    continue
  fi
  echo "signatures: fetching$absent"
  # What is there then counts, not its exit code: freshclam also exits with 0 where
  # a mirror has told it to stay away for hours.
  await freshclam --config-file=/etc/clamav/freshclam.conf
  absent=$(missing "$@")
  [ -n "$absent" ] || break
  echo "signatures: not all there yet, missing:$absent; freshclam has said why; trying again in $pause s"
  await sleep "$pause"
done
echo "signatures: all there: $*"
