#!/usr/bin/env bash
# Builds a deb and an rpm of the host in build/, for the architecture ARCH (amd64, arm64). It uses nfpm, which it
# fetches at a fixed version.
# usage: package.sh GO
set -euo pipefail
go=${1:-go}
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0
export ARCH=${ARCH:-$($go env GOHOSTARCH)}
# The version is 1.2.3 for a tag v1.2.3. Without a tag it is lower than any release.
VERSION=$(git describe --tags --match 'v[0-9]*' 2>/dev/null | sed 's/^v//; s/-\([0-9]*\)-g/+\1.g/') || true
export VERSION=${VERSION:-0.0.0+$(git rev-parse --short HEAD 2>/dev/null || echo devel)}
mkdir -p build/completion
GOARCH=$ARCH bash internal/ci/build.sh "$go" "$VERSION"
if [ "$ARCH" = "$($go env GOHOSTARCH)" ]; then
	build/hearth completion bash >build/completion/hearth.bash
else
	CGO_ENABLED=0 $go run ./cmd/hearth completion bash >build/completion/hearth.bash
fi
for kind in deb rpm; do
	$go run "$nfpm" package -f packaging/nfpm.yaml -p "$kind" -t build/
done
