//! The meaning of each status and reason, and what a person can do.

use super::Obstacle;
use crate::domain::invoice::{Facts, Invoice};
use crate::domain::state::{Status, reason};
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::words;

/// The rules that apply, in sentences.
pub(super) fn holds(invoice: &Invoice, now: UnixMillis) -> Vec<String> {
    let facts = &invoice.facts;
    let mut told = vec![meaning(invoice, now)];
    if let Some(reason) = &facts.reason {
        told.push(explained(reason, facts));
    }
    if invoice.version == 0 {
        told.push("It has no event yet.".to_owned());
    }
    told
}

fn meaning(invoice: &Invoice, now: UnixMillis) -> String {
    let facts = &invoice.facts;
    let expiry = words::absolute(invoice.expiry(), now);
    match facts.status {
        Status::Requested if facts.create_sent_at.is_some() => {
            "requested: the order's creation was sent and its outcome is unknown; it is repeated \
             until it is known."
                .to_owned()
        }
        Status::Requested => "requested: the order will be created at the provider.".to_owned(),
        Status::Pending if facts.order_id.is_none() => format!(
            "pending: waiting for a payment with this external id until {expiry}. Only the \
             provider's records can end it."
        ),
        Status::Pending => format!(
            "pending: waiting for payment; the order expires at {expiry}. Only the provider's \
             answer can end it."
        ),
        Status::Paid => match facts.paid_at {
            Some(at) => format!(
                "paid: the provider reported the payment at {}. Final.",
                words::absolute(at, now)
            ),
            None => "paid. Final.".to_owned(),
        },
        Status::Expired => {
            "expired: the order was not paid in time. A late payment still makes it paid."
                .to_owned()
        }
        Status::Cancelled => {
            "cancelled: the order was cancelled. A late payment still makes it paid.".to_owned()
        }
        Status::Rejected => "rejected: the order cannot be created. Final.".to_owned(),
        Status::Review => "review: a person must decide. It is still polled.".to_owned(),
    }
}

pub(super) fn explained(word: &str, facts: &Facts) -> String {
    let told = match word {
        reason::AMOUNT_MISMATCH => "the amount of the provider's order differs from the invoice",
        reason::EXTERNAL_ID_MISMATCH => {
            "the external id of the provider's order differs from the invoice"
        }
        reason::CREATE_CONFLICT => {
            "the provider already has an order with this external id and other parameters"
        }
        reason::ORDER_NOT_FOUND => {
            "the provider has answered that the order does not exist for longer than \
             not_found_grace; if it appears again, the invoice continues by itself"
        }
        reason::PARTIALLY_PAID => match facts.status {
            Status::Pending => "part of the money arrived; waiting for the rest",
            Status::Requested
            | Status::Paid
            | Status::Expired
            | Status::Cancelled
            | Status::Rejected
            | Status::Review => {
                "the order ended with part of its money; if the rest arrives, the invoice becomes \
                 paid by itself"
            }
        },
        reason::AUTHORIZED => "the provider holds the money and has not captured it yet",
        reason::TEST_PAYMENT => {
            "it was paid in the provider's test mode, and accept_test_payments is false"
        }
        reason::EXTERNAL_ID_INVALID => {
            "the provider cannot take this external id, so no payment with it can be found"
        }
        reason::DEADLINE => "the provider's ledger shows no payment up to the deadline",
        reason::UNKNOWN_STATUS => "the provider answered with an unknown status; it was ignored",
        reason::CONTRADICTION => {
            "the provider's answer contradicts an earlier final status; the earlier one stands"
        }
        reason::UNKNOWN_ACCOUNT => "the account is not in the daemon's configuration",
        reason::TOO_LATE => "the order was not created within timeout_seconds and will not be",
        reason::RESOLVED => "a person decided; the note is in the event",
        words => {
            let whose = match facts.status {
                Status::Rejected => "the reason given",
                Status::Requested
                | Status::Pending
                | Status::Paid
                | Status::Expired
                | Status::Cancelled
                | Status::Review => "the reason",
            };
            return format!("{whose}: {}.", one_line(words));
        }
    };
    format!("{word}: {told}.")
}

/// What a person can do.
pub(super) fn advice(invoice: &Invoice, obstacles: &[Obstacle]) -> Vec<String> {
    let id = invoice.id;
    let mut told: Vec<String> = obstacles.iter().filter_map(way_round).collect();
    match invoice.facts.status {
        Status::Review => {
            let facts = &invoice.facts;
            if facts.paid_at.is_some() || !facts.payment.is_empty() {
                told.push("The provider's status is PAID.".to_owned());
            }
            told.push(format!(
                "Check the order at the provider, then decide: payrecond resolve '{id}' --as \
                 paid|expired|cancelled --note TEXT"
            ));
        }
        Status::Requested | Status::Pending if obstacles.is_empty() => {
            told.push(format!(
                "Nothing to do. To poll it now: payrecond nudge '{id}'"
            ));
        }
        Status::Expired | Status::Cancelled => {
            told.push(format!(
                "If the customer says they paid: payrecond nudge '{id}'"
            ));
        }
        Status::Rejected => told
            .push("Correct what the reason names, the invoice or the configuration (then restart the daemon), and insert the invoice again with another external id.".to_owned()),
        Status::Requested | Status::Pending | Status::Paid => {}
    }
    told
}

fn way_round(obstacle: &Obstacle) -> Option<String> {
    let told = match obstacle.kind {
        "no_daemon" => "Start the daemon: payrecond run, or systemctl start payrecond.",
        "account_disabled" => {
            "Set enabled = true for the account in the configuration and restart the daemon."
        }
        "unknown_account" => {
            "Add the account to the configuration and restart the daemon, or correct its name."
        }
        "key_refused" => {
            "Replace the API key; it is read again at the next probe, or at once after SIGHUP."
        }
        "account_paused" => "Run `payrecond check` to test whether the provider can be reached.",
        _ => return None,
    };
    Some(told.to_owned())
}
