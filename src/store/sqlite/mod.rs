//! The store on SQLite: one writer connection, a few readers apart, WAL, synchronous=FULL.
//!
//! The statements work on sets: a batch travels as one JSON array and is joined by `json_each`,
//! since a statement for each row costs a thread wake each (6,300 rows a second against 28,000).

mod access;
mod accounts;
mod audit;
mod batch;
mod commit;
mod connection;
mod consumers;
mod copy;
mod due;
mod glance;
mod high_water;
mod identity;
mod log;
mod pace;
mod pages;
mod place;
#[cfg(test)]
mod plans;
mod reports;
mod retention;
mod row;
mod schema;
mod stamp;
mod transactions;
mod watch;

pub use access::owners;
pub use connection::DatabaseLock;
pub use copy::{Copied, restore};
pub use glance::{COUNTED_UP_TO, Lag, Overdue, Told};
pub use log::HeldLog;
pub use place::resolve;
pub use reports::{DetectTimes, EventRow, InvoiceQuery, NewInvoice, Overview, Reference};
pub use schema::{MIGRATIONS, Migrated, migrate, migrate_by};
pub use watch::ChangeWatch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Executor as _, SqlitePool};
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::connection::{InUse, Reading, Turn, Writer};
use self::log::LogState;
use self::place::{Numbers, Place};
use self::stamp::LastAnswer;
use super::{
    AccountRecord, Consumer, DueRow, ListBeginning, QueuePlace, Store, StoreError, StoredEvent,
    Written,
};
use crate::domain::audit::{AuditRow, Discrepancy};
use crate::domain::decide::Decision;
use crate::domain::invoice::{AccountName, ExternalId, Invoice, InvoiceId, OrderId};
use crate::domain::observation::ObservedOrder;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;

/// How long one write waits for the others of this process. Together with the wait for other
/// processes it stays well below what counts as a hang.
const TURN_WITHIN: Duration = Duration::from_secs(5);

/// How the database is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The file.
    pub path: PathBuf,
    /// First token or tokens of every subject.
    pub subject_prefix: String,
    /// While other programs write, their turn between two transactions; zero where nobody waits.
    pub rest_beside_others: Duration,
    /// A consumer that is switched off: it keeps its place, and nobody waits for it.
    pub off_consumer: Option<String>,
}

impl SqliteOptions {
    /// As the daemon and its commands open it: beside other programs.
    pub fn new(path: impl Into<PathBuf>, subject_prefix: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            subject_prefix: subject_prefix.into(),
            rest_beside_others: pace::REST_BESIDE_OTHERS,
            off_consumer: None,
        }
    }

    /// The same, with a consumer that is switched off.
    #[must_use]
    pub fn with_off_consumer(self, off_consumer: Option<&str>) -> Self {
        Self {
            off_consumer: off_consumer.map(str::to_owned),
            ..self
        }
    }
}

/// A database of ours, at the current schema.
pub struct SqliteStore {
    place: Arc<Place>,
    subject_prefix: String,
    off_consumer: Option<String>,
    writer: Mutex<Writer>,
    in_use: InUse,
    readers: SqlitePool,
    reading: Reading,
    last_change: LastAnswer,
    log: LogState,
}

impl SqliteStore {
    /// Opens a database that `migrate` has brought up to date.
    ///
    /// # Errors
    /// `Unusable` when there is no such file, it is not ours, or of another version;
    /// `Unavailable` when it cannot be read just now.
    pub async fn open(options: SqliteOptions) -> Result<Self, StoreError> {
        let place = Arc::new(Place::of(&options.path)?);
        let mut writer = Writer::new(&place, options.rest_beside_others);
        open_to_write(&mut writer, place.path()).await?;
        place.watch_log();
        Ok(Self::of(options, place, writer, Reading::AsWriter))
    }

    /// Opens it for a command that only reads, also where this process may write nothing.
    ///
    /// # Errors
    /// As `open`.
    pub async fn open_to_read(options: SqliteOptions) -> Result<Self, StoreError> {
        let place = Arc::new(Place::of(&options.path)?);
        let reading = Reading::of(place.path())?;
        if reading == Reading::AsWriter {
            return Self::open(options).await;
        }
        let writer = Writer::new(&place, options.rest_beside_others);
        let store = Self::of(options, place, writer, reading);
        let current = store.require_current().await;
        current.map_err(|error| access::explained(error, store.path()))?;
        Ok(store)
    }

    fn of(options: SqliteOptions, place: Arc<Place>, writer: Writer, reading: Reading) -> Self {
        Self {
            readers: connection::readers(&place, reading),
            last_change: LastAnswer::about(place.path()),
            place,
            subject_prefix: options.subject_prefix,
            off_consumer: options.off_consumer,
            log: writer.log(),
            writer: Mutex::new(writer),
            in_use: InUse::default(),
            reading,
        }
    }

    async fn require_current(&self) -> Result<(), StoreError> {
        let mut connection = self.readers.acquire().await?;
        schema::require_current(&mut connection, self.path()).await
    }

    /// Whether it was opened where nobody writes: what is read never changes.
    pub fn is_at_rest(&self) -> bool {
        self.reading == Reading::AtRest
    }

    /// The file, whatever link leads to it.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Tells that this process has just settled the epoch, by `migrate`. Else whoever gives out a
    /// number first asks the side file.
    #[must_use]
    pub fn settled(self) -> Self {
        self.place.settle();
        self
    }

    /// Makes sure that what is open is still what stands at the database's place, and that no older
    /// content was put into it. Two looks at files and a short read.
    ///
    /// # Errors
    /// `Replaced` when it is not; then nothing more is written.
    pub async fn require_unchanged(&self) -> Result<(), StoreError> {
        self.require_in_place()?;
        let before = self.place.seen();
        let now = Numbers::of(&self.readers).await?;
        self.place.note(before.as_ref(), &now)
    }

    /// The first half of `require_unchanged`: looks at the files alone.
    ///
    /// # Errors
    /// As `require_unchanged`.
    pub fn require_in_place(&self) -> Result<(), StoreError> {
        self.place.require_in_place()
    }

    /// The log, when a program's open read transaction has kept it from being folded in for more
    /// than 5 s.
    pub fn held_log(&self) -> Option<HeldLog> {
        self.log.held()
    }

    /// When the present use of the writer began; None while nobody uses it. One that never ends
    /// hangs: no use waits long for other processes.
    pub fn writer_in_use_since(&self) -> Option<Instant> {
        self.in_use.since()
    }

    /// The one writer, when it is free. A queue of writes before a locked database does not grow:
    /// each reports, and is tried again by whoever wanted it.
    async fn writer(&self) -> Result<Turn<'_>, StoreError> {
        tokio::time::timeout(TURN_WITHIN, self.writer.lock())
            .await
            .map(|writer| Turn::of(writer, &self.in_use))
            .map_err(|_| StoreError::Unavailable("other writes take too long".into()))
    }

    /// Closes all connections; the WAL is folded into the file by the last one.
    pub async fn close(&self) {
        if self.place.is_replaced() {
            return self.abandon().await;
        }
        self.readers.close().await;
        self.writer.lock().await.close().await;
    }

    /// Lets go of files that are no longer at their place: to close would be to fold the log into, or
    /// to remove, files that are others' by now. What stands in a removed `-wal` alone is saved.
    async fn abandon(&self) {
        let mut writer = self.writer.lock().await;
        if self.place.can_be_folded_in()
            && let Err(error) = writer.fold_in().await
        {
            tracing::error!(%error, "what was written last could not be saved");
        }
        self.place.set_log_aside();
        writer.leave_open();
        std::mem::forget(self.readers.clone());
    }
}

async fn open_to_write(writer: &mut Writer, path: &Path) -> Result<(), StoreError> {
    let connection = writer.connection().await?;
    schema::require_current(connection, path).await?;
    // It is ours. A tool may have left another mode behind.
    connection
        .execute("PRAGMA journal_mode = WAL")
        .await
        .map_err(|error| StoreError::from(error).at(path))?;
    Ok(())
}

#[async_trait]
impl Store for SqliteStore {
    async fn due_after(
        &self,
        account: &AccountName,
        after: QueuePlace,
        until: UnixMillis,
        limit: u32,
    ) -> Result<Vec<DueRow>, StoreError> {
        pages::due_after(&self.readers, account, after, until, limit).await
    }

    async fn inserted_after(
        &self,
        account: &AccountName,
        id: InvoiceId,
        limit: u32,
    ) -> Result<Vec<DueRow>, StoreError> {
        pages::inserted_after(&self.readers, account, id, limit).await
    }

    async fn list_beginning(&self, account: &AccountName) -> Result<ListBeginning, StoreError> {
        pages::beginning(&self.readers, account).await
    }

    async fn has_pending(&self, account: &AccountName) -> Result<bool, StoreError> {
        pages::has_pending(&self.readers, account).await
    }

    async fn load(&self, ids: &[InvoiceId]) -> Result<Vec<Invoice>, StoreError> {
        pages::load(&self.readers, ids).await
    }

    async fn match_orders(
        &self,
        account: &AccountName,
        orders: &[(&OrderId, Option<&ExternalId>)],
    ) -> Result<Vec<(usize, Invoice)>, StoreError> {
        pages::match_orders(&self.readers, account, orders).await
    }

    async fn invoices_of_orders(
        &self,
        account: &AccountName,
        orders: &[OrderId],
    ) -> Result<Vec<(usize, Invoice)>, StoreError> {
        pages::of_orders(&self.readers, account, orders).await
    }

    async fn without_amounts(
        &self,
        account: &AccountName,
        since: UnixMillis,
        limit: u32,
    ) -> Result<Vec<(OrderId, UnixMillis)>, StoreError> {
        pages::without_amounts(&self.readers, account, since, limit).await
    }

    async fn next_plan(
        &self,
        account: &AccountName,
        after: UnixMillis,
    ) -> Result<Option<UnixMillis>, StoreError> {
        let mut connection = self.readers.acquire().await?;
        due::next_plan(&mut connection, account, after).await
    }

    async fn mark_creations_sent(
        &self,
        ids: &[InvoiceId],
        now: UnixMillis,
    ) -> Result<Vec<InvoiceId>, StoreError> {
        let mut writer = self.writer().await?;
        commit::mark_creations_sent(&mut writer, ids, now).await
    }

    async fn commit(
        &self,
        decisions: &[Decision],
        now: UnixMillis,
    ) -> Result<Vec<Written>, StoreError> {
        let mut writer = self.writer().await?;
        commit::commit(&mut writer, &self.subject_prefix, decisions, now).await
    }

    async fn commit_audit_decision(
        &self,
        decision: &Decision,
        now: UnixMillis,
    ) -> Result<Written, StoreError> {
        let mut writer = self.writer().await?;
        commit::commit_audit_decision(&mut writer, &self.subject_prefix, decision, now).await
    }

    async fn events_after(&self, seq: i64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        consumers::events_after(&self.readers, seq, limit).await
    }

    async fn first_seq(&self) -> Result<i64, StoreError> {
        consumers::first_seq(&self.readers).await
    }

    async fn consumer(&self, name: &str) -> Result<i64, StoreError> {
        let mut writer = self.writer().await?;
        consumers::consumer(&mut writer, name).await
    }

    async fn acknowledge(&self, name: &str, seq: i64) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        consumers::acknowledge(&mut writer, name, seq).await
    }

    async fn consumers(&self) -> Result<Vec<Consumer>, StoreError> {
        consumers::list(&self.readers, self.off_consumer.as_deref()).await
    }

    async fn flag_unknown_accounts(
        &self,
        known: &[AccountName],
        now: UnixMillis,
    ) -> Result<Vec<AccountName>, StoreError> {
        let mut writer = self.writer().await?;
        accounts::flag_unknown(&self.readers, &mut writer, known, now).await
    }

    async fn clamp_future_plans(
        &self,
        horizons: &[(Status, UnixMillis)],
        now: UnixMillis,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let mut writer = self.writer().await?;
        due::clamp_future_plans(&self.readers, &mut writer, horizons, now, limit).await
    }

    async fn record_account(&self, account: &AccountRecord) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        accounts::record(&mut writer, account).await
    }

    async fn prune_outbox(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        let mut writer = self.writer().await?;
        let off_consumer = self.off_consumer.as_deref();
        retention::prune_outbox(&mut writer, off_consumer, before, limit).await
    }

    async fn prune_invoices(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        let mut writer = self.writer().await?;
        retention::prune_invoices(&mut writer, before, limit).await
    }

    async fn prune_transactions(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        let mut writer = self.writer().await?;
        retention::prune_transactions(&mut writer, before, limit).await
    }

    async fn match_transactions(
        &self,
        account: &AccountName,
        transactions: &[Transaction],
    ) -> Result<Vec<(usize, Invoice)>, StoreError> {
        transactions::owners(&self.readers, account, transactions).await
    }

    async fn keep_ledger(
        &self,
        account: &AccountName,
        provider: &str,
        of_nobody: &[Transaction],
        place: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let place = transactions::LedgerPlace {
            account,
            provider,
            place,
        };
        transactions::keep(&mut writer, &place, of_nobody, now).await
    }

    async fn transactions_of_nobody(
        &self,
        account: &AccountName,
        labels: &[&ExternalId],
    ) -> Result<Vec<Transaction>, StoreError> {
        transactions::of_nobody(&self.readers, account, labels).await
    }

    async fn audit_rows_of(
        &self,
        account: &AccountName,
        orders: &[ObservedOrder],
    ) -> Result<Vec<(usize, AuditRow)>, StoreError> {
        audit::rows_of_orders(&self.readers, account, orders).await
    }

    async fn audit_rows_by_id(&self, ids: &[InvoiceId]) -> Result<Vec<AuditRow>, StoreError> {
        audit::rows_by_id(&self.readers, ids).await
    }

    async fn audit_rows_after(
        &self,
        account: &AccountName,
        after: InvoiceId,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        audit::rows_after(&self.readers, account, after, limit).await
    }

    async fn record_findings(
        &self,
        provider: &str,
        findings: &[Discrepancy],
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        let mut writer = self.writer().await?;
        audit::say(&mut writer, &self.subject_prefix, provider, findings, now).await
    }

    async fn adopt(
        &self,
        account: &AccountName,
        orders: &[ObservedOrder],
    ) -> Result<Vec<OrderId>, StoreError> {
        let mut writer = self.writer().await?;
        audit::adopt(&mut writer, account, orders).await
    }

    async fn invoice(&self, id: InvoiceId) -> Result<Option<Invoice>, StoreError> {
        Ok(self.find(&Reference::Id(id), None).await?.pop())
    }

    async fn change_counter(&self) -> Result<i64, StoreError> {
        let stamp = self.last_change.stamp();
        if let Some(answer) = self.last_change.at(stamp) {
            return Ok(answer);
        }
        let mut writer = self.writer().await?;
        let answer = connection::change_counter(&mut writer).await?;
        self.last_change.note(stamp, answer);
        Ok(answer)
    }
}
