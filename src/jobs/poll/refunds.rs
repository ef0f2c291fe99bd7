//! Matches refunds: an order reports the refunded sum, a list reports the single refunds, and each
//! of them is recorded once.

use std::collections::BTreeMap;

use super::BATCH;
use super::page::lock;
use super::poller::Poller;
use super::schedule::{Trust, tick};
use super::unmatched::Source;
use crate::domain::decide::decide_by;
use crate::domain::invoice::{Invoice, OrderId};
use crate::domain::observation::{LedgerObservation, Observation, ObservedMoney, OrderState};
use crate::domain::state::Status;
use crate::domain::transaction::Transaction;
use crate::provider::Refund;
use crate::store::{DueRow, StoreError};

impl Poller {
    /// Judges refunds that lists showed. An invoice that is not paid yet is polled, because its
    /// order shows both payment and refund; one that is being worked on has its refunds wait.
    pub(super) async fn match_refunds(&mut self) -> Result<(), StoreError> {
        let mut of_busy_invoices = Vec::new();
        while !self.unmatched.refunds.is_empty() {
            let most = self.unmatched.refunds.waiting.len().min(BATCH);
            let batch: Vec<(Source, Refund)> =
                self.unmatched.refunds.waiting.drain(..most).collect();
            let mut by_order: BTreeMap<OrderId, (Source, Vec<Transaction>)> = BTreeMap::new();
            for (source, refund) in &batch {
                let entry = by_order.entry(refund.order_id.clone());
                let (_, transactions) = entry.or_insert((*source, Vec::new()));
                transactions.push(refund.transaction.clone());
            }
            let orders: Vec<OrderId> = by_order.keys().cloned().collect();
            let store = self.setup.store.as_ref();
            let found = match store.invoices_of_orders(&self.setup.account, &orders).await {
                Ok(found) => found,
                Err(error) => {
                    self.unmatched.refunds.waiting.extend(batch);
                    self.unmatched.refunds.waiting.extend(of_busy_invoices);
                    return Err(error);
                }
            };
            for (place, invoice) in found {
                let Some(order) = orders.get(place) else {
                    continue;
                };
                let Some((source, transactions)) = by_order.remove(order) else {
                    continue;
                };
                if self.is_in_hand(&invoice) {
                    let own = batch.iter().filter(|(_, refund)| refund.order_id == *order);
                    of_busy_invoices.extend(own.cloned());
                } else {
                    self.judge_refunds(invoice, transactions, source);
                }
            }
            // Orders without an invoice.
            for (_, transactions) in by_order.into_values() {
                self.unmatched.refunds.note_known(&transactions);
            }
        }
        self.unmatched.refunds.waiting.extend(of_busy_invoices);
        Ok(())
    }

    fn judge_refunds(&mut self, invoice: Invoice, transactions: Vec<Transaction>, source: Source) {
        let is_known = |one: &Transaction| {
            let mut known = invoice.transactions.iter();
            known.any(|other| other.is_same_as(one) && other.status == one.status)
        };
        if transactions.iter().all(is_known) {
            self.unmatched.refunds.note_known(&transactions);
            return;
        }
        match invoice.facts.status {
            Status::Paid => self.record_refunds(invoice, transactions, source),
            Status::Pending | Status::Expired | Status::Cancelled | Status::Review => {
                self.poll_alone(&invoice);
            }
            Status::Requested | Status::Rejected => {
                self.unmatched.refunds.note_known(&transactions);
            }
        }
    }

    fn record_refunds(&mut self, invoice: Invoice, transactions: Vec<Transaction>, source: Source) {
        let observation = Observation::Ledger(LedgerObservation {
            state: OrderState::Paid,
            provider_status: invoice.facts.provider_status.clone().unwrap_or_default(),
            observed_at: self.setup.clock.now(),
            paid_at: None,
            payment: None,
            money: ObservedMoney {
                transactions,
                ..ObservedMoney::default()
            },
        });
        let provider = self.setup.provider.name();
        let decision = decide_by(&self.setup.settings.rules, &invoice, provider, observation);
        if decision.has_changes() {
            self.keep_shown_decision(Box::new(invoice), decision, source, false);
        }
    }

    /// Plans a request for the order itself as soon as possible.
    fn poll_alone(&mut self, invoice: &Invoice) {
        let now = tick(self.setup.clock.monotonic());
        let mut shared = lock(&self.shared);
        let row = DueRow::of(invoice, self.setup.clock.now());
        let slot = shared.schedule.slot_of(invoice);
        let slot = slot.or_else(|| shared.schedule.adopt(&row, now));
        let Some(slot) = slot else { return };
        let Some(entry) = shared.schedule.entry_mut(slot) else {
            return;
        };
        if !entry.is_in_hand() {
            entry.trust = Trust::Doubtful;
            shared.schedule.make_due(slot);
        }
        drop(shared);
        self.planner.expect_urgent();
    }
}
