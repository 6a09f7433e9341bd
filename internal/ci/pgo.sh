#!/usr/bin/env bash
# Rebuilds cmd/hearth/default.pgo, the profile that Go uses to optimise the binary. It contains the processor time of
# the host, its client and the Lua engine in the benchmarks.
# usage: pgo.sh GO
set -euo pipefail
go=${1:-go}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
profile() { # NAME PACKAGE BENCHMARKS
	$go test -pgo=off -run '^$' -bench "$3" -benchtime 2s -cpuprofile "$dir/$1.prof" -o "$dir/$1.test" "$2"
}
profile host ./host '^Benchmark(Add|Echo)(1|64)$'
profile calls ./sandbox '^Benchmark(Add|Echo|Table|FreshInstance)$'
profile engine ./sandbox/lua '^BenchmarkVM$//vm=hearth'
profile codec ./codec '^Benchmark(Binary|Text)$'
$go tool pprof -proto -output cmd/hearth/default.pgo "$dir"/*.prof
ls -l cmd/hearth/default.pgo
