//! The meaning of each status and reason.

use super::Surroundings;
use crate::domain::account::AccountState;
use crate::domain::invoice::{Facts, Invoice};
use crate::domain::state::{Status, reason};
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::words;

/// The rules that apply, in sentences.
pub(super) fn holds(invoice: &Invoice, surroundings: &Surroundings) -> Vec<String> {
    let facts = &invoice.facts;
    let mut told = vec![meaning(invoice, surroundings)];
    if let Some(reason) = &facts.reason {
        told.push(explained(reason, facts));
    }
    if invoice.version == 0 {
        told.push("It has no event yet.".to_owned());
    }
    told
}

fn meaning(invoice: &Invoice, surroundings: &Surroundings) -> String {
    let now = surroundings.now;
    let facts = &invoice.facts;
    match facts.status {
        Status::Requested => requested(invoice, surroundings),
        Status::Pending => pending(invoice, now),
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

fn requested(invoice: &Invoice, surroundings: &Surroundings) -> String {
    let until = words::absolute(invoice.expiry(), surroundings.now);
    let state = surroundings.record.as_ref().map(|record| record.state);
    if state == Some(AccountState::KeyRefused) {
        return format!(
            "requested: the order does not exist yet, because the provider refuses the account's API \
             key. It is created once a valid key is in place; if none is until {until}, the invoice \
             becomes rejected (too_late) and no order is made."
        );
    }
    if invoice.facts.create_sent_at.is_some() {
        return "requested: the order's creation was sent and its outcome is unknown; it is repeated \
                until it is known."
            .to_owned();
    }
    "requested: the order will be created at the provider.".to_owned()
}

fn pending(invoice: &Invoice, now: UnixMillis) -> String {
    let expiry = words::absolute(invoice.expiry(), now);
    let has_order = invoice.facts.order_id.is_some();
    if let Some(since) = invoice.facts.not_found_since.filter(|_| has_order) {
        return format!(
            "pending: the provider answers since {} that it has no order with this id. If it keeps \
             doing so for not_found_grace, the invoice goes to review (order_not_found); if the order \
             appears, it continues.",
            words::absolute(since, now)
        );
    }
    match (has_order, invoice.expiry() <= now) {
        (false, false) => format!(
            "pending: waiting for an order or a payment with this external id until {expiry}. Only the \
             provider's records can end it; that none was found so far ends nothing."
        ),
        (false, true) => format!(
            "pending: the deadline passed at {expiry}. Where the provider keeps a ledger, the invoice \
             becomes expired once a complete reading of it, begun after the deadline and deadline_grace, \
             shows no payment; a payment shown there makes it paid. Where it keeps orders, its list is \
             searched further for one with this external id: that none was found ends nothing."
        ),
        (true, false) => format!(
            "pending: waiting for payment; the order expires at {expiry}. Only the provider's \
             answer can end it."
        ),
        (true, true) => format!(
            "pending: the order's time passed at {expiry}, but the provider has not said yet that the \
             order ended. It is polled until the provider does; it may still have been paid."
        ),
    }
}

pub(super) fn explained(word: &str, facts: &Facts) -> String {
    let told = match word {
        reason::AMOUNT_MISMATCH => "the amount of the provider's order differs from the invoice",
        reason::EXTERNAL_ID_MISMATCH if facts.order_id.is_none() => {
            "a transaction with this external id has the id of one that pays another invoice, so it \
             was not credited; the account's ledger may be another one than before"
        }
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
