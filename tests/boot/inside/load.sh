#!/usr/bin/env bash
# Every event is in the journal, whatever the rate: journald of this machine drops a unit's lines after a hundred,
# unless the unit sets limits of its own.
# shellcheck source=tests/boot/inside/lib.sh
source /srv/boot/lib.sh

readonly INVOICES=1500 PAYMENTS=700

journalled() {
    journalctl --flush --sync >/dev/null 2>&1 || journalctl --sync
    journalctl --unit="$UNIT" --output=cat --all --no-pager | grep '^{"specversion"'
}

python3 /srv/boot/shop.py drop $INVOICES | as bot sqlite3 -cmd '.timeout 5000' "$DATABASE" >/dev/null
await "all orders" sql_is "SELECT count(*) FROM invoices WHERE status = 'pending'" $INVOICES
python3 /srv/boot/shop.py pay-many $PAYMENTS
await "all payments" sql_is "SELECT count(*) FROM invoices WHERE status = 'paid'" $((PAYMENTS + 1))
await "the feed's place" sql_is "SELECT acked_seq = (SELECT max(seq) FROM outbox) FROM consumers WHERE name = 'stdout'" 1

payrecond --config "$SETTINGS" feed --format jsonl >/tmp/outbox
journalled >/tmp/journal
events=$(wc -l </tmp/outbox)
((events >= INVOICES + PAYMENTS)) || fail "only $events events"
# Details may follow meanwhile: what the outbox held must be there, in order.
head -n "$events" /tmp/journal | cmp --silent /tmp/outbox - || fail "$(wc -l </tmp/journal) of $events events are in the journal"
equal "the longest event" long "$(awk 'length > 30000 {print "long"; exit}' /tmp/journal)"
