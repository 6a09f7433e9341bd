#!/usr/bin/env bash
# debian.sh PACKAGE...: installs Debian packages, where we are root and apt-get is there.
# Prints nothing and returns 0 when it did; prints the reason and returns 1 when not.
set -u

if ! command -v apt-get >/dev/null 2>&1; then
	echo "there is no apt-get to install $*"
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "as root: apt-get install $*"
	exit 1
fi
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
install() { DEBIAN_FRONTEND=noninteractive timeout 120 apt-get install -y --no-install-recommends "$@" >"$log" 2>&1; }
install "$@" && exit 0
timeout 120 apt-get update >"$log" 2>&1 && install "$@" && exit 0
echo "installing $* did not work: $(tail -n 1 "$log")"
exit 1
