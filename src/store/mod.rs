//! What a database must do for payrecond. One method is one transaction; no SQL type crosses.
//!
//! Whoever implements `Store` joins the suite in `tests/it/store/conformance.rs` with one line.

pub mod sqlite;

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::account::AccountState;
use crate::domain::audit::{AuditRow, Discrepancy};
use crate::domain::decide::Decision;
use crate::domain::invoice::{AccountName, ExternalId, Invoice, InvoiceId, OrderId};
use crate::domain::money::Money;
use crate::domain::observation::ObservedOrder;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;

/// What the daemon's jobs need: the invoices, the outbox, the consumers, the accounts' states.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Up to `limit` invoices of `account` whose plans lie in `after..=until`, in that order, in
    /// the few words that are kept of each; from `after` itself only those of a higher id.
    async fn due_after(
        &self,
        account: &AccountName,
        after: QueuePlace,
        until: UnixMillis,
        limit: u32,
    ) -> Result<Vec<DueRow>, StoreError>;

    /// Up to `limit` invoices of `account` that have a plan and were inserted after `id`, oldest
    /// first. Ids rise in the order of commits, so none is passed over.
    async fn inserted_after(
        &self,
        account: &AccountName,
        id: InvoiceId,
        limit: u32,
    ) -> Result<Vec<DueRow>, StoreError>;

    /// Where `account` stands at the beginning: the highest id ever given, and what was known of
    /// the provider's list.
    async fn list_beginning(&self, account: &AccountName) -> Result<ListBeginning, StoreError>;

    /// Whether any invoice of `account` waits for money. Cheap.
    async fn has_pending(&self, account: &AccountName) -> Result<bool, StoreError>;

    /// The invoices of `ids` that are still there.
    async fn load(&self, ids: &[InvoiceId]) -> Result<Vec<Invoice>, StoreError>;

    /// The invoices of `account` that orders of the list belong to, by order id, else by external
    /// id where the invoice knows no order yet; each with the index of its order in `orders`. Left
    /// out are those that nothing can be said of any more: rejected, or paid with amounts.
    async fn match_orders(
        &self,
        account: &AccountName,
        orders: &[(&OrderId, Option<&ExternalId>)],
    ) -> Result<Vec<(usize, Invoice)>, StoreError>;

    /// The invoices of `account` that have these orders, whatever their status; each with the index of
    /// its order in `orders`.
    async fn invoices_of_orders(
        &self,
        account: &AccountName,
        orders: &[OrderId],
    ) -> Result<Vec<(usize, Invoice)>, StoreError>;

    /// Orders of `account` that were said to be paid after `since` and lack the amounts, the latest
    /// first, up to `limit`; each with the time at which its invoice was inserted.
    async fn without_amounts(
        &self,
        account: &AccountName,
        since: UnixMillis,
        limit: u32,
    ) -> Result<Vec<(OrderId, UnixMillis)>, StoreError>;

    /// When the first plan after `after` becomes due.
    async fn next_plan(
        &self,
        account: &AccountName,
        after: UnixMillis,
    ) -> Result<Option<UnixMillis>, StoreError>;

    /// Writes down that creations are about to be sent for the first time; from then on these rows
    /// cannot be withdrawn. Returns those that are still there.
    async fn mark_creations_sent(
        &self,
        ids: &[InvoiceId],
        now: UnixMillis,
    ) -> Result<Vec<InvoiceId>, StoreError>;

    /// Writes rows and events, all or nothing. A decision whose invoice has another version by now
    /// is stale: a value, not an error, and nothing of it is written. After an error the outcome
    /// is unknown: the same call may be made again, and what had been written is stale then.
    async fn commit(
        &self,
        decisions: &[Decision],
        now: UnixMillis,
    ) -> Result<Vec<Written>, StoreError>;

    /// Commits one decision that no look of the queue led to: it gives back the plan as it was read.
    /// So it is stale as well when anything of the invoice was written since then, its plan
    /// included; a nudge is not, and survives.
    async fn commit_audit_decision(
        &self,
        decision: &Decision,
        now: UnixMillis,
    ) -> Result<Written, StoreError>;

    /// Up to `limit` events after `seq`, in order.
    async fn events_after(&self, seq: i64, limit: u32) -> Result<Vec<StoredEvent>, StoreError>;

    /// First seq that is kept, or will be given out next when none is kept.
    async fn first_seq(&self) -> Result<i64, StoreError>;

    /// The place of a consumer; made at the beginning when it does not exist.
    async fn consumer(&self, name: &str) -> Result<i64, StoreError>;

    /// Moves a consumer forward to `seq`; a place behind its own changes nothing.
    async fn acknowledge(&self, name: &str, seq: i64) -> Result<(), StoreError>;

    /// Every consumer with its lag.
    async fn consumers(&self) -> Result<Vec<Consumer>, StoreError>;

    /// Notes on waiting invoices of accounts other than `known` that nobody will look at them, and
    /// takes the note off those that are known again. Returns the names that are not known.
    async fn flag_unknown_accounts(
        &self,
        known: &[AccountName],
        now: UnixMillis,
    ) -> Result<Vec<AccountName>, StoreError>;

    /// Plans for `now` up to `limit` invoices that are planned further ahead than the horizon of
    /// their status allows: the clock went back. Returns how many; fewer than `limit` = these were
    /// the last.
    async fn clamp_future_plans(
        &self,
        horizons: &[(Status, UnixMillis)],
        now: UnixMillis,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Writes down what the daemon found out about an account, for programs that only read.
    async fn record_account(&self, account: &AccountRecord) -> Result<(), StoreError>;

    /// Deletes events that are older than `before` and acknowledged by every consumer, up to
    /// `limit`. Returns how many.
    async fn prune_outbox(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError>;

    /// Deletes final invoices that were last changed before `before`, up to `limit`; their keys
    /// stay used. Returns how many.
    async fn prune_invoices(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError>;

    /// Deletes transactions of no invoice that were first seen before `before`, up to `limit`.
    /// Returns how many.
    async fn prune_transactions(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError>;

    /// Transactions of `account` that belong to no invoice and bear one of these labels, in the order
    /// in which they happened.
    async fn transactions_of_nobody(
        &self,
        account: &AccountName,
        labels: &[&ExternalId],
    ) -> Result<Vec<Transaction>, StoreError>;

    /// The invoices of `account` that these transactions belong to, by label, else by the payment of the
    /// same id that they return; each with the index of its transaction. Left out are those that have
    /// no order to be paid yet, or never will.
    async fn match_transactions(
        &self,
        account: &AccountName,
        transactions: &[Transaction],
    ) -> Result<Vec<(usize, Invoice)>, StoreError>;

    /// Keeps transactions of `account` whose labels no invoice has: new ones, and what has changed of
    /// those that are kept (one that belongs to an invoice stays its own); and with them the place
    /// where reading the ledger goes on, `ListBeginning::positions` at the next start.
    async fn keep_ledger(
        &self,
        account: &AccountName,
        provider: &str,
        of_nobody: &[Transaction],
        place: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError>;

    /// The invoices of `account` that follow `orders`, each with its order's place among them; those
    /// without an order yet are found by their external id.
    async fn audit_rows_of(
        &self,
        account: &AccountName,
        orders: &[ObservedOrder],
    ) -> Result<Vec<(usize, AuditRow)>, StoreError>;

    /// These invoices as they are now, those that are still there.
    async fn audit_rows_by_id(&self, ids: &[InvoiceId]) -> Result<Vec<AuditRow>, StoreError>;

    /// Up to `limit` invoices of `account` with ids above `after`, in order.
    async fn audit_rows_after(
        &self,
        account: &AccountName,
        after: InvoiceId,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError>;

    /// Appends an event for each finding that was never said before, with the next version of its
    /// invoice where there is one. Returns how many were said.
    async fn record_findings(
        &self,
        provider: &str,
        findings: &[Discrepancy],
        now: UnixMillis,
    ) -> Result<u64, StoreError>;

    /// Takes orders that nobody follows in as invoices. Returns those taken in: left out are those
    /// whose keys are used already, and those that break a rule of the database.
    async fn adopt(
        &self,
        account: &AccountName,
        orders: &[ObservedOrder],
    ) -> Result<Vec<OrderId>, StoreError>;

    /// One invoice.
    async fn invoice(&self, id: InvoiceId) -> Result<Option<Invoice>, StoreError>;

    /// A number that changes whenever any process wrote to the database. Cheap.
    async fn change_counter(&self) -> Result<i64, StoreError>;
}

/// A consumer whose oldest unread event is older than this is an alarm.
pub const LAG_ALARM: Duration = Duration::from_hours(7 * 24);

/// A place in the queue of plans: time, then id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueuePlace {
    /// When the plan is for.
    pub at: UnixMillis,
    /// Of those planned for the same time, the last one passed.
    pub id: InvoiceId,
}

/// An invoice in the queue, in the few words that are kept of a million of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueRow {
    /// Row id.
    pub id: InvoiceId,
    /// The shop's id.
    pub external_id: ExternalId,
    /// The provider's order, once there is one.
    pub order_id: Option<OrderId>,
    /// Expected amount.
    pub amount: Option<Money>,
    /// What we say.
    pub status: Status,
    /// When the row was inserted.
    pub created_at: UnixMillis,
    /// When the order ends: the provider's word, else insert plus time-out.
    pub expiry: UnixMillis,
    /// Its plan. 0 = a program asked for a look.
    pub next_poll_at: UnixMillis,
    /// When a poll last brought an answer.
    pub polled_at: Option<UnixMillis>,
    /// Whether something is noted that the next observed must settle: a reason, a failure, an
    /// order that was not found.
    pub unsettled: bool,
    /// Whether the last polls failed, through the order's own fault.
    pub fails: bool,
}

impl DueRow {
    /// An invoice in few words, planned for `at`.
    pub fn of(invoice: &Invoice, at: UnixMillis) -> Self {
        Self {
            id: invoice.id,
            external_id: invoice.external_id.clone(),
            order_id: invoice.facts.order_id.clone(),
            amount: invoice.facts.amount.clone(),
            status: invoice.facts.status,
            created_at: invoice.created_at,
            expiry: invoice.expiry(),
            next_poll_at: at,
            polled_at: invoice.schedule.last_polled_at,
            unsettled: invoice.facts.reason.is_some()
                || invoice.schedule.failures != 0
                || invoice.facts.not_found_since.is_some(),
            fails: invoice.schedule.failures != 0,
        }
    }

    /// Whether a program asked for a look.
    pub fn is_nudged(&self) -> bool {
        self.next_poll_at == UnixMillis(0)
    }
}

/// Where reading by pages begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListBeginning {
    /// The highest invoice id ever given.
    pub highest_id: InvoiceId,
    /// What `ListRecord::positions` held.
    pub positions: Option<String>,
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The row, and its event under this seq, are committed.
    Yes {
        /// The event's place in the outbox.
        seq: Option<i64>,
    },
    /// The invoice has changed or gone since it was read: nothing was written.
    Stale,
    /// The row cannot be written, ever: it breaks this rule of the database.
    Refused(String),
}

/// One row of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Place in the outbox.
    pub seq: i64,
    /// The event's id.
    pub event_id: String,
    /// The feed's subject.
    pub subject: String,
    /// The JSON, on one line.
    pub payload: String,
    /// When it was written.
    pub created_at: UnixMillis,
}

/// One row of `transactions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenTransaction {
    /// What the provider told.
    pub transaction: Transaction,
    /// When it was first seen.
    pub seen_at: UnixMillis,
}

/// A reader of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// The last event it has acknowledged.
    pub acked_seq: i64,
    /// Events it has not.
    pub unread: i64,
    /// When the oldest of them was written.
    pub oldest_unread_at: Option<UnixMillis>,
    /// Switched off by the configuration: its lag is meant.
    pub is_off: bool,
}

/// What the daemon last found out about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// The account.
    pub name: AccountName,
    /// Its provider.
    pub provider: String,
    /// Whether its requests go out.
    pub state: AccountState,
    /// Since when.
    pub state_since: UnixMillis,
    /// When the next request may be made, if not at once.
    pub resume_at: Option<UnixMillis>,
    /// When the provider last answered.
    pub last_success_at: Option<UnixMillis>,
    /// When it last could not be asked.
    pub last_failure_at: Option<UnixMillis>,
    /// Why, on one line.
    pub last_error: Option<String>,
    /// The store's list, where it is read.
    pub list: ListRecord,
}

impl AccountRecord {
    /// Its last error; one that works again has none any more.
    pub fn standing_error(&self) -> Option<&str> {
        let error = self.last_error.as_deref();
        error.filter(|_| self.state != AccountState::Working)
    }
}

/// What is known of a store's list at the provider, and how far looks by page have covered what was
/// due: such looks write no invoice row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListRecord {
    /// Orders in it.
    pub total: Option<i64>,
    /// So many first orders are known to be final.
    pub floor: Option<i64>,
    /// `Positions::to_text`.
    pub positions: Option<String>,
    /// When a page was last read to its end.
    pub read_at: Option<UnixMillis>,
    /// Its first place, from 0.
    pub read_from: Option<i64>,
    /// The place after its last.
    pub read_to: Option<i64>,
    /// At this moment no look was overdue, whatever the invoices' own rows say.
    pub caught_up_at: Option<UnixMillis>,
}

/// What became due since an account's word that nothing was overdue is not overdue yet: the word is
/// given anew every ten seconds, and looks by page have most likely covered it.
pub const WORD_HOLDS_FOR: Duration = Duration::from_secs(30);

impl ListRecord {
    /// Whether nothing was overdue a moment ago.
    pub fn has_just_caught_up(&self, now: UnixMillis) -> bool {
        let at = self.caught_up_at;
        at.is_some_and(|at| now.since(at) < WORD_HOLDS_FOR)
    }
}

/// What can go wrong with a database, by what the caller should do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Locked, full or unreadable just now: try again later.
    #[error("database not usable just now: {0}")]
    Unavailable(String),
    /// It holds what it must not hold, or is none of ours: a person must look.
    #[error("{0}")]
    Unusable(String),
    /// Other files or older content were put in the place of the open database: end, and start
    /// anew with what is there now.
    #[error("{0}")]
    Replaced(String),
}
