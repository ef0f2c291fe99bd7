//! What a program may change in an invoice, and what it may delete.

use super::{As, PgScene};
use crate::schema::updates::NOT_A_PROGRAMS;
use crate::schema::{
    CANCELLED, EXPIRED, EXPIRED_FOR_GOOD, PAID, PENDING, REJECTED, REQUESTED, REVIEW, SENT,
};

/// Values that PostgreSQL's types refuse, or round, before a rule sees them.
const BY_TYPE: &[&str] = &["'now'", "0.5"];

#[tokio::test]
async fn a_program_changes_nothing_but_metadata_and_a_nudge() {
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    let mut wrong = Vec::new();
    for (column, value) in NOT_A_PROGRAMS {
        for id in [REQUESTED, EXPIRED, REVIEW] {
            // Nothing is changed by these.
            let is_same = (*column, *value, id) == ("daemon_writes", "0", REQUESTED);
            if BY_TYPE.contains(value) || is_same {
                continue;
            }
            let sql = format!("UPDATE invoices SET {column} = {value} WHERE id = {id}");
            let message = if *column == "id" { "" } else { "invoices" };
            wrong.extend(scene.refuses(&sql, message).await);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_stale_row_saved_whole_is_refused() {
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    let stale = "UPDATE invoices SET external_id = 'P', status = 'pending', polls = 0, metadata = '{}' WHERE id = 1";
    let poll = "UPDATE invoices SET polls = 1, daemon_writes = daemon_writes + 1 WHERE id = 1";
    let outcome = scene.attempt(As::Daemon, poll, stale, "''").await;
    assert!(outcome.unwrap_err().contains("a program may set metadata"));
    let whole = scene
        .attempt(
            As::Daemon,
            "",
            stale,
            "SELECT metadata FROM invoices WHERE id = 1",
        )
        .await;
    assert_eq!(
        whole.as_deref(),
        Ok("{}"),
        "the row as it is, where one role does everything"
    );
    let refused = scene.attempt(As::App, "", stale, "''").await.unwrap_err();
    assert!(refused.contains("permission denied"), "{refused}");
}

#[tokio::test]
async fn metadata_and_a_nudge_are_the_programs_in_every_state() {
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    for id in [
        PENDING,
        REQUESTED,
        EXPIRED,
        EXPIRED_FOR_GOOD,
        CANCELLED,
        PAID,
        REJECTED,
        REVIEW,
        SENT,
    ] {
        let set = format!(
            "UPDATE invoices SET metadata = '{{\"a\": [1]}}', next_poll_at = 0 WHERE id = {id}"
        );
        let ask = format!(
            "SELECT metadata || coalesce(next_poll_at::text, '-') FROM invoices WHERE id = {id}"
        );
        let planned = if [PAID, REJECTED].contains(&id) {
            "{\"a\": [1]}-"
        } else {
            "{\"a\": [1]}0"
        };
        scene.gives("", &set, &ask, planned).await;
    }
    let all = "SELECT count(*) FROM invoices WHERE next_poll_at = 0";
    scene
        .gives("", "UPDATE invoices SET next_poll_at = 0", all, "8")
        .await;
    let set = "UPDATE invoices SET metadata = NULL WHERE id = 1";
    scene
        .gives(
            "",
            set,
            "SELECT metadata IS NULL FROM invoices WHERE id = 1",
            "true",
        )
        .await;
    for value in [
        "''",
        "'{'",
        "'[1,]'",
        "'{a:1}'",
        "'\"' || repeat('00', 16384) || '\"'",
    ] {
        let set = format!("UPDATE invoices SET metadata = {value} WHERE id = 1");
        let wrong = scene.refuses(&set, "invoices.metadata: JSON").await;
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

#[tokio::test]
async fn only_what_nothing_waits_for_can_be_deleted() {
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    let delete = |id: i64| format!("DELETE FROM invoices WHERE id = {id}");
    for id in [PAID, REJECTED, EXPIRED_FOR_GOOD, REQUESTED] {
        scene
            .gives("", &delete(id), "SELECT count(*) FROM used_keys", "2")
            .await;
    }
    let message = "invoices: only a paid or rejected invoice";
    let mut wrong = Vec::new();
    for id in [PENDING, EXPIRED, CANCELLED, REVIEW, SENT] {
        wrong.extend(scene.refuses(&delete(id), message).await);
    }
    wrong.extend(scene.refuses("DELETE FROM invoices", message).await);
    let nudge = "UPDATE invoices SET next_poll_at = 0 WHERE id = 4";
    wrong.extend(
        scene
            .refuses_after(nudge, &delete(EXPIRED_FOR_GOOD), message)
            .await,
    );
    wrong.extend(scene.refuses("TRUNCATE invoices", "").await);
    wrong.extend(scene.refuses("DELETE FROM used_keys", NOT_YOURS).await);
    wrong.extend(
        scene
            .refuses("UPDATE used_keys SET order_id = NULL", NOT_YOURS)
            .await,
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const NOT_YOURS: &str = "permission denied for table used_keys";

#[tokio::test]
async fn only_the_daemon_writes_transactions_and_they_go_with_their_invoice() {
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    let columns = "account, transaction_id, direction, invoice_id, amount, currency, is_net, status, happened_at, seen_at";
    let row = |id: &str, invoice: &str, counted: &str| {
        format!(
            "INSERT INTO transactions ({columns}, daemon_writes)
             VALUES ('default', '{id}', 'in', {invoice}, '1', 'RUB', 0, 'succeeded', 5, 6, {counted})"
        )
    };
    let mut wrong = scene
        .refuses(
            &row("X", "NULL", "0"),
            "transactions: written by the daemon",
        )
        .await;
    wrong.extend(
        scene
            .refuses(&row("X", "4711", "1"), "there is no such invoice")
            .await,
    );
    scene.daemon_runs(&row("T", "NULL", "1")).await;
    scene.daemon_runs(&row("P", &PAID.to_string(), "1")).await;
    let counted = "daemon_writes = daemon_writes + 1";
    for (set, message) in [
        (
            "amount = '2'".to_owned(),
            "transactions: written by the daemon",
        ),
        (format!("direction = 'out', {counted}"), "never change"),
        (
            format!("status = 'gone', {counted}"),
            "transactions.status: succeeded",
        ),
        (
            format!("invoice_id = 4711, {counted}"),
            "transactions.invoice_id: ",
        ),
    ] {
        wrong.extend(
            scene
                .refuses(&format!("UPDATE transactions SET {set}"), message)
                .await,
        );
    }
    wrong.extend(
        scene
            .refuses("DELETE FROM transactions", "deleted with their invoice")
            .await,
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let left = "SELECT string_agg(transaction_id, ',') FROM transactions";
    scene
        .gives(
            "",
            &format!("DELETE FROM invoices WHERE id = {PAID}"),
            left,
            "T",
        )
        .await;
    let floor = "INSERT INTO meta (key, value) VALUES ('transactions_floor', '7')";
    scene.daemon_runs(floor).await;
    let prune = "DELETE FROM transactions WHERE invoice_id IS NULL";
    assert_eq!(
        scene.attempt(As::Daemon, "", prune, left).await.as_deref(),
        Ok("P")
    );
}
