#!/usr/bin/env bash
# The feed's socket: for members of the group, one holder a name, one process a client.
# shellcheck source=tests/boot/inside/lib.sh
source /srv/boot/lib.sh

instances() {
    systemctl list-units --plain --no-legend --all 'payrecond-feed@*' | wc -l
}

no_instances() {
    [[ $(instances) == 0 ]]
}

# $1: the reason that a client is told; the rest: what it asks for.
told() {
    grep --quiet -- "^-ERR '$1" < <(client bot "${@:2}" 2>&1 || true)
}

client() {
    local user=$1
    shift
    as "$user" python3 /srv/boot/subscriber.py "$@"
}

systemctl start payrecond-feed.socket
equal "the socket" "660 payrecond payrecond" "$(stat -c '%a %U %G' /run/payrecond/feed.sock)"
events=$(sql "SELECT count(*) FROM outbox")
equal "events of a new name" "reading $events" "$(client bot shelf "$events" | xargs)"
equal "payments of another" "reading 701" "$(client bot till 701 'payments.*.paid' | xargs)"
refused client stranger shelf 0

# As the README has it; it ends with the pipe.
equal "the example's first words" "payment.paid BOT-1" \
    "$(head -n 1 < <(as bot python3 /usr/share/doc/payrecond/examples/feed.py shop "payments.*.paid" 2>/dev/null || true))"
await "the end of every process that served" no_instances

# Held by a client that waits for an event which does not come.
as bot python3 /srv/boot/subscriber.py desk 1000000 >/tmp/desk 2>/dev/null &
await "a holder of the name" test -s /tmp/desk
told "consumer desk is in use; only one reader per consumer name" desk 1 || fail "a second reader is not refused"
told "first line must be SUB" 'two names' 1 'and a pattern' || fail "a bad line is not refused"
pkill --uid bot python3
await "the end of every process that served" no_instances
equal "what is left to look at" 0 "$(systemctl list-units --plain --no-legend --failed | wc -l)"

# The socket outlives the daemon.
systemctl restart "$UNIT"
client bot shelf 0 >/dev/null
