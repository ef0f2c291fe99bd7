//! What the daemon's jobs need of a database.

use async_trait::async_trait;

use super::{
    AccountRecord, BudgetAsk, Consumer, DueRow, FeedFailure, InsertPlace, ListBeginning,
    QueuePlace, StoreError, StoredEvent, Written,
};
use crate::domain::audit::{AuditRow, Discrepancy};
use crate::domain::decide::Decision;
use crate::domain::invoice::{AccountName, ExternalId, Invoice, InvoiceId, OrderId};
use crate::domain::observation::ObservedOrder;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;

/// What the daemon's jobs need: invoices, outbox, consumers, and account states.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Up to `limit` invoices of `account` planned within `after..=until`, in that order, in the
    /// compact form that is kept in memory; among those planned exactly at `after`, only higher
    /// ids.
    async fn due_after(
        &self,
        account: &AccountName,
        after: QueuePlace,
        until: UnixMillis,
        limit: u32,
    ) -> Result<Vec<DueRow>, StoreError>;

    /// Up to `limit` invoices of `account` that have a plan and were inserted after `id`, oldest
    /// first. What `committed_since` is for may be skipped.
    async fn inserted_after(
        &self,
        account: &AccountName,
        id: InvoiceId,
        limit: u32,
    ) -> Result<Vec<DueRow>, StoreError>;

    /// The earliest plan among the invoices of `account` that have become visible since `seen`, which
    /// moves on to now; None when there are none, or this is the first time. Where transactions of
    /// programs may commit in another order than they began, what they inserted appears behind places
    /// that were read already, both of ids and of plans.
    async fn committed_since(
        &self,
        account: &AccountName,
        seen: &mut InsertPlace,
    ) -> Result<Option<UnixMillis>, StoreError> {
        let _ = (account, seen);
        Ok(None)
    }

    /// The starting point for `account`: the highest id ever assigned, and what was known of the
    /// provider's list.
    async fn list_beginning(&self, account: &AccountName) -> Result<ListBeginning, StoreError>;

    /// Whether any invoice of `account` waits for money. Cheap.
    async fn has_pending(&self, account: &AccountName) -> Result<bool, StoreError>;

    /// The invoices of `ids` that still exist.
    async fn load(&self, ids: &[InvoiceId]) -> Result<Vec<Invoice>, StoreError>;

    /// The invoices of `account` that match orders of the list, by order id, else by external id
    /// where the invoice has no order id yet; each with the index of its order in `orders`.
    /// Invoices that cannot change any more are left out: rejected, or paid with amounts.
    async fn match_orders(
        &self,
        account: &AccountName,
        orders: &[(&OrderId, Option<&ExternalId>)],
    ) -> Result<Vec<(usize, Invoice)>, StoreError>;

    /// The invoices of `account` with these orders, whatever their status; each with the index of
    /// its order in `orders`.
    async fn invoices_of_orders(
        &self,
        account: &AccountName,
        orders: &[OrderId],
    ) -> Result<Vec<(usize, Invoice)>, StoreError>;

    /// Orders of `account` recorded as paid after `since` that lack the amounts, the latest first,
    /// up to `limit`; each with the time at which its invoice was inserted.
    async fn without_amounts(
        &self,
        account: &AccountName,
        since: UnixMillis,
        limit: u32,
    ) -> Result<Vec<(OrderId, UnixMillis)>, StoreError>;

    /// The time of the first plan after `after`.
    async fn next_plan(
        &self,
        account: &AccountName,
        after: UnixMillis,
    ) -> Result<Option<UnixMillis>, StoreError>;

    /// Records that creations are about to be sent for the first time; from then on these rows
    /// cannot be withdrawn. Returns those that still exist.
    async fn mark_creations_sent(
        &self,
        ids: &[InvoiceId],
        now: UnixMillis,
    ) -> Result<Vec<InvoiceId>, StoreError>;

    /// Writes rows and events, all or nothing. A decision is stale if its invoice has another
    /// version by now: that is a value, not an error, and nothing of it is written. After an error
    /// the outcome is unknown: the same call may be repeated, and whatever had been written is
    /// stale then.
    async fn commit(
        &self,
        decisions: &[Decision],
        now: UnixMillis,
    ) -> Result<Vec<Written>, StoreError>;

    /// Commits one decision that did not come from a poll; it keeps the plan as it was read. Such a
    /// decision is also stale if anything of the invoice was written since, including its plan,
    /// except for a nudge, which is kept.
    async fn commit_audit_decision(
        &self,
        decision: &Decision,
        now: UnixMillis,
    ) -> Result<Written, StoreError>;

    /// Up to `limit` events after `seq`, in order.
    async fn events_after(&self, seq: i64, limit: u32) -> Result<Vec<StoredEvent>, StoreError>;

    /// The first seq that is kept or, if none is, the next one to be assigned.
    async fn first_seq(&self) -> Result<i64, StoreError>;

    /// The position of a consumer; a new one starts at the beginning.
    async fn consumer(&self, name: &str) -> Result<i64, StoreError>;

    /// Moves a consumer forward to `seq`; a lower position changes nothing.
    async fn acknowledge(&self, name: &str, seq: i64) -> Result<(), StoreError>;

    /// Every consumer with its lag.
    async fn consumers(&self) -> Result<Vec<Consumer>, StoreError>;

    /// Records why the feed of a consumer does not deliver, for programs that only read; None = it
    /// delivers. A store without such programs records nothing.
    async fn record_feed_failure(
        &self,
        consumer: &str,
        failure: Option<&FeedFailure>,
    ) -> Result<(), StoreError> {
        let _ = (consumer, failure);
        Ok(())
    }

    /// Marks waiting invoices of accounts other than `known`, which are not polled, and removes the
    /// mark from those of known accounts. Returns the names that are not known.
    async fn flag_unknown_accounts(
        &self,
        known: &[AccountName],
        now: UnixMillis,
    ) -> Result<Vec<AccountName>, StoreError>;

    /// Plans up to `limit` invoices for `now` that are planned further ahead than the horizon of
    /// their status allows, because the clock was set back. Returns how many; fewer than `limit` =
    /// no more are left.
    async fn clamp_future_plans(
        &self,
        horizons: &[(Status, UnixMillis)],
        now: UnixMillis,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Records the state of an account, for programs that only read.
    async fn record_account(&self, account: &AccountRecord) -> Result<(), StoreError>;

    /// The recorded state of an account.
    async fn account(&self, account: &AccountName) -> Result<Option<AccountRecord>, StoreError>;

    /// Requests a part of an account's rate limit for a process beside the daemon; with `until` in
    /// the past, returns it. False if another process's request still holds at `now`.
    async fn ask_for_budget(&self, ask: &BudgetAsk, now: UnixMillis) -> Result<bool, StoreError>;

    /// All requests for a part of a rate limit, including those that are over.
    async fn budget_asks(&self) -> Result<Vec<BudgetAsk>, StoreError>;

    /// Records until when the daemon lends a part of an account's rate limit.
    async fn grant_budget(
        &self,
        account: &AccountName,
        until: UnixMillis,
    ) -> Result<(), StoreError>;

    /// Until when the daemon lends a part of an account's rate limit; None = it never did.
    async fn budget_grant(&self, account: &AccountName) -> Result<Option<UnixMillis>, StoreError>;

    /// Deletes events that are older than `before` and acknowledged by every consumer, up to
    /// `limit`. Returns how many.
    async fn prune_outbox(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError>;

    /// Deletes final invoices that last changed before `before`, up to `limit`; their keys stay
    /// reserved. Returns how many.
    async fn prune_invoices(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError>;

    /// Deletes transactions without an invoice that were first seen before `before`, up to `limit`.
    /// Returns how many.
    async fn prune_transactions(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError>;

    /// Transactions of `account` without an invoice that have one of these labels, or the id of one
    /// that has, in the order in which they happened.
    async fn unmatched_transactions(
        &self,
        account: &AccountName,
        labels: &[&ExternalId],
    ) -> Result<Vec<Transaction>, StoreError>;

    /// The invoices of `account` that these transactions belong to, by label, else, for a refund,
    /// by the payment with the same id; each with the index of its transaction. A transaction whose
    /// label names another invoice than the one that has its id comes with both. Invoices that cannot
    /// be paid yet, or never will, are left out.
    async fn match_transactions(
        &self,
        account: &AccountName,
        transactions: &[Transaction],
    ) -> Result<Vec<(usize, Invoice)>, StoreError>;

    /// Stores transactions of `account` whose labels no invoice has: new ones, and changes of
    /// stored ones (one that belongs to an invoice stays with it). Also stores where reading the
    /// ledger continues, `ListBeginning::positions` at the next start.
    async fn keep_ledger(
        &self,
        account: &AccountName,
        provider: &str,
        unmatched: &[Transaction],
        place: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError>;

    /// The invoices of `account` that follow `orders`, each with the index of its order; invoices
    /// without an order id are found by their external id.
    async fn audit_rows_of(
        &self,
        account: &AccountName,
        orders: &[ObservedOrder],
    ) -> Result<Vec<(usize, AuditRow)>, StoreError>;

    /// The current state of these invoices, where they still exist.
    async fn audit_rows_by_id(&self, ids: &[InvoiceId]) -> Result<Vec<AuditRow>, StoreError>;

    /// Up to `limit` invoices of `account` with ids above `after`, in order.
    async fn audit_rows_after(
        &self,
        account: &AccountName,
        after: InvoiceId,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError>;

    /// Appends an event for each finding that was never recorded, with the next version of its
    /// invoice if there is one. Returns how many were recorded.
    async fn record_findings(
        &self,
        provider: &str,
        findings: &[Discrepancy],
        now: UnixMillis,
    ) -> Result<u64, StoreError>;

    /// Adopts orders that no invoice follows as new invoices. Returns those adopted: orders whose
    /// keys are already used, and those that break a rule of the database, are left out.
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

    /// A number that changes whenever any process writes to the database. Cheap.
    async fn change_counter(&self) -> Result<i64, StoreError>;
}
