#!/usr/bin/env bash
# An upgrade restarts what runs and keeps rows, key and settings.
# shellcheck source=tests/boot/inside/lib.sh
source /srv/boot/lib.sh

rows=$(sql "SELECT count(*) FROM invoices")
process=$(property MainPID)
dpkg --install /srv/boot/new.deb >/dev/null 2>&1
equal "a newer version" yes "$(dpkg --compare-versions "$(dpkg-query --show --showformat='${Version}' payrecond)" gt 0.0.1-1 && echo yes)"
equal "state" running "$(property SubState)"
[[ $(property MainPID) != "$process" ]] || fail "the old program still runs"
equal "rows" "$rows" "$(sql "SELECT count(*) FROM invoices")"
grep --quiet 8181 "$SETTINGS" || fail "the settings were replaced"

# What was stopped stays so.
systemctl stop "$UNIT"
dpkg --install /srv/boot/new.deb >/dev/null 2>&1
equal "state of a stopped daemon" inactive "$(property ActiveState)"
systemctl start "$UNIT"
