#!/usr/bin/env bash
# Runs the tour of `make demo`: it serves the shipped scripts on a free loopback port with temporary state, calls them,
# and stops the daemon.
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

title() { printf '\n# %s\n' "$*"; }
run() {
	printf '$ hearth %s\n' "$*"
	"$hearth" --at "$at" "$@"
}

cp -R "$root/scripts" "$work/scripts"
# Use the shipped policy on a free port.
sed 's/127\.0\.0\.1:7766/127.0.0.1:0/' "$root/policy.hcl" >"$work/policy.hcl"
printf '\nlistener "web" {\n  protocol = "http"\n  address  = "127.0.0.1:0"\n}\n' >>"$work/policy.hcl"
cd "$work"

title "access: the shipped policy.hcl has three tenants, four principals and tests"
printf "\$ hearth policy test\n"; "$hearth" policy test
printf "\$ hearth policy prove\n"; "$hearth" policy prove
printf "\$ hearth policy explain clerk\n"; "$hearth" policy explain clerk

title "a key for the clerk, which has no account on this machine"
"$hearth" key new keys/clerk.key
cp keys/clerk.key clerk.key

serve() {
	rm -f "$work/ready"
	echo "\$ hearth serve --ready-file ready"
	"$hearth" serve --ready-file "$work/ready" >>"$work/serve.log" 2>&1 &
	pid=$!
	for _ in $(seq 100); do
		[ -s "$work/ready" ] && break
		kill -0 "$pid" 2>/dev/null || { echo "the daemon exited early" >&2; exit 1; }
		sleep 0.1
	done
	[ -s "$work/ready" ] || { echo "the daemon was not ready within 10 seconds" >&2; exit 1; }
	at=$(grep -v '^unix:' "$work/ready" | head -n 1)
	web=$(grep -v '^unix:' "$work/ready" | tail -n 1)
	echo "listening on:"
	cat "$work/ready"
}
stop() {
	kill -TERM "$pid"
	rc=0
	wait "$pid" || rc=$?
	pid=
	if [ "$rc" != 0 ]; then
		echo "the daemon exited with status $rc" >&2
		exit 1
	fi
}

title "start the daemon"
serve

title "the objects that the policy lets you call"
run ls

title "the methods of one object, with their documentation"
run describe demo.counter

title "calls"
run call demo.counter add 5
run call demo.counter add 3
run call demo.greeter hello '"World"'
run call demo.relay add 10

if command -v curl >/dev/null; then
	title "the same object over HTTP"
	printf "\$ curl -s -H 'Content-Type: application/json' -d '[2]' http://%s/v1/objects/demo.counter/add\n" "$web"
	curl -fsS -H 'Content-Type: application/json' -d '[2]' "http://$web/v1/objects/demo.counter/add"
	echo
fi

title "an object calls others as itself, never as its caller: the clerk calls the till, and the till calls the ledger"
printf '{"address": "%s", "channel": "hmac", "key": "clerk.key"}\n' "$at" >clerk.json
as_clerk() {
	printf '$ hearth --profile clerk.json %s\n' "$*"
	"$hearth" --profile clerk.json "$@"
}
as_clerk ls
as_clerk call shop.till sell '"apple"' 3 50
run call bank.ledger balance '"shop"'

title "a denied object gives the same answer as a missing one"
for call in "bank.ledger book" "bank.ledger nosuch" "bank.nosuch book"; do
	if as_clerk call $call; then
		echo "this should have failed" >&2
		exit 1
	fi
done

title "an item stream"
run call demo.ticker countdown 3 --stream

title "an error keeps its class"
if run call demo.errors value; then
	echo "this should have failed" >&2
	exit 1
fi

title "the object's limits stop an infinite loop"
if run call demo.slow forever; then
	echo "this should have failed" >&2
	exit 1
fi

if /usr/bin/python3 -c 'import Pyro4' 2>/dev/null; then
	title "an unmodified Pyro4 program calls the same objects"
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
	title "(/usr/bin/python3 cannot import Pyro4: the Python client is skipped)"
fi

title "the state of objects survives a restart: the daemon is stopped and started again"
run call demo.shelf put '"colour"' '"red"'
stop
serve
run call demo.shelf get '"colour"'
balance=$(run call bank.ledger balance '"shop"')
echo "$balance"
[ "${balance##*$'\n'}" = 150 ] || { echo "the balance should be 150" >&2; exit 1; }

title "every decision is in the audit log, written before it took effect"
printf "\$ hearth audit query --principal clerk\n"; "$hearth" audit query --principal clerk
printf "\$ hearth audit verify\n"; "$hearth" audit verify

title "stop the daemon: it finishes running calls, then exits"
stop
echo "done"
