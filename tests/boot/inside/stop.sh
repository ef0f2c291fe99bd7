#!/usr/bin/env bash
# It stops well: in time, with 0, everything said.
# shellcheck source=tests/boot/inside/lib.sh
source /srv/boot/lib.sh

systemctl stop "$UNIT"
equal "result" success "$(property Result)"
equal "status" 0 "$(property ExecMainStatus)"
equal "state" inactive "$(property ActiveState)"
journal_says "stopping: finishing" || fail "it does not say that it stops"
equal "unread events" 0 "$(sql "SELECT count(*) FROM outbox_unread WHERE consumer = 'stdout'")"
systemctl start "$UNIT"
