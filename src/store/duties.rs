//! What the daemon's jobs need of a database.

use async_trait::async_trait;

use super::{
    AccountRecord, BudgetAsk, Consumer, DueRow, ListBeginning, QueuePlace, StoreError, StoredEvent,
    Written,
};
use crate::domain::audit::{AuditRow, Discrepancy};
use crate::domain::decide::Decision;
use crate::domain::invoice::{AccountName, ExternalId, Invoice, InvoiceId, OrderId};
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

    /// What the accounts' records hold, as far as the daemon knows: whether their requests go out.
    async fn account(&self, account: &AccountName) -> Result<Option<AccountRecord>, StoreError>;

    /// Asks for a part of an account's request budget, on behalf of a process beside the daemon; with
    /// `until` in the past, gives it back. False when another process has asked for it, and that
    /// still holds at `now`.
    async fn ask_for_budget(&self, ask: &BudgetAsk, now: UnixMillis) -> Result<bool, StoreError>;

    /// Every request for a part of a budget, those that are over included.
    async fn budget_asks(&self) -> Result<Vec<BudgetAsk>, StoreError>;

    /// Notes until when the daemon lends a part of an account's budget.
    async fn grant_budget(
        &self,
        account: &AccountName,
        until: UnixMillis,
    ) -> Result<(), StoreError>;

    /// Until when the daemon lends a part of an account's budget; None = it never did.
    async fn budget_grant(&self, account: &AccountName) -> Result<Option<UnixMillis>, StoreError>;

    /// Deletes events that are older than `before` and acknowledged by every consumer, up to
    /// `limit`. Returns how many.
    async fn prune_outbox(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError>;

    /// Deletes final invoices that were last changed before `before`, up to `limit`; their keys
    /// stay used. Returns how many.
    async fn prune_invoices(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError>;

    /// Deletes transactions of no invoice that were first seen before `before`, up to `limit`.
    /// Returns how many.
    async fn prune_transactions(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError>;

    /// Transactions of `account` that belong to no invoice and bear one of these labels, or the id of one
    /// that does, in the order in which they happened.
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

    /// Inserts invoices that wait for money with these labels: `pending`, without an order and without
    /// an amount. Returns the labels that were taken in: left out are those that are used already, and
    /// those that break a rule of the database.
    async fn adopt_labels(
        &self,
        account: &AccountName,
        labels: &[ExternalId],
    ) -> Result<Vec<ExternalId>, StoreError>;

    /// One invoice.
    async fn invoice(&self, id: InvoiceId) -> Result<Option<Invoice>, StoreError>;

    /// A number that changes whenever any process wrote to the database. Cheap.
    async fn change_counter(&self) -> Result<i64, StoreError>;
}
