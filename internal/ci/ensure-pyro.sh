#!/usr/bin/env bash
# Installs the real Pyro4 for /usr/bin/python3, for the interoperability tests, from Debian's packages.
# If python3 can import it, the script prints nothing and returns 0. Otherwise it prints the reason and returns 1.
set -u

have() { /usr/bin/python3 -c 'import Pyro4, msgpack, serpent' >/dev/null 2>&1; }

have && exit 0
why=$(bash internal/ci/debian.sh python3 python3-pyro4 python3-msgpack python3-serpent)
have && exit 0
echo "/usr/bin/python3 cannot import Pyro4, msgpack and serpent: ${why:-the packages are installed}"
exit 1
