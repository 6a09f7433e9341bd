#!/usr/bin/env bash
# debian.sh PACKAGE...: installs Debian packages, if the user is root and apt-get exists.
# On success it prints nothing and returns 0. Otherwise it prints the reason and returns 1.
set -u

if ! command -v apt-get >/dev/null 2>&1; then
	echo "apt-get not found; install $*"
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "not root; run as root: apt-get install $*"
	exit 1
fi
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
install() { DEBIAN_FRONTEND=noninteractive timeout 120 apt-get install -y --no-install-recommends "$@" >"$log" 2>&1; }
install "$@" && exit 0
timeout 120 apt-get update >"$log" 2>&1 && install "$@" && exit 0
echo "apt-get install $* failed: $(tail -n 1 "$log")"
exit 1
