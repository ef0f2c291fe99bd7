//! Orders as the provider lists them beside the invoices that follow them.

use std::collections::HashSet;

use super::{Audit, AuditError, AuditProgress, TRIES};
use crate::domain::audit::{self, AuditRow};
use crate::domain::decide::decide_by;
use crate::domain::invoice::InvoiceId;
use crate::domain::observation::{Observation, ObservedOrder};
use crate::domain::time::UnixMillis;
use crate::store::{StoreError, Written};

impl Audit {
    pub(super) async fn compare_page(
        &self,
        page: Vec<ObservedOrder>,
        asked_at: UnixMillis,
        reading: &mut AuditProgress,
    ) -> Result<(), AuditError> {
        let mut known = HashSet::new();
        for (place, mut row) in self.rows_of(&page).await? {
            let Some(told) = page.get(place) else {
                continue;
            };
            known.insert(place);
            reading.seen.insert(row.id);
            let order = &as_spelled_by(&row, told);
            // Only the list tells the amounts paid and the external id: no look of the daemon's
            // would find these.
            let other_id = order
                .external_id
                .as_ref()
                .is_some_and(|id| *id != row.external_id);
            if row.lacks_details && order.payment.is_some() || other_id {
                self.tell_the_invoice(row.id, order).await?;
                // As it is now: this change is ours, and makes the page no older.
                row = self
                    .store
                    .audit_rows_by_id(&[row.id])
                    .await?
                    .pop()
                    .unwrap_or(row);
            }
            if !audit::compare(&self.rules, &self.account, &row, order).is_empty() {
                reading.differing.push((row, order.clone(), asked_at));
            }
        }
        for (place, order) in page.into_iter().enumerate() {
            if !known.contains(&place) {
                reading.unknown.insert(order.order_id.0.clone(), order);
            }
        }
        Ok(())
    }

    /// The invoices of these orders, each with the place of its order. A program may have inserted an
    /// id in another spelling.
    async fn rows_of(&self, page: &[ObservedOrder]) -> Result<Vec<(usize, AuditRow)>, StoreError> {
        let mut rows = self.store.audit_rows_of(&self.account, page).await?;
        let Some(list) = self.provider.lists_by_time() else {
            return Ok(rows);
        };
        let known: HashSet<usize> = rows.iter().map(|(place, _)| *place).collect();
        let mut places = Vec::new();
        let mut spelled = Vec::new();
        for (place, order) in page.iter().enumerate() {
            if !known.contains(&place) {
                for order_id in list.spellings(&order.order_id) {
                    places.push(place);
                    spelled.push(ObservedOrder {
                        order_id,
                        ..order.clone()
                    });
                }
            }
        }
        if !spelled.is_empty() {
            let more = self.store.audit_rows_of(&self.account, &spelled).await?;
            let with_places = more
                .into_iter()
                .filter_map(|(index, row)| Some((*places.get(index)?, row)));
            rows.extend(with_places);
        }
        Ok(rows)
    }

    /// The observed counts as any other: amounts of a payment that was said without them, or an
    /// invoice that follows another's order. What the daemon writes meanwhile is judged anew, and
    /// no plan of its is set back.
    async fn tell_the_invoice(
        &self,
        id: InvoiceId,
        order: &ObservedOrder,
    ) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let Some(invoice) = self.store.invoice(id).await? else {
                return Ok(());
            };
            let mut decision = decide_by(
                &self.rules,
                &invoice,
                self.provider.name(),
                Observation::Seen(order.clone()),
            );
            if !decision.has_changes() {
                return Ok(());
            }
            let now = self.clock.now();
            decision.row.poll_while_in_review(now);
            match self.store.commit_audit_decision(&decision, now).await? {
                Written::Yes { .. } => return Ok(()),
                Written::Stale => {}
                Written::Refused(why) => {
                    tracing::error!(account = %self.account, external_id = %invoice.external_id, why, "audit result refused by the database");
                    return Ok(());
                }
            }
        }
        // It differs still, and is reported.
        Ok(())
    }
}

/// The order under the id that its invoice has for it.
fn as_spelled_by(row: &AuditRow, order: &ObservedOrder) -> ObservedOrder {
    ObservedOrder {
        order_id: row
            .order_id
            .clone()
            .unwrap_or_else(|| order.order_id.clone()),
        ..order.clone()
    }
}
