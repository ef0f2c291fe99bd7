-- Schema 3: an exact repeat of an INSERT that passes NULL as account is a no-op under DO NOTHING, the
-- last messages say poll, and an index that no statement reads is gone.

-- Parts of triggers change; the way is that of schema 2.
PRAGMA writable_schema = ON;
-- The index on (account, external_id) sees an exact repeat, so it is left to that index.
UPDATE sqlite_master
   SET sql = replace(sql,
           'WHERE account = ''default'' AND order_id = NEW.order_id)',
           'WHERE account = ''default'' AND order_id = NEW.order_id)
       AND NOT EXISTS (SELECT 1 FROM invoices
                        WHERE account = ''default'' AND external_id = NEW.external_id)')
 WHERE type = 'trigger' AND name = 'invoices_before_insert';
UPDATE sqlite_master
   SET sql = replace(replace(replace(sql,
           'may set 0 to ask for a look', 'may set 0 to ask for a poll'),
           'always has a next look', 'always has a next poll'),
           'without a next look', 'without a next poll')
 WHERE type = 'trigger' AND name IN ('invoices_plan_of_looks', 'invoices_before_delete');
PRAGMA writable_schema = RESET;

DROP INDEX invoices_requested;
