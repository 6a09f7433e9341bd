#!/usr/bin/env bash
# Makes /usr/bin/python3 able to import the real Pyro4, so that the interoperability
# tests can run: from Debian's packages, where they can be installed.
# Prints nothing and returns 0 when it can; prints the reason and returns 1 when not.
set -u

have() { /usr/bin/python3 -c 'import Pyro4, msgpack, serpent' >/dev/null 2>&1; }

have && exit 0
why=$(bash internal/ci/debian.sh python3 python3-pyro4 python3-msgpack python3-serpent)
have && exit 0
echo "/usr/bin/python3 cannot import Pyro4, msgpack and serpent: ${why:-its packages are installed}"
exit 1
