//! What the daemon's jobs need, on PostgreSQL.

use async_trait::async_trait;

use super::{
    PostgresStore, accounts, audit, budget, commit, consumers, due, invoices, pages, retention,
    transactions, watch,
};
use crate::domain::audit::{AuditRow, Discrepancy};
use crate::domain::decide::Decision;
use crate::domain::invoice::{AccountName, ExternalId, Invoice, InvoiceId, OrderId};
use crate::domain::observation::ObservedOrder;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;
use crate::store::{
    AccountRecord, BudgetAsk, Consumer, DueRow, FeedFailure, InsertPlace, ListBeginning,
    QueuePlace, Reference, Store, StoreError, StoredEvent, Written,
};

#[async_trait]
impl Store for PostgresStore {
    async fn due_after(
        &self,
        account: &AccountName,
        after: QueuePlace,
        until: UnixMillis,
        limit: u32,
    ) -> Result<Vec<DueRow>, StoreError> {
        pages::due_after(self, account, after, until, limit).await
    }

    async fn inserted_after(
        &self,
        account: &AccountName,
        id: InvoiceId,
        limit: u32,
    ) -> Result<Vec<DueRow>, StoreError> {
        pages::inserted_after(self, account, id, limit).await
    }

    async fn committed_since(
        &self,
        account: &AccountName,
        seen: &mut InsertPlace,
    ) -> Result<Option<UnixMillis>, StoreError> {
        due::committed_since(self, account, seen).await
    }

    async fn list_beginning(&self, account: &AccountName) -> Result<ListBeginning, StoreError> {
        pages::beginning(self, account).await
    }

    async fn has_pending(&self, account: &AccountName) -> Result<bool, StoreError> {
        pages::has_pending(self, account).await
    }

    async fn load(&self, ids: &[InvoiceId]) -> Result<Vec<Invoice>, StoreError> {
        pages::load(self, ids).await
    }

    async fn match_orders(
        &self,
        account: &AccountName,
        orders: &[(&OrderId, Option<&ExternalId>)],
    ) -> Result<Vec<(usize, Invoice)>, StoreError> {
        pages::match_orders(self, account, orders).await
    }

    async fn invoices_of_orders(
        &self,
        account: &AccountName,
        orders: &[OrderId],
    ) -> Result<Vec<(usize, Invoice)>, StoreError> {
        pages::of_orders(self, account, orders).await
    }

    async fn without_amounts(
        &self,
        account: &AccountName,
        since: UnixMillis,
        limit: u32,
    ) -> Result<Vec<(OrderId, UnixMillis)>, StoreError> {
        pages::without_amounts(self, account, since, limit).await
    }

    async fn next_plan(
        &self,
        account: &AccountName,
        after: UnixMillis,
    ) -> Result<Option<UnixMillis>, StoreError> {
        due::next_plan(self, account, after).await
    }

    async fn mark_creations_sent(
        &self,
        ids: &[InvoiceId],
        now: UnixMillis,
    ) -> Result<Vec<InvoiceId>, StoreError> {
        commit::mark_creations_sent(self, ids, now).await
    }

    async fn commit(
        &self,
        decisions: &[Decision],
        now: UnixMillis,
    ) -> Result<Vec<Written>, StoreError> {
        commit::commit(self, decisions, now).await
    }

    async fn commit_audit_decision(
        &self,
        decision: &Decision,
        now: UnixMillis,
    ) -> Result<Written, StoreError> {
        commit::commit_audit_decision(self, decision, now).await
    }

    async fn events_after(&self, seq: i64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        consumers::events_after(self, seq, limit).await
    }

    async fn first_seq(&self) -> Result<i64, StoreError> {
        consumers::first_seq(self).await
    }

    async fn consumer(&self, name: &str) -> Result<i64, StoreError> {
        consumers::consumer(self, name).await
    }

    async fn acknowledge(&self, name: &str, seq: i64) -> Result<(), StoreError> {
        consumers::acknowledge(self, name, seq).await
    }

    async fn consumers(&self) -> Result<Vec<Consumer>, StoreError> {
        consumers::list(self).await
    }

    async fn record_feed_failure(
        &self,
        consumer: &str,
        failure: Option<&FeedFailure>,
    ) -> Result<(), StoreError> {
        consumers::record_feed_failure(self, consumer, failure).await
    }

    async fn flag_unknown_accounts(
        &self,
        known: &[AccountName],
        now: UnixMillis,
    ) -> Result<Vec<AccountName>, StoreError> {
        accounts::flag_unknown(self, known, now).await
    }

    async fn clamp_future_plans(
        &self,
        horizons: &[(Status, UnixMillis)],
        now: UnixMillis,
        limit: u32,
    ) -> Result<u64, StoreError> {
        due::clamp_future_plans(self, horizons, now, limit).await
    }

    async fn record_account(&self, account: &AccountRecord) -> Result<(), StoreError> {
        accounts::record(self, account).await
    }

    async fn account(&self, account: &AccountName) -> Result<Option<AccountRecord>, StoreError> {
        let mut records = accounts::list(self).await?.into_iter();
        Ok(records.find(|record| record.name == *account))
    }

    async fn ask_for_budget(&self, ask: &BudgetAsk, now: UnixMillis) -> Result<bool, StoreError> {
        budget::ask(self, ask, now).await
    }

    async fn budget_asks(&self) -> Result<Vec<BudgetAsk>, StoreError> {
        budget::asks(self).await
    }

    async fn grant_budget(
        &self,
        account: &AccountName,
        until: UnixMillis,
    ) -> Result<(), StoreError> {
        budget::grant(self, account, until).await
    }

    async fn budget_grant(&self, account: &AccountName) -> Result<Option<UnixMillis>, StoreError> {
        budget::granted(self, account).await
    }

    async fn prune_outbox(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        retention::prune_outbox(self, before, limit).await
    }

    async fn prune_invoices(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        retention::prune_invoices(self, before, limit).await
    }

    async fn prune_transactions(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        retention::prune_transactions(self, before, limit).await
    }

    async fn match_transactions(
        &self,
        account: &AccountName,
        transactions: &[Transaction],
    ) -> Result<Vec<(usize, Invoice)>, StoreError> {
        transactions::owners(self, account, transactions).await
    }

    async fn keep_ledger(
        &self,
        account: &AccountName,
        provider: &str,
        unmatched: &[Transaction],
        place: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let place = transactions::LedgerReadTo {
            account,
            provider,
            place,
        };
        transactions::keep(self, &place, unmatched, now).await
    }

    async fn unmatched_transactions(
        &self,
        account: &AccountName,
        labels: &[&ExternalId],
    ) -> Result<Vec<Transaction>, StoreError> {
        transactions::unmatched(self, account, labels).await
    }

    async fn audit_rows_of(
        &self,
        account: &AccountName,
        orders: &[ObservedOrder],
    ) -> Result<Vec<(usize, AuditRow)>, StoreError> {
        audit::rows_of_orders(self, account, orders).await
    }

    async fn audit_rows_by_id(&self, ids: &[InvoiceId]) -> Result<Vec<AuditRow>, StoreError> {
        audit::rows_by_id(self, ids).await
    }

    async fn audit_rows_after(
        &self,
        account: &AccountName,
        after: InvoiceId,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        audit::rows_after(self, account, after, limit).await
    }

    async fn record_findings(
        &self,
        provider: &str,
        findings: &[Discrepancy],
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        audit::record_findings(self, provider, findings, now).await
    }

    async fn adopt(
        &self,
        account: &AccountName,
        orders: &[ObservedOrder],
    ) -> Result<Vec<OrderId>, StoreError> {
        audit::adopt(self, account, orders).await
    }

    async fn adopt_labels(
        &self,
        account: &AccountName,
        labels: &[ExternalId],
    ) -> Result<Vec<ExternalId>, StoreError> {
        audit::adopt_labels(self, account, labels).await
    }

    async fn invoice(&self, id: InvoiceId) -> Result<Option<Invoice>, StoreError> {
        let found = invoices::find(self, &Reference::Id(id), None).await?;
        Ok(found.into_iter().next())
    }

    async fn change_counter(&self) -> Result<i64, StoreError> {
        watch::written_to(&self.connections).await
    }
}
