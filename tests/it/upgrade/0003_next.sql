-- For tests alone: what a coming version may do to data. It adds a column and fills it in, counts what is there,
-- and makes a table anew under its old name.

ALTER TABLE invoices ADD COLUMN region TEXT;
UPDATE invoices
   SET region = CASE coalesce(currency, '') WHEN 'USD' THEN 'us' ELSE 'elsewhere' END,
       daemon_writes = daemon_writes + 1;
CREATE INDEX invoices_by_region ON invoices (region);

CREATE TABLE told (
    type   TEXT PRIMARY KEY,
    events INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO told (type, events) SELECT type, count(*) FROM outbox GROUP BY type;

CREATE TABLE findings_next (
    event_id TEXT PRIMARY KEY,
    said_at  INTEGER NOT NULL,
    said_on  TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO findings_next (event_id, said_at, said_on)
SELECT event_id, said_at, date(said_at / 1000, 'unixepoch') FROM findings;
DROP TABLE findings;
ALTER TABLE findings_next RENAME TO findings;
