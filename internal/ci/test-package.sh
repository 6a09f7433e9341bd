#!/usr/bin/env bash
# Builds the packages, checks the files of the deb and runs its binary.
# usage: test-package.sh GO; if the test must be skipped, it prints the reason and returns 3
set -euo pipefail
go=${1:-go}
if ! $go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0 --version >/dev/null 2>&1; then
	echo "cannot fetch nfpm"
	exit 3
fi
if ! command -v dpkg-deb >/dev/null; then
	echo "dpkg-deb not found"
	exit 3
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
git archive --format=tar HEAD >"$dir/tree.tar" 2>/dev/null || { echo "not a git checkout"; exit 3; }
mkdir "$dir/tree" && tar -xf "$dir/tree.tar" -C "$dir/tree"
(cd "$dir/tree" && bash internal/ci/package.sh "$go") >&2
deb=$(ls "$dir"/tree/build/hearth_*.deb)
ls "$dir"/tree/build/hearth-*.rpm >&2
dpkg-deb -x "$deb" "$dir/root"
for f in usr/bin/hearth usr/lib/systemd/system/hearth.service usr/lib/systemd/system/hearth.socket \
	etc/hearth/policy.hcl usr/share/doc/hearth/README.md usr/share/bash-completion/completions/hearth; do
	[ -s "$dir/root/$f" ] || { echo "the deb does not contain /$f" >&2; exit 1; }
done
if ! dpkg-deb -I "$deb" conffiles | grep -qx /etc/hearth/policy.hcl; then
	echo "/etc/hearth/policy.hcl is not a configuration file: an upgrade would replace it" >&2
	exit 1
fi
# With --no-env the host and systemd could not exchange readiness and the watchdog signal.
if grep '^Exec.*--no-env' "$dir/root/usr/lib/systemd/system/hearth.service" >&2; then
	echo "the unit passes --no-env" >&2
	exit 1
fi
if [ "$(uname -s)" = Linux ] && ! "$dir/root/usr/bin/hearth" version | tee /dev/stderr | grep -qx 'worker embedded'; then
	echo "the package's hearth has no embedded worker program" >&2
	exit 1
fi
"$dir/root/usr/bin/hearth" policy check --policy "$dir/root/etc/hearth/policy.hcl" >&2
if command -v systemd-analyze >/dev/null; then
	mkdir -p "$dir/unit"
	units=$dir/root/usr/lib/systemd/system
	sed "s|/usr/bin/hearth|$dir/root/usr/bin/hearth|" "$units/hearth.service" >"$dir/unit/hearth.service"
	cp "$units/hearth.socket" "$dir/unit/"
	systemd-analyze verify "$dir/unit/hearth.service" "$dir/unit/hearth.socket" >&2
fi
