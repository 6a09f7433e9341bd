#!/usr/bin/env bash
# Makes lua5.1, the reference implementation of Lua, available to the tests that compare the Lua engine
# with it: from Debian's package, where it can be installed.
# Prints nothing and returns 0 when it can; prints the reason and returns 1 when not.
set -u

have() { command -v lua5.1 >/dev/null 2>&1; }

have && exit 0
why=$(bash internal/ci/debian.sh lua5.1)
have && exit 0
echo "lua5.1 is not installed: ${why:-its package is}"
exit 1
