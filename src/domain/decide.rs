//! What follows from an observation about an invoice: the row to write and the event to append.
//!
//! Every rule of the state table lives here, and none of time: `cadence` plans the next poll.
//! The order of judgement on an observed order: whose order is it, what sum does it ask for, what state
//! is it in. The moves themselves are `Status::may_become`; nothing here knows a second table.
//!
//! Two facts are kept against later words: that money was seen, and that a person decided. Only
//! money that the person did not know of overrules a person.
//!
//! `money` says what is new about sums and transactions. One observation can lead to several events:
//! a payment and its refund, two payments for an invoice that was paid before.

mod absence;
mod creation;
mod evidence;
mod facts;
mod identity;
mod judgement;
mod money;
mod order;
mod person;

use self::evidence::Evidence;
use self::judgement::Judgement;
use super::event::{Event, EventType};
use super::invoice::Invoice;
use super::observation::Observation;
pub use super::rules::Rules;
use super::state::{Status, reason};
use super::time::UnixMillis;
use super::transaction::Transaction;

/// The row as it shall be, and the event of its move, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The version the row must still have, else the decision is stale.
    pub based_on_version: i64,
    /// The planned poll that was made; a program's nudge since then survives.
    pub based_on_next_poll_at: Option<UnixMillis>,
    /// The new row.
    pub row: Box<Invoice>,
    /// Whether anything but the schedule differs from what was read.
    pub facts_changed: bool,
    /// Whether the provider's order was not known before.
    pub order_learned: bool,
    /// The event, carrying the row's new version; the last of several.
    pub event: Option<Box<Event>>,
    /// Events of the same observation that come before it, in their order.
    pub earlier: Vec<Event>,
    /// Transactions that are new or have changed: to be written as the invoice's.
    pub transactions: Vec<Transaction>,
}

impl Decision {
    /// Whether there is anything to write but the plan.
    pub fn has_changes(&self) -> bool {
        self.facts_changed || self.event.is_some() || !self.transactions.is_empty()
    }

    /// All events, in their order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.earlier.iter().chain(self.event.as_deref())
    }

    /// The version of the row just before its last event: the one it was read with, unless several
    /// follow from one observation.
    pub fn version_before_last(&self) -> i64 {
        let earlier = i64::try_from(self.earlier.len()).unwrap_or_default();
        self.based_on_version + earlier
    }
}

/// Judges `observation` about `invoice` by the default rules. `provider` is named in the event.
pub fn decide(invoice: &Invoice, provider: &str, observation: Observation) -> Decision {
    decide_by(&Rules::default(), invoice, provider, observation)
}

/// Judges `observation` about `invoice`. `provider` is named in the events.
pub fn decide_by(
    rules: &Rules,
    invoice: &Invoice,
    provider: &str,
    observation: Observation,
) -> Decision {
    let mut row = Box::new(invoice.clone());
    let observed_at = observed_at(&observation);
    let judgement = judge(rules, &mut row, observation);
    let mut previous = invoice.facts.status;
    let mut events = Vec::new();
    for draft in judgement.drafts {
        let event_type = draft.event_type;
        row.version += 1;
        if matches!(event_type, EventType::Expired | EventType::Cancelled) {
            row.facts.ended_at.get_or_insert(observed_at);
        }
        events.push(Event {
            note: judgement.note.clone(),
            transaction_id: draft.transaction_id,
            ..Event::about(&row, provider, event_type, previous, observed_at)
        });
        // The first reports the move.
        previous = row.facts.status;
    }
    Decision {
        based_on_version: invoice.version,
        based_on_next_poll_at: invoice.schedule.next_poll_at,
        facts_changed: row.facts != invoice.facts,
        order_learned: row.facts.order_id != invoice.facts.order_id,
        event: events.pop().map(Box::new),
        earlier: events,
        transactions: judgement.transactions,
        row,
    }
}

fn observed_at(observation: &Observation) -> UnixMillis {
    match observation {
        Observation::Seen(observed) | Observation::Created(observed) => observed.observed_at,
        Observation::Ledger(observed) => observed.observed_at,
        Observation::NotFound { observed_at, .. }
        | Observation::NothingUntil { observed_at, .. }
        | Observation::ExternalIdInvalid { observed_at }
        | Observation::LinkMade { observed_at, .. }
        | Observation::CreationRefused { observed_at, .. }
        | Observation::CreationConflict { observed_at }
        | Observation::CreationTooLate { observed_at }
        | Observation::Resolved { observed_at, .. } => *observed_at,
    }
}

/// Changes `row` as the observation demands. Returns what is to be said and written beside it.
fn judge(rules: &Rules, row: &mut Invoice, observation: Observation) -> Judgement {
    let facts = &mut row.facts;
    let event = match observation {
        Observation::Seen(observed) => {
            return order::judge_evidence(rules, row, &Evidence::from(&observed));
        }
        Observation::Ledger(observed) => {
            return order::judge_evidence(rules, row, &Evidence::from(&observed));
        }
        Observation::Created(observed) => {
            creation::judge_creation(rules, facts, &row.external_id.0, &observed)
        }
        Observation::NotFound {
            observed_at,
            counts,
        } => absence::judge_not_found(facts, observed_at, counts),
        Observation::NothingUntil { reading, .. } => absence::judge_silence(rules, row, reading),
        Observation::ExternalIdInvalid { .. } => absence::judge_external_id(facts),
        Observation::LinkMade { pay_link, .. } => creation::judge_link(facts, pay_link),
        Observation::CreationRefused { reason, .. } => {
            creation::end_creation(facts, Status::Rejected, &reason)
        }
        Observation::CreationConflict { .. } => {
            creation::end_creation(facts, Status::Review, reason::CREATE_CONFLICT)
        }
        Observation::CreationTooLate { .. } => {
            creation::end_creation(facts, Status::Rejected, reason::TOO_LATE)
        }
        Observation::Resolved { verdict, note, .. } => {
            return Judgement {
                note: Some(note),
                ..Judgement::from(person::resolve(facts, verdict))
            };
        }
    };
    Judgement::from(event)
}
