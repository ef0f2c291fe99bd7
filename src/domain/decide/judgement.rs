//! What follows from an observation, before it becomes rows and events.

use crate::domain::event::EventType;
use crate::domain::invoice::TransactionId;
use crate::domain::transaction::Transaction;

/// An event to be recorded, and the transaction that led to it.
pub(super) struct EventDraft {
    pub(super) event_type: EventType,
    pub(super) transaction_id: Option<TransactionId>,
}

/// What follows from an observation, besides the changed row.
#[derive(Default)]
pub(super) struct Judgement {
    pub(super) drafts: Vec<EventDraft>,
    /// A person's.
    pub(super) note: Option<String>,
    pub(super) transactions: Vec<Transaction>,
}

impl From<Option<EventType>> for Judgement {
    fn from(event_type: Option<EventType>) -> Self {
        let draft = event_type.map(|event_type| EventDraft {
            event_type,
            transaction_id: None,
        });
        Self {
            drafts: draft.into_iter().collect(),
            ..Self::default()
        }
    }
}
