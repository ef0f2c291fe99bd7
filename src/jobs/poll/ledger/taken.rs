//! Transactions whose id an invoice has already, while their label names another one. A provider's ids
//! are unique, so the account's ledger is not the one that it was: another wallet, or a sandbox that
//! began anew. Such a transaction is credited to neither: the invoice of the label goes to `review`.

use std::collections::HashSet;

use crate::domain::decide::decide;
use crate::domain::invoice::Invoice;
use crate::domain::observation::Observation;
use crate::domain::state::Status;
use crate::domain::transaction::{Direction, Transaction};
use crate::jobs::poll::page::lock;
use crate::jobs::poll::poller::Poller;
use crate::jobs::poll::schedule::tick;

/// What a store found for the transactions of a page, set apart.
pub(super) struct Matches {
    /// Invoices with the index of a transaction that belongs to them.
    pub(super) of_invoices: Vec<(usize, Invoice)>,
    /// The indexes of transactions that another invoice than that of the label has.
    pub(super) taken: HashSet<usize>,
    /// The invoices of their labels, with the index.
    pub(super) claimants: Vec<(usize, Invoice)>,
}

impl Matches {
    /// `matched`: as `Store::match_transactions` returns it for `transactions`.
    pub(super) fn of(matched: Vec<(usize, Invoice)>, transactions: &[Transaction]) -> Self {
        // No transaction is theirs before they have a link.
        let (requested, mut matched): (Vec<_>, Vec<_>) = matched
            .into_iter()
            .partition(|(_, invoice)| invoice.facts.status == Status::Requested);
        let label = |place: usize| {
            transactions
                .get(place)
                .and_then(|one| one.external_id.as_ref())
        };
        let is_of_label = |(place, invoice): &(usize, Invoice)| {
            label(*place).is_some_and(|label| *label == invoice.external_id)
        };
        let is_payment = |place: usize| {
            let one = transactions.get(place);
            one.is_some_and(|one| one.direction == Direction::In)
        };
        let labelled: HashSet<usize> = matched
            .iter()
            .filter(|one| is_of_label(one))
            .map(|(place, _)| *place)
            .collect();
        let is_taken = |one: &&(usize, Invoice)| {
            label(one.0).is_some() && !is_of_label(one) && is_payment(one.0)
        };
        let taken: HashSet<usize> = matched
            .iter()
            .filter(is_taken)
            .map(|(place, _)| *place)
            .collect();
        matched.retain(|one| is_of_label(one) || !labelled.contains(&one.0));
        let (of_taken, of_invoices): (Vec<_>, Vec<_>) = matched
            .into_iter()
            .partition(|(place, _)| taken.contains(place));
        let is_claimed = |(place, _): &(usize, Invoice)| taken.contains(place);
        let requested = requested.into_iter().filter(is_claimed);
        let claimants = of_taken.into_iter().chain(requested).filter(is_of_label);
        Self {
            claimants: claimants.collect(),
            of_invoices,
            taken,
        }
    }
}

impl Poller {
    /// Sends the invoices of the labels to a person.
    pub(super) fn judge_claimants(
        &mut self,
        claimants: Vec<(usize, Invoice)>,
        transactions: &[Transaction],
    ) {
        let now = tick(self.setup.clock.monotonic());
        for (place, invoice) in claimants {
            let observed_at = self.setup.clock.now();
            let observation = Observation::TransactionTaken { observed_at };
            let decided = decide(&invoice, self.setup.provider.name(), observation.clone());
            if decided.event.is_none() || !lock(&self.shared).schedule.take_in_hand(&invoice, now) {
                continue;
            }
            let transaction_id = transactions.get(place).map(|one| one.id.0.as_str());
            tracing::warn!(account = %invoice.account, external_id = %invoice.external_id, transaction_id, "transaction belongs to another invoice already; not credited again");
            self.decide_invoice(Box::new(invoice), observation);
        }
    }
}
