#!/usr/bin/env bash
# Makes what Hearth is compared with runnable: the real Pyro4 and Redis, from Debian's
# packages, where they can be installed. Says loudly what is missing, and returns 0
# all the same: the comparison leaves out what is not here.
# Debian starts the Redis that it installs; the comparison has one of its own.
set -u

missing() { printf '!! WILL NOT BE MEASURED: %s\n' "$*"; }

why=$(bash internal/ci/ensure-pyro.sh) || missing "Pyro4: ${why:-unknown reason}"

command -v redis-server >/dev/null 2>&1 && exit 0
why=$(bash internal/ci/debian.sh redis-server)
command -v redis-server >/dev/null 2>&1 || missing "Redis: there is no redis-server: ${why:-unknown reason}"
exit 0
