//! What is looked at again once the list is read: the daemon and the shop's programs went on
//! meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Audit, AuditError, AuditProgress, FINDINGS};
use crate::domain::audit::{self, AuditRow, Discrepancy};
use crate::domain::invoice::InvoiceId;
use crate::domain::observation::ObservedOrder;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;

/// Invoices read at a time.
pub(super) const ROWS: u32 = 5000;
/// What is fresh is looked at again after so long: a look that is due takes less.
const MOMENT: Duration = Duration::from_secs(5);

impl Audit {
    /// Where what differs is fresh, a daemon that polls may be about to say it, and a program about
    /// to drop it in: they are given a moment, once. An order with an invoice by then is unknown no
    /// more; rows are compared anew at the end in any case.
    pub(super) async fn leave_a_moment(
        &self,
        reading: &mut AuditProgress,
    ) -> Result<(), AuditError> {
        if self.polled_until.is_none() {
            return Ok(());
        }
        let unknown: Vec<ObservedOrder> = reading
            .unknown
            .values()
            .filter(|order| audit::is_fresh(order))
            .cloned()
            .collect();
        let mut differing = reading.differing.iter();
        if unknown.is_empty() && !differing.any(|(_, order, _)| audit::is_fresh(order)) {
            return Ok(());
        }
        self.wait_a_moment().await?;
        for batch in unknown.chunks(FINDINGS) {
            for (place, row) in self.store.audit_rows_of(&self.account, batch).await? {
                reading.seen.insert(row.id);
                if let Some(order) = batch.get(place) {
                    reading.unknown.remove(&order.order_id.0);
                }
            }
        }
        Ok(())
    }

    /// Gives a daemon that polls the time to record what is fresh. Returns whether there is one.
    pub(super) async fn wait_a_moment(&self) -> Result<bool, AuditError> {
        let Some(stops) = &self.polled_until else {
            return Ok(false);
        };
        tracing::info!(account = %self.account, delay_s = MOMENT.as_secs(), "recent differences found; comparing again");
        tokio::select! {
            biased;
            () = stops.cancelled() => Err(AuditError::Stopped),
            () = self.clock.sleep(MOMENT) => Ok(true),
        }
    }

    /// What still differs, now that the daemon had time: rows that changed since their page was
    /// asked for are newer than the page.
    pub(super) async fn recheck(
        &self,
        reading: &AuditProgress,
    ) -> Result<Vec<Discrepancy>, AuditError> {
        let ids: Vec<InvoiceId> = reading.differing.iter().map(|(row, ..)| row.id).collect();
        let now: BTreeMap<InvoiceId, AuditRow> = self
            .store
            .audit_rows_by_id(&ids)
            .await?
            .into_iter()
            .map(|row| (row.id, row))
            .collect();
        let mut found: BTreeMap<(InvoiceId, &'static str), Discrepancy> = BTreeMap::new();
        for (before, order, asked_at) in &reading.differing {
            let Some(row) = now.get(&before.id) else {
                continue;
            };
            if row.updated_at > *asked_at && row.updated_at != before.updated_at {
                continue;
            }
            for finding in audit::compare(&self.rules, &self.account, row, order) {
                found.insert((row.id, finding.kind.as_str()), finding);
            }
        }
        Ok(found.into_values().collect())
    }

    /// What is to be said of the invoices whose orders were not shown.
    pub(super) async fn unseen(
        &self,
        reading: &AuditProgress,
        began: UnixMillis,
    ) -> Result<Vec<Discrepancy>, AuditError> {
        let rows = self.unseen_rows(reading, began).await?;
        let missing = |row| audit::missing(&self.account, row);
        Ok(rows.iter().map(missing).collect())
    }

    /// Invoices with an order that was not shown, though it should have been. Those that changed since
    /// the begin may have got their order after its page was read: the next audit sees them.
    pub(super) async fn unseen_rows(
        &self,
        reading: &AuditProgress,
        began: UnixMillis,
    ) -> Result<Vec<AuditRow>, AuditError> {
        let mut unseen = Vec::new();
        let mut after = InvoiceId(0);
        loop {
            let rows = self
                .store
                .audit_rows_after(&self.account, after, ROWS)
                .await?;
            let Some(last) = rows.last() else {
                return Ok(unseen);
            };
            after = last.id;
            unseen.extend(rows.into_iter().filter(|row| {
                row.order_id.is_some()
                    && row.updated_at < began
                    && row.created_at >= reading.reaches_back_to
                    && !matches!(row.status, Status::Requested | Status::Rejected)
                    && !reading.seen.contains(&row.id)
            }));
        }
    }
}
