#!/bin/sh
# Makes the folders of a packaged host. Runs after an upgrade too, and then changes nothing.
set -e
umask 022
mkdir -p /var/lib/hearth/scripts/demo /var/lib/hearth/plugins
for dir in /var/lib/hearth/state /var/log/hearth /etc/hearth/keys /etc/hearth/ca; do
	[ -d "$dir" ] || mkdir -m 0700 "$dir"
done
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if systemctl is-active --quiet hearth.service; then
		# The running host makes room for the new one; if that does not get ready, it stays.
		systemctl reload hearth.service || echo "hearth: the running host stays in service; journalctl -u hearth says why" >&2
	fi
fi
