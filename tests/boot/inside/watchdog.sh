#!/usr/bin/env bash
# The watchdog is fed while the daemon works, and ends one that hangs.
# shellcheck source=tests/boot/inside/lib.sh
source /srv/boot/lib.sh

fed() {
    property WatchdogTimestampMonotonic
}

fed_since() {
    (($(fed) > $1))
}

drop_in "$UNIT" quick <<'END'
[Service]
WatchdogSec=3s
TimeoutAbortSec=1s
RestartSec=100ms
END
systemctl restart "$UNIT"
for _ in 1 2 3; do
    await "food for the watchdog" fed_since "$(fed)"
done
equal "restarts of a daemon that works" 0 "$(property NRestarts)"

hanging=$(property MainPID)
kill -STOP "$hanging"
await "the watchdog's bite" is NRestarts 1
await "the next start" is SubState running
[[ $(property MainPID) != "$hanging" ]] || fail "it is the same process"
journal_says "Watchdog timeout" || fail "it was not the watchdog"
