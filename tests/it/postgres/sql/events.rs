//! Moves and their events, the outbox that only grows, consumers and what they may acknowledge.

use payrecond::domain::state::Status;

use super::{As, PgScene, move_with_event};
use crate::schema::REQUESTED;

/// Moves that lead from a requested invoice to `status`.
fn path_to(status: Status) -> &'static [&'static str] {
    match status {
        Status::Requested => &[],
        Status::Pending => &["pending"],
        Status::Paid => &["pending", "paid"],
        Status::Expired => &["pending", "expired"],
        Status::Cancelled => &["pending", "cancelled"],
        Status::Rejected => &["rejected"],
        Status::Review => &["pending", "review"],
    }
}

#[tokio::test]
async fn the_triggers_allow_the_same_transitions_as_the_domain() {
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    for from in Status::ALL {
        let Some(mut fresh) = PgScene::set().await else {
            return;
        };
        for to in path_to(from) {
            fresh.daemon_runs(&move_with_event(REQUESTED, to)).await;
        }
        for to in Status::ALL {
            let sql = move_with_event(REQUESTED, to.as_str());
            let outcome = fresh.attempt(As::Daemon, "", &sql, "'moved'").await;
            if from == to || from.may_become(to) {
                assert_eq!(outcome.as_deref(), Ok("moved"), "{from} to {to}");
            } else {
                let refused = outcome.unwrap_err();
                assert!(
                    refused.contains("invoices.status: there is no such move"),
                    "{from} to {to}: {refused}"
                );
            }
        }
    }
    let set = |what: &str| {
        format!("UPDATE invoices SET {what}, daemon_writes = daemon_writes + 1 WHERE id = 1")
    };
    for (what, message) in [
        ("status = 'PAID', version = 1", "there is no such move"),
        ("status = NULL, version = 1", "there is no such move"),
        (
            "status = 'paid', version = 1",
            "invoices.status: a change needs its row in the outbox",
        ),
        (
            "version = 1",
            "invoices.status: a change needs its row in the outbox",
        ),
        ("status = 'paid'", "invoices.version: counts"),
        ("status = 'paid', version = 2", "invoices.version: counts"),
        ("version = -1", "invoices.version: counts"),
        ("next_poll_at = NULL", "always has a next poll"),
        (
            "next_poll_at = -1",
            "invoices.next_poll_at: unix milliseconds",
        ),
    ] {
        let refused = scene
            .attempt(As::Daemon, "", &set(what), "''")
            .await
            .unwrap_err();
        assert!(refused.contains(message), "{what}: {refused}");
    }
}

/// A row that goes up by two versions, with the events in `steps`: version, before, after.
fn two_steps(steps: &str) -> String {
    format!(
        "WITH moved AS (
             UPDATE invoices SET status = 'paid', version = version + 2, order_id = '77',
                    daemon_writes = daemon_writes + 1 WHERE id = {REQUESTED} RETURNING *)
         INSERT INTO outbox (event_id, epoch, subject, type, account, external_id, status, previous_status,
                             version, payload, created_at)
         SELECT 'two-' || step, 'e', 's', 't', account, external_id, became, was, step, '{{}}', 1
           FROM moved CROSS JOIN (VALUES {steps}) AS steps (step, was, became)"
    )
}

#[tokio::test]
async fn several_events_of_one_observation_are_one_statement() {
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    let row = "SELECT status || version FROM invoices WHERE id = 2";
    let both = two_steps("(1, 'requested', 'pending'), (2, 'pending', 'paid')");
    assert_eq!(
        scene.attempt(As::Daemon, "", &both, row).await.as_deref(),
        Ok("paid2")
    );
    for (steps, message) in [
        ("(2, 'pending', 'paid')", "invoices.version: counts"),
        ("(1, 'requested', 'pending')", "invoices.version: counts"),
        (
            "(1, 'requested', 'rejected'), (2, 'rejected', 'paid')",
            "invoices.version: counts",
        ),
        (
            "(1, 'requested', 'review'), (2, 'pending', 'paid')",
            "outbox.version: an event carries",
        ),
    ] {
        let refused = scene
            .attempt(As::Daemon, "", &two_steps(steps), "''")
            .await
            .unwrap_err();
        assert!(refused.contains(message), "{steps}: {refused}");
    }
}

#[tokio::test]
async fn the_outbox_only_grows() {
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    let event = "INSERT INTO outbox (seq, event_id, epoch, subject, type, account, payload, created_at) VALUES";
    let floor =
        |value: &str| format!("UPDATE meta SET value = '{value}' WHERE key = 'outbox_floor'");
    let mut wrong = Vec::new();
    for (sql, message) in [
        (
            "DELETE FROM outbox".to_owned(),
            "outbox: events are deleted by retention only",
        ),
        (
            "DELETE FROM outbox WHERE seq = 1".to_owned(),
            "outbox: events are deleted by retention only",
        ),
        (
            "UPDATE outbox SET payload = ''".to_owned(),
            "permission denied for table outbox",
        ),
        ("TRUNCATE outbox".to_owned(), "permission denied"),
        (
            format!("{event} (0, 'new', 'e', 's', 't', 'default', '{{}}', 1)"),
            "outbox.seq: only grows",
        ),
        (
            format!("{event} (-1, 'new', 'e', 's', 't', 'default', '{{}}', 1)"),
            "outbox.seq: only grows",
        ),
        (
            format!("{event} (4711, 'new', 'e', 's', 't', 'default', '{{}}', 1)"),
            "outbox.seq: only grows",
        ),
        (floor("9"), "meta.outbox_floor: beyond"),
        (floor("5"), "meta.outbox_floor: every consumer"),
        (floor("0"), "meta.outbox_floor: never falls"),
        (floor("x"), "meta.outbox_floor: never falls"),
        (
            "DELETE FROM meta".to_owned(),
            "permission denied for table meta",
        ),
    ] {
        wrong.extend(scene.refuses(&sql, message).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let next =
        format!("{event} (nextval('outbox_seq'), 'new', 'e', 's', 't', 'default', '{{}}', 1)");
    let ask = "SELECT max(seq) FROM outbox";
    assert_eq!(
        scene.attempt(As::Daemon, "", &next, ask).await.as_deref(),
        Ok("8")
    );
    scene
        .daemon_runs("DELETE FROM consumers WHERE name = 'idle'")
        .await;
    scene.daemon_runs(&floor("4")).await;
    let prune = "DELETE FROM outbox WHERE seq < 4";
    assert_eq!(
        scene
            .attempt(As::Daemon, "", prune, "SELECT min(seq) FROM outbox")
            .await
            .as_deref(),
        Ok("4")
    );
    let pruned = format!("{event} (2, 'again', 'e', 's', 't', 'default', '{{}}', 1)");
    let refused = scene
        .attempt(As::Daemon, prune, &pruned, "''")
        .await
        .unwrap_err();
    assert!(refused.contains("outbox.seq: only grows"), "{refused}");
}

#[tokio::test]
async fn the_owner_cannot_change_an_event_either() {
    let Some(scene) = PgScene::set().await else {
        return;
    };
    let mut owner = scene.database.connect(As::Owner).await;
    for (sql, message) in [
        (
            "UPDATE payrecond.outbox SET payload = ''",
            "outbox: events are never changed",
        ),
        (
            "TRUNCATE payrecond.outbox",
            "outbox: events are deleted by retention only",
        ),
        (
            "TRUNCATE payrecond.invoices",
            "invoices: TRUNCATE is refused",
        ),
        (
            "DELETE FROM payrecond.used_keys",
            "used_keys: what was used stays used",
        ),
        (
            "DELETE FROM payrecond.meta",
            "meta: nothing is deleted here",
        ),
    ] {
        let refused = sqlx::Executor::execute(&mut owner, sql).await.unwrap_err();
        assert!(refused.to_string().contains(message), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn a_consumer_moves_forward_over_existing_events() {
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    let set = |value: &str| format!("UPDATE consumers SET acked_seq = {value} WHERE name = 'bot'");
    let place = "SELECT acked_seq FROM consumers WHERE name = 'bot'";
    for value in ["3", "5", "7", "'5'"] {
        let answer = value.trim_matches('\'');
        scene.gives("", &set(value), place, answer).await;
    }
    let upsert = |seq: &str| {
        format!(
            "INSERT INTO consumers (name, acked_seq) VALUES ('bot', {seq}) ON CONFLICT (name) DO UPDATE SET acked_seq = excluded.acked_seq"
        )
    };
    scene.gives("", &upsert("5"), place, "5").await;
    scene
        .gives(
            "",
            "INSERT INTO consumers (name) VALUES ('bot') ON CONFLICT DO NOTHING",
            place,
            "3",
        )
        .await;
    let back = "DELETE FROM consumers WHERE name = 'bot'";
    scene
        .gives(
            back,
            "INSERT INTO consumers (name) VALUES ('bot')",
            place,
            "0",
        )
        .await;
    scene.gives("", "INSERT INTO consumers (name, acked_seq) VALUES ('new', 7)", "SELECT acked_seq || (updated_at > 1700000000000)::text FROM consumers WHERE name = 'new'", "7true").await;
    let mut wrong = Vec::new();
    for (sql, message) in [
        (set("2"), "consumers.acked_seq: never moves backwards"),
        (set("8"), "consumers.acked_seq: beyond the highest"),
        (set("NULL"), "consumers.acked_seq: must be a whole number"),
        (upsert("1"), "never moves backwards"),
        (
            "UPDATE consumers SET name = 'other' WHERE name = 'bot'".to_owned(),
            "consumers.name: never changes",
        ),
        (
            "INSERT INTO consumers (name) VALUES ('bot')".to_owned(),
            "duplicate key value",
        ),
    ] {
        wrong.extend(scene.refuses(&sql, message).await);
    }
    for (columns, values) in [
        ("name", "NULL"),
        ("name", "''"),
        ("name", "'a b'"),
        ("name", "'a' || chr(9)"),
        ("name", "repeat('00', 33)"),
        ("name", "'7.0'"),
        ("acked_seq", "1"),
        ("name, acked_seq", "'new', 8"),
        ("name, acked_seq", "'new', -1"),
    ] {
        for clause in ["", " ON CONFLICT DO NOTHING"] {
            let sql = format!("INSERT INTO consumers ({columns}) VALUES ({values}){clause}");
            wrong.extend(scene.refuses(&sql, "consumers.").await);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_consumer_reads_what_it_has_not_acknowledged() {
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    let contracts = "SELECT string_agg(seq::text, ',' ORDER BY seq) FROM (
        SELECT seq, event_id, type, external_id, payload FROM outbox
         WHERE seq > (SELECT acked_seq FROM consumers WHERE name = 'bot') ORDER BY seq LIMIT 100) AS unread";
    scene.gives("", "SELECT 1", contracts, "4,5,6,7").await;
    let view =
        "SELECT string_agg(seq::text, ',' ORDER BY seq) FROM outbox_unread WHERE consumer = 'bot'";
    scene.gives("", "SELECT 1", view, "4,5,6,7").await;
    let columns = "SELECT count(*) FROM (SELECT attname FROM pg_attribute WHERE attrelid = 'outbox'::regclass AND attnum > 0
        EXCEPT SELECT attname FROM pg_attribute WHERE attrelid = 'outbox_unread'::regclass) AS missing";
    scene.gives("", "SELECT 1", columns, "0").await;
}
