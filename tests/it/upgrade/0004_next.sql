-- For tests alone: the version after that. A view, a trigger and a table go and come.

DROP VIEW outbox_unread;
CREATE VIEW outbox_unread AS
    SELECT c.name AS consumer, o.* FROM consumers AS c JOIN outbox AS o ON o.seq > c.acked_seq;

DROP TRIGGER accounts_before_update;
CREATE TRIGGER accounts_before_update BEFORE UPDATE ON accounts
BEGIN
    SELECT RAISE(ABORT, 'accounts.name: it never changes') WHERE NEW.name IS NOT OLD.name;
END;

DROP TABLE told;
UPDATE invoices SET region = upper(region), daemon_writes = daemon_writes + 1;
