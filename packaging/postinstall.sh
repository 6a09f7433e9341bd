#!/bin/sh
# Makes the folders of a packaged host. It also runs after an upgrade, and then changes nothing.
set -e
umask 022
mkdir -p /var/lib/hearth/scripts/demo /var/lib/hearth/plugins
for dir in /var/lib/hearth/state /var/log/hearth /etc/hearth/keys /etc/hearth/ca; do
	[ -d "$dir" ] || mkdir -m 0700 "$dir"
done
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if systemctl is-active --quiet hearth.service; then
		# The new version replaces the running host. If the new one does not become ready, the old one continues.
		systemctl reload hearth.service || echo "hearth: the upgrade failed and the old version continues to run; see journalctl -u hearth" >&2
	fi
fi
