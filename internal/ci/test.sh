#!/usr/bin/env bash
# Runs the checks of `make test` and, with "quick", of `make check`. The fastest run first.
# usage: test.sh GO [quick]
set -euo pipefail
go=${1:-go}
quick=${2:-}

step() { printf '== %s\n' "$*"; }

skipped=
uncompared=
unpackaged=
python_skipped=$(mktemp)
if [ -z "$quick" ]; then
	step "real Pyro4 for the interoperability tests"
	if ! skipped=$(bash internal/ci/ensure-pyro.sh); then
		skipped=${skipped:-unknown reason}
		printf '!! INTEROPERABILITY TESTS WILL BE SKIPPED: %s\n' "$skipped"
	else
		skipped=
	fi
	step "PUC Lua 5.1 for the comparison with the Lua engine"
	if ! uncompared=$(bash internal/ci/ensure-lua.sh); then
		uncompared=${uncompared:-unknown reason}
		printf '!! THE LUA ENGINE WILL NOT BE COMPARED WITH PUC LUA: %s\n' "$uncompared"
	else
		uncompared=
	fi
fi
at_end() {
	rc=$?
	if [ -n "$skipped" ]; then
		printf '!! INTEROPERABILITY TESTS WERE SKIPPED: %s\n' "$skipped"
	fi
	if [ -n "$uncompared" ]; then
		printf '!! THE LUA ENGINE WAS NOT COMPARED WITH PUC LUA: %s\n' "$uncompared"
	fi
	if [ -n "$unpackaged" ]; then
		printf '!! THE PACKAGES WERE NOT BUILT: %s\n' "$unpackaged"
	fi
	sed 's/^/!! PYTHON CLIENT TESTS WERE SKIPPED: /' "$python_skipped"
	rm -f "$python_skipped"
	if [ $rc = 0 ]; then echo "== ok"; else echo "== FAILED"; fi
	exit $rc
}
trap at_end EXIT

step gofmt
bad=$(find . -name '*.go' -not -path './build/*' -print0 | xargs -0 gofmt -l)
if [ -n "$bad" ]; then
	printf 'not formatted (make fmt):\n%s\n' "$bad"
	exit 1
fi

step modules
$go mod verify
$go mod tidy -diff

# Without the profile of cmd/hearth and without cgo everywhere except in the packages and the race detector's programs:
# each difference would cause another build of every package.
goflags=${GOFLAGS:-}
export CGO_ENABLED=0 GOFLAGS="$goflags -pgo=off"

step vet
$go vet ./...
# bench is a module of its own. Its go.mod must follow ours: a build with an outdated one fails.
$go vet -C bench ./...

step "build for darwin"
GOOS=darwin $go build ./...
GOOS=darwin $go build -C bench -o /dev/null .
[ -z "$quick" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	step "grpcio for plugins in Python"
	/usr/bin/python3 -c 'import grpc, cryptography' >/dev/null 2>&1 ||
		DEBIAN_FRONTEND=noninteractive timeout 120 apt-get install -y --no-install-recommends python3-grpcio python3-cryptography >/dev/null 2>&1 ||
		printf '!! PLUGINS IN PYTHON WILL NOT BE TESTED: python3-grpcio cannot be installed\n'
fi

step "the Python client"
bash internal/ci/test-python.sh "$python_skipped"

step "packages"
rc=0
unpackaged=$(GOFLAGS=$goflags bash internal/ci/test-package.sh "$go") || rc=$?
if [ $rc = 3 ]; then
	printf '!! THE PACKAGES ARE NOT BUILT: %s\n' "$unpackaged"
elif [ $rc != 0 ]; then
	exit 1
else
	unpackaged=
fi

# Without the race detector, under which the time suffices for a few hundred generated programs only, and a measured
# step of a script is several times longer. The tests of these packages run one goroutine each.
single="internal/deps internal/luafuzz internal/prose"
step "comparison of the Lua engine with PUC Lua: 20,000 generated programs; its charges; layers and words"
$go test -count=1 -timeout 15m $(printf './%s ' $single) ./sandbox/lua

# The race detector empties pools of memory.
step "allocation budgets of the audit log and of TLS"
$go test -count=1 -run Alloc ./audit ./transport/channel

step "tests with the race detector"
# Programs with the race detector wait a second before they exit by default. The tests start hundreds of them.
export GORACE=atexit_sleep_ms=0
# Three packages at a time: many tests wait for processes and limits.
CGO_ENABLED=1 $go test -race -p 3 -timeout 25m $($go list ./... | grep -vE "/(${single// /|})\$")

# The rest uses less than one processor: the tests wait for processes and limits. So it runs side by side.
apart='^Test(Certificate|Check$|DurableState|EndlessWrites|ForbidUnderFaults|HashMismatch|HistoryIsBounded|HostileStore'
apart+='|LogFlood|ManyInvalidFiles|ModuleCycle|NamesOfFiles|NestedFolders|Prewarmed|ReloadModel|ReloadReportsFaults'
apart+='|SeparateFolders|SlowScripts|StoreLimits|TenantFolderOwner|WritableFolders)'
beside=$(mktemp)
(
	echo "== tests of the host without an event loop"
	# Without tests of files, scripts and stores, which connections do not concern.
	CGO_ENABLED=1 $go test -race -count=1 -timeout 15m ./host -goroutines -skip "$apart"
	echo "== tests of the comparison with peers"
	CGO_ENABLED=1 $go test -C bench -race -timeout 10m ./...
) >"$beside" 2>&1 &
besides=$!
rc=0
if [ "$($go env GOOS)" = linux ]; then
	step "workers without cgo, as in released binaries"
	$go test -count=1 -timeout 10m -run 'TestThreads|TestEveryLayerHolds' ./sandbox/confine || rc=1
	step "attacks on a host with an embedded worker program"
	id=$(bash internal/ci/build.sh "$go" id)
	$go test -count=1 -timeout 15m -tags embedworker -ldflags "$id" ./sandbox/workerfile ./cmd/hearth \
		-run 'TestWorkerProgram|TestEmbedded|TestScript/(version|test|serve_call|tenant)|TestHostile|TestNoCore|TestUpgrade' ||
		rc=1
fi
wait $besides || rc=1
cat "$beside"
rm -f "$beside"
exit $rc
