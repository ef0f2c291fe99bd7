//! Outbox, consumers and their view, and the daemon's own tables.

use super::{Case, Scene, gives, refused};

const EVENT: &str =
    "INSERT INTO outbox (seq, event_id, epoch, subject, type, account, payload, created_at) VALUES";

fn one(sql: &str, message: &'static str) -> Case {
    refused(sql, sql, message)
}

#[tokio::test]
async fn the_outbox_only_grows() {
    let mut cases = vec![
        one("DELETE FROM outbox", "outbox: events are deleted by retention only"),
        one("DELETE FROM outbox WHERE seq = 1", "outbox: events are deleted by retention only"),
        one("UPDATE meta SET value = '9' WHERE key = 'outbox_floor'", "meta.outbox_floor: beyond"),
        one("UPDATE meta SET value = '5' WHERE key = 'outbox_floor'", "meta.outbox_floor: every consumer"),
        refused("a floor that one consumer has read to and another has not", "UPDATE meta SET value = '4' WHERE key = 'outbox_floor'", "meta.outbox_floor: every consumer"),
        one("UPDATE meta SET value = '0' WHERE key = 'outbox_floor'", "meta.outbox_floor: never falls"),
        one("UPDATE meta SET value = 'x' WHERE key = 'outbox_floor'", "meta.outbox_floor: never falls"),
        refused("a floor beyond the end without consumers", "UPDATE meta SET value = '99' WHERE key = 'outbox_floor'", "meta.outbox_floor: beyond")
            .after("DELETE FROM consumers;"),
        gives("below the floor", "DELETE FROM outbox WHERE seq < 4", "SELECT min(seq) FROM outbox", "4")
            .after("DELETE FROM consumers WHERE name = 'idle'; UPDATE meta SET value = '4' WHERE key = 'outbox_floor';"),
        refused("at the floor", "DELETE FROM outbox WHERE seq = 4", "retention only")
            .after("DELETE FROM consumers WHERE name = 'idle'; UPDATE meta SET value = '4' WHERE key = 'outbox_floor';"),
        refused("a number that was given out and pruned", &format!("{EVENT} (2, 'new', 'e', 's', 't', 'default', '{{}}', 1)"), "outbox.seq: only grows")
            .after("DELETE FROM consumers WHERE name = 'idle'; UPDATE meta SET value = '4' WHERE key = 'outbox_floor'; DELETE FROM outbox WHERE seq < 4;"),
        one(&format!("{EVENT} (0, 'new', 'e', 's', 't', 'default', '{{}}', 1)"), "outbox.seq: only grows"),
        one(&format!("{EVENT} (-1, 'new', 'e', 's', 't', 'default', '{{}}', 1)"), "outbox.seq: only grows"),
        gives("the next", &format!("{EVENT} (NULL, 'new', 'e', 's', 't', 'default', '{{}}', 1)"), "SELECT max(seq) FROM outbox", "8"),
    ];
    for column in [
        "seq",
        "rowid",
        "event_id",
        "epoch",
        "subject",
        "type",
        "account",
        "external_id",
        "order_id",
        "status",
        "previous_status",
        "version",
        "payload",
        "created_at",
    ] {
        let sql = format!("UPDATE outbox SET {column} = 77 WHERE seq = 1");
        cases.push(one(&sql, "outbox: events are never changed"));
    }
    Scene::set().await.play(cases).await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn a_consumer_moves_forward_over_existing_events() {
    let set = |value: &str| format!("UPDATE consumers SET acked_seq = {value} WHERE name = 'bot'");
    let place = "SELECT typeof(acked_seq) || acked_seq FROM consumers WHERE name = 'bot'";
    let mut cases = vec![
        gives("same place", &set("3"), place, "integer3"),
        gives("forward", &set("5"), place, "integer5"),
        gives("to the end", &set("7"), place, "integer7"),
        gives("text number", &set("'5'"), place, "integer5"),
        gives("float number", &set("5.0"), place, "integer5"),
        one(&set("2"), "consumers.acked_seq: never moves backwards"),
        one(&set("'2'"), "consumers.acked_seq: never moves backwards"),
        one(&set("8"), "consumers.acked_seq: beyond the highest"),
        one(&set("NULL"), "consumers.acked_seq: must be a whole number"),
        one(&set("'x'"), "consumers.acked_seq: must be a whole number"),
        one(&set("4.5"), "consumers.acked_seq: must be a whole number"),
        one(&set("x'34'"), "consumers.acked_seq: must be a whole number"),
        one(
            "UPDATE OR IGNORE consumers SET acked_seq = 1 WHERE name = 'bot'",
            "never moves backwards",
        ),
        one(
            "UPDATE consumers SET name = 'other' WHERE name = 'bot'",
            "consumers.name: never changes",
        ),
        gives(
            "says when",
            &set("5"),
            "SELECT updated_at > 1700000000000 FROM consumers WHERE name = 'bot'",
            "1",
        ),
        gives(
            "goes",
            "DELETE FROM consumers WHERE name = 'bot'",
            "SELECT count(*) FROM consumers",
            "1",
        ),
        gives(
            "comes back at the beginning",
            "INSERT INTO consumers (name) VALUES ('bot')",
            place,
            "integer0",
        )
        .after("DELETE FROM consumers WHERE name = 'bot';"),
        gives(
            "inserts once",
            "INSERT OR IGNORE INTO consumers (name) VALUES ('bot')",
            place,
            "integer3",
        ),
        gives(
            "DO NOTHING",
            "INSERT INTO consumers (name) VALUES ('bot') ON CONFLICT DO NOTHING",
            place,
            "integer3",
        ),
        gives(
            "upsert forward",
            "INSERT INTO consumers (name, acked_seq) VALUES ('bot', 5) ON CONFLICT (name) DO UPDATE SET acked_seq = excluded.acked_seq",
            place,
            "integer5",
        ),
        one(
            "INSERT INTO consumers (name, acked_seq) VALUES ('bot', 1) ON CONFLICT (name) DO UPDATE SET acked_seq = excluded.acked_seq",
            "never moves backwards",
        ),
        one(
            "INSERT INTO consumers (name) VALUES ('bot')",
            "consumers.name",
        ),
        one(
            "REPLACE INTO consumers (name) VALUES ('bot')",
            "REPLACE is refused",
        ),
        gives(
            "explicit NULLs",
            "INSERT INTO consumers (name, acked_seq, updated_at) VALUES ('new', NULL, NULL)",
            "SELECT acked_seq || (updated_at > 1) FROM consumers WHERE name = 'new'",
            "01",
        ),
        gives(
            "begins where it says",
            "INSERT INTO consumers (name, acked_seq) VALUES ('new', 7)",
            "SELECT acked_seq FROM consumers WHERE name = 'new'",
            "7",
        ),
    ];
    for (columns, values) in [
        ("name", "NULL"),
        ("name", "''"),
        ("name", "'a b'"),
        ("name", "'a' || char(9)"),
        ("name", "x'61'"),
        ("name", "'a' || char(0)"),
        ("name", "hex(zeroblob(33))"),
        ("acked_seq", "1"),
        ("name, acked_seq", "'new', 8"),
        ("name, acked_seq", "'new', -1"),
        ("name, acked_seq", "'new', 'x'"),
        ("name, acked_seq", "'new', 1.5"),
    ] {
        for verb in ["INSERT", "INSERT OR IGNORE", "REPLACE"] {
            cases.push(one(
                &format!("{verb} INTO consumers ({columns}) VALUES ({values})"),
                "consumers.",
            ));
        }
    }
    Scene::set().await.play(cases).await;
}

#[tokio::test]
async fn the_view_shows_unread_events_with_all_columns() {
    let columns = "seq, event_id, epoch, subject, type, account, external_id, order_id, status, previous_status, version, payload, created_at";
    let query = format!(
        "SELECT {columns} FROM outbox_unread WHERE consumer = 'bot' ORDER BY seq LIMIT 100"
    );
    let cases = vec![
        gives(
            "the contract's query",
            &query,
            "SELECT group_concat(seq) FROM (SELECT * FROM outbox_unread WHERE consumer = 'bot' ORDER BY seq LIMIT 100)",
            "4,5,6,7",
        ),
        gives(
            "every column of the outbox",
            &query,
            "SELECT count(*) FROM pragma_table_info('outbox') AS o WHERE NOT EXISTS (SELECT 1 FROM pragma_table_info('outbox_unread') AS v WHERE v.name = o.name)",
            "0",
        ),
        gives(
            "an unknown consumer reads nothing",
            &query,
            "SELECT count(*) FROM outbox_unread WHERE consumer = 'nobody'",
            "0",
        ),
        one("DELETE FROM outbox_unread", "outbox_unread"),
    ];
    Scene::set().await.play(cases).await;
}
