#!/usr/bin/env bash
# Makes cmd/hearth/default.pgo anew, the profile by which Go optimises the binary: where the
# host, its client and the Lua engine spend their time in the benchmarks.
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
