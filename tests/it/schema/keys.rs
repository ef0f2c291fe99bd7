//! Duplicates and REPLACE: no existing row is removed or reset, by any key of any table.

use super::{Case, Scene, gives, refused};

const NO_CHANGE: &str = "SELECT changes() || ',' || count(*) FROM invoices";

/// Rows that exist or existed, by one key or the other.
pub const TAKEN: &[(&str, &str)] = &[
    ("external_id, order_id", "'P', '500'"),
    ("external_id, order_id", "'NEW', '100'"),
    ("external_id, order_id", "'P', '102'"),
    ("account, external_id, order_id", "NULL, 'P', '500'"),
    ("account, external_id, order_id", "NULL, 'NEW', '100'"),
    ("account, external_id, order_id", "NULL, 'P', '100'"),
    ("account, external_id, order_id", "'second', 'P', '500'"),
    ("external_id, order_id", "'GONE', '500'"),
    ("external_id, order_id", "'NEW', '109'"),
    ("account, external_id, order_id", "NULL, 'GONE', '500'"),
    ("account, external_id, order_id", "NULL, 'NEW', '109'"),
];

#[tokio::test]
async fn a_key_once_used_stays_used() {
    let mut cases = Vec::new();
    for (columns, values) in TAKEN {
        let insert = |verb: &str| format!("{verb} INTO invoices ({columns}) VALUES ({values})");
        for verb in [
            "INSERT",
            "INSERT OR ABORT",
            "INSERT OR FAIL",
            "INSERT OR ROLLBACK",
            "INSERT OR REPLACE",
            "REPLACE",
        ] {
            for triggers in ["OFF", "ON"] {
                let sql = insert(verb);
                let case = refused(
                    &format!("{sql}, recursive_triggers {triggers}"),
                    &sql,
                    "invoices",
                );
                cases.push(case.after(&format!("PRAGMA recursive_triggers = {triggers};")));
            }
        }
        let ignore = insert("INSERT OR IGNORE");
        cases.push(gives(&ignore, &ignore, NO_CHANGE, "0,10"));
    }
    // DO NOTHING applies to existing rows too; a deleted one leaves no row to conflict with.
    for (columns, values) in &TAKEN[..7] {
        let sql =
            format!("INSERT INTO invoices ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING");
        if values.starts_with("NULL, 'NEW'") {
            // No index compares a NULL account by order id; refused rather than stored twice.
            cases.push(refused(&sql, &sql, "invoices.order_id"));
        } else {
            cases.push(gives(&sql, &sql, NO_CHANGE, "0,10"));
        }
    }
    for (columns, values) in &TAKEN[7..] {
        let sql =
            format!("INSERT INTO invoices ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING");
        cases.push(refused(&sql, &sql, "stays used, also after deletion"));
    }
    Scene::set().await.play(cases).await;
}

#[tokio::test]
async fn the_message_of_a_duplicate_names_its_columns() {
    let case = |sql: &str, message: &'static str| refused(sql, sql, message);
    let cases = vec![
        case(
            "INSERT INTO invoices (external_id, order_id) VALUES ('P', '500')",
            "invoices.account, invoices.external_id",
        ),
        case(
            "INSERT INTO invoices (external_id, order_id) VALUES ('NEW', '100')",
            "invoices.account, invoices.order_id",
        ),
        case(
            "INSERT INTO invoices (account, external_id, order_id) VALUES (NULL, 'NEW', '100')",
            "invoices.account, invoices.order_id",
        ),
        case(
            "INSERT OR ABORT INTO invoices (external_id, order_id) VALUES ('P', '500')",
            "external_id_or_order_id_is_used",
        ),
        case(
            "INSERT OR FAIL INTO invoices (external_id, order_id) VALUES ('GONE', '500')",
            "external_id_or_order_id_is_used",
        ),
        case(
            "INSERT INTO invoices (external_id, order_id) VALUES ('GONE', '500')",
            "external_id or order_id was used",
        ),
        case(
            "REPLACE INTO invoices (external_id, order_id) VALUES ('P', '500')",
            "REPLACE is refused",
        ),
    ];
    Scene::set().await.play(cases).await;
}

#[tokio::test]
async fn a_conflict_target_makes_an_insert_idempotent() {
    let nothing = "INSERT INTO invoices (external_id, order_id) VALUES ('P', '100') ON CONFLICT";
    let by_external = format!("{nothing} (account, external_id) DO NOTHING");
    let by_order = format!("{nothing} (account, order_id) DO NOTHING");
    let update = format!("{nothing} (account, external_id) DO UPDATE SET metadata = '[2]'");
    let nudge = format!("{nothing} (account, external_id) DO UPDATE SET next_poll_at = 0");
    let status = format!("{nothing} (account, external_id) DO UPDATE SET status = 'paid'");
    let fresh = "INSERT INTO invoices (external_id, order_id) VALUES ('NEW', '1')
                 ON CONFLICT (account, external_id) DO NOTHING";
    let cases = vec![
        gives("target external_id", &by_external, NO_CHANGE, "0,10"),
        gives("target order_id", &by_order, NO_CHANGE, "0,10"),
        gives("a new row", fresh, "SELECT count(*) FROM invoices", "11"),
        gives("metadata", &update, "SELECT metadata FROM invoices WHERE id = 1", "[2]"),
        gives("nudge", &nudge, "SELECT next_poll_at FROM invoices WHERE id = 1", "0"),
        refused("status", &status, "invoices"),
        gives("withdrawn and dropped again under OR IGNORE", "INSERT OR IGNORE INTO invoices (external_id, amount, currency, description) VALUES ('R', '1', 'USD', 'Six eggs')", NO_CHANGE, "0,9")
            .after("DELETE FROM invoices WHERE id = 2;"),
    ];
    Scene::set().await.play(cases).await;
}

/// REPLACE and UPDATE OR REPLACE on every table except invoices' own keys, which are above.
const REPLACES: &[&str] = &[
    "REPLACE INTO invoices (id, external_id, order_id) VALUES (1, 'NEW', '500')",
    "REPLACE INTO invoices (rowid, external_id, order_id) VALUES (1, 'NEW', '500')",
    "REPLACE INTO invoices (id, external_id, order_id) VALUES (-1, 'NEW', '500')",
    "UPDATE OR REPLACE invoices SET id = 1 WHERE id = 3",
    "UPDATE OR REPLACE invoices SET rowid = 1 WHERE id = 3",
    "UPDATE OR REPLACE invoices SET oid = 77 WHERE id = 3",
    "UPDATE OR REPLACE invoices SET _rowid_ = 1, daemon_writes = daemon_writes + 1 WHERE id = 3",
    "UPDATE OR REPLACE invoices SET external_id = 'P' WHERE id = 3",
    "UPDATE OR REPLACE invoices SET order_id = '100' WHERE id = 3",
    "UPDATE OR REPLACE invoices SET order_id = '100', daemon_writes = daemon_writes + 1 WHERE id = 2",
    "UPDATE OR REPLACE invoices SET order_id = '109', daemon_writes = daemon_writes + 1 WHERE id = 2",
    "UPDATE OR REPLACE invoices SET account = 'second' WHERE id = 1",
    "REPLACE INTO outbox (seq, event_id, epoch, subject, type, account, payload, created_at) VALUES (1, 'new', 'e', 's', 't', 'default', '{}', 1)",
    "REPLACE INTO outbox (rowid, event_id, epoch, subject, type, account, payload, created_at) VALUES (2, 'new', 'e', 's', 't', 'default', '{}', 1)",
    "REPLACE INTO outbox (event_id, epoch, subject, type, account, payload, created_at) VALUES ('event-6-1', 'e', 's', 't', 'default', '{}', 1)",
    "REPLACE INTO outbox (event_id, epoch, subject, type, account, external_id, version, payload, created_at) VALUES ('new', 'e', 's', 't', 'default', 'PAID', 1, '{}', 1)",
    "UPDATE OR REPLACE outbox SET seq = 1 WHERE seq = 2",
    "UPDATE OR REPLACE outbox SET event_id = 'event-6-1' WHERE seq = 1",
    "REPLACE INTO consumers (name) VALUES ('bot')",
    "REPLACE INTO consumers (name, acked_seq) VALUES ('bot', 1)",
    "INSERT OR ABORT INTO consumers (name) VALUES ('bot')",
    "INSERT INTO consumers (rowid, name) VALUES (1, 'new')",
    "REPLACE INTO consumers (rowid, name) VALUES (1, 'new')",
    "UPDATE OR REPLACE consumers SET name = 'idle' WHERE name = 'bot'",
    "UPDATE OR REPLACE consumers SET rowid = 2 WHERE name = 'bot'",
    "REPLACE INTO meta (key, value) VALUES ('epoch', 'x')",
    "REPLACE INTO meta (key, value) VALUES ('outbox_floor', '1')",
    "REPLACE INTO meta (rowid, key, value) VALUES (1, 'new', 'x')",
    "UPDATE OR REPLACE meta SET key = 'epoch' WHERE key = 'outbox_floor'",
    "UPDATE OR REPLACE meta SET key = 'outbox_floor' WHERE key = 'epoch'",
    "DELETE FROM meta WHERE key = 'outbox_floor'",
    "DELETE FROM meta",
    "REPLACE INTO accounts (name, provider) VALUES ('default', 'x')",
    "REPLACE INTO accounts (rowid, name, provider) VALUES (1, 'new', 'x')",
    "UPDATE OR REPLACE accounts SET name = 'default' WHERE name = 'second'",
    "REPLACE INTO used_keys (account, external_id) VALUES ('default', 'GONE')",
    "REPLACE INTO used_keys (account, external_id, order_id) VALUES ('default', 'NEW', '109')",
    "UPDATE OR REPLACE used_keys SET order_id = NULL",
    "DELETE FROM used_keys",
];

#[tokio::test]
async fn no_replace_removes_a_row_from_any_table_by_any_key() {
    let mut cases: Vec<Case> = Vec::new();
    for sql in REPLACES {
        for triggers in ["OFF", "ON"] {
            let case = refused(&format!("{sql}, recursive_triggers {triggers}"), sql, "");
            cases.push(case.after(&format!("PRAGMA recursive_triggers = {triggers};")));
        }
    }
    Scene::set().await.play(cases).await;
}
