#!/bin/sh
# Scans the clean and the infected file of this directory as an app does, and
# prints a line for each scan: the file, the way, what came of it.
#
#   scan.sh once
#   scan.sh until FILE    again and again until that file is there
set -u

# clamdscan passes over symbolic links, which the files of a ConfigMap are, and
# exits with 0.
files=$(mktemp -d)
cp "$(dirname "$0")/clean" "$(dirname "$0")/infected" "$files"

# outcome prints the HTTP status, or clamdscan's exit status.
outcome() {
  case $1 in
  http) curl --silent --output /dev/null --write-out '%{http_code}' --max-time 120 -T "$2" "$CLAMAV_SCAN_URL" ;;
  clamdscan)
    clamdscan -c "$CLAMD_CONF_FILENAME" --stream --no-summary "$2" >/dev/null 2>&1
    printf %s "$?"
    ;;
  esac
}

scan() {
  for how in http clamdscan; do
    for file in clean infected; do
      echo "$file $how $(outcome "$how" "$files/$file")"
    done
  done
}

case $1 in
once) scan ;;
until)
  while [ ! -e "$2" ]; do
    scan
  done
  ;;
esac
