# A machine of its own for the commands of a page: this one's programs, and nothing else of it. Started
# by page.rs in new namespaces, as their root. Arguments: an empty folder, that of what is brought, the script,
# the id of the user who types it, and that of the service's.
set -eu
root=$1 brought=$2 script=$3 user=$4 service_user=$5
ip link set lo up
mount -t tmpfs tmpfs "$root"
for dir in bin sbin lib lib32 lib64 libx32 usr; do
  if [ -L "/$dir" ]; then
    cp -P "/$dir" "$root/$dir"
  elif [ -d "/$dir" ]; then
    mkdir "$root/$dir"
    mount --rbind "/$dir" "$root/$dir"
  fi
done
mount -t tmpfs tmpfs "$root/usr/local"
mkdir -p "$root/dev" "$root/proc" "$root/tmp" "$root/run" "$root/var/lib" "$root/usr/local/sbin" \
  "$root/etc/systemd/system" "$root/home/operator"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
for file in passwd group nsswitch.conf hosts ld.so.cache alternatives; do
  if [ -e "/etc/$file" ]; then cp -a "/etc/$file" "$root/etc/$file"; fi
done
cp "$brought"/* "$root/home/operator/"
cp "$script" "$root/home/operator/page"

# What stands in for what is not there, or would be another machine's.
if [ "$user" = 0 ]; then
  printf '#!/bin/sh\nexec "$@"\n' >"$root/usr/local/sbin/sudo"
else
  cp "$(command -v bash)" "$root/usr/local/sbin/root-shell"
  chmod 4755 "$root/usr/local/sbin/root-shell"
  cat >"$root/usr/local/sbin/sudo" <<'END'
#!/bin/sh
as_root='exec setpriv --reuid=0 --regid=0 --clear-groups -- "$@"'
exec /usr/local/sbin/root-shell -p -c "$as_root" sudo "$@"
END
fi
# What makes a user of root, who in a namespace of its own has no other.
switch_to() {
  [ "$1" = 0 ] || echo "setpriv --reuid=$1 --regid=$1 --clear-groups"
}
switch_to "$service_user" >"$root/etc/switch-to-service"
cat >"$root/usr/local/sbin/systemctl" <<'END'
#!/bin/sh
# The service as its unit starts it, without systemd's sockets and sandbox.
set -eu
unit=/etc/systemd/system/webhook-queue.service
lives() { [ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status"; }
stop() {
  if [ -e /run/webhook-queue.pid ]; then
    pid=$(cat /run/webhook-queue.pid)
    if lives "$pid"; then kill "$pid"; fi
    while lives "$pid"; do :; done
    rm /run/webhook-queue.pid
  fi
}
start() {
  [ "$(id -u)" = 0 ] || { echo 'systemctl: access denied' >&2; exit 1; }
  if [ -e /run/webhook-queue.pid ] && lives "$(cat /run/webhook-queue.pid)"; then return; fi
  mkdir -p -m 0700 "/var/lib/$(sed -n 's/^StateDirectory=//p' $unit)"
  command=$(sed -n '/^ExecStart=/,/[^\\]$/p' $unit | tr -d '\\\n' | sed 's/^ExecStart=//')
  # shellcheck disable=SC2086 # The unit's words.
  $(cat /etc/switch-to-service) $command >>/run/webhook-queue.log 2>&1 &
  echo $! >/run/webhook-queue.pid
  until webhook-engine health >/dev/null 2>&1; do
    lives "$(cat /run/webhook-queue.pid)" || { cat /run/webhook-queue.log >&2; exit 1; }
  done
}
case $1 in
daemon-reload) ;;
enable | start) start ;;
restart) stop; start ;;
stop) stop ;;
status) lives "$(cat /run/webhook-queue.pid)" && echo 'active (running)' ;;
*) echo "systemctl $1 is not known here" >&2; exit 1 ;;
esac
END
cat >"$root/usr/local/sbin/journalctl" <<'END'
#!/bin/sh
exec cat /run/webhook-queue.log
END
for program in aws caddy; do
  cat >"$root/usr/local/sbin/$program" <<'END'
#!/bin/sh
echo "not run: ${0##*/} $*"
END
done
for program in sudo systemctl journalctl aws caddy; do
  chmod 0755 "$root/usr/local/sbin/$program"
done
chown -R "$user" "$root/home/operator"
chmod 0755 "$root"
# As systemd makes it.
mkdir -m 0700 "$root/var/lib/webhook-queue"
chown "$service_user" "$root/var/lib/webhook-queue"
cd "$root/home/operator"
# shellcheck disable=SC2046 # Words.
exec chroot "$root" $(switch_to "$user") \
  sh -c 'cd /home/operator && PATH=/usr/local/sbin:/usr/local/bin:$PATH exec sh -eu page'
