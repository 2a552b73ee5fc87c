#!/bin/sh
# Shows this machine's processes: what other tests run is on another one.
case "$*" in
*" -p "*) exec /bin/ps "$@" ;;
*) /bin/ps "$@" | grep -F "${WORLD%/world}" ;;
esac
