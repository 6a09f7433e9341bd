#!/usr/bin/env bash
# Installs lua5.1, the reference implementation of Lua, for the tests that compare the Lua engine with it.
# It uses Debian's package. If lua5.1 is available, it prints nothing and returns 0. Otherwise it prints the reason
# and returns 1.
set -u

have() { command -v lua5.1 >/dev/null 2>&1; }

have && exit 0
why=$(bash internal/ci/debian.sh lua5.1)
have && exit 0
echo "lua5.1 not found: ${why:-the package is installed}"
exit 1
