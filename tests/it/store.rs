//! SQLite as a store: the suite of all stores, and SQLite's own tests: file, schema, epoch.

use std::fs;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use payrecond::domain::decide::{Decision, decide};
use payrecond::domain::invoice::Invoice;
use payrecond::domain::observation::{Observation, OrderState};
use payrecond::domain::time::UnixMillis;
use payrecond::store::sqlite::{MIGRATIONS, SqliteOptions, SqliteStore, migrate};
use payrecond::store::{
    Database as _, Migrated, NewInvoice, Reference, Reports, Store, StoreError, StoredEvent,
    Written,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};
use tempfile::TempDir;

use self::conformance::Backend;
use crate::rows;

mod conformance;
mod on_postgres;
mod two_stores;

const NOW: UnixMillis = UnixMillis(1_795_293_000_000);

#[tokio::test]
async fn sqlite_does_what_every_store_must() {
    conformance::suite(Sqlite::make).await;
}

/// A database, and a program beside the store.
struct Sqlite {
    folder: TempDir,
    store: SqliteStore,
}

impl Sqlite {
    async fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        migrate(&path, NOW).await.unwrap();
        let store = open(&path).await.unwrap();
        Self { folder, store }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    async fn change(&self, sql: &str, external_id: &str) -> bool {
        let mut program = connect(&self.path()).await;
        let query = sqlx::query(AssertSqlSafe(sql.to_owned())).bind(external_id);
        query.execute(&mut program).await.is_ok()
    }
}

#[async_trait]
impl Backend for Sqlite {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn reports(&self) -> &dyn Reports {
        &self.store
    }

    async fn insert(&self, account: &str, external_id: &str, order_id: Option<&str>) -> bool {
        let wish = |text: &str| order_id.is_none().then(|| text.to_owned());
        let mut program = connect(&self.path()).await;
        sqlx::query(
            "INSERT INTO invoices (account, external_id, order_id, amount, currency, description)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(account)
        .bind(external_id)
        .bind(order_id)
        .bind(wish("1.00"))
        .bind(wish("USD"))
        .bind(wish("Six eggs"))
        .execute(&mut program)
        .await
        .is_ok()
    }

    async fn nudge(&self, external_id: &str) {
        let sql = "UPDATE invoices SET next_poll_at = 0 WHERE external_id = ?";
        assert!(self.change(sql, external_id).await);
    }

    async fn withdraw(&self, external_id: &str) -> bool {
        let sql = "DELETE FROM invoices WHERE external_id = ?";
        self.change(sql, external_id).await
    }

    async fn read(&self, external_id: &str) -> Option<Invoice> {
        let reference = Reference::Text(external_id.to_owned());
        self.store.find(&reference, None).await.unwrap().pop()
    }
}

#[tokio::test]
async fn the_epoch_is_made_with_the_database_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let made = migrate(&path, NOW).await.unwrap();
    assert_eq!(
        (made.from_version, made.version, made.put_back),
        (0, MIGRATIONS.len(), false)
    );
    let again = migrate(&path, NOW).await.unwrap();
    assert_eq!(
        (again.from_version, &again.epoch, again.put_back),
        (MIGRATIONS.len(), &made.epoch, false)
    );
    pay(&path, "ORD-1").await;
    let used = migrate(&path, NOW).await.unwrap();
    assert_eq!((&used.epoch, used.put_back), (&made.epoch, false));
    let other = migrate(&folder.path().join("b.db"), NOW).await.unwrap();
    assert_ne!(other.epoch, made.epoch);
}

/// A used database whose side file is changed by `spoil`.
async fn put_back(spoil: impl FnOnce(&Path, &str), now: UnixMillis) -> (Migrated, Migrated, i64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let made = migrate(&path, NOW).await.unwrap();
    pay(&path, "ORD-1").await;
    let store = open(&path).await.unwrap();
    store.consumer("bot").await.unwrap();
    store.acknowledge("bot", 1).await.unwrap();
    store.close().await;
    spoil(&folder.path().join("a.db.high-water"), &made.epoch);
    let found = migrate(&path, now).await.unwrap();
    let store = open(&path).await.unwrap();
    assert_eq!(store.consumer("bot").await.unwrap(), 1, "consumers stay");
    let row = store
        .find(&Reference::Text("ORD-1".into()), None)
        .await
        .unwrap()
        .pop()
        .unwrap();
    assert_eq!(row.version, 1, "versions stay");
    store.close().await;
    let event = pay(&path, "ORD-2").await;
    assert!(event.payload.contains(&found.epoch), "{}", event.payload);
    let again = migrate(&path, now).await.unwrap();
    assert_eq!(
        (again.put_back, &again.epoch),
        (false, &found.epoch),
        "once"
    );
    (made, found, event.seq)
}

#[tokio::test]
async fn a_restored_database_begins_a_new_epoch_above_every_seq() {
    let write = |text: String| move |side: &Path, _: &str| fs::write(side, text).unwrap();
    let (made, found, seq) = put_back(|side, _| fs::remove_file(side).unwrap(), NOW).await;
    assert!(found.put_back && found.epoch != made.epoch);
    assert_eq!(seq, NOW.0 + 1, "missing: above the clock");
    let (made, found, seq) = put_back(
        |side, epoch| fs::write(side, format!("{epoch} 7")).unwrap(),
        UnixMillis(5),
    )
    .await;
    assert!(found.put_back && found.epoch != made.epoch);
    assert_eq!(seq, 8, "ahead: above the side file");
    let other_epoch = "0b1ff2a4-7a57-4c36-9a3c-6a4e4b4f0c55 1".into();
    let (made, found, seq) = put_back(write(other_epoch), UnixMillis(0)).await;
    assert!(found.put_back && found.epoch != made.epoch);
    assert_eq!(seq, 2, "of another epoch: above its own");
    let (_, found, _) = put_back(write("rubbish".into()), NOW).await;
    assert!(found.put_back);
    let (made, found, seq) = put_back(|_, _| (), NOW).await;
    assert!(!found.put_back);
    assert_eq!((found.epoch, seq), (made.epoch, 2), "untouched");
}

#[tokio::test]
async fn events_before_a_gap_are_deleted_although_a_consumer_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    migrate(&path, NOW).await.unwrap();
    for name in ["ORD-1", "ORD-2"] {
        pay(&path, name).await;
    }
    fs::remove_file(folder.path().join("a.db.high-water")).unwrap();
    assert!(migrate(&path, NOW).await.unwrap().put_back);
    let first = pay(&path, "ORD-3").await.seq;
    assert!(first > NOW.0, "a new epoch leaves a gap");
    let store = open(&path).await.unwrap();
    store.consumer("bot").await.unwrap();
    store.acknowledge("bot", 2).await.unwrap();
    let (later, limit) = (UnixMillis(NOW.0 + 1), 10);
    assert_eq!(store.prune_outbox(later, limit).await.unwrap(), 2);
    assert_eq!(store.prune_outbox(later, limit).await.unwrap(), 0);
    assert_eq!(store.first_seq().await.unwrap(), first);
    // All are too young, and the first of them comes after the gap.
    assert_eq!(store.prune_outbox(NOW, limit).await.unwrap(), 0);
    store.acknowledge("bot", first).await.unwrap();
    assert_eq!(store.prune_outbox(later, limit).await.unwrap(), 1);
    assert_eq!(store.first_seq().await.unwrap(), first + 1);
}

#[tokio::test]
async fn a_stale_decision_at_the_end_of_a_batch_makes_no_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let made = migrate(&path, NOW).await.unwrap();
    let stale = paid(&insert(&path, "STALE").await);
    let fresh = paid(&insert(&path, "FRESH").await);
    pay(&path, "STALE").await;
    let store = open(&path).await.unwrap();
    let written = store.commit(&[fresh, stale.clone()], NOW).await.unwrap();
    assert_eq!(written, [Written::Yes { seq: Some(2) }, Written::Stale]);
    let alone = store.commit(&[stale], NOW).await.unwrap();
    assert_eq!(alone, [Written::Stale]);
    // Not closed, as after a kill.
    let next = migrate(&path, NOW).await.unwrap();
    assert_eq!((next.put_back, next.epoch), (false, made.epoch));
    let side = fs::read_to_string(folder.path().join("a.db.high-water")).unwrap();
    assert!(side.ends_with(" 2\n"), "{side}");
}

#[tokio::test]
async fn a_fact_recorded_again_after_a_restore_has_the_same_event_id() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    migrate(&path, NOW).await.unwrap();
    pay(&path, "first").await;
    insert(&path, "ORD-1").await;
    let copy = folder.path().join("copy.db");
    fs::copy(&path, &copy).unwrap();
    let shown = pay(&path, "ORD-1").await;
    fs::copy(&copy, &path).unwrap();
    let found = migrate(&path, NOW).await.unwrap();
    assert!(found.put_back);
    let again = pay(&path, "ORD-1").await;
    assert_eq!(again.event_id, shown.event_id);
    assert!(again.seq > shown.seq);
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    for name in ["newer", "with a word for a version"] {
        migrate(&file(name), NOW).await.unwrap();
    }
    for (name, sql) in [
        (
            "newer",
            "UPDATE meta SET value = value + 1 WHERE key = 'schema_version'",
        ),
        (
            "with a word for a version",
            "UPDATE meta SET value = 'two' WHERE key = 'schema_version'",
        ),
        ("foreign", "CREATE TABLE invoices (id)"),
        (
            "foreign in WAL",
            "PRAGMA journal_mode = WAL; CREATE TABLE t (a)",
        ),
        ("with an id", "PRAGMA application_id = 7"),
        ("with a version", "PRAGMA user_version = 1"),
        (
            "half ours",
            "PRAGMA application_id = 1346459986; PRAGMA user_version = 1; CREATE TABLE t (a)",
        ),
    ] {
        let options = SqliteConnectOptions::new()
            .filename(file(name))
            .create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }
    fs::write(file("text"), "no database at all\n".repeat(300)).unwrap();
    for name in [
        "newer",
        "with a word for a version",
        "foreign",
        "foreign in WAL",
        "with an id",
        "with a version",
        "half ours",
        "text",
    ] {
        let before = fs::read(file(name)).unwrap();
        let error = migrate(&file(name), NOW).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Unusable(why) if why.contains(name)),
            "{name}: {error}"
        );
        assert!(
            matches!(open(&file(name)).await, Err(StoreError::Unusable(_))),
            "{name}"
        );
        assert!(
            fs::read(file(name)).unwrap() == before,
            "{name} was touched"
        );
    }
    assert!(matches!(
        open(&file("missing")).await,
        Err(StoreError::Unusable(_))
    ));
    assert!(!file("missing").exists());
}

#[tokio::test]
async fn a_file_of_zero_bytes_is_a_new_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    fs::write(&path, "").unwrap();
    assert!(matches!(open(&path).await, Err(StoreError::Unusable(_))));
    assert_eq!(migrate(&path, NOW).await.unwrap().from_version, 0);
    insert(&path, "ORD-1").await;
}

#[tokio::test]
async fn a_failed_write_blocks_no_program() {
    let sqlite = Sqlite::make().await;
    pay(&sqlite.path(), "ORD-1").await;
    let stuck = "CREATE TRIGGER stuck BEFORE DELETE ON outbox BEGIN SELECT RAISE(ABORT, ''); END";
    assert!(sqlite.change(stuck, "").await);
    let pruned = sqlite.store.prune_outbox(UnixMillis(NOW.0 + 1), 9).await;
    assert!(pruned.is_err());
    let nudge = "UPDATE invoices SET next_poll_at = 0 WHERE external_id = ?";
    assert!(sqlite.change(nudge, "ORD-1").await, "the lock is free");
}

#[tokio::test]
async fn a_second_migrate_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    migrate(&path, NOW).await.unwrap();
    let before = fs::read(&path).unwrap();
    migrate(&path, NOW).await.unwrap();
    assert!(fs::read(&path).unwrap() == before);
}

pub async fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    let options = SqliteOptions::new(path, "payments");
    SqliteStore::open(options).await
}

pub async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path))
        .await
        .unwrap()
}

pub async fn insert(path: &Path, external_id: &str) -> Invoice {
    let store = open(path).await.unwrap();
    let new = NewInvoice {
        external_id: external_id.into(),
        order_id: Some(format!("order-{external_id}")),
        ..NewInvoice::default()
    };
    let row = store.insert(&new).await.unwrap().unwrap();
    store.close().await;
    row
}

/// The provider reported PAID: final, no more polls.
fn paid(row: &Invoice) -> Decision {
    let mut observed = rows::observed(OrderState::Paid);
    observed.order_id = row.facts.order_id.clone().unwrap();
    let mut decision = decide(row, "walletpay", Observation::Seen(observed));
    decision.row.schedule.next_poll_at = None;
    decision
}

/// Inserts the invoice if it does not exist, and records its payment. Returns the event.
pub async fn pay(path: &Path, external_id: &str) -> StoredEvent {
    let store = open(path).await.unwrap();
    let found = store
        .find(&Reference::Text(external_id.into()), None)
        .await
        .unwrap()
        .pop();
    store.close().await;
    let row = match found {
        Some(row) => row,
        None => insert(path, external_id).await,
    };
    let store = open(path).await.unwrap();
    let written = store.commit(&[paid(&row)], NOW).await.unwrap();
    let Written::Yes { seq: Some(seq) } = written[0] else {
        panic!("{written:?}")
    };
    let event = store.events_after(seq - 1, 1).await.unwrap().remove(0);
    store.close().await;
    event
}

#[tokio::test]
async fn rows_beyond_one_transaction_are_flagged_in_one_run() {
    let sqlite = Sqlite::make().await;
    let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
               INSERT INTO invoices (account, external_id, order_id)
               SELECT CASE WHEN i % 2 THEN 'left' ELSE 'right' END, ?1 || i, i FROM n";
    assert!(sqlite.change(sql, "N").await);
    let flagged = async || {
        let sql = "SELECT count(*) FROM invoices WHERE reason = 'unknown_account'";
        let mut program = connect(&sqlite.path()).await;
        let count: i64 = sqlx::query_scalar(sql)
            .fetch_one(&mut program)
            .await
            .unwrap();
        count
    };
    let flag = async |known: &[&str]| {
        let known: Vec<_> = known.iter().map(|&name| name.into()).collect();
        let unknown = sqlite.store.flag_unknown_accounts(&known, NOW).await;
        unknown.unwrap().len()
    };
    assert_eq!((flag(&[]).await, flagged().await), (2, 2500));
    let settled = sqlite.store.change_counter().await.unwrap();
    assert_eq!(flag(&[]).await, 2);
    let after = sqlite.store.change_counter().await.unwrap();
    assert_eq!(after, settled, "a turn with nothing new writes nothing");
    assert_eq!((flag(&["left"]).await, flagged().await), (1, 1250));
    assert_eq!((flag(&["left", "right"]).await, flagged().await), (0, 0));
    let states = "SELECT group_concat(name || state || flagged_to) FROM accounts";
    let mut program = connect(&sqlite.path()).await;
    let states: String = sqlx::query_scalar(states)
        .fetch_one(&mut program)
        .await
        .unwrap();
    assert_eq!(states, "leftworking0,rightworking0");
}
