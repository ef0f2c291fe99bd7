-- The SQL interface of payrecond: invoices in, outbox out.
--
-- Programs write here with SQLite libraries of their own, from 3.34 on: defaults, triggers and the
-- view run in theirs. So: no STRICT, no ->>, no unixepoch(), and RAISE with literals only.
--
-- Rules stand in triggers, not in CHECK or NOT NULL, because OR IGNORE makes those vanish without a
-- word. A NULL in a column with a default means the default: AFTER INSERT fills it in.

CREATE TABLE invoices (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    -- written by programs
    account          TEXT DEFAULT 'default',
    external_id      TEXT NOT NULL,
    order_id         TEXT,
    amount           TEXT,
    currency         TEXT,
    description      TEXT,
    timeout_seconds  INTEGER DEFAULT 86400,
    options          TEXT,
    metadata         TEXT,
    -- written by the daemon
    status           TEXT,
    reason           TEXT,
    provider_status  TEXT,
    order_number     TEXT,
    pay_link         TEXT,
    direct_pay_link  TEXT,
    expires_at       INTEGER,
    paid_at          INTEGER,
    paid_amount      TEXT,
    paid_currency    TEXT,
    fee_amount       TEXT,
    net_amount       TEXT,
    exchange_rate    TEXT,
    version          INTEGER DEFAULT 0,
    created_at       INTEGER,
    updated_at       INTEGER,
    next_poll_at     INTEGER,
    last_polled_at   INTEGER,
    polls            INTEGER DEFAULT 0,
    failures         INTEGER DEFAULT 0,
    last_error       TEXT,
    -- the daemon's own notes, not part of the interface
    create_sent_at   INTEGER,
    ended_at         INTEGER,
    not_found_since  INTEGER,
    -- counts the daemon's writes to the row: one that does not count is a program's
    daemon_writes    INTEGER DEFAULT 0
);

-- An explicit NULL account means 'default' before AFTER INSERT writes so: duplicates must be seen.
CREATE UNIQUE INDEX invoices_by_effective_account
    ON invoices (coalesce(account, 'default'), external_id);

-- The newest index is checked first: these two name the columns in the message to the program.
CREATE UNIQUE INDEX invoices_by_order_id ON invoices (account, order_id);
CREATE UNIQUE INDEX invoices_by_external_id ON invoices (account, external_id);

-- The due query reads this index and nothing else; final rows are not in it.
CREATE INDEX invoices_due ON invoices (account, next_poll_at) WHERE next_poll_at IS NOT NULL;

-- Customers wait for the links of these: they go before looks at orders that exist.
CREATE INDEX invoices_requested ON invoices (account, next_poll_at) WHERE status = 'requested';

-- Counting by status at a million rows: 30 ms instead of a second.
CREATE INDEX invoices_by_status ON invoices (status);

-- What retention may delete, oldest first. Open invoices are not in it.
CREATE INDEX invoices_ended ON invoices (updated_at)
 WHERE next_poll_at IS NULL AND status IN ('paid', 'rejected', 'expired', 'cancelled');

-- Empty as long as every account that an invoice names is configured.
CREATE INDEX invoices_of_unknown_accounts ON invoices (account) WHERE reason = 'unknown_account';

-- Keys of deleted invoices: once used, they stay used.
CREATE TABLE used_keys (
    account     TEXT NOT NULL,
    external_id TEXT NOT NULL,
    order_id    TEXT,
    PRIMARY KEY (account, external_id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX used_keys_by_order ON used_keys (account, order_id) WHERE order_id IS NOT NULL;

-- A statement's OR clause overrides those inside the triggers that it fires. So a write here tells
-- a trigger which policy the program chose: row 1 changes under OR REPLACE only, row 2 under all
-- but OR IGNORE. A change is always followed by RAISE(ABORT): the rows never keep it. Under OR
-- ABORT, FAIL and ROLLBACK the write itself fails, so the names here are the program's message.
CREATE TABLE invoices_conflict (
    external_id_or_order_id_is_used INTEGER PRIMARY KEY,
    seen                            INTEGER NOT NULL DEFAULT 0
);
INSERT INTO invoices_conflict (external_id_or_order_id_is_used) VALUES (1), (2);

CREATE TABLE consumers_conflict (
    name_is_used INTEGER PRIMARY KEY,
    seen         INTEGER NOT NULL DEFAULT 0
);
INSERT INTO consumers_conflict (name_is_used) VALUES (1);

CREATE TABLE outbox (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id        TEXT NOT NULL UNIQUE,
    epoch           TEXT NOT NULL,
    subject         TEXT NOT NULL,
    type            TEXT NOT NULL,
    account         TEXT NOT NULL,
    external_id     TEXT,
    order_id        TEXT,
    status          TEXT,
    previous_status TEXT,
    version         INTEGER,
    payload         TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    UNIQUE (account, external_id, version)
);

-- WITHOUT ROWID here and below: a hidden rowid is one more key by which REPLACE removes rows.
CREATE TABLE consumers (
    name       TEXT PRIMARY KEY,
    acked_seq  INTEGER DEFAULT 0,
    updated_at INTEGER
) WITHOUT ROWID;

CREATE VIEW outbox_unread AS
    SELECT c.name AS consumer, o.seq, o.event_id, o.epoch, o.subject, o.type, o.account,
           o.external_id, o.order_id, o.status, o.previous_status, o.version, o.payload,
           o.created_at
      FROM consumers AS c
      JOIN outbox AS o ON o.seq > c.acked_seq;

-- What the database knows of itself: epoch, outbox_floor (the first seq that is kept).
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES ('outbox_floor', '1');

-- What the daemon last found out about each account, for programs that only read.
CREATE TABLE accounts (
    name            TEXT PRIMARY KEY,
    provider        TEXT NOT NULL,
    state           TEXT NOT NULL DEFAULT 'working',
    state_since     INTEGER,
    resume_at       INTEGER,
    last_success_at INTEGER,
    last_failure_at INTEGER,
    last_error      TEXT,
    updated_at      INTEGER,
    -- the daemon's own note: invoices of an unknown account are flagged up to this id
    flagged_to      INTEGER NOT NULL DEFAULT 0,
    -- The store's list at the provider, as far as it was read. A page that changes nothing is
    -- remembered here and nowhere else.
    list_total      INTEGER,
    list_floor      INTEGER,
    list_positions  TEXT,
    list_read_at    INTEGER,
    list_read_from  INTEGER,
    list_read_to    INTEGER,
    -- At this moment no look was overdue, whatever the invoices' own rows say.
    caught_up_at    INTEGER
) WITHOUT ROWID;

-- Findings of audits that were said, by the id of their event: each is said once.
CREATE TABLE findings (
    event_id TEXT PRIMARY KEY,
    said_at  INTEGER NOT NULL
) WITHOUT ROWID;

------------------------------------------------------------------------------- invoices: INSERT

CREATE TRIGGER invoices_before_insert BEFORE INSERT ON invoices
BEGIN
    -- NEW.id is -1 here when the program left it out or sent NULL.
    SELECT RAISE(ABORT, 'invoices.id: leave it out, the database numbers the invoices')
     WHERE NEW.id IS NOT NULL AND NEW.id <> -1;

    SELECT RAISE(ABORT, 'invoices.account: 1 to 32 characters of a-z, 0-9, - and _')
     WHERE NEW.account IS NOT NULL
       AND (typeof(NEW.account) <> 'text' OR length(NEW.account) NOT BETWEEN 1 AND 32
            OR NEW.account GLOB '*[^a-z0-9_-]*' OR instr(CAST(NEW.account AS BLOB), x'00') > 0);

    SELECT RAISE(ABORT, 'invoices.external_id: must be given (text of 1 to 255 characters)')
     WHERE NEW.external_id IS NULL;
    SELECT RAISE(ABORT, 'invoices.external_id: text of 1 to 255 characters')
     WHERE typeof(NEW.external_id) <> 'text' OR length(NEW.external_id) NOT BETWEEN 1 AND 255;
    SELECT RAISE(ABORT, 'invoices.external_id: no control characters')
     WHERE NEW.external_id GLOB '*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || ']*'
        OR instr(CAST(NEW.external_id AS BLOB), x'00') > 0;
    SELECT RAISE(ABORT, 'invoices.external_id: must not be blank')
     WHERE trim(NEW.external_id) = '';
    -- GLOB reads most of what is no UTF-8 as U+FFFD.
    SELECT RAISE(ABORT, 'invoices.external_id: must be UTF-8')
     WHERE NEW.external_id GLOB '*' || char(65533) || '*';

    SELECT RAISE(ABORT, 'invoices.order_id: letters, digits, - and _ only, 1 to 64 characters; pass it as text, since a number can lose digits on the way')
     WHERE NEW.order_id IS NOT NULL
       AND (typeof(NEW.order_id) <> 'text' OR length(NEW.order_id) NOT BETWEEN 1 AND 64
            OR NEW.order_id GLOB '*[^A-Za-z0-9_-]*' OR instr(CAST(NEW.order_id AS BLOB), x'00') > 0);

    SELECT RAISE(ABORT, 'invoices.amount: a plain decimal such as 1.00: digits, at most one point, no sign, no exponent, not zero, at most 40 characters')
     WHERE NEW.amount IS NOT NULL
       AND (typeof(NEW.amount) <> 'text' OR length(NEW.amount) NOT BETWEEN 1 AND 40
            OR NEW.amount GLOB '*[^0-9.]*' OR NEW.amount GLOB '*.*.*'
            OR NEW.amount GLOB '.*' OR NEW.amount GLOB '*.' OR trim(NEW.amount, '0.') = ''
            OR instr(CAST(NEW.amount AS BLOB), x'00') > 0);
    SELECT RAISE(ABORT, 'invoices.currency: must be given with amount')
     WHERE NEW.amount IS NOT NULL AND NEW.currency IS NULL;
    SELECT RAISE(ABORT, 'invoices.amount: must be given with currency')
     WHERE NEW.amount IS NULL AND NEW.currency IS NOT NULL;
    SELECT RAISE(ABORT, 'invoices.currency: a code such as USD or TON: 1 to 16 of A-Z and 0-9')
     WHERE NEW.currency IS NOT NULL
       AND (typeof(NEW.currency) <> 'text' OR length(NEW.currency) NOT BETWEEN 1 AND 16
            OR NEW.currency GLOB '*[^A-Z0-9]*' OR instr(CAST(NEW.currency AS BLOB), x'00') > 0);

    SELECT RAISE(ABORT, 'invoices.amount: must be given when order_id is left out (the order is to be created)')
     WHERE NEW.order_id IS NULL AND NEW.amount IS NULL;
    SELECT RAISE(ABORT, 'invoices.description: must be given when order_id is left out (the order is to be created)')
     WHERE NEW.order_id IS NULL AND NEW.description IS NULL;
    SELECT RAISE(ABORT, 'invoices.description: text of 5 to 100 characters')
     WHERE NEW.order_id IS NULL
       AND (typeof(NEW.description) <> 'text' OR length(NEW.description) NOT BETWEEN 5 AND 100
            OR instr(CAST(NEW.description AS BLOB), x'00') > 0);
    SELECT RAISE(ABORT, 'invoices.description: text of at most 1000 characters')
     WHERE NEW.description IS NOT NULL
       AND (typeof(NEW.description) <> 'text' OR length(CAST(NEW.description AS BLOB)) > 4000
            OR length(NEW.description) > 1000 OR instr(CAST(NEW.description AS BLOB), x'00') > 0);
    SELECT RAISE(ABORT, 'invoices.timeout_seconds: a whole number of seconds from 30 to 864000')
     WHERE NEW.timeout_seconds IS NOT NULL
       AND (typeof(NEW.timeout_seconds) <> 'integer'
            OR NEW.timeout_seconds NOT BETWEEN 30 AND 864000);

    SELECT RAISE(ABORT, 'invoices.options: a JSON object of at most 16 KiB')
     WHERE CASE WHEN NEW.options IS NULL THEN 0
                WHEN typeof(NEW.options) <> 'text' THEN 1
                WHEN length(CAST(NEW.options AS BLOB)) > 16384 THEN 1
                WHEN instr(CAST(NEW.options AS BLOB), x'00') > 0 THEN 1
                WHEN NOT json_valid(NEW.options) THEN 1
                ELSE json_type(NEW.options) <> 'object' END;
    SELECT RAISE(ABORT, 'invoices.metadata: JSON of at most 32 KiB')
     WHERE CASE WHEN NEW.metadata IS NULL THEN 0
                WHEN typeof(NEW.metadata) <> 'text' THEN 1
                WHEN length(CAST(NEW.metadata AS BLOB)) > 32768 THEN 1
                WHEN instr(CAST(NEW.metadata AS BLOB), x'00') > 0 THEN 1
                ELSE NOT json_valid(NEW.metadata) END;

    SELECT RAISE(ABORT, 'invoices.status: leave it out; requested (without order_id) and pending (with order_id) are the only ones an invoice can begin with')
     WHERE NEW.status IS NOT NULL
       AND NEW.status <> CASE WHEN NEW.order_id IS NULL THEN 'requested' ELSE 'pending' END;
    SELECT RAISE(ABORT, 'invoices.version: leave it out, the daemon counts the events')
     WHERE NEW.version IS NOT NULL AND NEW.version <> 0;
    SELECT RAISE(ABORT, 'invoices.next_poll_at: leave it out, a new invoice is looked at as soon as possible')
     WHERE NEW.next_poll_at IS NOT NULL AND NEW.next_poll_at <> 0;
    SELECT RAISE(ABORT, 'invoices: reason, provider_status, order_number, pay_link, direct_pay_link, expires_at, paid_at, paid_amount, paid_currency, fee_amount, net_amount, exchange_rate, created_at, updated_at, last_polled_at, polls, failures and last_error are written by the daemon: leave them out')
     WHERE coalesce(NEW.reason, NEW.provider_status, NEW.order_number, NEW.pay_link,
                    NEW.direct_pay_link, NEW.expires_at, NEW.paid_at, NEW.paid_amount,
                    NEW.paid_currency, NEW.fee_amount, NEW.net_amount, NEW.exchange_rate,
                    NEW.created_at, NEW.updated_at, NEW.last_polled_at, NEW.last_error,
                    NEW.create_sent_at, NEW.ended_at, NEW.not_found_since) IS NOT NULL
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

CREATE TRIGGER invoices_after_insert AFTER INSERT ON invoices
BEGIN
    -- BEFORE INSERT could not tell an explicit -1 from no id.
    SELECT RAISE(ABORT, 'invoices.id: leave it out, the database numbers the invoices')
     WHERE NEW.id < 1;
    UPDATE invoices
       SET account         = coalesce(account, 'default'),
           timeout_seconds = coalesce(timeout_seconds, 86400),
           status          = CASE WHEN order_id IS NULL THEN 'requested' ELSE 'pending' END,
           version         = 0,
           polls           = 0,
           failures        = 0,
           daemon_writes   = 0,
           created_at      = CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER),
           updated_at      = CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER),
           next_poll_at    = CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER)
     WHERE id = NEW.id;
END;

------------------------------------------------------------------------------- invoices: UPDATE

CREATE TRIGGER invoices_identity_stays
BEFORE UPDATE OF id, account, external_id, order_id, amount, currency, description,
                 timeout_seconds, options, created_at ON invoices
BEGIN
    SELECT RAISE(ABORT, 'invoices: id, account, external_id, order_id, amount, currency, description, timeout_seconds, options and created_at never change once set')
     WHERE NEW.id IS NOT OLD.id
        OR NEW.external_id IS NOT OLD.external_id
        OR NEW.description IS NOT OLD.description
        OR NEW.options IS NOT OLD.options
        OR (OLD.account IS NOT NULL AND NEW.account IS NOT OLD.account)
        OR (OLD.order_id IS NOT NULL AND NEW.order_id IS NOT OLD.order_id)
        OR (OLD.amount IS NOT NULL AND NEW.amount IS NOT OLD.amount)
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

CREATE TRIGGER invoices_status_moves_with_its_event
BEFORE UPDATE OF status, version ON invoices
WHEN OLD.status IS NOT NULL AND (NEW.status IS NOT OLD.status OR NEW.version IS NOT OLD.version)
BEGIN
    SELECT RAISE(ABORT, 'invoices.status: there is no such move; see the table of states')
     WHERE NEW.status IS NOT OLD.status
       AND NOT coalesce(CASE OLD.status
               WHEN 'requested' THEN NEW.status IN ('pending', 'rejected', 'review')
               WHEN 'pending'   THEN NEW.status IN ('paid', 'expired', 'cancelled', 'review')
               WHEN 'expired'   THEN NEW.status IN ('paid', 'review')
               WHEN 'cancelled' THEN NEW.status IN ('paid', 'review')
               WHEN 'review'    THEN NEW.status IN ('pending', 'paid', 'expired', 'cancelled')
               ELSE 0 END, 0);
    SELECT RAISE(ABORT, 'invoices.version: counts the events of the invoice: a change of status needs version + 1')
     WHERE NEW.version IS NOT OLD.version + 1;
    SELECT RAISE(ABORT, 'invoices.status: a change needs its row in the outbox, inserted first in the same transaction')
     WHERE NOT EXISTS (SELECT 1 FROM outbox
                        WHERE account = OLD.account AND external_id = OLD.external_id
                          AND version = NEW.version AND status = NEW.status
                          AND previous_status = OLD.status);
END;

-- Catches programs that write what is the daemon's, by mistake or because their ORM saves the whole
-- row as it was read. Not UPDATE OF: that list does not see id under its name rowid.
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
        OR NEW.updated_at IS NOT OLD.updated_at OR NEW.last_polled_at IS NOT OLD.last_polled_at
        OR NEW.polls IS NOT OLD.polls OR NEW.failures IS NOT OLD.failures
        OR NEW.last_error IS NOT OLD.last_error OR NEW.create_sent_at IS NOT OLD.create_sent_at
        OR NEW.ended_at IS NOT OLD.ended_at OR NEW.not_found_since IS NOT OLD.not_found_since
        OR NEW.daemon_writes IS NOT OLD.daemon_writes;
    SELECT RAISE(ABORT, 'invoices.next_poll_at: a program may set 0 to ask for a look, the plan is the daemon''s')
     WHERE NEW.next_poll_at IS NOT OLD.next_poll_at AND NEW.next_poll_at IS NOT 0
       -- Said by the trigger below, after a nudge at a final invoice.
       AND NOT (NEW.next_poll_at IS NULL AND OLD.status IN ('paid', 'rejected'));
END;

CREATE TRIGGER invoices_plan_of_looks
BEFORE UPDATE OF next_poll_at ON invoices
WHEN NEW.next_poll_at IS NULL OR typeof(NEW.next_poll_at) <> 'integer' OR NEW.next_poll_at < 0
BEGIN
    SELECT RAISE(ABORT, 'invoices.next_poll_at: unix milliseconds; a program may set 0 to ask for a look')
     WHERE NEW.next_poll_at IS NOT NULL;
    SELECT RAISE(ABORT, 'invoices.next_poll_at: an invoice that waits for an answer always has a next look')
     WHERE coalesce(NEW.status, '') NOT IN ('paid', 'rejected', 'expired', 'cancelled');
END;

-- A nudge on a final invoice does nothing.
CREATE TRIGGER invoices_final_is_not_looked_at
AFTER UPDATE OF next_poll_at ON invoices
WHEN NEW.next_poll_at IS NOT NULL AND NEW.status IN ('paid', 'rejected')
BEGIN
    UPDATE invoices SET next_poll_at = NULL WHERE id = NEW.id;
END;

CREATE TRIGGER invoices_metadata_is_json
BEFORE UPDATE OF metadata ON invoices
WHEN NEW.metadata IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'invoices.metadata: JSON of at most 32 KiB')
     WHERE CASE WHEN typeof(NEW.metadata) <> 'text' THEN 1
                WHEN length(CAST(NEW.metadata AS BLOB)) > 32768 THEN 1
                WHEN instr(CAST(NEW.metadata AS BLOB), x'00') > 0 THEN 1
                ELSE NOT json_valid(NEW.metadata) END;
END;

------------------------------------------------------------------------------- invoices: DELETE

CREATE TRIGGER invoices_before_delete BEFORE DELETE ON invoices
BEGIN
    SELECT RAISE(ABORT, 'invoices: only a paid or rejected invoice, an expired or cancelled one without a next look, or a requested one whose creation was not sent can be deleted')
     WHERE NOT (OLD.status IN ('paid', 'rejected')
                OR (OLD.status IN ('expired', 'cancelled') AND OLD.next_poll_at IS NULL)
                OR (OLD.status = 'requested' AND OLD.create_sent_at IS NULL));
END;

CREATE TRIGGER invoices_after_delete AFTER DELETE ON invoices
BEGIN
    INSERT INTO used_keys (account, external_id, order_id)
    VALUES (OLD.account, OLD.external_id, OLD.order_id);
END;

CREATE TRIGGER used_keys_before_insert BEFORE INSERT ON used_keys
BEGIN
    SELECT RAISE(ABORT, 'used_keys: this external_id or order_id is there already')
     WHERE EXISTS (SELECT 1 FROM used_keys
                    WHERE account = NEW.account AND external_id = NEW.external_id)
        OR EXISTS (SELECT 1 FROM used_keys
                    WHERE account = NEW.account AND order_id = NEW.order_id);
END;

CREATE TRIGGER used_keys_before_update BEFORE UPDATE ON used_keys
BEGIN
    SELECT RAISE(ABORT, 'used_keys: what was used stays used');
END;

CREATE TRIGGER used_keys_before_delete BEFORE DELETE ON used_keys
BEGIN
    SELECT RAISE(ABORT, 'used_keys: what was used stays used');
END;

--------------------------------------------------------------------------------------- outbox

CREATE TRIGGER outbox_before_insert BEFORE INSERT ON outbox
BEGIN
    -- NEW.seq is -1 here when it was left out.
    SELECT RAISE(ABORT, 'outbox.seq: only grows')
     WHERE NEW.seq <> -1
       AND NEW.seq <= coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'), 0);
    SELECT RAISE(ABORT, 'outbox: this seq, event_id or (account, external_id, version) is there already')
     WHERE EXISTS (SELECT 1 FROM outbox WHERE seq = NEW.seq)
        OR EXISTS (SELECT 1 FROM outbox WHERE event_id = NEW.event_id)
        OR EXISTS (SELECT 1 FROM outbox WHERE account = NEW.account
                      AND external_id = NEW.external_id AND version = NEW.version);
    SELECT RAISE(ABORT, 'outbox.version: an event carries the version that follows its invoice')
     WHERE NEW.version IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM invoices
                        WHERE account = NEW.account AND external_id = NEW.external_id
                          AND version = NEW.version - 1 AND status = NEW.previous_status);
END;

CREATE TRIGGER outbox_after_insert AFTER INSERT ON outbox
WHEN NEW.seq < 1
BEGIN
    SELECT RAISE(ABORT, 'outbox.seq: only grows');
END;

CREATE TRIGGER outbox_before_update BEFORE UPDATE ON outbox
BEGIN
    SELECT RAISE(ABORT, 'outbox: events are never changed');
END;

CREATE TRIGGER outbox_before_delete BEFORE DELETE ON outbox
BEGIN
    SELECT RAISE(ABORT, 'outbox: events are deleted by retention only')
     WHERE OLD.seq >= coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'outbox_floor'), 0);
END;

------------------------------------------------------------------------------------ consumers

CREATE TRIGGER consumers_before_insert BEFORE INSERT ON consumers
BEGIN
    SELECT RAISE(ABORT, 'consumers.name: text of 1 to 64 characters, no spaces, no control characters')
     WHERE NEW.name IS NULL OR typeof(NEW.name) <> 'text' OR length(NEW.name) NOT BETWEEN 1 AND 64
        OR NEW.name GLOB '*[' || char(1) || '-' || char(32) || char(127) || '-' || char(160) || ']*'
        OR instr(CAST(NEW.name AS BLOB), x'00') > 0;
    SELECT RAISE(ABORT, 'consumers.acked_seq: a whole number from 0 to the highest seq of the outbox')
     WHERE NEW.acked_seq IS NOT NULL
       AND (typeof(NEW.acked_seq) <> 'integer' OR NEW.acked_seq < 0
            OR NEW.acked_seq > coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'), 0));
    INSERT OR IGNORE INTO consumers_conflict (name_is_used, seen)
    SELECT 1, 1 WHERE EXISTS (SELECT 1 FROM consumers WHERE name = NEW.name);
    SELECT RAISE(ABORT, 'consumers: REPLACE is refused, it would set the consumer back; use INSERT OR IGNORE')
     WHERE (SELECT seen FROM consumers_conflict WHERE name_is_used = 1) = 1;
END;

CREATE TRIGGER consumers_after_insert AFTER INSERT ON consumers
BEGIN
    UPDATE consumers
       SET acked_seq  = coalesce(acked_seq, 0),
           updated_at = CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER)
     WHERE name = NEW.name;
END;

CREATE TRIGGER consumers_before_update BEFORE UPDATE OF name, acked_seq ON consumers
BEGIN
    SELECT RAISE(ABORT, 'consumers.name: never changes; insert another consumer')
     WHERE NEW.name IS NOT OLD.name;
    SELECT RAISE(ABORT, 'consumers.acked_seq: must be a whole number')
     WHERE typeof(NEW.acked_seq) <> 'integer';
    SELECT RAISE(ABORT, 'consumers.acked_seq: never moves backwards')
     WHERE NEW.acked_seq < OLD.acked_seq;
    SELECT RAISE(ABORT, 'consumers.acked_seq: beyond the highest seq of the outbox')
     WHERE NEW.acked_seq > OLD.acked_seq
       AND NEW.acked_seq > coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'), 0);
END;

CREATE TRIGGER consumers_after_update AFTER UPDATE OF acked_seq ON consumers
BEGIN
    UPDATE consumers
       SET updated_at = CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER)
     WHERE name = NEW.name;
END;

----------------------------------------------------------------------------- meta and accounts

CREATE TRIGGER meta_before_insert BEFORE INSERT ON meta
BEGIN
    SELECT RAISE(ABORT, 'meta: this key is there already')
     WHERE EXISTS (SELECT 1 FROM meta WHERE key = NEW.key);
END;

CREATE TRIGGER meta_before_update BEFORE UPDATE ON meta
BEGIN
    SELECT RAISE(ABORT, 'meta.key: never changes') WHERE NEW.key IS NOT OLD.key;
END;

CREATE TRIGGER meta_before_delete BEFORE DELETE ON meta
BEGIN
    SELECT RAISE(ABORT, 'meta: nothing is deleted here');
END;

CREATE TRIGGER meta_floor_waits_for_consumers BEFORE UPDATE ON meta
WHEN OLD.key = 'outbox_floor'
BEGIN
    SELECT RAISE(ABORT, 'meta.outbox_floor: never falls')
     WHERE CAST(NEW.value AS INTEGER) < CAST(OLD.value AS INTEGER);
    SELECT RAISE(ABORT, 'meta.outbox_floor: beyond the next seq of the outbox')
     WHERE CAST(NEW.value AS INTEGER)
           > 1 + coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'), 0);
    SELECT RAISE(ABORT, 'meta.outbox_floor: every consumer must have acknowledged what lies below')
     WHERE CAST(NEW.value AS INTEGER) > (SELECT min(acked_seq) + 1 FROM consumers);
END;

CREATE TRIGGER accounts_before_insert BEFORE INSERT ON accounts
BEGIN
    SELECT RAISE(ABORT, 'accounts: this name is there already')
     WHERE EXISTS (SELECT 1 FROM accounts WHERE name = NEW.name);
END;

CREATE TRIGGER accounts_before_update BEFORE UPDATE ON accounts
BEGIN
    SELECT RAISE(ABORT, 'accounts.name: never changes') WHERE NEW.name IS NOT OLD.name;
END;
