//! What people and pages read, on SQLite.

use std::io;

use async_trait::async_trait;

use super::path::beside;
use super::{SqliteStore, accounts, consumers, invoices, overview, status_queries, transactions};
use crate::domain::invoice::{AccountName, Invoice, InvoiceId};
use crate::domain::shares::ClusterView;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::{
    AccountRecord, DetectTimes, FeedRecord, HistoryEvent, InvoiceQuery, Lag, NewInvoice,
    OutboxEntry, Overdue, Overview, Reference, Reports, SeenTransaction, StoreError,
};

#[async_trait]
impl Reports for SqliteStore {
    async fn insert(&self, new: &NewInvoice) -> Result<Result<Invoice, String>, StoreError> {
        invoices::insert(self, new).await
    }

    async fn nudge(&self, id: InvoiceId) -> Result<(), StoreError> {
        invoices::nudge(self, id).await
    }

    async fn find(
        &self,
        reference: &Reference,
        account: Option<&AccountName>,
    ) -> Result<Vec<Invoice>, StoreError> {
        invoices::find(self, reference, account).await
    }

    async fn list(&self, query: &InvoiceQuery) -> Result<Vec<Invoice>, StoreError> {
        invoices::list(self, query).await
    }

    async fn newest_of(&self, status: Status, limit: u32) -> Result<Vec<Invoice>, StoreError> {
        status_queries::newest_of(self, status, limit).await
    }

    async fn history(&self, invoice: &Invoice) -> Result<Vec<HistoryEvent>, StoreError> {
        invoices::history(self, invoice).await
    }

    async fn transactions(&self, id: InvoiceId) -> Result<Vec<SeenTransaction>, StoreError> {
        transactions::of_invoice(&self.readers, id).await
    }

    async fn accounts(&self) -> Result<Vec<AccountRecord>, StoreError> {
        accounts::list(&self.readers).await
    }

    async fn overview(&self, now: UnixMillis) -> Result<Overview, StoreError> {
        overview::overview(self, now).await
    }

    async fn count_by_status(&self) -> Result<Vec<(Status, i64)>, StoreError> {
        overview::count_by_status(self).await
    }

    async fn overdue(&self, account: &AccountName, now: UnixMillis) -> Result<Overdue, StoreError> {
        status_queries::overdue(self, account, now).await
    }

    async fn overdue_invoices(
        &self,
        account: &AccountName,
        now: UnixMillis,
        before: UnixMillis,
        limit: u32,
    ) -> Result<Vec<Invoice>, StoreError> {
        status_queries::overdue_invoices(self, account, now, before, limit).await
    }

    async fn accounts_in_queue(&self) -> Result<Vec<AccountName>, StoreError> {
        accounts::names_in_queue(&self.readers).await
    }

    async fn count_waiting(&self, account: &AccountName) -> Result<i64, StoreError> {
        status_queries::count_waiting(self, account).await
    }

    async fn detect_times(&self) -> Result<DetectTimes, StoreError> {
        overview::detect_times(self).await
    }

    async fn payments_by_minute(
        &self,
        now: UnixMillis,
        minutes: u8,
    ) -> Result<Vec<u64>, StoreError> {
        overview::payments_by_minute(self, now, minutes).await
    }

    async fn cluster(&self) -> Result<Option<ClusterView>, StoreError> {
        Ok(None)
    }

    async fn lags(&self, up_to: u32) -> Result<Vec<Lag>, StoreError> {
        status_queries::lags(self, up_to).await
    }

    async fn feed_record(&self, consumer: &str) -> Result<FeedRecord, StoreError> {
        consumers::feed_record(self, consumer).await
    }

    async fn last_events(&self, limit: u32) -> Result<Vec<HistoryEvent>, StoreError> {
        invoices::last_events(self, limit).await
    }

    async fn entries_after(&self, seq: i64, limit: u32) -> Result<Vec<OutboxEntry>, StoreError> {
        status_queries::entries_after(self, seq, limit).await
    }

    async fn seq_before(&self, time: UnixMillis) -> Result<i64, StoreError> {
        status_queries::seq_before(self, time).await
    }

    async fn require_writable(&self) -> Result<(), StoreError> {
        overview::require_writable(self).await
    }

    async fn quick_check(&self) -> Result<Result<(), String>, StoreError> {
        overview::quick_check(self).await
    }

    async fn sizes(&self) -> io::Result<(u64, u64)> {
        // Reading the size opens no file, so SQLite keeps its locks on it.
        let database = std::fs::metadata(self.path())?.len();
        let wal = std::fs::metadata(beside(self.path(), "-wal")).map_or(0, |file| file.len());
        Ok((database, wal))
    }
}
