//! Several stores on one database, as several daemons have it open, and programs whose transactions last.

use std::collections::BTreeSet;
use std::time::Duration;

use payrecond::domain::invoice::AccountName;
use payrecond::store::postgres::{hold, prepare};
use payrecond::store::{
    Database as _, InsertPlace, Lease, Leases as _, Presence, Role, RoleHold as _, Store,
    StoreError, Written,
};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _, Row as _};

use super::NOW;
use super::conformance::{ACCOUNT, Backend as _, known, paid};
use super::on_postgres::{Postgres, location, open};
use crate::postgres::server::As;
use crate::until::eventually;

const TERM: Duration = Duration::from_mins(1);
/// After this many renewals by a new holder, the old one has tried to renew as well.
const RENEWALS: usize = 20;
/// A lease that ends at once.
const NO_TERM: Duration = Duration::ZERO;

fn account() -> AccountName {
    ACCOUNT.into()
}

/// Pays `count` invoices one after the other, through a store of its own.
async fn pay_many(postgres: &Postgres, prefix: &str, count: usize) {
    let store = open(&postgres.database).await;
    for number in 0..count {
        let name = format!("{prefix}{number}");
        assert!(postgres.insert(ACCOUNT, &name, Some(&name)).await);
        let decision = paid(&known(postgres, &name).await);
        let written = store.commit(&[decision], NOW).await.unwrap();
        assert!(matches!(written[..], [Written::Yes { seq: Some(_) }]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cursor_reader_misses_nothing_with_several_writers() {
    const EACH: usize = 40;
    let Some(postgres) = Postgres::make().await else {
        return;
    };
    let reading = async {
        let (mut seen, mut cursor) = (BTreeSet::new(), 0);
        while seen.len() < 3 * EACH {
            let events = postgres.store.events_after(cursor, 7).await.unwrap();
            for event in &events {
                assert!(event.seq > cursor, "in order");
                cursor = event.seq;
                seen.insert(event.event_id.clone());
            }
        }
        seen.len()
    };
    let (seen, ..) = tokio::time::timeout(crate::PATIENCE, async {
        tokio::join!(
            reading,
            pay_many(&postgres, "A", EACH),
            pay_many(&postgres, "B", EACH),
            pay_many(&postgres, "C", EACH)
        )
    })
    .await
    .unwrap();
    assert_eq!(seen, 3 * EACH);
}

#[tokio::test]
async fn what_is_committed_late_is_told_however_late() {
    let Some(postgres) = Postgres::make().await else {
        return;
    };
    let mut seen = InsertPlace::default();
    let since = async |seen: &mut InsertPlace| {
        postgres
            .store
            .committed_since(&account(), seen)
            .await
            .unwrap()
    };
    let mut slow = postgres.database.connect(As::App).await;
    slow.execute("BEGIN").await.unwrap();
    slow.execute("INSERT INTO invoices (external_id, order_id) VALUES ('slow', '1')")
        .await
        .unwrap();
    assert_eq!(
        since(&mut seen).await,
        None,
        "the first time there is nothing to compare with"
    );
    for name in ["A", "B"] {
        assert!(postgres.insert(ACCOUNT, name, Some(name)).await);
        assert!(since(&mut seen).await.is_some(), "{name} is new");
        assert_eq!(since(&mut seen).await, None, "{name} is told once");
    }
    slow.execute("COMMIT").await.unwrap();
    let late = known(&postgres, "slow").await;
    assert!(late.id < known(&postgres, "A").await.id);
    assert_eq!(since(&mut seen).await, late.schedule.next_poll_at);
    assert_eq!(since(&mut seen).await, None);
}

#[tokio::test]
async fn a_row_that_a_program_holds_delays_nobody_else() {
    let Some(postgres) = Postgres::make().await else {
        return;
    };
    for name in ["held", "free"] {
        assert!(postgres.insert(ACCOUNT, name, Some(name)).await);
    }
    let decisions = [
        paid(&known(&postgres, "held").await),
        paid(&known(&postgres, "free").await),
    ];
    let mut program = postgres.database.connect(As::App).await;
    program.execute("BEGIN").await.unwrap();
    program
        .execute("UPDATE invoices SET next_poll_at = 0 WHERE external_id = 'held'")
        .await
        .unwrap();
    let written = postgres.store.commit(&decisions, NOW).await.unwrap();
    assert!(
        matches!(written[..], [Written::Stale, Written::Yes { seq: Some(_) }]),
        "{written:?}"
    );
    let mut seen = InsertPlace::default();
    let again = postgres.store.committed_since(&account(), &mut seen).await;
    let plan = decisions[0].based_on_next_poll_at;
    assert_eq!(again.unwrap(), plan, "it is read again");
    program.execute("COMMIT").await.unwrap();
    let again = postgres.store.commit(&decisions[..1], NOW).await.unwrap();
    assert!(matches!(again[..], [Written::Yes { seq: Some(_) }]));
}

#[tokio::test]
async fn a_creation_whose_row_a_program_holds_is_read_again() {
    let Some(postgres) = Postgres::make().await else {
        return;
    };
    let mut ids = Vec::new();
    for name in ["held", "free"] {
        assert!(postgres.insert(ACCOUNT, name, None).await);
        ids.push(known(&postgres, name).await.id);
    }
    let mut program = postgres.database.connect(As::App).await;
    program.execute("BEGIN").await.unwrap();
    program
        .execute("UPDATE invoices SET metadata = '1' WHERE external_id = 'held'")
        .await
        .unwrap();
    let marked = postgres.store.mark_creations_sent(&ids, NOW).await.unwrap();
    assert_eq!(marked, ids[1..]);
    program.execute("ROLLBACK").await.unwrap();
    let mut seen = InsertPlace::default();
    let again = postgres.store.committed_since(&account(), &mut seen).await;
    let plan = known(&postgres, "held").await.schedule.next_poll_at;
    assert_eq!(again.unwrap(), plan);
    let marked = postgres
        .store
        .mark_creations_sent(&ids[..1], NOW)
        .await
        .unwrap();
    assert_eq!(marked, ids[..1]);
}

/// Takes the account's lease for a daemon.
async fn take(postgres: &Postgres, owner: &str, term: Duration) -> Option<Lease> {
    let name = format!("account:{ACCOUNT}");
    let presence = Presence {
        name: owner.into(),
        version: "1".into(),
        accounts: vec![ACCOUNT.into()],
    };
    let names = [name];
    postgres.store.announce(&presence, &names).await.unwrap();
    let mut taken = postgres.store.take(owner, &names, term).await.unwrap();
    taken.pop()
}

#[tokio::test]
async fn a_lease_has_one_owner_until_it_ends_or_is_released() {
    let Some(postgres) = Postgres::make().await else {
        return;
    };
    let first = take(&postgres, "one", TERM).await.unwrap();
    assert_eq!(take(&postgres, "two", TERM).await, None);
    let held = [first.clone()];
    let kept = postgres.store.renew("one", &held, TERM).await.unwrap();
    assert_eq!(kept, [first.name.as_str()]);
    postgres.store.release(&held).await.unwrap();
    let second = take(&postgres, "two", TERM).await.unwrap();
    assert!(second.token > first.token);
    assert!(
        postgres
            .store
            .renew("one", &held, TERM)
            .await
            .unwrap()
            .is_empty()
    );
    let view = postgres.store.view(TERM).await.unwrap();
    assert_eq!(view.owner_of(ACCOUNT), Some("two"));
    assert_eq!(view.daemons.len(), 2);
    postgres.store.leave("one").await.unwrap();
    assert_eq!(postgres.store.view(TERM).await.unwrap().daemons.len(), 1);
}

#[tokio::test]
async fn an_owner_whose_lease_was_taken_writes_nothing() {
    let Some(postgres) = Postgres::make().await else {
        return;
    };
    for name in ["A", "B"] {
        assert!(postgres.insert(ACCOUNT, name, Some(name)).await);
    }
    let old = take(&postgres, "one", NO_TERM).await.unwrap();
    let paused = postgres.store.fenced(&old);
    let first = paid(&known(&postgres, "A").await);
    let written = paused.commit(&[first], NOW).await.unwrap();
    assert!(
        matches!(written[..], [Written::Yes { .. }]),
        "nobody took it"
    );
    let new = eventually(async || take(&postgres, "two", TERM).await).await;
    let before = known(&postgres, "B").await;
    let second = [paid(&before)];
    let lost = paused.commit(&second, NOW).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost(_))), "{lost:?}");
    let record = paused.account(&account()).await.unwrap();
    assert_eq!(record, None);
    let ids = [before.id];
    let marked = paused.mark_creations_sent(&ids, NOW).await;
    assert!(
        matches!(marked, Err(StoreError::LeaseLost(_))),
        "{marked:?}"
    );
    let kept = paused
        .keep_ledger(&account(), "yoomoney", &[], "place", NOW)
        .await;
    assert!(matches!(kept, Err(StoreError::LeaseLost(_))), "{kept:?}");
    let lent = paused.grant_budget(&account(), NOW).await;
    assert!(matches!(lent, Err(StoreError::LeaseLost(_))), "{lent:?}");
    assert_eq!(paused.budget_grant(&account()).await.unwrap(), None);
    let pruned = paused.prune_transactions(NOW, 10).await;
    assert!(
        matches!(pruned, Err(StoreError::LeaseLost(_))),
        "{pruned:?}"
    );
    assert_eq!(known(&postgres, "B").await, before, "untouched");
    let owner = postgres.store.fenced(&new);
    let written = owner.commit(&second, NOW).await.unwrap();
    assert!(matches!(written[..], [Written::Yes { .. }]));
}

/// Whether somebody waits for the outbox's turn.
async fn somebody_waits(observer: &mut PgConnection) -> bool {
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let waiting = observer.fetch_one(waits).await.unwrap();
    waiting.get::<i64, _>(0) > 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_take_over_waits_for_a_commit_under_way() {
    let Some(postgres) = Postgres::make().await else {
        return;
    };
    assert!(postgres.insert(ACCOUNT, "A", Some("A")).await);
    let old = take(&postgres, "one", NO_TERM).await.unwrap();
    let decision = paid(&known(&postgres, "A").await);
    let mut blocker = postgres.database.connect(As::Daemon).await;
    let mut observer = postgres.database.connect(As::Admin).await;
    // A commit waits two seconds for its turn at most; on a slow machine it is begun again.
    eventually(async || {
        blocker.execute("BEGIN").await.unwrap();
        blocker
            .execute("SELECT payrecond.take_outbox_turn()")
            .await
            .unwrap();
        let writer = postgres.store.fenced(&old);
        let decision = decision.clone();
        let commit = tokio::spawn(async move { writer.commit(&[decision], NOW).await });
        eventually(async || {
            (somebody_waits(&mut observer).await || commit.is_finished()).then_some(())
        })
        .await;
        let taken = take(&postgres, "two", TERM).await;
        blocker.execute("COMMIT").await.unwrap();
        match commit.await.unwrap() {
            Ok(written) => {
                assert!(matches!(written[..], [Written::Yes { .. }]), "{written:?}");
                assert_eq!(taken, None, "the owner was writing");
                Some(())
            }
            Err(StoreError::Unavailable(_)) => None,
            Err(error) => panic!("{error}"),
        }
    })
    .await;
    assert!(take(&postgres, "two", TERM).await.is_some());
}

#[tokio::test]
async fn a_database_put_elsewhere_begins_a_new_epoch_above_every_number() {
    let Some(postgres) = Postgres::make().await else {
        return;
    };
    for name in ["A", "B"] {
        assert!(postgres.insert(ACCOUNT, name, Some(name)).await);
    }
    let first = paid(&known(&postgres, "A").await);
    postgres.store.commit(&[first], NOW).await.unwrap();
    let again = prepare(&location(&postgres.database)).await.unwrap();
    assert!(!again.put_back, "it is where it was");
    let mut admin = postgres.database.connect(As::Admin).await;
    admin
        .execute("UPDATE payrecond.meta SET value = 'elsewhere' WHERE key = 'place'")
        .await
        .unwrap();
    let moved = prepare(&location(&postgres.database)).await.unwrap();
    assert!(moved.put_back && moved.epoch != again.epoch);
    let second = [paid(&known(&postgres, "B").await)];
    let stale = postgres.store.commit(&second, NOW).await;
    assert!(matches!(stale, Err(StoreError::Replaced(_))), "{stale:?}");
    let reopened = open(&postgres.database).await;
    let written = reopened.commit(&second, NOW).await.unwrap();
    let [Written::Yes { seq: Some(seq) }] = written[..] else {
        panic!("{written:?}");
    };
    let shown = reopened.leases().unwrap().now().await.unwrap();
    assert!(
        seq.abs_diff(shown.0) < 600_000,
        "numbers go on from the time by the database's clock: {seq}"
    );
    let event = reopened
        .events_after(seq - 1, 1)
        .await
        .unwrap()
        .pop()
        .unwrap();
    assert!(event.payload.contains(&moved.epoch));
    let later = prepare(&location(&postgres.database)).await.unwrap();
    assert!(!later.put_back, "once");
    admin.close().await.unwrap();
}

#[tokio::test]
async fn a_consumer_has_one_holder_until_its_session_ends_or_its_lease_does() {
    let Some(postgres) = Postgres::make().await else {
        return;
    };
    let server = location(&postgres.database);
    let take = async || {
        hold(&server, Role::Consumer("bot"), "a process")
            .await
            .unwrap()
    };
    let first = take().await.unwrap();
    first.require_held().unwrap();
    assert!(take().await.is_none(), "it has a holder");
    assert!(
        hold(&server, Role::Consumer("other"), "a process")
            .await
            .unwrap()
            .is_some()
    );
    drop(first);
    let second = eventually(take).await;
    // Paused or cut off: its session is there, its lease ends.
    let mut admin = postgres.database.connect(As::Admin).await;
    let ended =
        "UPDATE payrecond.leases SET until = 0, owner = 'paused' WHERE name = 'consumer:bot'";
    admin.execute(ended).await.unwrap();
    let third = eventually(take).await;
    third.require_held().unwrap();
    // Both try to renew the role equally often.
    let renewed = "SELECT until FROM payrecond.leases WHERE name = 'consumer:bot'";
    for _ in 0..RENEWALS {
        let until: i64 = sqlx::query_scalar(renewed)
            .fetch_one(&mut admin)
            .await
            .unwrap();
        eventually(async || {
            let now: i64 = sqlx::query_scalar(renewed)
                .fetch_one(&mut admin)
                .await
                .ok()?;
            (now != until).then_some(())
        })
        .await;
        if matches!(second.require_held(), Err(StoreError::Replaced(_))) {
            return;
        }
    }
    panic!("the second holder did not notice that it lost the role");
}

#[tokio::test]
async fn a_consumer_whose_connection_is_closed_never_has_two_holders() {
    let Some(postgres) = Postgres::make().await else {
        return;
    };
    let server = location(&postgres.database);
    let first = hold(&server, Role::Consumer("bot"), "a process")
        .await
        .unwrap()
        .unwrap();
    let mut admin = postgres.database.connect(As::Admin).await;
    let sessions = "SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks AS l
                      JOIN pg_database AS d ON d.oid = l.database
                     WHERE l.locktype = 'advisory' AND d.datname = current_database()";
    let ended: i64 = sqlx::query_scalar(sessions)
        .fetch_one(&mut admin)
        .await
        .unwrap();
    assert_eq!(ended, 1);
    // Its lock is free now, but the process lives.
    let second = hold(&server, Role::Consumer("bot"), "a process")
        .await
        .unwrap();
    assert!(
        second.is_none() || first.require_held().is_err(),
        "two processes hold the consumer"
    );
    assert!(second.is_none(), "the first one has renewed it meanwhile");
    first.require_held().unwrap();
}
