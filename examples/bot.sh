#!/bin/sh
# sh examples/bot.sh payrecond.db ORD-1      sqlite3 3.34 or newer
# The shop's tables stand in payrecond's own file here, so that one transaction holds everything.
set -eu
database=$1
external_id=$2
case $external_id in '' | *[!A-Za-z0-9_-]*) echo "external id: letters, digits, - and _" >&2 && exit 2 ;; esac

# Reads statements from stdin; the first that fails ends it, and what was not committed is undone.
# The daemon checkpoints, so sqlite3 does not; the pragma's answer is not for us.
sql() {
    sqlite3 -batch -bail -cmd '.timeout 5000' -cmd '.output /dev/null' -cmd 'PRAGMA wal_autocheckpoint = 0' \
        -cmd '.output' "$database"
}

# The same statements again, after a restart say, change nothing.
sql <<END
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS shop_credited (event_id TEXT PRIMARY KEY, external_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS shop_customers (id TEXT PRIMARY KEY, eggs INTEGER NOT NULL);
INSERT OR IGNORE INTO consumers (name) VALUES ('bot');
INSERT OR IGNORE INTO invoices (external_id, amount, currency, description, options, metadata)
VALUES ('$external_id', '1.00', 'USD', 'Six eggs', '{"customerTelegramUserId": 42}', '{"customer": "42", "eggs": 6}');
COMMIT;
END

# Event ids, credits and the acknowledgement: all of it or nothing.
take_events() {
    sql <<'END'
BEGIN IMMEDIATE;
CREATE TEMP TABLE news AS
    SELECT seq, event_id, type, external_id, json_extract(payload, '$.data.metadata.customer') AS customer,
           json_extract(payload, '$.data.metadata.eggs') AS eggs
      FROM outbox_unread WHERE consumer = 'bot' ORDER BY seq LIMIT 100;
CREATE TEMP TABLE credits AS
    SELECT * FROM news WHERE type = 'payment.paid' AND customer IS NOT NULL
                         AND event_id NOT IN (SELECT event_id FROM shop_credited);
INSERT INTO shop_credited SELECT event_id, external_id FROM credits;
INSERT INTO shop_customers SELECT customer, sum(eggs) FROM credits WHERE true GROUP BY customer
    ON CONFLICT (id) DO UPDATE SET eggs = eggs + excluded.eggs;
UPDATE consumers SET acked_seq = (SELECT max(seq) FROM news) WHERE name = 'bot' AND EXISTS (SELECT 1 FROM news);
COMMIT;
SELECT type || ' ' || coalesce(external_id, '') FROM news ORDER BY seq;
END
}

ask() {
    echo "SELECT $1;" | sql
}

shown_link=
until [ "$(ask "EXISTS (SELECT 1 FROM shop_credited WHERE external_id = '$external_id')")" = 1 ]; do
    take_events
    link=$(ask "pay_link FROM invoices WHERE external_id = '$external_id'")
    [ "$link" = "$shown_link" ] || echo "pay here: $link"
    shown_link=$link
    rejected=$(ask "reason FROM invoices WHERE external_id = '$external_id' AND status = 'rejected'")
    [ -z "$rejected" ] || { echo "$external_id is rejected: $rejected" >&2 && exit 1; }
    sleep 0.5
done
echo "credited $external_id"
