//! Compares invoices with transactions that were kept before they came, or that waited for the end of a
//! reading.

use std::collections::HashMap;

use super::comparisons::LedgerCheck;
use super::reader::PageInHand;
use crate::domain::invoice::{ExternalId, Invoice, InvoiceId};
use crate::domain::observation::{Observation, OrderState};
use crate::domain::state::Status;
use crate::domain::transaction::{self, Transaction};
use crate::jobs::poll::BATCH;
use crate::jobs::poll::page::lock;
use crate::jobs::poll::poller::Poller;
use crate::jobs::poll::schedule::tick;
use crate::jobs::poll::writer::Decided;
use crate::store::StoreError;

impl Poller {
    /// Compares invoices with transactions that were kept before they came.
    pub(super) async fn check_kept(&mut self) -> Result<(), StoreError> {
        while let Some(checks) = self.next_checks() {
            let ids: Vec<InvoiceId> = checks.iter().map(|check| check.id()).collect();
            let store = &self.setup.store;
            let invoices = store.load(&ids).await?;
            let labels: Vec<&ExternalId> = invoices.iter().map(|one| &one.external_id).collect();
            let account = &self.setup.account;
            let kept = store.unmatched_transactions(account, &labels).await?;
            let by_label = transaction::by_label(kept);
            let invoices: HashMap<InvoiceId, Invoice> =
                invoices.into_iter().map(|one| (one.id, one)).collect();
            for check in &checks {
                let invoice = invoices.get(&check.id()).cloned();
                let kept = invoice
                    .as_ref()
                    .and_then(|one| by_label.get(&one.external_id).cloned())
                    .unwrap_or_default();
                self.check(*check, invoice, kept);
            }
            if let Some(reader) = &mut self.requests.ledger {
                reader.comparisons.drop_first(checks.len());
            }
        }
        Ok(())
    }

    fn next_checks(&self) -> Option<Vec<LedgerCheck>> {
        let reader = self.requests.ledger.as_ref()?;
        reader.can_check().then(|| reader.comparisons.first(BATCH))
    }

    fn check(&mut self, check: LedgerCheck, invoice: Option<Invoice>, kept: Vec<Transaction>) {
        let now = tick(self.setup.clock.monotonic());
        let invoice = invoice.filter(|one| one.facts.status != Status::Requested);
        let kept = match &invoice {
            Some(invoice) if kept.is_empty() && self.lacks_decision(invoice) => {
                invoice.transactions.clone()
            }
            Some(_) | None => kept,
        };
        if self.waits_for_resumed_reading(check, &kept) {
            return;
        }
        let is_held = |id| {
            let reader = self.requests.ledger.as_ref();
            reader.is_some_and(|reader| reader.comparisons.is_held(id))
        };
        let coverage = match (check, &invoice) {
            (LedgerCheck::New(id), _) if is_held(id) => return,
            (LedgerCheck::New(_), None) => return,
            (LedgerCheck::New(_), Some(invoice)) => {
                let is_mislabelled = self.invalid_label(invoice).is_some();
                let has_news = !kept.is_empty() || is_mislabelled;
                let is_taken = has_news && lock(&self.shared).schedule.take_in_hand(invoice, now);
                if !is_taken {
                    if has_news && let Some(reader) = &mut self.requests.ledger {
                        reader.comparisons.wait_for(invoice.id);
                    }
                    return;
                }
                None
            }
            (LedgerCheck::Unpaid { slot, .. }, None) => {
                lock(&self.shared).schedule.remove(slot);
                return;
            }
            (LedgerCheck::Unpaid { slot, coverage, .. }, Some(invoice)) => {
                if !lock(&self.shared)
                    .schedule
                    .follow_rename(slot, invoice, now)
                {
                    return;
                }
                coverage
            }
        };
        let Some(invoice) = invoice else { return };
        let observed_at = self.setup.clock.now();
        let observation = if !kept.is_empty() {
            Observation::Ledger(self.observe(&invoice, kept))
        } else if self.invalid_label(&invoice).is_some() {
            Observation::ExternalIdInvalid { observed_at }
        } else if let Some(reading) = coverage {
            Observation::NothingUntil {
                observed_at,
                reading,
            }
        } else {
            self.plan_next_poll(Box::new(invoice));
            return;
        };
        self.decide_invoice(Box::new(invoice), observation);
    }

    /// Holds an invoice whose payments an earlier run kept until the end of the reading that it had begun.
    fn waits_for_resumed_reading(&mut self, check: LedgerCheck, kept: &[Transaction]) -> bool {
        let reader = self.requests.ledger.as_mut();
        let resuming = reader.filter(|reader| reader.is_resuming() && !kept.is_empty());
        match (check, resuming) {
            (LedgerCheck::New(id), Some(reader)) => {
                reader.comparisons.hold(id);
                true
            }
            _ => false,
        }
    }

    /// Whether the invoice's own transactions pay it and its status does not say so: one of them was
    /// written while its decision was stale.
    fn lacks_decision(&self, invoice: &Invoice) -> bool {
        let waits = matches!(
            invoice.facts.status,
            Status::Pending | Status::Expired | Status::Cancelled
        );
        let pays = || self.observe(invoice, Vec::new()).state == OrderState::Paid;
        waits && !invoice.transactions.is_empty() && pays()
    }

    /// Why no payment can bear the invoice's external id, while that matters.
    fn invalid_label(&self, invoice: &Invoice) -> Option<String> {
        let ledger = self.setup.provider.ledger()?;
        let waits = invoice.facts.status == Status::Pending;
        let refused = ledger.check_label(&invoice.external_id).err();
        refused.filter(|_| waits)
    }

    /// An invoice is not in hand any more. Where its decision was not written, since the row had changed
    /// meanwhile, its transactions are kept, and the invoice is compared with them. One that has just got
    /// its link is compared too: until then a payment was nobody's.
    pub(in crate::jobs::poll) fn note_released(&mut self, decided: &Decided, is_written: bool) {
        let Some(reader) = &mut self.requests.ledger else {
            return;
        };
        let id = decided.invoice.id;
        let has_link = is_written && decided.invoice.facts.status == Status::Requested;
        if reader.comparisons.release(id) || has_link {
            reader.comparisons.check_new(id);
        }
        let transactions = &decided.decision.transactions;
        if is_written || transactions.is_empty() {
            return;
        }
        if let PageInHand::Matched(page) = &mut reader.page {
            page.without_invoice.extend(transactions.iter().cloned());
        }
        reader.comparisons.check_new(id);
    }
}
