#!/usr/bin/env bash
# The two-minute tour behind `make demo`: serves the shipped scripts on a free loopback
# port with throw-away state, calls them, and stops the daemon in order.
# usage: demo.sh BINARY
set -euo pipefail

hearth=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
pid=
cleanup() {
	rc=$?
	trap - EXIT
	if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
		kill -TERM "$pid" && wait "$pid" || true
	fi
	if [ $rc != 0 ]; then
		echo "demo failed; the daemon's log:" >&2
		tail -n 30 "$work/serve.log" >&2 || true
	fi
	rm -rf "$work"
	exit $rc
}
trap cleanup EXIT

say() { printf '\n# %s\n' "$*"; }
run() {
	printf '$ hearth %s\n' "$*"
	"$hearth" --at "$at" "$@"
}

cp -R "$root/scripts" "$work/scripts"
# The shipped policy, on a free port.
sed 's/127\.0\.0\.1:7766/127.0.0.1:0/' "$root/policy.hcl" >"$work/policy.hcl"
cd "$work"

say "who may call what: the shipped policy.hcl has three tenants, four principals and its own tests"
printf "\$ hearth policy test\n"; "$hearth" policy test
printf "\$ hearth policy prove\n"; "$hearth" policy prove
printf "\$ hearth policy explain clerk\n"; "$hearth" policy explain clerk

say "a key for the clerk, who is not an account of this machine"
"$hearth" key new keys/clerk.key
cp keys/clerk.key clerk.key

say "start the daemon"
echo "\$ hearth serve --ready-file ready"
"$hearth" serve --ready-file "$work/ready" >"$work/serve.log" 2>&1 &
pid=$!
for _ in $(seq 100); do
	[ -s "$work/ready" ] && break
	kill -0 "$pid" 2>/dev/null || { echo "the daemon ended early" >&2; exit 1; }
	sleep 0.1
done
[ -s "$work/ready" ] || { echo "the daemon was not ready within 10 seconds" >&2; exit 1; }
at=$(grep -v '^unix:' "$work/ready" | head -n 1)
echo "listening on:"
cat "$work/ready"

say "what is there (only what the policy lets you call)"
run ls

say "one object's methods, with their documentation"
run describe demo.counter

say "calls"
run call demo.counter add 5
run call demo.counter add 3
run call demo.greeter hello '"World"'
run call demo.relay add 10

say "an object calls others as itself, never as its caller: the clerk sells, the till books"
printf '{"address": "%s", "channel": "hmac", "key": "clerk.key"}\n' "$at" >clerk.json
as_clerk() {
	printf '$ hearth --profile clerk.json %s\n' "$*"
	"$hearth" --profile clerk.json "$@"
}
as_clerk ls
as_clerk call shop.till sell '"apple"' 3 50
run call bank.ledger balance '"shop"'

say "what somebody may not call looks like what is not there"
for call in "bank.ledger book" "bank.ledger nosuch" "bank.nosuch book"; do
	if as_clerk call $call; then
		echo "this should have failed" >&2
		exit 1
	fi
done

say "an item stream"
run call demo.ticker countdown 3 --stream

say "an error keeps its class"
if run call demo.errors value; then
	echo "this should have failed" >&2
	exit 1
fi

say "a loop without end is stopped by the object's limits"
if run call demo.slow forever; then
	echo "this should have failed" >&2
	exit 1
fi

if /usr/bin/python3 -c 'import Pyro4' 2>/dev/null; then
	say "an unmodified Pyro4 program calls the same objects"
	cat >"$work/client.py" <<PYTHON
import sys, Pyro4
counter = Pyro4.Proxy("PYRO:demo.counter@" + sys.argv[1])
print("counter.add(1)   ->", counter.add(1))
print("counter.total    ->", counter.total)
print("list(countdown)  ->", list(Pyro4.Proxy("PYRO:demo.ticker@" + sys.argv[1]).countdown(3)))
PYTHON
	cat "$work/client.py"
	echo '$ python3 client.py' "$at"
	/usr/bin/python3 "$work/client.py" "$at"
else
	say "(/usr/bin/python3 has no Pyro4: the tour of a Python client is left out)"
fi

say "every decision is in the audit log, written before it was acted on"
printf "\$ hearth audit query --principal clerk\n"; "$hearth" audit query --principal clerk
printf "\$ hearth audit verify\n"; "$hearth" audit verify

say "stop the daemon: it finishes the calls it has and closes"
kill -TERM "$pid"
rc=0
wait "$pid" || rc=$?
pid=
if [ "$rc" != 0 ]; then
	echo "the daemon ended with status $rc" >&2
	exit 1
fi
echo "done"
