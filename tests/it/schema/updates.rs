//! What a program may change in an invoice, and what it may delete.

use super::{
    CANCELLED, Case, EXPIRED, EXPIRED_FOR_GOOD, PAID, PENDING, REJECTED, REQUESTED, REVIEW, SENT,
    Scene, event, gives, refused, write_move,
};

/// Every column that programs may not write, and a value of the right type that differs.
pub const NOT_A_PROGRAMS: &[(&str, &str)] = &[
    ("id", "99"),
    ("account", "'second'"),
    ("external_id", "'Q'"),
    ("order_id", "'999'"),
    ("amount", "'2.00'"),
    ("currency", "'EUR'"),
    ("description", "'Seven eggs'"),
    ("timeout_seconds", "60"),
    ("options", "'{}'"),
    ("status", "'paid'"),
    ("reason", "'x'"),
    ("provider_status", "'PAID'"),
    ("order_number", "'x'"),
    ("pay_link", "'x'"),
    ("direct_pay_link", "'x'"),
    ("expires_at", "1"),
    ("paid_at", "1"),
    ("paid_amount", "'1'"),
    ("paid_currency", "'TON'"),
    ("fee_amount", "'1'"),
    ("net_amount", "'1'"),
    ("exchange_rate", "'1'"),
    ("version", "5"),
    ("created_at", "1"),
    ("updated_at", "1"),
    ("next_poll_at", "1"),
    ("next_poll_at", "9999999999999"),
    ("next_poll_at", "-1"),
    ("next_poll_at", "NULL"),
    ("next_poll_at", "'now'"),
    ("next_poll_at", "0.5"),
    ("last_polled_at", "1"),
    ("polls", "5"),
    ("failures", "5"),
    ("last_error", "'x'"),
    ("create_sent_at", "1"),
    ("ended_at", "1"),
    ("not_found_since", "1"),
    ("daemon_writes", "0"),
    ("daemon_writes", "9"),
    ("status", "NULL"),
    ("account", "NULL"),
    ("external_id", "NULL"),
    ("version", "NULL"),
    ("created_at", "NULL"),
];

#[tokio::test]
async fn a_program_changes_nothing_but_metadata_and_a_nudge() {
    let mut cases: Vec<Case> = Vec::new();
    for (column, value) in NOT_A_PROGRAMS {
        for id in [REQUESTED, EXPIRED, REVIEW] {
            for verb in ["UPDATE", "UPDATE OR IGNORE", "UPDATE OR REPLACE"] {
                let sql = format!("{verb} invoices SET {column} = {value} WHERE id = {id}");
                if (*column, *value, id) != ("daemon_writes", "0", REQUESTED) {
                    cases.push(refused(&sql, &sql, "invoices"));
                }
            }
        }
    }
    // A stale row saved completely by an ORM after the daemon had changed it.
    let stale =
        "UPDATE invoices SET external_id = 'P', status = 'pending', polls = 0, metadata = '{}'
                 WHERE id = 1";
    let poll = "UPDATE invoices SET polls = 1, daemon_writes = daemon_writes + 1 WHERE id = 1;";
    cases.push(refused("a stale row", stale, "a program may set metadata").after(poll));
    let ask = "SELECT metadata FROM invoices WHERE id = 1";
    cases.push(gives("the row as it is", stale, ask, "{}"));
    Scene::set().await.play(cases).await;
}

#[tokio::test]
async fn metadata_can_be_changed_in_every_state() {
    let set =
        |id: i64, value: &str| format!("UPDATE invoices SET metadata = {value} WHERE id = {id}");
    let mut cases = Vec::new();
    for id in [
        PENDING,
        REQUESTED,
        EXPIRED,
        EXPIRED_FOR_GOOD,
        CANCELLED,
        PAID,
        REJECTED,
        REVIEW,
    ] {
        let sql = set(id, "'{\"a\": [1]}'");
        cases.push(gives(&sql, &sql, "SELECT changes()", "1"));
    }
    cases.push(gives(
        "NULL",
        &set(1, "NULL"),
        "SELECT metadata IS NULL FROM invoices WHERE id = 1",
        "1",
    ));
    for value in [
        "''",
        "'{'",
        "'[1,]'",
        "'{a:1}'",
        "x'7b7d'",
        "CAST(x'7b7d00' AS TEXT)",
        "'\"' || hex(zeroblob(16384)) || '\"'",
    ] {
        for verb in ["UPDATE", "UPDATE OR IGNORE"] {
            let sql = set(1, value).replace("UPDATE", verb);
            cases.push(refused(&sql, &sql, "invoices.metadata: JSON"));
        }
    }
    Scene::set().await.play(cases).await;
}

#[tokio::test]
async fn a_nudge_plans_a_poll_unless_the_status_is_final() {
    let mut cases = Vec::new();
    for id in [
        PENDING,
        REQUESTED,
        EXPIRED,
        EXPIRED_FOR_GOOD,
        CANCELLED,
        REVIEW,
        SENT,
    ] {
        let sql = format!("UPDATE invoices SET next_poll_at = 0 WHERE id = {id}");
        let ask = "SELECT max(next_poll_at = 0) FROM invoices";
        cases.push(gives(&sql, &sql, ask, "1"));
    }
    for id in [PAID, REJECTED] {
        for triggers in ["OFF", "ON"] {
            let sql = format!("UPDATE invoices SET next_poll_at = 0 WHERE id = {id}");
            let ask = "SELECT count(*) FROM invoices WHERE id IN (6, 7) AND next_poll_at IS NULL";
            let case = gives(&sql, &sql, ask, "2");
            cases.push(case.after(&format!("PRAGMA recursive_triggers = {triggers};")));
        }
    }
    let all = "UPDATE invoices SET next_poll_at = 0";
    cases.push(gives(
        "all",
        all,
        "SELECT count(*) FROM invoices WHERE next_poll_at = 0",
        "8",
    ));
    Scene::set().await.play(cases).await;
}

#[tokio::test]
async fn only_unneeded_rows_can_be_deleted() {
    let delete = |id: i64| format!("DELETE FROM invoices WHERE id = {id}");
    let mut cases = Vec::new();
    for id in [PAID, REJECTED, EXPIRED_FOR_GOOD, REQUESTED] {
        cases.push(gives(
            &delete(id),
            &delete(id),
            "SELECT changes() || ',' || count(*) FROM used_keys",
            "1,2",
        ));
    }
    for id in [PENDING, EXPIRED, CANCELLED, REVIEW, SENT] {
        cases.push(refused(
            &delete(id),
            &delete(id),
            "invoices: only a paid or rejected invoice",
        ));
    }
    cases.push(refused(
        "all",
        "DELETE FROM invoices",
        "invoices: only a paid or rejected invoice",
    ));
    let nudged = "UPDATE invoices SET next_poll_at = 0 WHERE id = 4;";
    cases.push(refused("nudged", &delete(EXPIRED_FOR_GOOD), "invoices: only a paid").after(nudged));
    let gone = format!(
        "{}{}",
        event(REQUESTED, "pending"),
        write_move(REQUESTED, "pending")
    );
    cases.push(
        refused(
            "created meanwhile",
            &delete(REQUESTED),
            "invoices: only a paid",
        )
        .after(&gone),
    );
    Scene::set().await.play(cases).await;
}
