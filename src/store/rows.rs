//! The values that stores and the daemon's jobs exchange.

use std::time::Duration;

use crate::domain::invoice::{ExternalId, Invoice, InvoiceId, OrderId};
use crate::domain::money::Money;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;

/// A consumer whose oldest unread event is older than this raises an alarm.
pub const LAG_ALARM: Duration = Duration::from_hours(7 * 24);

/// A position in the queue of plans: time, then id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueuePlace {
    /// The planned time.
    pub at: UnixMillis,
    /// The last id that was passed among those planned for that time.
    pub id: InvoiceId,
}

/// A moment in the order of commits, in the words of the store; the default is before all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InsertPlace(pub(super) String);

/// An invoice in the queue, in the compact form that is kept for a million of them.
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
    /// Our status.
    pub status: Status,
    /// When the row was inserted.
    pub created_at: UnixMillis,
    /// When the order expires: as reported by the provider, else insert plus time-out.
    pub expiry: UnixMillis,
    /// Its plan. 0 = a program requested a poll.
    pub next_poll_at: UnixMillis,
    /// When a poll last brought an answer.
    pub polled_at: Option<UnixMillis>,
    /// Whether something is recorded that the next observation must settle: a reason, a failure, or
    /// an order that was not found.
    pub unsettled: bool,
    /// Whether the last polls failed because of the order itself.
    pub fails: bool,
    /// Whether the last poll failed, for any reason.
    pub has_error: bool,
}

impl DueRow {
    /// The compact form of an invoice planned for `at`.
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
            has_error: invoice.schedule.last_error.is_some(),
        }
    }

    /// Whether a program requested a poll.
    pub fn is_nudged(&self) -> bool {
        self.next_poll_at == UnixMillis(0)
    }
}

/// Where reading by pages begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListBeginning {
    /// The highest invoice id ever assigned.
    pub highest_id: InvoiceId,
    /// The stored `ListRecord::positions`.
    pub positions: Option<String>,
}

/// The outcome of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The row, and its event under this seq, are committed.
    Yes {
        /// The event's place in the outbox.
        seq: Option<i64>,
    },
    /// The invoice was changed or deleted since it was read: nothing was written.
    Stale,
    /// The row can never be written, because it breaks this rule of the database.
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
    /// The provider's report.
    pub transaction: Transaction,
    /// When it was first seen.
    pub seen_at: UnixMillis,
}

/// A consumer of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// The last event it has acknowledged.
    pub acked_seq: i64,
    /// Number of unread events.
    pub unread: i64,
    /// When the oldest of them was written.
    pub oldest_unread_at: Option<UnixMillis>,
    /// Switched off by the configuration, so its lag is intended.
    pub is_off: bool,
}
