//! What the daemon's jobs need, on SQLite.

use async_trait::async_trait;

use super::{
    SqliteStore, accounts, audit, budget, commit, connection, consumers, due, invoices, pages,
    retention, transactions,
};
use crate::domain::audit::{AuditRow, Discrepancy};
use crate::domain::decide::Decision;
use crate::domain::invoice::{AccountName, ExternalId, Invoice, InvoiceId, OrderId};
use crate::domain::observation::ObservedOrder;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;
use crate::store::{
    AccountRecord, BudgetAsk, Consumer, DueRow, FeedFailure, ListBeginning, QueuePlace, Reference,
    Store, StoreError, StoredEvent, Written,
};

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
        consumers::list(&self.readers, &self.off_consumers).await
    }

    async fn record_feed_failure(
        &self,
        consumer: &str,
        failure: Option<&FeedFailure>,
    ) -> Result<(), StoreError> {
        let recorded = consumers::feed_failure(&self.readers, consumer).await?;
        if recorded.as_ref() == failure {
            return Ok(());
        }
        let mut writer = self.writer().await?;
        consumers::record_feed_failure(&mut writer, consumer, failure).await
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

    async fn account(&self, account: &AccountName) -> Result<Option<AccountRecord>, StoreError> {
        let mut records = accounts::list(&self.readers).await?.into_iter();
        Ok(records.find(|record| record.name == *account))
    }

    async fn ask_for_budget(&self, ask: &BudgetAsk, now: UnixMillis) -> Result<bool, StoreError> {
        let mut writer = self.writer().await?;
        budget::ask(&mut writer, ask, now).await
    }

    async fn budget_asks(&self) -> Result<Vec<BudgetAsk>, StoreError> {
        budget::asks(&self.readers).await
    }

    async fn grant_budget(
        &self,
        account: &AccountName,
        until: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        budget::grant(&mut writer, account, until).await
    }

    async fn budget_grant(&self, account: &AccountName) -> Result<Option<UnixMillis>, StoreError> {
        budget::granted(&self.readers, account).await
    }

    async fn prune_outbox(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        let mut writer = self.writer().await?;
        retention::prune_outbox(&mut writer, &self.off_consumers, before, limit).await
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
        unmatched: &[Transaction],
        place: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let place = transactions::LedgerPlace {
            account,
            provider,
            place,
        };
        transactions::keep(&mut writer, &place, unmatched, now).await
    }

    async fn unmatched_transactions(
        &self,
        account: &AccountName,
        labels: &[&ExternalId],
    ) -> Result<Vec<Transaction>, StoreError> {
        transactions::unmatched(&self.readers, account, labels).await
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

    async fn adopt_labels(
        &self,
        account: &AccountName,
        labels: &[ExternalId],
    ) -> Result<Vec<ExternalId>, StoreError> {
        let mut writer = self.writer().await?;
        audit::adopt_labels(&mut writer, account, labels).await
    }

    async fn invoice(&self, id: InvoiceId) -> Result<Option<Invoice>, StoreError> {
        let found = invoices::find(self, &Reference::Id(id), None).await?;
        Ok(found.into_iter().next())
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
