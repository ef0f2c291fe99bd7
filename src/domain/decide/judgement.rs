//! The result of judging an observation, before it becomes rows and events.

use crate::domain::event::EventType;
use crate::domain::invoice::TransactionId;
use crate::domain::transaction::Transaction;

/// An event to be recorded, and the transaction that caused it.
pub(super) struct EventDraft {
    pub(super) event_type: EventType,
    pub(super) transaction_id: Option<TransactionId>,
}

/// The result of judging an observation, besides the changed row.
#[derive(Default)]
pub(super) struct Judgement {
    pub(super) drafts: Vec<EventDraft>,
    /// The note of the person who decided.
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
