-- Schema 2: sums received and refunded, transactions, orders followed by their external id, wider
-- limits; numbers bound where text belongs, and text that is no UTF-8, are refused.

------------------------------------------------------------------------------ invoices: columns

-- Columns that tell a program's float from text: TEXT would write the number out before a trigger
-- sees it. Without a type nothing is converted; what is stored already is text and stays so. Not
-- for external_id, order_id, account and currency: programs look rows up by them, and only a TEXT
-- column finds '42' by the number 42. Changing the text of the table is the way that SQLite
-- documents for changes that leave the rows as they are; a copy of a million rows takes minutes.
PRAGMA writable_schema = ON;
UPDATE sqlite_master
   SET sql = replace(replace(replace(replace(sql,
                 '    amount           TEXT,', '    amount,'),
                 '    description      TEXT,', '    description,'),
                 '    options          TEXT,', '    options,'),
                 '    metadata         TEXT,', '    metadata,')
 WHERE type = 'table' AND name = 'invoices';
PRAGMA writable_schema = RESET;

-- Sums so far, in the invoice's currency.
ALTER TABLE invoices ADD COLUMN received_amount TEXT;
ALTER TABLE invoices ADD COLUMN refunded_amount TEXT;
ALTER TABLE invoices ADD COLUMN refunded_at INTEGER;
-- The daemon's own note: 1 = the payment was made in the provider's test mode.
ALTER TABLE invoices ADD COLUMN is_test INTEGER;

-------------------------------------------------------------------------------- invoices: rules

DROP TRIGGER invoices_before_insert;
CREATE TRIGGER invoices_before_insert BEFORE INSERT ON invoices
BEGIN
    -- NEW.id is -1 here when the program left it out or sent NULL.
    SELECT RAISE(ABORT, 'invoices.id: leave it out, the database numbers the invoices')
     WHERE NEW.id IS NOT NULL AND NEW.id <> -1;

    SELECT RAISE(ABORT, 'invoices.account: 1 to 32 characters of a-z, 0-9, - and _, as text')
     WHERE NEW.account IS NOT NULL
       AND (typeof(NEW.account) <> 'text' OR length(NEW.account) NOT BETWEEN 1 AND 32
            OR NEW.account GLOB '*[^a-z0-9_-]*' OR instr(CAST(NEW.account AS BLOB), x'00') > 0);

    SELECT RAISE(ABORT, 'invoices.external_id: must be given (text of 1 to 255 characters)')
     WHERE NEW.external_id IS NULL;
    SELECT RAISE(ABORT, 'invoices.external_id: text of 1 to 255 characters')
     WHERE typeof(NEW.external_id) <> 'text' OR length(NEW.external_id) NOT BETWEEN 1 AND 255;
    -- The column is text, so SQLite has written 42.0 and 1e15 out before a trigger sees them.
    SELECT RAISE(ABORT, 'invoices.external_id: this is how a floating point number is written (42.0, 1.0e+15); pass the id as text, since a number can lose digits on the way')
     WHERE (ltrim(NEW.external_id, '-') GLOB '[0-9]*.0'
            AND ltrim(NEW.external_id, '-') NOT GLOB '*[^0-9.]*'
            AND ltrim(NEW.external_id, '-') NOT GLOB '*.*.*')
        OR (ltrim(NEW.external_id, '-') GLOB '[0-9].[0-9]*e[+-][0-9][0-9]*'
            AND ltrim(NEW.external_id, '-') NOT GLOB '*[^0-9.e+-]*');
    SELECT RAISE(ABORT, 'invoices.external_id: must not be blank')
     WHERE trim(NEW.external_id) = '';

    SELECT RAISE(ABORT, 'invoices.order_id: letters, digits, - and _ only, 1 to 64 characters; pass it as text, since a number can lose digits on the way')
     WHERE NEW.order_id IS NOT NULL
       AND (typeof(NEW.order_id) <> 'text' OR length(NEW.order_id) NOT BETWEEN 1 AND 64
            OR NEW.order_id GLOB '*[^A-Za-z0-9_-]*' OR instr(CAST(NEW.order_id AS BLOB), x'00') > 0);

    SELECT RAISE(ABORT, 'invoices.amount: a plain decimal such as 1.00: digits, at most one point, no sign, no exponent, not zero, at most 40 characters; pass it as text, since a number can lose digits on the way')
     WHERE NEW.amount IS NOT NULL
       AND (typeof(NEW.amount) NOT IN ('text', 'integer') OR length(NEW.amount) NOT BETWEEN 1 AND 40
            OR NEW.amount GLOB '*[^0-9.]*' OR NEW.amount GLOB '*.*.*'
            OR NEW.amount GLOB '.*' OR NEW.amount GLOB '*.' OR trim(NEW.amount, '0.') = ''
            OR instr(CAST(NEW.amount AS BLOB), x'00') > 0);
    SELECT RAISE(ABORT, 'invoices.currency: must be given with amount')
     WHERE NEW.amount IS NOT NULL AND NEW.currency IS NULL;
    SELECT RAISE(ABORT, 'invoices.amount: must be given with currency')
     WHERE NEW.amount IS NULL AND NEW.currency IS NOT NULL;
    SELECT RAISE(ABORT, 'invoices.currency: a code such as USD or TON: 1 to 16 of A-Z and 0-9, as text')
     WHERE NEW.currency IS NOT NULL
       AND (typeof(NEW.currency) <> 'text' OR length(NEW.currency) NOT BETWEEN 1 AND 16
            OR NEW.currency GLOB '*[^A-Z0-9]*' OR instr(CAST(NEW.currency AS BLOB), x'00') > 0);

    SELECT RAISE(ABORT, 'invoices.status: leave it out; requested (without order_id) and pending (with order_id, or to follow an order by its external_id) are the only ones an invoice can begin with')
     WHERE NEW.status IS NOT NULL AND NEW.status <> 'pending'
       AND (NEW.status <> 'requested' OR NEW.order_id IS NOT NULL);
    SELECT RAISE(ABORT, 'invoices.amount: must be given when order_id is left out (the order is to be created)')
     WHERE NEW.order_id IS NULL AND NEW.status IS NOT 'pending' AND NEW.amount IS NULL;
    SELECT RAISE(ABORT, 'invoices.description: must be given when order_id is left out (the order is to be created)')
     WHERE NEW.order_id IS NULL AND NEW.status IS NOT 'pending' AND NEW.description IS NULL;
    SELECT RAISE(ABORT, 'invoices.description: text of 1 to 4096 characters')
     WHERE NEW.order_id IS NULL AND NEW.status IS NOT 'pending' AND NEW.description = '';
    SELECT RAISE(ABORT, 'invoices.description: text of 1 to 4096 characters; pass it as text')
     WHERE NEW.description IS NOT NULL
       AND (typeof(NEW.description) NOT IN ('text', 'integer')
            OR length(CAST(NEW.description AS BLOB)) > 16384
            OR length(NEW.description) > 4096 OR instr(CAST(NEW.description AS BLOB), x'00') > 0);
    SELECT RAISE(ABORT, 'invoices.timeout_seconds: a whole number of seconds from 30 to 2678400')
     WHERE NEW.timeout_seconds IS NOT NULL
       AND (typeof(NEW.timeout_seconds) <> 'integer'
            OR NEW.timeout_seconds NOT BETWEEN 30 AND 2678400);

    SELECT RAISE(ABORT, 'invoices.options: a JSON object of at most 16 KiB; pass it as text')
     WHERE CASE WHEN NEW.options IS NULL THEN 0
                WHEN typeof(NEW.options) <> 'text' THEN 1
                WHEN length(CAST(NEW.options AS BLOB)) > 16384 THEN 1
                WHEN instr(CAST(NEW.options AS BLOB), x'00') > 0 THEN 1
                WHEN NOT json_valid(NEW.options) THEN 1
                ELSE json_type(NEW.options) <> 'object' END;
    SELECT RAISE(ABORT, 'invoices.metadata: JSON of at most 32 KiB; pass it as text')
     WHERE CASE WHEN NEW.metadata IS NULL THEN 0
                WHEN typeof(NEW.metadata) NOT IN ('text', 'integer') THEN 1
                WHEN length(CAST(NEW.metadata AS BLOB)) > 32768 THEN 1
                WHEN instr(CAST(NEW.metadata AS BLOB), x'00') > 0 THEN 1
                ELSE NOT json_valid(NEW.metadata) END;

    -- Every character is written anew and compared with its bytes, in pieces of 64: substr counts
    -- from the beginning. ASCII is UTF-8, so most texts are left out.
    SELECT CASE piece.name
               WHEN 'external_id' THEN RAISE(ABORT, 'invoices.external_id: must be UTF-8')
               WHEN 'description' THEN RAISE(ABORT, 'invoices.description: must be UTF-8')
               WHEN 'options' THEN RAISE(ABORT, 'invoices.options: must be UTF-8')
               ELSE RAISE(ABORT, 'invoices.metadata: must be UTF-8') END
      FROM (SELECT given.name, substr(given.text, 64 * part.key + 1, 64) AS text
              FROM (SELECT 'external_id' AS name, NEW.external_id AS text
                    UNION ALL SELECT 'description', NEW.description
                    UNION ALL SELECT 'options', NEW.options
                    UNION ALL SELECT 'metadata', NEW.metadata) AS given
              JOIN json_each('[0' || replace(hex(zeroblob(length(given.text) / 64)), '00', ',0') || ']') AS part
             WHERE given.text GLOB '*[^' || char(1) || '-' || char(127) || ']*'
             LIMIT -1) AS piece
      JOIN json_each('[0' || replace(hex(zeroblob(63)), '00', ',0') || ']') AS place
     WHERE substr(piece.text, place.key + 1, 1) <> ''
       AND CAST(substr(piece.text, place.key + 1, 1) AS BLOB)
           <> CAST(char(unicode(substr(piece.text, place.key + 1, 1))) AS BLOB);
    SELECT RAISE(ABORT, 'invoices.external_id: no control characters')
     WHERE NEW.external_id GLOB '*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || ']*'
        OR instr(CAST(NEW.external_id AS BLOB), x'00') > 0;

    SELECT RAISE(ABORT, 'invoices.version: leave it out, the daemon counts the events')
     WHERE NEW.version IS NOT NULL AND NEW.version <> 0;
    SELECT RAISE(ABORT, 'invoices.next_poll_at: leave it out, a new invoice is polled as soon as possible')
     WHERE NEW.next_poll_at IS NOT NULL AND NEW.next_poll_at <> 0;
    SELECT RAISE(ABORT, 'invoices: reason, provider_status, order_number, pay_link, direct_pay_link, expires_at, paid_at, paid_amount, paid_currency, fee_amount, net_amount, exchange_rate, received_amount, refunded_amount, refunded_at, created_at, updated_at, last_polled_at, polls, failures and last_error are written by the daemon: leave them out')
     WHERE coalesce(NEW.reason, NEW.provider_status, NEW.order_number, NEW.pay_link,
                    NEW.direct_pay_link, NEW.expires_at, NEW.paid_at, NEW.paid_amount,
                    NEW.paid_currency, NEW.fee_amount, NEW.net_amount, NEW.exchange_rate,
                    NEW.created_at, NEW.updated_at, NEW.last_polled_at, NEW.last_error,
                    NEW.create_sent_at, NEW.ended_at, NEW.not_found_since,
                    NEW.received_amount, NEW.refunded_amount, NEW.refunded_at, NEW.is_test) IS NOT NULL
        OR coalesce(NEW.polls, 0) <> 0 OR coalesce(NEW.failures, 0) <> 0
        OR coalesce(NEW.daemon_writes, 0) <> 0;

    INSERT OR IGNORE INTO invoices_conflict (external_id_or_order_id_is_used, seen)
    SELECT 1, 1
     WHERE EXISTS (SELECT 1 FROM invoices
                    WHERE account = coalesce(NEW.account, 'default') AND external_id = NEW.external_id)
        OR EXISTS (SELECT 1 FROM invoices
                    WHERE account = coalesce(NEW.account, 'default') AND order_id = NEW.order_id);
    SELECT RAISE(ABORT, 'invoices: REPLACE is refused, it would remove the invoice that has this external_id or order_id; use INSERT, INSERT OR IGNORE or ON CONFLICT DO NOTHING')
     WHERE (SELECT seen FROM invoices_conflict WHERE external_id_or_order_id_is_used = 1) = 1;

    INSERT OR REPLACE INTO invoices_conflict (external_id_or_order_id_is_used, seen)
    SELECT 2, 1
     WHERE EXISTS (SELECT 1 FROM used_keys
                    WHERE account = coalesce(NEW.account, 'default') AND external_id = NEW.external_id)
        OR EXISTS (SELECT 1 FROM used_keys
                    WHERE account = coalesce(NEW.account, 'default') AND order_id = NEW.order_id);
    SELECT RAISE(ABORT, 'invoices: this external_id or order_id was used in the account before; it stays used, also after deletion')
     WHERE (SELECT seen FROM invoices_conflict WHERE external_id_or_order_id_is_used = 2) = 1;
    -- Still here and used: the program said OR IGNORE.
    SELECT RAISE(IGNORE)
     WHERE EXISTS (SELECT 1 FROM used_keys
                    WHERE account = coalesce(NEW.account, 'default') AND external_id = NEW.external_id)
        OR EXISTS (SELECT 1 FROM used_keys
                    WHERE account = coalesce(NEW.account, 'default') AND order_id = NEW.order_id);
    -- With an explicit NULL account the index on (account, order_id) does not see the duplicate.
    INSERT OR REPLACE INTO invoices_conflict (external_id_or_order_id_is_used, seen)
    SELECT 2, 1
     WHERE NEW.account IS NULL
       AND EXISTS (SELECT 1 FROM invoices WHERE account = 'default' AND order_id = NEW.order_id);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: invoices.account, invoices.order_id')
     WHERE (SELECT seen FROM invoices_conflict WHERE external_id_or_order_id_is_used = 2) = 1;
    SELECT RAISE(IGNORE)
     WHERE NEW.account IS NULL
       AND EXISTS (SELECT 1 FROM invoices WHERE account = 'default' AND order_id = NEW.order_id);
END;

DROP TRIGGER invoices_after_insert;
CREATE TRIGGER invoices_after_insert AFTER INSERT ON invoices
BEGIN
    -- BEFORE INSERT could not tell an explicit -1 from no id.
    SELECT RAISE(ABORT, 'invoices.id: leave it out, the database numbers the invoices')
     WHERE NEW.id < 1;
    UPDATE invoices
       SET account         = coalesce(account, 'default'),
           timeout_seconds = coalesce(timeout_seconds, 86400),
           status          = CASE WHEN order_id IS NULL THEN coalesce(status, 'requested') ELSE 'pending' END,
           -- These columns have no type, so that the trigger above sees what was bound.
           amount          = CAST(amount AS TEXT),
           description     = CAST(description AS TEXT),
           metadata        = CAST(metadata AS TEXT),
           version         = 0,
           polls           = 0,
           failures        = 0,
           daemon_writes   = 0,
           created_at      = CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER),
           updated_at      = CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER),
           next_poll_at    = CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER)
     WHERE id = NEW.id;
END;

DROP TRIGGER invoices_identity_stays;
CREATE TRIGGER invoices_identity_stays
BEFORE UPDATE OF id, account, external_id, order_id, amount, currency, description,
                 timeout_seconds, options, created_at ON invoices
BEGIN
    -- Without created_at the row is being inserted: numbers become text then.
    SELECT RAISE(ABORT, 'invoices: id, account, external_id, order_id, amount, currency, description, timeout_seconds, options and created_at never change once set')
     WHERE NEW.id IS NOT OLD.id
        OR NEW.external_id IS NOT OLD.external_id
        OR (OLD.created_at IS NOT NULL AND NEW.description IS NOT OLD.description)
        OR NEW.options IS NOT OLD.options
        OR (OLD.account IS NOT NULL AND NEW.account IS NOT OLD.account)
        OR (OLD.order_id IS NOT NULL AND NEW.order_id IS NOT OLD.order_id)
        OR (OLD.amount IS NOT NULL AND OLD.created_at IS NOT NULL AND NEW.amount IS NOT OLD.amount)
        OR (OLD.currency IS NOT NULL AND NEW.currency IS NOT OLD.currency)
        OR (OLD.timeout_seconds IS NOT NULL AND NEW.timeout_seconds IS NOT OLD.timeout_seconds)
        OR (OLD.created_at IS NOT NULL AND NEW.created_at IS NOT OLD.created_at);
    -- Raised here, since UPDATE OR REPLACE would remove the other invoice.
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: invoices.account, invoices.order_id')
     WHERE OLD.order_id IS NULL AND NEW.order_id IS NOT NULL
       AND (EXISTS (SELECT 1 FROM invoices
                     WHERE account = OLD.account AND order_id = NEW.order_id AND id <> OLD.id)
            OR EXISTS (SELECT 1 FROM used_keys
                        WHERE account = OLD.account AND order_id = NEW.order_id));
END;

DROP TRIGGER invoices_rest_is_the_daemons;
CREATE TRIGGER invoices_rest_is_the_daemons
BEFORE UPDATE ON invoices
WHEN NEW.id IS NOT OLD.id
  OR (NEW.daemon_writes IS NOT OLD.daemon_writes + 1 AND OLD.created_at IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'invoices: a program may set metadata and next_poll_at = 0, the rest is written by the daemon')
     WHERE NEW.id IS NOT OLD.id
        OR NEW.status IS NOT OLD.status OR NEW.reason IS NOT OLD.reason
        OR NEW.provider_status IS NOT OLD.provider_status
        OR NEW.order_id IS NOT OLD.order_id OR NEW.amount IS NOT OLD.amount
        OR NEW.currency IS NOT OLD.currency OR NEW.order_number IS NOT OLD.order_number
        OR NEW.pay_link IS NOT OLD.pay_link OR NEW.direct_pay_link IS NOT OLD.direct_pay_link
        OR NEW.expires_at IS NOT OLD.expires_at OR NEW.paid_at IS NOT OLD.paid_at
        OR NEW.paid_amount IS NOT OLD.paid_amount OR NEW.paid_currency IS NOT OLD.paid_currency
        OR NEW.fee_amount IS NOT OLD.fee_amount OR NEW.net_amount IS NOT OLD.net_amount
        OR NEW.exchange_rate IS NOT OLD.exchange_rate OR NEW.version IS NOT OLD.version
        OR NEW.received_amount IS NOT OLD.received_amount
        OR NEW.refunded_amount IS NOT OLD.refunded_amount
        OR NEW.refunded_at IS NOT OLD.refunded_at OR NEW.is_test IS NOT OLD.is_test
        OR NEW.updated_at IS NOT OLD.updated_at OR NEW.last_polled_at IS NOT OLD.last_polled_at
        OR NEW.polls IS NOT OLD.polls OR NEW.failures IS NOT OLD.failures
        OR NEW.last_error IS NOT OLD.last_error OR NEW.create_sent_at IS NOT OLD.create_sent_at
        OR NEW.ended_at IS NOT OLD.ended_at OR NEW.not_found_since IS NOT OLD.not_found_since
        OR NEW.daemon_writes IS NOT OLD.daemon_writes;
    SELECT RAISE(ABORT, 'invoices.next_poll_at: a program may set 0 to ask for a poll, the plan is the daemon''s')
     WHERE NEW.next_poll_at IS NOT OLD.next_poll_at AND NEW.next_poll_at IS NOT 0
       -- Said by the trigger below, after a nudge at a final invoice.
       AND NOT (NEW.next_poll_at IS NULL AND OLD.status IN ('paid', 'rejected'));
END;

DROP TRIGGER invoices_metadata_is_json;
CREATE TRIGGER invoices_metadata_is_json
BEFORE UPDATE OF metadata ON invoices
WHEN NEW.metadata IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'invoices.metadata: JSON of at most 32 KiB; pass it as text')
     WHERE CASE WHEN typeof(NEW.metadata) NOT IN ('text', 'integer') THEN 1
                WHEN length(CAST(NEW.metadata AS BLOB)) > 32768 THEN 1
                WHEN instr(CAST(NEW.metadata AS BLOB), x'00') > 0 THEN 1
                ELSE NOT json_valid(NEW.metadata) END;
    SELECT RAISE(ABORT, 'invoices.metadata: must be UTF-8')
      FROM (SELECT substr(NEW.metadata, 64 * part.key + 1, 64) AS text
              FROM json_each('[0' || replace(hex(zeroblob(length(NEW.metadata) / 64)), '00', ',0') || ']') AS part
             WHERE NEW.metadata GLOB '*[^' || char(1) || '-' || char(127) || ']*'
             LIMIT -1) AS piece
      JOIN json_each('[0' || replace(hex(zeroblob(63)), '00', ',0') || ']') AS place
     WHERE substr(piece.text, place.key + 1, 1) <> ''
       AND CAST(substr(piece.text, place.key + 1, 1) AS BLOB)
           <> CAST(char(unicode(substr(piece.text, place.key + 1, 1))) AS BLOB);
END;

-- A number is valid JSON, and is kept as text like the rest.
CREATE TRIGGER invoices_metadata_is_text
AFTER UPDATE OF metadata ON invoices
WHEN typeof(NEW.metadata) = 'integer' AND OLD.created_at IS NOT NULL
BEGIN
    UPDATE invoices SET metadata = CAST(metadata AS TEXT) WHERE id = NEW.id;
END;

------------------------------------------------------------------------------------ consumers

DROP TRIGGER consumers_before_insert;
CREATE TRIGGER consumers_before_insert BEFORE INSERT ON consumers
BEGIN
    SELECT RAISE(ABORT, 'consumers.name: text of 1 to 64 characters, no spaces, no control characters')
     WHERE NEW.name IS NULL OR typeof(NEW.name) <> 'text' OR length(NEW.name) NOT BETWEEN 1 AND 64
        OR NEW.name GLOB '*[' || char(1) || '-' || char(32) || char(127) || '-' || char(160) || ']*'
        OR instr(CAST(NEW.name AS BLOB), x'00') > 0;
    SELECT RAISE(ABORT, 'consumers.name: this is how a floating point number is written; pass the name as text')
     WHERE NEW.name GLOB '[0-9]*.0' AND NEW.name NOT GLOB '*[^0-9.]*' AND NEW.name NOT GLOB '*.*.*';
    SELECT RAISE(ABORT, 'consumers.name: must be UTF-8')
      FROM json_each('[0' || replace(hex(zeroblob(63)), '00', ',0') || ']') AS place
     WHERE substr(NEW.name, place.key + 1, 1) <> ''
       AND CAST(substr(NEW.name, place.key + 1, 1) AS BLOB)
           <> CAST(char(unicode(substr(NEW.name, place.key + 1, 1))) AS BLOB);
    SELECT RAISE(ABORT, 'consumers.acked_seq: a whole number from 0 to the highest seq of the outbox')
     WHERE NEW.acked_seq IS NOT NULL
       AND (typeof(NEW.acked_seq) <> 'integer' OR NEW.acked_seq < 0
            OR NEW.acked_seq > coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'), 0));
    INSERT OR IGNORE INTO consumers_conflict (name_is_used, seen)
    SELECT 1, 1 WHERE EXISTS (SELECT 1 FROM consumers WHERE name = NEW.name);
    SELECT RAISE(ABORT, 'consumers: REPLACE is refused, it would set the consumer back; use INSERT OR IGNORE')
     WHERE (SELECT seen FROM consumers_conflict WHERE name_is_used = 1) = 1;
END;

----------------------------------------------------------------------------------- transactions

-- Movements of money in the ledger of a provider that has one, and refunds that a provider tells.
CREATE TABLE transactions (
    account        TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    direction      TEXT NOT NULL,
    -- NULL: no invoice has this label
    invoice_id     INTEGER,
    -- the label as told
    external_id    TEXT,
    amount         TEXT NOT NULL,
    currency       TEXT NOT NULL,
    is_net         INTEGER NOT NULL,
    status         TEXT NOT NULL,
    happened_at    INTEGER NOT NULL,
    seen_at        INTEGER NOT NULL,
    -- counts the daemon's writes to the row: one that does not count is a program's
    daemon_writes  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, transaction_id, direction)
) WITHOUT ROWID;

-- An invoice inserted after its payment was seen finds it here.
CREATE INDEX transactions_of_nobody ON transactions (account, external_id) WHERE invoice_id IS NULL;

CREATE INDEX transactions_by_invoice ON transactions (invoice_id) WHERE invoice_id IS NOT NULL;

-- What retention may delete, oldest first.
CREATE INDEX transactions_to_keep ON transactions (seen_at) WHERE invoice_id IS NULL;

CREATE TRIGGER transactions_before_insert BEFORE INSERT ON transactions
BEGIN
    SELECT RAISE(ABORT, 'transactions: written by the daemon, programs only read')
     WHERE NEW.daemon_writes IS NOT 1;
    SELECT RAISE(ABORT, 'transactions: this account, transaction_id and direction are there already')
     WHERE EXISTS (SELECT 1 FROM transactions
                    WHERE account = NEW.account AND transaction_id = NEW.transaction_id
                      AND direction = NEW.direction);
    SELECT RAISE(ABORT, 'transactions.direction: in or out')
     WHERE NEW.direction NOT IN ('in', 'out');
    SELECT RAISE(ABORT, 'transactions.status: succeeded, in_progress or refused')
     WHERE NEW.status NOT IN ('succeeded', 'in_progress', 'refused');
    SELECT RAISE(ABORT, 'transactions.invoice_id: there is no such invoice in the account')
     WHERE NEW.invoice_id IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM invoices
                        WHERE id = NEW.invoice_id AND account = NEW.account);
END;

CREATE TRIGGER transactions_before_update BEFORE UPDATE ON transactions
BEGIN
    SELECT RAISE(ABORT, 'transactions: written by the daemon, programs only read')
     WHERE NEW.daemon_writes IS NOT OLD.daemon_writes + 1;
    SELECT RAISE(ABORT, 'transactions: account, transaction_id and direction never change')
     WHERE NEW.account IS NOT OLD.account OR NEW.transaction_id IS NOT OLD.transaction_id
        OR NEW.direction IS NOT OLD.direction;
    SELECT RAISE(ABORT, 'transactions.status: succeeded, in_progress or refused')
     WHERE NEW.status NOT IN ('succeeded', 'in_progress', 'refused');
    SELECT RAISE(ABORT, 'transactions.invoice_id: never changes once set')
     WHERE OLD.invoice_id IS NOT NULL AND NEW.invoice_id IS NOT OLD.invoice_id;
    SELECT RAISE(ABORT, 'transactions.invoice_id: there is no such invoice in the account')
     WHERE NEW.invoice_id IS NOT NULL AND OLD.invoice_id IS NULL
       AND NOT EXISTS (SELECT 1 FROM invoices
                        WHERE id = NEW.invoice_id AND account = NEW.account);
END;

CREATE TRIGGER transactions_before_delete BEFORE DELETE ON transactions
BEGIN
    SELECT RAISE(ABORT, 'transactions: deleted with their invoice, those of nobody by retention only')
     WHERE CASE WHEN OLD.invoice_id IS NULL
                THEN OLD.seen_at >= coalesce((SELECT CAST(value AS INTEGER) FROM meta
                                               WHERE key = 'transactions_floor'), 0)
                ELSE EXISTS (SELECT 1 FROM invoices WHERE id = OLD.invoice_id) END;
END;

CREATE TRIGGER invoices_take_their_transactions AFTER DELETE ON invoices
BEGIN
    DELETE FROM transactions WHERE invoice_id = OLD.id;
END;

-- Transactions of nobody that were seen before this moment may be deleted.
CREATE TRIGGER meta_transactions_floor_rises BEFORE UPDATE ON meta
WHEN OLD.key = 'transactions_floor'
BEGIN
    SELECT RAISE(ABORT, 'meta.transactions_floor: never falls')
     WHERE CAST(NEW.value AS INTEGER) < CAST(OLD.value AS INTEGER);
END;
