#!/usr/bin/env bash
# Installs the systems that Hearth is compared with: the real Pyro4 and Redis, from Debian's packages. It reports each
# missing one and returns 0: the comparison leaves it out.
# Debian starts the installed Redis; the comparison starts another one.
set -u

missing() { printf '!! WILL NOT BE MEASURED: %s\n' "$*"; }

why=$(bash internal/ci/ensure-pyro.sh) || missing "Pyro4: ${why:-unknown reason}"

command -v redis-server >/dev/null 2>&1 && exit 0
why=$(bash internal/ci/debian.sh redis-server)
command -v redis-server >/dev/null 2>&1 || missing "Redis: redis-server not found: ${why:-unknown reason}"
exit 0
