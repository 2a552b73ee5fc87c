#!/bin/sh
# Installs the webhook queue from the folder that this file is in, or puts this version in the place of
# another one. The configuration and the queues stay as they are.
set -eu

usage='usage: install.sh [--destdir DIR]   below DIR instead of /, for packages'
destdir=
case $# in
0) ;;
2)
  if [ "$1" != --destdir ]; then
    echo "$usage" >&2
    exit 2
  fi
  destdir=${2%/}
  ;;
*)
  echo "$usage" >&2
  exit 2
  ;;
esac
if [ -z "$destdir" ] && [ "$(id -u)" -ne 0 ]; then
  echo 'install.sh: installing below / needs root: run it with sudo' >&2
  exit 1
fi
cd -- "$(dirname -- "$0")"

# put MODE FILE... DIR: in one step each, as an engine may be starting one of them.
put() {
  mode=$1
  shift
  for last in "$@"; do :; done
  mkdir -p "$destdir$last"
  for file in "$@"; do
    [ "$file" = "$last" ] && continue
    to=$destdir$last/${file##*/}
    install -m "$mode" "$file" "$to.new"
    mv -f "$to.new" "$to"
  done
}

put 0755 bin/* /usr/local/bin
put 0644 systemd/* /etc/systemd/system
put 0644 man/* /usr/local/share/man/man1
put 0644 completions/_* /usr/local/share/zsh/site-functions
put 0644 completions/*.fish /usr/local/share/fish/vendor_completions.d
put 0644 docs/* monitoring/* Caddyfile CHANGELOG.md LICENSE* THIRD-PARTY-LICENSES sbom.cdx.json /usr/local/share/doc/webhook-queue
for file in completions/*.bash; do
  mkdir -p "$destdir/usr/local/share/bash-completion/completions"
  name=${file##*/}
  install -m 0644 "$file" "$destdir/usr/local/share/bash-completion/completions/${name%.bash}"
done
if [ ! -e "$destdir/etc/webhook-queue/config.json" ]; then
  put 0644 config.json /etc/webhook-queue
fi

if [ -z "$destdir" ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload
fi
cat <<'END'
installed. Now:
  edit    /etc/webhook-queue/config.json
  check   webhook-engine check-config --config /etc/webhook-queue/config.json --forwarder /usr/local/bin/forwarder
  start   systemctl enable --now webhook-queue, or, after an update: systemctl restart webhook-queue
END
