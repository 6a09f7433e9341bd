#!/usr/bin/env bash
# Makes what Hearth is compared with runnable: the real Pyro4 and Redis, from Debian's
# packages, where we are root and apt-get is there. Says loudly what is missing, and returns 0
# all the same: the comparison leaves out what is not here.
# Debian starts the Redis that it installs; the comparison has one of its own.
set -u

missing() { printf '!! WILL NOT BE MEASURED: %s\n' "$*"; }

why=$(bash internal/ci/ensure-pyro.sh) || missing "Pyro4: ${why:-unknown reason}"

command -v redis-server >/dev/null 2>&1 && exit 0
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
	missing "Redis: there is no redis-server; as root: apt-get install redis-server"
	exit 0
fi
log=$(mktemp) || exit 0
trap 'rm -f "$log"' EXIT
install() { DEBIAN_FRONTEND=noninteractive timeout 120 apt-get install -y --no-install-recommends redis-server >"$log" 2>&1; }
if ! install; then
	timeout 120 apt-get update >"$log" 2>&1 && install
fi
command -v redis-server >/dev/null 2>&1 || missing "Redis: installing redis-server did not work: $(tail -n 1 "$log")"
exit 0
