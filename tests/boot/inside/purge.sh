#!/usr/bin/env bash
# A removal stops everything and keeps the database; only a purge deletes it.
# shellcheck source=tests/boot/inside/lib.sh
source /srv/boot/lib.sh

process=$(property MainPID)
systemctl is-active --quiet payrecond-feed.socket || fail "the socket does not listen"
dpkg --remove payrecond >/dev/null 2>&1
[[ ! -d /proc/$process ]] || fail "it still runs"
[[ ! -e /run/payrecond/feed.sock ]] || fail "the socket is still there"
[[ -s $DATABASE && -s $KEY_FILE && -s $SETTINGS ]] || fail "a removal deleted what is the administrator's"

# Put back, it goes on where it was.
dpkg --install /srv/boot/new.deb >/dev/null 2>&1
systemctl start "$UNIT"
equal "the first invoice" paid "$(sql "SELECT status FROM invoices WHERE external_id = 'BOT-1'")"

dpkg --purge payrecond >/dev/null 2>&1
[[ ! -e /var/lib/payrecond && ! -e /etc/payrecond ]] || fail "a purge left files"
[[ ! -e /etc/systemd/system/multi-user.target.wants/$UNIT ]] || fail "it is still enabled"
