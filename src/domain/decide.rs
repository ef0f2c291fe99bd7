//! What follows from an observation about an invoice: the row to write and the event to append.
//!
//! The rules of the state table are here, except for timing: `cadence` plans the next poll. An
//! observed order is judged by identity first, then by amount, then by state. `Status::may_become`
//! is the only table of transitions.
//!
//! Two facts are never overwritten by later observations: that money was seen, and that a person
//! decided. Only money that the person did not know of overrules the person.
//!
//! `money` finds what is new about sums and transactions. One observation can lead to several
//! events:
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

/// The row to write, and the event of its transition, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The version that the row must still have; otherwise the decision is stale.
    pub based_on_version: i64,
    /// The planned poll that was made. A later nudge by a program is kept.
    pub based_on_next_poll_at: Option<UnixMillis>,
    /// The new row.
    pub row: Box<Invoice>,
    /// Whether anything except the schedule changed.
    pub facts_changed: bool,
    /// Whether this observation revealed the provider's order.
    pub order_learned: bool,
    /// The event, with the row's new version; the last one if there are several.
    pub event: Option<Box<Event>>,
    /// Earlier events of the same observation, in order.
    pub earlier: Vec<Event>,
    /// Transactions that are new or have changed, to be written to the invoice.
    pub transactions: Vec<Transaction>,
}

impl Decision {
    /// Whether there is anything to write except the plan.
    pub fn has_changes(&self) -> bool {
        self.facts_changed || self.event.is_some() || !self.transactions.is_empty()
    }

    /// All events, in their order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.earlier.iter().chain(self.event.as_deref())
    }

    /// The version of the row just before its last event: the version that was read, unless the
    /// observation leads to several events.
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
        // The first event reports the transition.
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
        | Observation::TransactionTaken { observed_at }
        | Observation::LinkMade { observed_at, .. }
        | Observation::CreationRefused { observed_at, .. }
        | Observation::CreationConflict { observed_at }
        | Observation::CreationTooLate { observed_at }
        | Observation::Resolved { observed_at, .. } => *observed_at,
    }
}

/// Changes `row` as the observation requires. Returns the events and transactions to write with it.
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
        Observation::TransactionTaken { .. } => identity::judge_taken_transaction(facts),
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
