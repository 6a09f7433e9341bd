#!/usr/bin/env bash
# Runs the tests of the Python client. They need no host and no installation. Lines that begin with "!!" report skipped
# tests, for example without Pyro or openssl. A Pyro5 that is not installed is found through PYTHONPATH.
# usage: test-python.sh SKIPPED-FILE    appends the reason of each skipped test to the file
set -euo pipefail
skipped=$1

# Debian's python3 comes first, because Debian's python3-pyro4 is installed for it.
python=
for p in /usr/bin/python3 python3; do
	if "$p" -c 'import sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1; then
		python=$p
		break
	fi
done
if [ -z "$python" ]; then
	reason="all tests: python3 3.9 or newer not found"
	printf '!! PYTHON CLIENT TESTS WILL BE SKIPPED: %s\n' "$reason"
	echo "$reason" >>"$skipped"
	exit 0
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cd clients/python
rc=0
timeout 120 "$python" -B -W error::ResourceWarning -m unittest test_hearth >"$log" 2>&1 || rc=$?
cat "$log"
sed -n 's/^!! PYTHON CLIENT: SKIPPED: //p' "$log" >>"$skipped"
exit $rc
