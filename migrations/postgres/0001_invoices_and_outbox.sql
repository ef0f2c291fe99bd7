-- The SQL interface of payrecond on PostgreSQL, 13 or newer: invoices in, outbox out. The tables,
-- columns, rules and messages are those of SQLite's second schema.
--
-- Rules stand in triggers, not in CHECK: the detail of a CHECK that fails prints the whole row, with
-- the customer's data in it, into the server's log. Every trigger function that reads or writes beyond
-- its row runs as the owner, so that a program needs no rights but its own.
--
-- Everything is named with its schema: neither the daemon nor a program needs a search_path.

DO $$
BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'the encoding of the database is %, UTF8 is needed', current_setting('server_encoding');
    END IF;
END $$;

CREATE SCHEMA payrecond;

-- The database's clock, in unix milliseconds. Of several daemons none trusts its own.
CREATE FUNCTION payrecond.now_ms() RETURNS bigint LANGUAGE sql VOLATILE
AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

-- One refusal for all triggers whose rule is their WHEN: the message is the trigger's argument.
CREATE FUNCTION payrecond.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = TG_ARGV[0],
                          SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
END $$;

-- The same for a rule that a function finds broken; NULL is no refusal.
CREATE FUNCTION payrecond.refuse_with(message text) RETURNS void LANGUAGE plpgsql STRICT AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = message;
END $$;

CREATE FUNCTION payrecond.is_json(candidate text) RETURNS boolean LANGUAGE plpgsql STABLE STRICT AS $$
BEGIN
    PERFORM candidate::json;
    RETURN true;
EXCEPTION WHEN others THEN
    RETURN false;
END $$;

-- The table of states.
CREATE FUNCTION payrecond.may_become(from_status text, to_status text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE from_status
        WHEN 'requested' THEN to_status IN ('pending', 'rejected', 'review')
        WHEN 'pending'   THEN to_status IN ('paid', 'expired', 'cancelled', 'review')
        WHEN 'expired'   THEN to_status IN ('paid', 'review')
        WHEN 'cancelled' THEN to_status IN ('paid', 'review')
        WHEN 'review'    THEN to_status IN ('pending', 'paid', 'expired', 'cancelled')
        ELSE false END
$$;

---------------------------------------------------------------------------------------- tables

CREATE TABLE payrecond.invoices (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- written by programs
    account          text NOT NULL DEFAULT 'default',
    external_id      text NOT NULL,
    order_id         text,
    amount           text,
    currency         text,
    description      text,
    timeout_seconds  integer NOT NULL DEFAULT 86400,
    -- Text and not json: drivers that bind text as text could not write it, and what was written
    -- comes back as it was.
    options          text,
    metadata         text,
    -- written by the daemon
    status           text NOT NULL,
    reason           text,
    provider_status  text,
    order_number     text,
    pay_link         text,
    direct_pay_link  text,
    expires_at       bigint,
    paid_at          bigint,
    paid_amount      text,
    paid_currency    text,
    fee_amount       text,
    net_amount       text,
    exchange_rate    text,
    -- sums so far, in the invoice's currency
    received_amount  text,
    refunded_amount  text,
    refunded_at      bigint,
    version          integer NOT NULL DEFAULT 0,
    created_at       bigint NOT NULL,
    updated_at       bigint NOT NULL,
    next_poll_at     bigint,
    last_polled_at   bigint,
    polls            bigint NOT NULL DEFAULT 0,
    failures         bigint NOT NULL DEFAULT 0,
    last_error       text,
    -- the daemon's own notes, not part of the interface
    create_sent_at   bigint,
    ended_at         bigint,
    not_found_since  bigint,
    -- 1 = the payment was made in the provider's test mode
    is_test          integer,
    -- counts the daemon's writes to the row: one that does not count is a program's
    daemon_writes    bigint NOT NULL DEFAULT 0,
    -- The transaction that inserted the row. Transactions commit in another order than they take
    -- ids: who looks for new rows reads from the oldest transaction that was under way.
    inserted_by      xid8 NOT NULL
) WITH (
    -- An update writes a new row: room for it on the same page.
    fillfactor = 85,
    -- The head of the queue is read twice a second: entries of rows that moved on must not pile up.
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_analyze_scale_factor = 0.02
);

-- Few accounts, very unevenly filled: the planner must know each of them.
ALTER TABLE payrecond.invoices ALTER COLUMN account SET STATISTICS 1000;

CREATE UNIQUE INDEX invoices_by_external_id ON payrecond.invoices (account, external_id);
-- Not partial: ON CONFLICT (account, order_id) would have to repeat the condition.
CREATE UNIQUE INDEX invoices_by_order_id ON payrecond.invoices (account, order_id);

-- The due query reads this index; final rows are not in it.
CREATE INDEX invoices_due ON payrecond.invoices (account, next_poll_at, id) WHERE next_poll_at IS NOT NULL;

-- Customers wait for the links of these: they go before polls of orders that exist.
CREATE INDEX invoices_requested ON payrecond.invoices (account, next_poll_at) WHERE status = 'requested';

-- New rows, in an order that late commits do not upset.
CREATE INDEX invoices_by_insert ON payrecond.invoices (account, inserted_by) WHERE next_poll_at IS NOT NULL;

-- A person must decide these. There is no index of all statuses: each poll would write to it.
CREATE INDEX invoices_in_review ON payrecond.invoices (id) WHERE status = 'review';

-- What retention may delete, oldest first. Open invoices are not in it.
CREATE INDEX invoices_ended ON payrecond.invoices (updated_at)
 WHERE next_poll_at IS NULL AND status IN ('paid', 'rejected', 'expired', 'cancelled');

-- Empty as long as every account that an invoice names is configured.
CREATE INDEX invoices_of_unknown_accounts ON payrecond.invoices (account) WHERE reason = 'unknown_account';

-- Empty but for the length of a statement.
CREATE INDEX invoices_tombstones ON payrecond.invoices (id) WHERE version = -1;

-- Keys of deleted invoices: once used, they stay used.
CREATE TABLE payrecond.used_keys (
    account     text NOT NULL,
    external_id text NOT NULL,
    order_id    text,
    PRIMARY KEY (account, external_id)
);

CREATE UNIQUE INDEX used_keys_by_order ON payrecond.used_keys (account, order_id) WHERE order_id IS NOT NULL;

CREATE SEQUENCE payrecond.outbox_seq AS bigint;

CREATE TABLE payrecond.outbox (
    seq             bigint PRIMARY KEY DEFAULT nextval('payrecond.outbox_seq'),
    event_id        text NOT NULL UNIQUE,
    epoch           text NOT NULL,
    subject         text NOT NULL,
    type            text NOT NULL,
    account         text NOT NULL,
    external_id     text,
    order_id        text,
    status          text,
    previous_status text,
    version         integer,
    payload         text NOT NULL,
    created_at      bigint NOT NULL,
    UNIQUE (account, external_id, version)
);

CREATE TABLE payrecond.consumers (
    name       text PRIMARY KEY,
    acked_seq  bigint NOT NULL DEFAULT 0,
    updated_at bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);

-- LATERAL: a plain join reads the outbox from its beginning at each poll.
CREATE VIEW payrecond.outbox_unread AS
    SELECT c.name AS consumer, o.seq, o.event_id, o.epoch, o.subject, o.type, o.account,
           o.external_id, o.order_id, o.status, o.previous_status, o.version, o.payload,
           o.created_at
      FROM payrecond.consumers AS c
     CROSS JOIN LATERAL (SELECT * FROM payrecond.outbox AS event
                          WHERE event.seq > c.acked_seq ORDER BY event.seq OFFSET 0) AS o;

-- What the database knows of itself: versions, epoch, outbox_floor (the first seq that is kept).
CREATE TABLE payrecond.meta (
    key   text PRIMARY KEY,
    value text NOT NULL
) WITH (fillfactor = 50);
-- oldest_program: a program that knows fewer versions of the schema than this cannot work with it.
INSERT INTO payrecond.meta (key, value)
VALUES ('outbox_floor', '1'), ('schema_version', '0'), ('oldest_program', '1');

-- What the daemon last found out about each account, for programs that only read.
CREATE TABLE payrecond.accounts (
    name            text PRIMARY KEY,
    provider        text NOT NULL,
    state           text NOT NULL DEFAULT 'working',
    state_since     bigint,
    resume_at       bigint,
    last_success_at bigint,
    last_failure_at bigint,
    last_error      text,
    updated_at      bigint,
    -- the daemon's own note: invoices of an unknown account are flagged up to this id
    flagged_to      bigint NOT NULL DEFAULT 0,
    -- The store's list at the provider, as far as it was read. A page that changes nothing is
    -- remembered here and nowhere else.
    list_total      bigint,
    list_floor      bigint,
    list_positions  text,
    list_read_at    bigint,
    list_read_from  bigint,
    list_read_to    bigint,
    -- At this moment no poll was overdue, whatever the invoices' own rows say.
    caught_up_at    bigint
) WITH (fillfactor = 50);

-- Findings of audits that were reported, by the id of their event: each is reported once.
CREATE TABLE payrecond.findings (
    event_id text PRIMARY KEY,
    said_at  bigint NOT NULL
);

-- Movements of money in the ledger of a provider that has one, and refunds that a provider tells.
CREATE TABLE payrecond.transactions (
    account        text NOT NULL,
    transaction_id text NOT NULL,
    direction      text NOT NULL,
    -- NULL: no invoice has this label
    invoice_id     bigint,
    -- the label as the provider gave it
    external_id    text,
    amount         text NOT NULL,
    currency       text NOT NULL,
    is_net         integer NOT NULL,
    status         text NOT NULL,
    happened_at    bigint NOT NULL,
    seen_at        bigint NOT NULL,
    -- counts the daemon's writes to the row: one that does not count is a program's
    daemon_writes  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (account, transaction_id, direction)
);

-- An invoice inserted after its payment was seen finds it here.
CREATE INDEX transactions_of_nobody ON payrecond.transactions (account, external_id) WHERE invoice_id IS NULL;

CREATE INDEX transactions_by_invoice ON payrecond.transactions (invoice_id) WHERE invoice_id IS NOT NULL;

-- What retention may delete, oldest first.
CREATE INDEX transactions_to_keep ON payrecond.transactions (seen_at) WHERE invoice_id IS NULL;

-- Who of several daemons works on an account or a task. By the database's clock alone.
CREATE TABLE payrecond.leases (
    name    text PRIMARY KEY,
    -- rises with each change of owner, never with a renewal
    token   bigint NOT NULL DEFAULT 0,
    owner   text,
    until   bigint NOT NULL DEFAULT 0,
    -- Makes a change of token a change of a key: it waits for writes that hold the row FOR KEY
    -- SHARE, which a renewal does not.
    UNIQUE (name, token)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);

-- The daemons that run, and the accounts that each has configured.
CREATE TABLE payrecond.daemons (
    name       text PRIMARY KEY,
    version    text NOT NULL,
    accounts   text[] NOT NULL,
    started_at bigint NOT NULL,
    seen_at    bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);

------------------------------------------------------------------------------- invoices: INSERT

CREATE FUNCTION payrecond.check_new_invoice(new payrecond.invoices) RETURNS void LANGUAGE plpgsql
SET search_path = payrecond, pg_temp AS $$
DECLARE creates_order boolean := new.order_id IS NULL AND new.status IS DISTINCT FROM 'pending';
BEGIN
    PERFORM refuse_with(CASE
        WHEN new.account !~ '^[a-z0-9_-]{1,32}$'
        THEN 'invoices.account: 1 to 32 characters of a-z, 0-9, - and _, as text'

        WHEN new.external_id IS NULL
        THEN 'invoices.external_id: must be given (text of 1 to 255 characters)'
        WHEN length(new.external_id) NOT BETWEEN 1 AND 255
        THEN 'invoices.external_id: text of 1 to 255 characters'
        WHEN new.external_id ~ '^-*[0-9]+\.0$'
             OR new.external_id ~ '^-*[0-9](\.[0-9][0-9.]*)?e[+-][0-9]{2,}$'
        THEN 'invoices.external_id: this is how a floating point number is written (42.0, 1.0e+15); pass the id as text, since a number can lose digits on the way'
        WHEN trim(new.external_id) = ''
        THEN 'invoices.external_id: must not be blank'
        WHEN new.external_id ~ '[\u0001-\u001f\u007f-\u009f]'
        THEN 'invoices.external_id: no control characters'

        WHEN new.order_id !~ '^[A-Za-z0-9_-]{1,64}$'
        THEN 'invoices.order_id: letters, digits, - and _ only, 1 to 64 characters; pass it as text, since a number can lose digits on the way'

        WHEN length(new.amount) > 40 OR new.amount !~ '^[0-9]+(\.[0-9]+)?$' OR new.amount !~ '[1-9]'
        THEN 'invoices.amount: a plain decimal such as 1.00: digits, at most one point, no sign, no exponent, not zero, at most 40 characters; pass it as text, since a number can lose digits on the way'
        WHEN new.amount IS NOT NULL AND new.currency IS NULL
        THEN 'invoices.currency: must be given with amount'
        WHEN new.amount IS NULL AND new.currency IS NOT NULL
        THEN 'invoices.amount: must be given with currency'
        WHEN new.currency !~ '^[A-Z0-9]{1,16}$'
        THEN 'invoices.currency: a code such as USD or TON: 1 to 16 of A-Z and 0-9, as text'

        WHEN new.status <> 'pending' AND (new.status <> 'requested' OR new.order_id IS NOT NULL)
        THEN 'invoices.status: leave it out; requested (without order_id) and pending (with order_id, or to follow an order by its external_id) are the only ones an invoice can begin with'
        WHEN creates_order AND new.amount IS NULL
        THEN 'invoices.amount: must be given when order_id is left out (the order is to be created)'
        WHEN creates_order AND new.description IS NULL
        THEN 'invoices.description: must be given when order_id is left out (the order is to be created)'
        WHEN creates_order AND new.description = ''
        THEN 'invoices.description: text of 1 to 4096 characters'
        WHEN length(new.description) > 4096
        THEN 'invoices.description: text of 1 to 4096 characters; pass it as text'
        WHEN new.timeout_seconds NOT BETWEEN 30 AND 2678400
        THEN 'invoices.timeout_seconds: a whole number of seconds from 30 to 2678400'

        WHEN CASE WHEN new.options IS NULL THEN false
                  WHEN octet_length(new.options) > 16384 THEN true
                  WHEN NOT is_json(new.options) THEN true
                  ELSE json_typeof(new.options::json) <> 'object' END
        THEN 'invoices.options: a JSON object of at most 16 KiB; pass it as text'
        WHEN octet_length(new.metadata) > 32768 OR NOT is_json(new.metadata)
        THEN 'invoices.metadata: JSON of at most 32 KiB; pass it as text'

        WHEN new.version <> 0
        THEN 'invoices.version: leave it out, the daemon counts the events'
        WHEN new.next_poll_at <> 0
        THEN 'invoices.next_poll_at: leave it out, a new invoice is polled as soon as possible'
        WHEN coalesce(new.reason, new.provider_status, new.order_number, new.pay_link,
                      new.direct_pay_link, new.paid_amount, new.paid_currency, new.fee_amount,
                      new.net_amount, new.exchange_rate, new.received_amount, new.refunded_amount,
                      new.last_error) IS NOT NULL
             OR coalesce(new.expires_at, new.paid_at, new.refunded_at, new.created_at,
                         new.updated_at, new.last_polled_at, new.create_sent_at, new.ended_at,
                         new.not_found_since, new.is_test) IS NOT NULL
             OR new.inserted_by IS NOT NULL
             OR new.polls <> 0 OR new.failures <> 0 OR new.daemon_writes <> 0
        THEN 'invoices: reason, provider_status, order_number, pay_link, direct_pay_link, expires_at, paid_at, paid_amount, paid_currency, fee_amount, net_amount, exchange_rate, received_amount, refunded_amount, refunded_at, created_at, updated_at, last_polled_at, polls, failures and last_error are written by the daemon: leave them out'
    END);
END $$;

-- A trigger cannot see ON CONFLICT. So a key that was used is put back into invoices for the length
-- of the statement, as a row of version -1, and the unique indices answer as the program chose: with
-- an error, or with nothing under DO NOTHING. No other transaction ever sees such a row.
CREATE FUNCTION payrecond.raise_tombstones(new payrecond.invoices) RETURNS void LANGUAGE plpgsql
SET search_path = payrecond, pg_temp AS $$
BEGIN
    PERFORM set_config('payrecond.tombstones', 'on', true);
    INSERT INTO invoices (account, external_id, order_id, status, version, created_at, updated_at, inserted_by)
    SELECT account, external_id, order_id, 'rejected', -1, 0, 0, pg_current_xact_id()
      FROM used_keys AS used
     WHERE used.account = new.account
       AND (used.external_id = new.external_id OR used.order_id = new.order_id)
    ON CONFLICT DO NOTHING;
    PERFORM set_config('payrecond.tombstones', 'off', true);
END $$;

CREATE FUNCTION payrecond.invoices_before_insert() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = payrecond, pg_temp AS $$
BEGIN
    IF NEW.version = -1 AND current_setting('payrecond.tombstones', true) = 'on' THEN
        RETURN NEW;
    END IF;
    -- NULL in a column with a default means the default.
    NEW.account := coalesce(NEW.account, 'default');
    PERFORM check_new_invoice(NEW);
    NEW.timeout_seconds := coalesce(NEW.timeout_seconds, 86400);
    NEW.status := CASE WHEN NEW.order_id IS NULL THEN coalesce(NEW.status, 'requested') ELSE 'pending' END;
    NEW.version := 0;
    NEW.polls := 0;
    NEW.failures := 0;
    NEW.daemon_writes := 0;
    NEW.created_at := now_ms();
    NEW.updated_at := NEW.created_at;
    NEW.next_poll_at := NEW.created_at;
    NEW.inserted_by := pg_current_xact_id();
    -- Two conditions, each on its index: one with OR would read the table.
    IF EXISTS (SELECT 1 FROM used_keys WHERE account = NEW.account AND external_id = NEW.external_id)
       OR EXISTS (SELECT 1 FROM used_keys WHERE account = NEW.account AND order_id = NEW.order_id) THEN
        PERFORM raise_tombstones(NEW);
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER invoices_before_insert BEFORE INSERT ON payrecond.invoices
FOR EACH ROW EXECUTE FUNCTION payrecond.invoices_before_insert();

CREATE FUNCTION payrecond.invoices_after_insert() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = payrecond, pg_temp SET enable_seqscan = off AS $$
BEGIN
    IF current_setting('payrecond.tombstones', true) = 'on' THEN
        RETURN NULL;
    END IF;
    DELETE FROM invoices WHERE version = -1;
    -- A delete that committed while this insert waited for it.
    IF EXISTS (SELECT 1 FROM inserted
                WHERE 0 < (SELECT count(*) FROM used_keys AS used
                            WHERE used.account = inserted.account AND used.external_id = inserted.external_id)
                   OR 0 < (SELECT count(*) FROM used_keys AS used
                            WHERE used.account = inserted.account AND used.order_id = inserted.order_id)) THEN
        RAISE EXCEPTION USING ERRCODE = 'unique_violation', MESSAGE =
            'invoices: this external_id or order_id was used in the account before; it stays used, also after deletion';
    END IF;
    -- An older snapshot does not show it, but a unique index does. The rows are taken back at once.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        BEGIN
            INSERT INTO used_keys (account, external_id, order_id)
            SELECT account, external_id, order_id FROM inserted;
            RAISE EXCEPTION USING ERRCODE = 'PAYR0', MESSAGE = 'no key is used';
        EXCEPTION WHEN SQLSTATE 'PAYR0' THEN
            NULL;
        END;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER invoices_after_insert AFTER INSERT ON payrecond.invoices
REFERENCING NEW TABLE AS inserted
FOR EACH STATEMENT EXECUTE FUNCTION payrecond.invoices_after_insert();

------------------------------------------------------------------------------- invoices: UPDATE
-- Triggers on a row fire in the order of their names.

CREATE TRIGGER invoices_identity_stays BEFORE UPDATE ON payrecond.invoices FOR EACH ROW
WHEN (NEW.id IS DISTINCT FROM OLD.id
      OR NEW.account IS DISTINCT FROM OLD.account
      OR NEW.external_id IS DISTINCT FROM OLD.external_id
      OR NEW.description IS DISTINCT FROM OLD.description
      OR NEW.timeout_seconds IS DISTINCT FROM OLD.timeout_seconds
      OR NEW.options IS DISTINCT FROM OLD.options
      OR NEW.created_at IS DISTINCT FROM OLD.created_at
      OR (OLD.order_id IS NOT NULL AND NEW.order_id IS DISTINCT FROM OLD.order_id)
      OR (OLD.amount IS NOT NULL AND NEW.amount IS DISTINCT FROM OLD.amount)
      OR (OLD.currency IS NOT NULL AND NEW.currency IS DISTINCT FROM OLD.currency)
      OR NEW.inserted_by IS DISTINCT FROM OLD.inserted_by)
EXECUTE FUNCTION payrecond.refuse('invoices: id, account, external_id, order_id, amount, currency, description, timeout_seconds, options and created_at never change once set');

CREATE TRIGGER invoices_metadata_is_json BEFORE UPDATE ON payrecond.invoices FOR EACH ROW
WHEN (NEW.metadata IS DISTINCT FROM OLD.metadata AND NEW.metadata IS NOT NULL
      AND (octet_length(NEW.metadata) > 32768 OR NOT payrecond.is_json(NEW.metadata)))
EXECUTE FUNCTION payrecond.refuse('invoices.metadata: JSON of at most 32 KiB; pass it as text');

CREATE FUNCTION payrecond.invoices_order_is_fresh() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = payrecond, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM used_keys WHERE account = NEW.account AND order_id = NEW.order_id) THEN
        RAISE EXCEPTION USING ERRCODE = 'unique_violation', MESSAGE =
            'duplicate key value violates unique constraint "used_keys_by_order" (invoices.account, invoices.order_id)';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER invoices_order_is_fresh BEFORE UPDATE ON payrecond.invoices FOR EACH ROW
WHEN (OLD.order_id IS NULL AND NEW.order_id IS NOT NULL)
EXECUTE FUNCTION payrecond.invoices_order_is_fresh();

-- Catches programs that write what is the daemon's, by mistake or because their ORM saves the whole
-- row as it was read; where one role does everything, the rights do not.
CREATE FUNCTION payrecond.invoices_rest_is_the_daemons() RETURNS trigger LANGUAGE plpgsql
SET search_path = payrecond, pg_temp AS $$
DECLARE kept invoices := OLD;
BEGIN
    kept.metadata := NEW.metadata;
    kept.next_poll_at := NEW.next_poll_at;
    PERFORM refuse_with(CASE
        WHEN kept IS DISTINCT FROM NEW
        THEN 'invoices: a program may set metadata and next_poll_at = 0, the rest is written by the daemon'
        WHEN NEW.next_poll_at IS DISTINCT FROM OLD.next_poll_at AND NEW.next_poll_at IS DISTINCT FROM 0
        THEN 'invoices.next_poll_at: a program may set 0 to ask for a poll, the plan is the daemon''s'
    END);
    RETURN NEW;
END $$;

CREATE TRIGGER invoices_plan_is_a_time BEFORE UPDATE ON payrecond.invoices FOR EACH ROW
WHEN (NEW.next_poll_at < 0)
EXECUTE FUNCTION payrecond.refuse('invoices.next_poll_at: unix milliseconds; a program may set 0 to ask for a poll');

CREATE TRIGGER invoices_rest_is_the_daemons BEFORE UPDATE ON payrecond.invoices FOR EACH ROW
WHEN (NEW.daemon_writes IS DISTINCT FROM OLD.daemon_writes + 1)
EXECUTE FUNCTION payrecond.invoices_rest_is_the_daemons();

-- Several events of one observation move a row by as many versions. Each of these moves is judged
-- at the end of the statement, by its event.
CREATE TRIGGER invoices_status_moves BEFORE UPDATE ON payrecond.invoices FOR EACH ROW
WHEN (NEW.status IS DISTINCT FROM OLD.status
      AND (NEW.version <= OLD.version + 1 OR NEW.status IS NULL)
      AND NOT coalesce(payrecond.may_become(OLD.status, NEW.status), false))
EXECUTE FUNCTION payrecond.refuse('invoices.status: there is no such move; see the table of states');

CREATE TRIGGER invoices_version_counts BEFORE UPDATE ON payrecond.invoices FOR EACH ROW
WHEN ((NEW.status IS DISTINCT FROM OLD.status OR NEW.version IS DISTINCT FROM OLD.version)
      AND NOT coalesce(NEW.version > OLD.version, false))
EXECUTE FUNCTION payrecond.refuse('invoices.version: counts the events of the invoice: a change of status needs version + 1');

CREATE TRIGGER invoices_waiting_have_a_plan BEFORE UPDATE ON payrecond.invoices FOR EACH ROW
WHEN (NEW.next_poll_at IS NULL
      AND coalesce(NEW.status, '') NOT IN ('paid', 'rejected', 'expired', 'cancelled'))
EXECUTE FUNCTION payrecond.refuse('invoices.next_poll_at: an invoice that waits for an answer always has a next poll');

-- A nudge on a final invoice does nothing.
CREATE FUNCTION payrecond.invoices_take_plan_off() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.next_poll_at := NULL;
    RETURN NEW;
END $$;

CREATE TRIGGER invoices_without_plan_when_final BEFORE UPDATE ON payrecond.invoices FOR EACH ROW
WHEN (NEW.next_poll_at IS NOT NULL AND NEW.status IN ('paid', 'rejected'))
EXECUTE FUNCTION payrecond.invoices_take_plan_off();

-- By the end of the statement every step of a version has its event. Materialized: joined in one
-- query, the planner takes a nested loop over the transition tables, 95 ms for 500 rows.
CREATE FUNCTION payrecond.invoices_moves_have_events() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = payrecond, pg_temp SET enable_seqscan = off AS $$
DECLARE steps integer;
BEGIN
    WITH moved AS MATERIALIZED (
        SELECT became.account, became.external_id, was.status AS from_status, became.status AS to_status,
               was.version AS from_version, became.version AS to_version
          FROM was JOIN became USING (id)
         WHERE became.version <> was.version OR became.status <> was.status)
    SELECT to_version - from_version INTO steps
      FROM moved
     WHERE to_version - from_version <> (
               SELECT count(*) FROM outbox AS event
                WHERE event.account = moved.account AND event.external_id = moved.external_id
                  AND event.version > from_version AND event.version <= to_version
                  AND (event.version > from_version + 1 OR event.previous_status = from_status)
                  AND (event.version < to_version OR event.status = to_status)
                  AND (event.status = event.previous_status OR may_become(event.previous_status, event.status)))
     LIMIT 1;
    IF steps = 1 THEN
        PERFORM refuse_with('invoices.status: a change needs its row in the outbox, inserted by the same statement');
    ELSIF steps IS NOT NULL THEN
        PERFORM refuse_with('invoices.version: counts the events of the invoice: a change of status needs version + 1');
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER invoices_moves_have_events AFTER UPDATE ON payrecond.invoices
REFERENCING OLD TABLE AS was NEW TABLE AS became
FOR EACH STATEMENT EXECUTE FUNCTION payrecond.invoices_moves_have_events();

------------------------------------------------------------------------------- invoices: DELETE

CREATE TRIGGER invoices_before_delete BEFORE DELETE ON payrecond.invoices FOR EACH ROW
WHEN (NOT (OLD.status IN ('paid', 'rejected')
           OR (OLD.status IN ('expired', 'cancelled') AND OLD.next_poll_at IS NULL)
           OR (OLD.status = 'requested' AND OLD.create_sent_at IS NULL)))
EXECUTE FUNCTION payrecond.refuse('invoices: only a paid or rejected invoice, an expired or cancelled one without a next poll, or a requested one whose creation was not sent can be deleted');

CREATE FUNCTION payrecond.invoices_after_delete() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = payrecond, pg_temp AS $$
BEGIN
    INSERT INTO used_keys (account, external_id, order_id)
    SELECT account, external_id, order_id FROM gone WHERE version <> -1;
    DELETE FROM transactions WHERE invoice_id IN (SELECT id FROM gone WHERE version <> -1);
    RETURN NULL;
END $$;

CREATE TRIGGER invoices_after_delete AFTER DELETE ON payrecond.invoices
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION payrecond.invoices_after_delete();

CREATE TRIGGER invoices_are_not_truncated BEFORE TRUNCATE ON payrecond.invoices
FOR EACH STATEMENT EXECUTE FUNCTION payrecond.refuse('invoices: TRUNCATE is refused');

CREATE TRIGGER used_keys_stay BEFORE UPDATE OR DELETE ON payrecond.used_keys
FOR EACH ROW EXECUTE FUNCTION payrecond.refuse('used_keys: what was used stays used');

CREATE TRIGGER used_keys_are_not_truncated BEFORE TRUNCATE ON payrecond.used_keys
FOR EACH STATEMENT EXECUTE FUNCTION payrecond.refuse('used_keys: what was used stays used');

---------------------------------------------------------------------------------------- outbox

-- Sequence numbers are taken one writer after another, from the first number to the commit: a reader
-- that goes on after the highest number it has seen misses nothing. Two keys, so that no other
-- program's advisory lock can be meant.
CREATE FUNCTION payrecond.take_outbox_turn() RETURNS void LANGUAGE sql VOLATILE
AS $$ SELECT pg_advisory_xact_lock('payrecond.outbox'::regclass::oid::integer, 0) $$;

-- The first seq that is kept.
CREATE FUNCTION payrecond.outbox_floor() RETURNS bigint LANGUAGE sql STABLE
AS $$ SELECT value::bigint FROM payrecond.meta WHERE key = 'outbox_floor' $$;

-- The highest seq that is committed or was. The sequence is ahead of it while a writer is under way.
CREATE FUNCTION payrecond.highest_seq() RETURNS bigint LANGUAGE sql VOLATILE
AS $$ SELECT greatest((SELECT max(seq) FROM payrecond.outbox), payrecond.outbox_floor() - 1) $$;

CREATE FUNCTION payrecond.outbox_after_insert() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = payrecond, pg_temp SET enable_seqscan = off AS $$
DECLARE lowest bigint; highest bigint; written bigint;
BEGIN
    SELECT min(seq), max(seq), count(*) INTO lowest, highest, written FROM said;
    IF written = 0 THEN
        RETURN NULL;
    END IF;
    -- Held already by a writer that took its turn before its numbers. One that did not is found out.
    PERFORM take_outbox_turn();
    IF lowest < outbox_floor() OR highest > coalesce(pg_sequence_last_value('payrecond.outbox_seq'), 0)
       OR written <> (SELECT count(*) FROM outbox WHERE seq >= lowest) THEN
        PERFORM refuse_with('outbox.seq: only grows');
    END IF;
    -- Subqueries of one value: as joins the planner reads all invoices for them.
    IF EXISTS (WITH ahead AS MATERIALIZED (
                    SELECT * FROM (
                        SELECT said.account, said.external_id, said.version, said.status,
                               (SELECT CASE WHEN invoice.version = said.version AND invoice.status = said.status
                                            THEN 'same' WHEN invoice.version > said.version THEN 'later' END
                                  FROM invoices AS invoice
                                 WHERE invoice.account = said.account AND invoice.external_id = said.external_id) AS standing
                          FROM said WHERE said.version IS NOT NULL) AS events
                     WHERE standing IS DISTINCT FROM 'same')
               -- The next event of the same observation follows.
               SELECT 1 FROM ahead
                WHERE standing IS NULL
                   OR 0 = (SELECT count(*) FROM said AS next
                            WHERE next.account = ahead.account AND next.external_id = ahead.external_id
                              AND next.version = ahead.version + 1 AND next.previous_status = ahead.status)) THEN
        PERFORM refuse_with('outbox.version: an event carries the version that its invoice has by the same statement');
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER outbox_after_insert AFTER INSERT ON payrecond.outbox
REFERENCING NEW TABLE AS said
FOR EACH STATEMENT EXECUTE FUNCTION payrecond.outbox_after_insert();

CREATE TRIGGER outbox_stays BEFORE UPDATE ON payrecond.outbox
FOR EACH ROW EXECUTE FUNCTION payrecond.refuse('outbox: events are never changed');

CREATE FUNCTION payrecond.outbox_after_delete() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = payrecond, pg_temp AS $$
BEGIN
    PERFORM refuse_with(CASE
        WHEN (SELECT max(seq) FROM gone) >= outbox_floor()
        THEN 'outbox: events are deleted by retention only'
    END);
    RETURN NULL;
END $$;

CREATE TRIGGER outbox_after_delete AFTER DELETE ON payrecond.outbox
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION payrecond.outbox_after_delete();

CREATE TRIGGER outbox_is_not_truncated BEFORE TRUNCATE ON payrecond.outbox
FOR EACH STATEMENT EXECUTE FUNCTION payrecond.refuse('outbox: events are deleted by retention only');

------------------------------------------------------------------------------------- consumers

CREATE FUNCTION payrecond.consumers_before_insert() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = payrecond, pg_temp AS $$
BEGIN
    PERFORM refuse_with(CASE
        WHEN NEW.name IS NULL OR length(NEW.name) NOT BETWEEN 1 AND 64
             OR NEW.name ~ '[\u0001-\u0020\u007f-\u00a0]'
        THEN 'consumers.name: text of 1 to 64 characters, no spaces, no control characters'
        WHEN NEW.name ~ '^[0-9]+\.0$'
        THEN 'consumers.name: this is how a floating point number is written; pass the name as text'
    END);
    NEW.acked_seq := coalesce(NEW.acked_seq, 0);
    PERFORM refuse_with(CASE
        WHEN NEW.acked_seq <> 0 AND NEW.acked_seq NOT BETWEEN 0 AND highest_seq()
        THEN 'consumers.acked_seq: a whole number from 0 to the highest seq of the outbox'
    END);
    NEW.updated_at := now_ms();
    RETURN NEW;
END $$;

CREATE TRIGGER consumers_before_insert BEFORE INSERT ON payrecond.consumers
FOR EACH ROW EXECUTE FUNCTION payrecond.consumers_before_insert();

CREATE FUNCTION payrecond.consumers_before_update() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = payrecond, pg_temp AS $$
BEGIN
    PERFORM refuse_with(CASE
        WHEN NEW.name IS DISTINCT FROM OLD.name
        THEN 'consumers.name: never changes; insert another consumer'
        WHEN NEW.acked_seq IS NULL
        THEN 'consumers.acked_seq: must be a whole number'
        WHEN NEW.acked_seq < OLD.acked_seq
        THEN 'consumers.acked_seq: never moves backwards'
        WHEN NEW.acked_seq > OLD.acked_seq AND NEW.acked_seq > highest_seq()
        THEN 'consumers.acked_seq: beyond the highest seq of the outbox'
    END);
    NEW.updated_at := now_ms();
    RETURN NEW;
END $$;

CREATE TRIGGER consumers_before_update BEFORE UPDATE ON payrecond.consumers
FOR EACH ROW EXECUTE FUNCTION payrecond.consumers_before_update();

------------------------------------------------------------------------------ meta and accounts

CREATE FUNCTION payrecond.meta_before_update() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = payrecond, pg_temp AS $$
DECLARE floor bigint := CASE WHEN NEW.value ~ '^[0-9]{1,18}$' THEN NEW.value::bigint ELSE 0 END;
BEGIN
    PERFORM refuse_with(CASE
        WHEN NEW.key IS DISTINCT FROM OLD.key
        THEN 'meta.key: never changes'
    END);
    IF OLD.key IN ('outbox_floor', 'transactions_floor') THEN
        PERFORM refuse_with(CASE
            WHEN floor < OLD.value::bigint
            THEN format('meta.%s: never falls', OLD.key)
        END);
    END IF;
    IF OLD.key = 'outbox_floor' AND floor > OLD.value::bigint THEN
        PERFORM refuse_with(CASE
            WHEN floor > 1 + highest_seq()
            THEN 'meta.outbox_floor: beyond the next seq of the outbox'
            WHEN floor > (SELECT min(acked_seq) + 1 FROM consumers)
            THEN 'meta.outbox_floor: every consumer must have acknowledged what lies below'
        END);
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER meta_before_update BEFORE UPDATE ON payrecond.meta
FOR EACH ROW EXECUTE FUNCTION payrecond.meta_before_update();

CREATE TRIGGER meta_stays BEFORE DELETE ON payrecond.meta
FOR EACH ROW EXECUTE FUNCTION payrecond.refuse('meta: nothing is deleted here');

CREATE TRIGGER meta_is_not_truncated BEFORE TRUNCATE ON payrecond.meta
FOR EACH STATEMENT EXECUTE FUNCTION payrecond.refuse('meta: nothing is deleted here');

CREATE TRIGGER accounts_keep_their_names BEFORE UPDATE ON payrecond.accounts FOR EACH ROW
WHEN (NEW.name IS DISTINCT FROM OLD.name)
EXECUTE FUNCTION payrecond.refuse('accounts.name: never changes');

----------------------------------------------------------------------------------- transactions

CREATE FUNCTION payrecond.transactions_before_write() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = payrecond, pg_temp AS $$
DECLARE owner_before bigint; writes_before bigint := 0;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        owner_before := OLD.invoice_id;
        writes_before := OLD.daemon_writes;
    END IF;
    PERFORM refuse_with(CASE
        WHEN NEW.daemon_writes IS DISTINCT FROM writes_before + 1
        THEN 'transactions: written by the daemon, programs only read'
    END);
    IF TG_OP = 'UPDATE' THEN
        PERFORM refuse_with(CASE
            WHEN (NEW.account, NEW.transaction_id, NEW.direction)
                 IS DISTINCT FROM (OLD.account, OLD.transaction_id, OLD.direction)
            THEN 'transactions: account, transaction_id and direction never change'
        END);
    END IF;
    PERFORM refuse_with(CASE
        WHEN NEW.direction NOT IN ('in', 'out')
        THEN 'transactions.direction: in or out'
        WHEN NEW.status NOT IN ('succeeded', 'in_progress', 'refused')
        THEN 'transactions.status: succeeded, in_progress or refused'
        WHEN owner_before IS NOT NULL AND NEW.invoice_id IS DISTINCT FROM owner_before
        THEN 'transactions.invoice_id: never changes once set'
        WHEN NEW.invoice_id IS NOT NULL AND owner_before IS NULL
             AND NOT EXISTS (SELECT 1 FROM invoices WHERE id = NEW.invoice_id AND account = NEW.account)
        THEN 'transactions.invoice_id: there is no such invoice in the account'
    END);
    RETURN NEW;
END $$;

CREATE TRIGGER transactions_before_write BEFORE INSERT OR UPDATE ON payrecond.transactions
FOR EACH ROW EXECUTE FUNCTION payrecond.transactions_before_write();

-- Those of nobody that were seen before transactions_floor may go, the others with their invoice.
CREATE FUNCTION payrecond.transactions_before_delete() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = payrecond, pg_temp AS $$
BEGIN
    PERFORM refuse_with(CASE
        WHEN CASE WHEN OLD.invoice_id IS NULL
             THEN OLD.seen_at >= coalesce((SELECT value::bigint FROM meta WHERE key = 'transactions_floor'), 0)
             ELSE EXISTS (SELECT 1 FROM invoices WHERE id = OLD.invoice_id) END
        THEN 'transactions: deleted with their invoice, those of nobody by retention only'
    END);
    RETURN OLD;
END $$;

CREATE TRIGGER transactions_before_delete BEFORE DELETE ON payrecond.transactions
FOR EACH ROW EXECUTE FUNCTION payrecond.transactions_before_delete();

CREATE TRIGGER transactions_are_not_truncated BEFORE TRUNCATE ON payrecond.transactions
FOR EACH STATEMENT EXECUTE FUNCTION payrecond.refuse('transactions: deleted with their invoice, those of nobody by retention only');
