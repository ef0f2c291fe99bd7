#!/usr/bin/env bash
# A daemon that was killed comes back; one whose configuration cannot be used stays down.
# shellcheck source=tests/boot/inside/lib.sh
source /srv/boot/lib.sh

systemctl restart "$UNIT"
kill -KILL "$(property MainPID)"
await "a restart after kill -9" is NRestarts 1
await "a running daemon" is SubState running

settings 'surprise = 1'
systemctl stop "$UNIT"
refused systemctl start "$UNIT"
equal "status" 78 "$(property ExecMainStatus)"
# auto-restart would stand here.
equal "what becomes of it" failed "$(property SubState)"
equal "restarts" 0 "$(property NRestarts)"
journal_says "feed.surprise = 1" || fail "it does not name the key"

settings ''
systemctl start "$UNIT"
