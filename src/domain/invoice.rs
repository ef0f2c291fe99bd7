//! An invoice: our row that follows one order.

use std::time::Duration;

use super::money::Money;
use super::observation::{Payment, Sums};
use super::state::Status;
use super::time::UnixMillis;
use super::transaction::Transaction;

pub use super::ids::{AccountName, ExternalId, InvoiceId, OrderId, TransactionId};

/// One row of `invoices`, as read at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// Row id.
    pub id: InvoiceId,
    /// The account.
    pub account: AccountName,
    /// The shop's id.
    pub external_id: ExternalId,
    /// The shop's parameters for creating the order.
    pub wish: Wish,
    /// Any JSON of the shop's, given back in every event.
    pub metadata: Option<String>,
    /// What the provider reported so far, and our status.
    pub facts: Facts,
    /// Its known transactions, where the provider reports them.
    pub transactions: Vec<Transaction>,
    /// Number of the last event, 0 before the first.
    pub version: i64,
    /// When the row was inserted.
    pub created_at: UnixMillis,
    /// When its facts last changed.
    pub updated_at: UnixMillis,
    /// When to poll it next, and how the polls went.
    pub schedule: PollPlan,
}

/// What the shop requested, besides the amount; fixed at the insert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Shown to the payer.
    pub description: Option<String>,
    /// Time to pay, in seconds.
    pub timeout_s: i64,
    /// JSON object with the provider's own fields.
    pub options: Option<String>,
}

/// What is known, and our status. A change of `status` is recorded as an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Our status.
    pub status: Status,
    /// Why the invoice has this status, where it needs an explanation.
    pub reason: Option<String>,
    /// The provider's order, once there is one.
    pub order_id: Option<OrderId>,
    /// Expected amount; the first observation fills it where the shop gave none.
    pub amount: Option<Money>,
    /// The provider's own word at the last observation.
    pub provider_status: Option<String>,
    /// Short id for people.
    pub order_number: Option<String>,
    /// Link for the payer, in a bot's chat.
    pub pay_link: Option<String>,
    /// Link for the payer, in web apps too.
    pub direct_pay_link: Option<String>,
    /// When the order ends, by the provider's clock.
    pub expires_at: Option<UnixMillis>,
    /// When it was paid, by the provider's clock.
    pub paid_at: Option<UnixMillis>,
    /// What was paid. All empty until the provider reports it.
    pub payment: Payment,
    /// Sums so far, where the provider reports them.
    pub sums: Sums,
    /// Paid in the provider's test mode.
    pub is_test: bool,
    /// When the creation was first sent; from then on the row cannot be withdrawn.
    pub create_sent_at: Option<UnixMillis>,
    /// When `expired` or `cancelled` was first recorded; a later `paid` is late.
    pub ended_at: Option<UnixMillis>,
    /// First of the "not found" answers in a row.
    pub not_found_since: Option<UnixMillis>,
}

/// When an invoice is polled, and how its polls went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PollPlan {
    /// When to poll next; None = never again. 0 = a program requested a poll.
    pub next_poll_at: Option<UnixMillis>,
    /// When a poll last brought an answer.
    pub last_polled_at: Option<UnixMillis>,
    /// Polls of this single invoice so far.
    pub polls: i64,
    /// Polls in a row that failed by the order's own fault.
    pub failures: i64,
    /// Why the last poll failed, on one line.
    pub last_error: Option<String>,
}

impl PollPlan {
    /// Whether a program requested a poll.
    pub fn is_nudged(&self) -> bool {
        self.next_poll_at == Some(UnixMillis(0))
    }
}

impl Facts {
    /// What is known when there is a status and nothing else.
    pub fn bare(status: Status) -> Self {
        Self {
            status,
            reason: None,
            order_id: None,
            amount: None,
            provider_status: None,
            order_number: None,
            pay_link: None,
            direct_pay_link: None,
            expires_at: None,
            paid_at: None,
            payment: Payment::default(),
            sums: Sums::default(),
            is_test: false,
            create_sent_at: None,
            ended_at: None,
            not_found_since: None,
        }
    }
}

impl Invoice {
    /// Whether "not found", as reported at `observed_at`, counts: it was first reported so long ago.
    pub fn counts_as_missing(&self, observed_at: UnixMillis, grace: Duration) -> bool {
        let since = self.facts.not_found_since;
        since.is_some_and(|since| observed_at.since(since) >= grace)
    }

    /// When the order ends as far as we know: the provider's word, else insert plus time-out.
    pub fn expiry(&self) -> UnixMillis {
        self.facts.expires_at.unwrap_or_else(|| {
            UnixMillis(
                self.created_at
                    .0
                    .saturating_add(self.wish.timeout_s.saturating_mul(1000)),
            )
        })
    }

    /// When it was paid, if that was after the insert: a payment before it could not be polled, and
    /// its detection time means nothing.
    pub fn paid_while_followed(&self) -> Option<UnixMillis> {
        self.facts.paid_at.filter(|at| *at >= self.created_at)
    }
}
