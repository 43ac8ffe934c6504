"""Asks a clamd for its version and scans files with it, by way of pyclamd.

usage: scan_pyclamd.py HOST PORT FILE...

Prints one line for each file as clamscan does: "PATH: OK", "PATH: NAME FOUND"
or "PATH: TEXT ERROR".
"""

import sys

import pyclamd


def verdict(client, path):
    """What the client makes of the file."""
    try:
        with open(path, "rb") as body:
            result = client.scan_stream(body)
    except (OSError, ValueError) as error:  # of which pyclamd's own are
        return "%s ERROR" % error
    if result is None:
        return "OK"
    status, text = result["stream"]
    return "%s %s" % (text, status)


def main():
    host, port, *paths = sys.argv[1:]
    client = pyclamd.ClamdNetworkSocket(host, int(port), timeout=60)
    print("PING", client.ping(), file=sys.stderr)
    print("VERSION", client.version(), file=sys.stderr)
    print("STATS", client.stats().splitlines()[0], file=sys.stderr)
    for path in paths:
        print("%s: %s" % (path, verdict(client, path)))


main()
