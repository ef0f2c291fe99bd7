//! Several connections at once: what one has not committed must not mislead another.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::server::{self, As};
use crate::until::eventually;

const EVENT: &str = "INSERT INTO payrecond.outbox (seq, event_id, epoch, subject, type, account, payload, created_at)
                     SELECT $1, 'event-' || $1, 'e', 's', 't', 'default', '{}', 1";

/// Long enough that a statement which does not wait has ended.
const A_WHILE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn an_event_below_a_committed_one_is_refused() {
    let Some(database) = server::database().await else {
        return;
    };
    let (mut slow, mut quick) = (
        database.connect(As::Daemon).await,
        database.connect(As::Daemon).await,
    );
    let number = "SELECT nextval('payrecond.outbox_seq')";
    // A writer that takes its number before its turn.
    let early: i64 = sqlx::query_scalar(number)
        .fetch_one(&mut slow)
        .await
        .unwrap();
    let late: i64 = sqlx::query_scalar(number)
        .fetch_one(&mut quick)
        .await
        .unwrap();
    quick.execute(sqlx::query(EVENT).bind(late)).await.unwrap();
    let refused = slow
        .execute(sqlx::query(EVENT).bind(early))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("outbox.seq: only grows"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_consumer_does_not_pass_an_event_that_is_not_committed() {
    let Some(database) = server::database().await else {
        return;
    };
    let (mut daemon, mut app) = (
        database.connect(As::Daemon).await,
        database.connect(As::App).await,
    );
    app.execute("INSERT INTO consumers (name) VALUES ('bot')")
        .await
        .unwrap();
    let mut writing = daemon.begin().await.unwrap();
    let seq: i64 = sqlx::query_scalar("SELECT nextval('payrecond.outbox_seq')")
        .fetch_one(&mut *writing)
        .await
        .unwrap();
    writing.execute(sqlx::query(EVENT).bind(seq)).await.unwrap();
    let acknowledge = "UPDATE consumers SET acked_seq = 1 WHERE name = 'bot'";
    let refused = app.execute(acknowledge).await.unwrap_err();
    assert!(
        refused.to_string().contains("beyond the highest seq"),
        "{refused}"
    );
    writing.commit().await.unwrap();
    app.execute(acknowledge).await.unwrap();
}

#[tokio::test]
async fn a_key_deleted_while_it_is_inserted_again_stays_used() {
    for (isolation, message) in [
        ("READ COMMITTED", "stays used, also after deletion"),
        ("REPEATABLE READ", "duplicate key value"),
    ] {
        let Some(database) = server::database().await else {
            return;
        };
        let mut one = database.connect(As::App).await;
        let mut other = database.connect(As::App).await;
        let insert = "INSERT INTO invoices (external_id, amount, currency, description) VALUES ('A', '1', 'USD', 'Six eggs')";
        one.execute(insert).await.unwrap();
        let set = format!("SET default_transaction_isolation = '{isolation}'");
        other.execute(AssertSqlSafe(set)).await.unwrap();
        let mut deleting = one.begin().await.unwrap();
        deleting.execute("DELETE FROM invoices").await.unwrap();
        let again = tokio::spawn(async move { other.execute(insert).await.map(|_| ()) });
        let mut watch = database.connect(As::Admin).await;
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1";
        eventually(async || {
            let waiting = sqlx::query_scalar(waits).bind(&database.name);
            let waiting: i64 = waiting.fetch_one(&mut watch).await.ok()?;
            (waiting > 0).then_some(())
        })
        .await;
        deleting.commit().await.unwrap();
        let refused = again.await.unwrap().unwrap_err();
        assert!(
            refused.to_string().contains(message),
            "{isolation}: {refused}"
        );
    }
}

#[tokio::test]
async fn a_take_over_waits_for_a_write_that_holds_the_lease_and_a_renewal_does_not() {
    let Some(database) = server::database().await else {
        return;
    };
    let (mut owner, mut renewal) = (
        database.connect(As::Daemon).await,
        database.connect(As::Daemon).await,
    );
    let mut other = database.connect(As::Daemon).await;
    owner
        .execute(
            "INSERT INTO payrecond.leases (name, token, owner, until) VALUES ('a', 1, 'one', 5)",
        )
        .await
        .unwrap();
    let mut write = owner.begin().await.unwrap();
    let held = "SELECT 1 FROM payrecond.leases WHERE name = 'a' AND token = 1 FOR KEY SHARE";
    write.execute(held).await.unwrap();
    renewal.execute("SET lock_timeout = '10s'").await.unwrap();
    let renew = "UPDATE payrecond.leases SET until = until + 1 WHERE name = 'a' AND token = 1";
    renewal.execute(renew).await.unwrap();
    let take = "UPDATE payrecond.leases SET token = token + 1, owner = 'two' WHERE name = 'a'";
    let mut taking =
        tokio::spawn(async move { other.execute(take).await.map(|done| done.rows_affected()) });
    assert!(
        tokio::time::timeout(A_WHILE, &mut taking).await.is_err(),
        "it waits"
    );
    write.commit().await.unwrap();
    assert_eq!(taking.await.unwrap().unwrap(), 1);
    assert_eq!(
        renewal.execute(renew).await.unwrap().rows_affected(),
        0,
        "the old token is nothing"
    );
}

#[tokio::test]
async fn a_reader_by_the_highest_number_misses_nothing_of_four_writers() {
    const EACH: i64 = 25;
    let Some(database) = server::database().await else {
        return;
    };
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let mut connection = database.connect(As::Daemon).await;
        writers.spawn(async move {
            for number in 0..EACH {
                // Late: the lock, then the number, in one statement.
                let sql = format!(
                    "WITH turn AS MATERIALIZED (SELECT payrecond.take_outbox_turn())
                     INSERT INTO payrecond.outbox (seq, event_id, epoch, subject, type, account, payload, created_at)
                     SELECT nextval('payrecond.outbox_seq'), '{writer}-{number}', 'e', 's', 't', 'default', '{{}}', 1 FROM turn"
                );
                connection.execute(AssertSqlSafe(sql)).await.unwrap();
            }
        });
    }
    let mut reader = database.connect(As::App).await;
    let (mut last, mut seen) = (0_i64, 0);
    eventually(async || {
        while let Some(done) = writers.try_join_next() {
            done.unwrap();
        }
        let rows: Vec<i64> =
            sqlx::query_scalar("SELECT seq FROM outbox WHERE seq > $1 ORDER BY seq")
                .bind(last)
                .fetch_all(&mut reader)
                .await
                .unwrap();
        last = rows.last().copied().unwrap_or(last);
        seen += rows.len();
        (seen == usize::try_from(4 * EACH).unwrap()).then_some(())
    })
    .await;
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
}
