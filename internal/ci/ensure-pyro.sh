#!/usr/bin/env bash
# Makes /usr/bin/python3 able to import the real Pyro4, so that the interoperability
# tests can run: from Debian's packages, where we are root and apt-get is there.
# Prints nothing and returns 0 when it can; prints the reason and returns 1 when not.
set -u

have() { /usr/bin/python3 -c 'import Pyro4, msgpack, serpent' >/dev/null 2>&1; }

have && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
	echo "/usr/bin/python3 cannot import Pyro4, msgpack and serpent, and there is no apt-get to install them"
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "/usr/bin/python3 cannot import Pyro4, msgpack and serpent; as root: apt-get install python3-pyro4 python3-msgpack python3-serpent"
	exit 1
fi
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
install() {
	DEBIAN_FRONTEND=noninteractive timeout 120 apt-get install -y --no-install-recommends \
		python3 python3-pyro4 python3-msgpack python3-serpent >"$log" 2>&1
}
if ! install; then
	timeout 120 apt-get update >"$log" 2>&1 && install
fi
have && exit 0
echo "installing python3-pyro4 did not work: $(tail -n 1 "$log")"
exit 1
