//! What stores and the daemon's jobs hand each other.

use std::time::Duration;

use crate::domain::invoice::{ExternalId, Invoice, InvoiceId, OrderId};
use crate::domain::money::Money;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;

/// A consumer whose oldest unread event is older than this is an alarm.
pub const LAG_ALARM: Duration = Duration::from_hours(7 * 24);

/// A place in the queue of plans: time, then id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueuePlace {
    /// When the plan is for.
    pub at: UnixMillis,
    /// Of those planned for the same time, the last one passed.
    pub id: InvoiceId,
}

/// An invoice in the queue, in the few words that are kept of a million of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueRow {
    /// Row id.
    pub id: InvoiceId,
    /// The shop's id.
    pub external_id: ExternalId,
    /// The provider's order, once there is one.
    pub order_id: Option<OrderId>,
    /// Expected amount.
    pub amount: Option<Money>,
    /// What we say.
    pub status: Status,
    /// When the row was inserted.
    pub created_at: UnixMillis,
    /// When the order ends: the provider's word, else insert plus time-out.
    pub expiry: UnixMillis,
    /// Its plan. 0 = a program asked for a look.
    pub next_poll_at: UnixMillis,
    /// When a poll last brought an answer.
    pub polled_at: Option<UnixMillis>,
    /// Whether something is noted that the next observed must settle: a reason, a failure, an
    /// order that was not found.
    pub unsettled: bool,
    /// Whether the last polls failed, through the order's own fault.
    pub fails: bool,
}

impl DueRow {
    /// An invoice in few words, planned for `at`.
    pub fn of(invoice: &Invoice, at: UnixMillis) -> Self {
        Self {
            id: invoice.id,
            external_id: invoice.external_id.clone(),
            order_id: invoice.facts.order_id.clone(),
            amount: invoice.facts.amount.clone(),
            status: invoice.facts.status,
            created_at: invoice.created_at,
            expiry: invoice.expiry(),
            next_poll_at: at,
            polled_at: invoice.schedule.last_polled_at,
            unsettled: invoice.facts.reason.is_some()
                || invoice.schedule.failures != 0
                || invoice.facts.not_found_since.is_some(),
            fails: invoice.schedule.failures != 0,
        }
    }

    /// Whether a program asked for a look.
    pub fn is_nudged(&self) -> bool {
        self.next_poll_at == UnixMillis(0)
    }
}

/// Where reading by pages begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListBeginning {
    /// The highest invoice id ever given.
    pub highest_id: InvoiceId,
    /// What `ListRecord::positions` held.
    pub positions: Option<String>,
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The row, and its event under this seq, are committed.
    Yes {
        /// The event's place in the outbox.
        seq: Option<i64>,
    },
    /// The invoice has changed or gone since it was read: nothing was written.
    Stale,
    /// The row cannot be written, ever: it breaks this rule of the database.
    Refused(String),
}

/// One row of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Place in the outbox.
    pub seq: i64,
    /// The event's id.
    pub event_id: String,
    /// The feed's subject.
    pub subject: String,
    /// The JSON, on one line.
    pub payload: String,
    /// When it was written.
    pub created_at: UnixMillis,
}

/// One row of `transactions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenTransaction {
    /// What the provider told.
    pub transaction: Transaction,
    /// When it was first seen.
    pub seen_at: UnixMillis,
}

/// A reader of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// The last event it has acknowledged.
    pub acked_seq: i64,
    /// Events it has not.
    pub unread: i64,
    /// When the oldest of them was written.
    pub oldest_unread_at: Option<UnixMillis>,
    /// Switched off by the configuration: its lag is meant.
    pub is_off: bool,
}
