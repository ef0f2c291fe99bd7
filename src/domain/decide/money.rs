//! What is new about the money of an invoice: sums, payments and refunds. Each is reported once.
//!
//! A known transaction is not reported again. A refund is reported only after its payment: a
//! consumer that saw them in the other order would credit money that was returned.

use super::evidence::Evidence;
use super::facts::holds_money;
use super::judgement::EventDraft;
use crate::domain::event::EventType;
use crate::domain::invoice::{Facts, TransactionId};
use crate::domain::money::Money;
use crate::domain::observation::{ObservedMoney, Sums};
use crate::domain::state::Status;
use crate::domain::transaction::{Direction, Transaction, TransactionStatus, moved_sum};

/// The changes of money in one observation.
pub(super) struct MoneyChange {
    /// Transactions that are new or have changed.
    pub(super) changed: Vec<Transaction>,
    /// Whether more was received than was known.
    pub(super) is_more: bool,
    /// Whether the payer sent more than was known, where only the payment's own currency tells it.
    pub(super) is_more_sent: bool,
    /// Whether a sum received was known before.
    was_known: bool,
    payments: Vec<TransactionId>,
    refunds: Vec<TransactionId>,
    /// The sum refunded so far, as reported now and as known before.
    refunded: Sums,
    refunded_before: Option<Money>,
}

/// Whether some of the received money was not refunded.
pub(super) fn is_kept(sums: &Sums) -> bool {
    match (&sums.received, &sums.refunded) {
        (Some(received), Some(refunded)) => received.exceeds(refunded),
        (Some(received), None) => received.is_positive(),
        (None, Some(_) | None) => false,
    }
}

impl MoneyChange {
    /// Merges the report into the known transactions and the received sum. Sums never decrease.
    pub(super) fn apply(
        facts: &mut Facts,
        known: &mut Vec<Transaction>,
        evidence: &Evidence<'_>,
    ) -> Self {
        let reported = evidence.money;
        let changed = merge(known, &reported.transactions);
        let moved = |direction| {
            let moved = changed.iter().filter(|one| one.has_moved(direction));
            moved.map(|one| one.id.clone()).collect()
        };
        let mut this = Self {
            is_more: false,
            is_more_sent: false,
            was_known: facts.sums.received.is_some(),
            payments: moved(Direction::In),
            refunds: moved(Direction::Out),
            refunded: refunded(facts, known, reported),
            refunded_before: facts.sums.refunded.clone(),
            changed,
        };
        if !matches!(facts.status, Status::Requested | Status::Rejected) {
            facts.is_test |= reported.is_test;
            this.receive(facts, known, reported);
            this.is_more_sent = is_more_sent(facts, evidence);
            // The judgement depends on the money that was not refunded.
            this.note_refund(facts);
        }
        this
    }

    fn receive(&mut self, facts: &mut Facts, known: &[Transaction], reported: &ObservedMoney) {
        let added_up = || {
            let has_transactions = !reported.transactions.is_empty();
            has_transactions.then(|| moved_sum(known, Direction::In, facts.amount.as_ref()))?
        };
        let Some(received) = reported.sums.received.clone().or_else(added_up) else {
            return;
        };
        self.is_more = is_greater(&received, facts.sums.received.as_ref());
        if self.is_more || !self.was_known {
            facts.sums.received = Some(received.into_plain());
        }
    }

    /// Whether money arrived that was not known. A sum reported for the first time is not new money
    /// where PAID was already observed.
    pub(super) fn is_new_money(&self, holds_money: bool) -> bool {
        self.is_more && (self.was_known || !holds_money) || self.is_more_sent
    }

    /// All events of the observation: `main`, then further money for an invoice that `was` paid,
    /// then refunds.
    pub(super) fn events(
        &self,
        facts: &mut Facts,
        known: &[Transaction],
        was: Status,
        main: impl Iterator<Item = EventType>,
    ) -> Vec<EventDraft> {
        let payment = self.payments.last().filter(|_| was != Status::Paid);
        let mut said: Vec<EventDraft> = main.map(|kind| EventDraft::by(kind, payment)).collect();
        if was == Status::Paid && self.was_known {
            said.extend(each(EventType::Further, &self.payments, self.is_more));
        }
        said.extend(self.refund(facts, known));
        said
    }

    fn refund(&self, facts: &mut Facts, known: &[Transaction]) -> Vec<EventDraft> {
        if !self.note_refund(facts) {
            return Vec::new();
        }
        // Money returned before the payment was known is reported with the payment.
        let earlier = known.iter().filter(|one| one.has_moved(Direction::Out));
        let unsaid = match &self.refunded_before {
            None => earlier.map(|one| one.id.clone()).collect(),
            Some(_) => self.refunds.clone(),
        };
        each(EventType::Refunded, &unsaid, self.is_more_refunded())
    }

    /// Takes over the refunded sum if the money that was returned is known to have been received.
    /// Returns whether it is.
    fn note_refund(&self, facts: &mut Facts) -> bool {
        let received = facts.sums.received.as_ref();
        let came = match facts.status {
            Status::Requested | Status::Rejected => false,
            Status::Paid => true,
            Status::Pending | Status::Expired | Status::Cancelled | Status::Review => {
                received.is_some_and(Money::is_positive) || holds_money(facts)
            }
        };
        if came && self.is_more_refunded() {
            facts.sums.refunded.clone_from(&self.refunded.refunded);
            facts.sums.refunded_at = self.refunded.refunded_at;
        }
        came
    }

    fn is_more_refunded(&self) -> bool {
        let reported = self.refunded.refunded.as_ref();
        reported.is_some_and(|sum| is_greater(sum, self.refunded_before.as_ref()))
    }
}

impl EventDraft {
    fn by(event_type: EventType, transaction_id: Option<&TransactionId>) -> Self {
        Self {
            event_type,
            transaction_id: transaction_id.cloned(),
        }
    }
}

/// One event for each transaction; if none is reported, one for the increased sum.
fn each(event_type: EventType, ids: &[TransactionId], is_more: bool) -> Vec<EventDraft> {
    if ids.is_empty() && is_more {
        return vec![EventDraft::by(event_type, None)];
    }
    let said = ids.iter().map(|id| EventDraft::by(event_type, Some(id)));
    said.collect()
}

/// The sum refunded so far, as reported, else as the transactions add up.
fn refunded(facts: &Facts, known: &[Transaction], reported: &ObservedMoney) -> Sums {
    let outgoing = || known.iter().filter(|one| one.has_moved(Direction::Out));
    let like = facts.amount.as_ref();
    let added_up = || moved_sum(known, Direction::Out, like);
    let last_at = || outgoing().map(|one| one.happened_at).max();
    Sums {
        received: None,
        refunded: reported
            .sums
            .refunded
            .clone()
            .or_else(added_up)
            .map(Money::into_plain),
        refunded_at: reported.sums.refunded_at.or_else(last_at),
    }
}

/// A sum in the invoice's currency, where there is one, already tells how much came.
fn is_more_sent(facts: &Facts, evidence: &Evidence<'_>) -> bool {
    let is_told_otherwise = facts.sums.received.is_some() || holds_money(facts);
    let part = evidence.part().filter(|_| !is_told_otherwise);
    part.is_some_and(|part| part.sends_more_than(&facts.payment))
}

fn is_greater(sum: &Money, before: Option<&Money>) -> bool {
    match before {
        Some(before) => sum.exceeds(before),
        None => sum.is_positive(),
    }
}

/// Merges the reported transactions into the known ones. Returns those that are new or have
/// changed. A movement of money is never reversed.
fn merge(known: &mut Vec<Transaction>, reported: &[Transaction]) -> Vec<Transaction> {
    let mut changed: Vec<Transaction> = Vec::new();
    for one in reported {
        match known.iter_mut().find(|other| other.is_same_as(one)) {
            None => known.push(one.clone()),
            Some(there) if there.status == one.status => continue,
            Some(there) if there.status == TransactionStatus::Succeeded => continue,
            Some(there) => *there = one.clone(),
        }
        changed.retain(|other| !other.is_same_as(one));
        changed.push(one.clone());
    }
    changed
}
