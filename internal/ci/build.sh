#!/usr/bin/env bash
# Builds the static binary build/hearth for GOOS and GOARCH. On Linux it first builds hearth-worker, which it embeds into
# hearth: package workerfile. Both have the same build id, which depends on every package of hearth-worker.
# usage: build.sh GO VERSION
#        build.sh GO id      only builds the worker program, and prints the linker's flag for the build id
set -euo pipefail
go=${1:-go}
version=${2:-devel}
export CGO_ENABLED=0
module=github.com/hearthhost/hearth
pgo=$PWD/cmd/hearth/default.pgo
link="-s -w -X main.version=$version"
tags=
mkdir -p build
if [ "$($go env GOOS)" = linux ]; then
	packages=$($go list -trimpath -pgo="$pgo" -deps -export -f '{{.ImportPath}} {{.BuildID}}' ./cmd/hearth-worker)
	id="-X $module/sandbox/worker.BuildID=$(sha256sum <<<"$packages" | cut -c1-32)"
	$go build -trimpath -pgo="$pgo" -ldflags "-s -w $id" -o sandbox/workerfile/hearth-worker ./cmd/hearth-worker
	link="$link $id"
	tags=embedworker
fi
if [ "$version" = id ]; then
	echo "${id-}"
	exit 0
fi
$go build -trimpath -tags "$tags" -ldflags "$link" -o build/hearth ./cmd/hearth
