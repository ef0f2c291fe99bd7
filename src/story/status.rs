//! What each status and each reason means, and what a person can do about it.

use super::Obstacle;
use crate::domain::invoice::{Facts, Invoice};
use crate::domain::state::{Status, reason};
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::words;

/// The rules that hold, in sentences.
pub(super) fn holds(invoice: &Invoice, now: UnixMillis) -> Vec<String> {
    let facts = &invoice.facts;
    let mut told = vec![meaning(invoice, now)];
    if let Some(reason) = &facts.reason {
        told.push(explained(reason, facts));
    }
    if invoice.version == 0 {
        told.push("No event was written about it yet.".to_owned());
    }
    told
}

fn meaning(invoice: &Invoice, now: UnixMillis) -> String {
    let facts = &invoice.facts;
    let expiry = words::absolute(invoice.expiry(), now);
    match facts.status {
        Status::Requested if facts.create_sent_at.is_some() => {
            "requested: its creation was sent, the outcome is not known yet; it is sent again \
             until it is."
                .to_owned()
        }
        Status::Requested => "requested: the order is to be created at the provider.".to_owned(),
        Status::Pending if facts.order_id.is_none() => format!(
            "pending: a payment under the external id is waited for; it can be paid until {expiry}, \
             and only the provider can say that it was not."
        ),
        Status::Pending => format!(
            "pending: the order waits for money; it ends at {expiry}, and only the provider can \
             say that it did."
        ),
        Status::Paid => match facts.paid_at {
            Some(at) => format!(
                "paid: the provider said so, the payment is from {}. That is final.",
                words::absolute(at, now)
            ),
            None => "paid. That is final.".to_owned(),
        },
        Status::Expired => {
            "expired: the order's time ran out. A late payment would still make it paid.".to_owned()
        }
        Status::Cancelled => {
            "cancelled: the order was ended. A late payment would still make it paid.".to_owned()
        }
        Status::Rejected => {
            "rejected: no order exists and none will be made. That is final.".to_owned()
        }
        Status::Review => "review: a person must look; it is looked at all the same.".to_owned(),
    }
}

pub(super) fn explained(word: &str, facts: &Facts) -> String {
    let told = match word {
        reason::AMOUNT_MISMATCH => {
            "the order at the provider asks for another amount than the invoice expects"
        }
        reason::EXTERNAL_ID_MISMATCH => {
            "the order at the provider bears another external id than the invoice"
        }
        reason::CREATE_CONFLICT => {
            "an order with this external id and other parameters exists at the provider already"
        }
        reason::ORDER_NOT_FOUND => {
            "the provider says that it has no such order, for longer than it may be a mistake; if \
             the order is seen again, the invoice goes on by itself"
        }
        reason::PARTIALLY_PAID => match facts.status {
            Status::Pending => "some of the money came, the rest is waited for",
            Status::Requested
            | Status::Paid
            | Status::Expired
            | Status::Cancelled
            | Status::Rejected
            | Status::Review => {
                "the order ended with some of its money; when the rest comes, the invoice becomes \
                 paid by itself"
            }
        },
        reason::AUTHORIZED => "the provider holds the money, it is not captured yet",
        reason::TEST_PAYMENT => {
            "it was paid in the provider's test mode, and the account does not accept test payments"
        }
        reason::EXTERNAL_ID_INVALID => {
            "the provider cannot have a payment under this external id, so none would be found"
        }
        reason::DEADLINE => "the provider's ledger shows no payment up to the deadline",
        reason::UNKNOWN_STATUS => {
            "the provider used a status word that this program does not know, which says nothing"
        }
        reason::CONTRADICTION => {
            "the provider seems to take a final state back, so the earlier word stands"
        }
        reason::UNKNOWN_ACCOUNT => "the daemon's configuration does not know the account",
        reason::TOO_LATE => "the order was not made in time and will not be",
        reason::RESOLVED => "a person decided; the event tells the note",
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
            if invoice.facts.provider_status.as_deref() == Some("PAID") {
                told.push("The provider says PAID: money is there.".to_owned());
            }
            told.push(format!(
                "Compare with the provider, then decide: payrecond resolve '{id}' --as \
                 paid|expired|cancelled --note TEXT"
            ));
        }
        Status::Requested | Status::Pending if obstacles.is_empty() => {
            told.push(format!(
                "Nothing needs to be done; to look sooner: payrecond nudge '{id}'"
            ));
        }
        Status::Expired | Status::Cancelled => {
            told.push(format!(
                "If money is said to have come: payrecond nudge '{id}'"
            ));
        }
        Status::Rejected => told.push(
            "Correct what was refused and put in a new invoice under another external id."
                .to_owned(),
        ),
        Status::Requested | Status::Pending | Status::Paid => {}
    }
    told
}

fn way_round(obstacle: &Obstacle) -> Option<String> {
    let told = match obstacle.kind {
        "no_daemon" => "Start the daemon: payrecond run, or its systemd unit.",
        "account_disabled" => "Set enabled = true at the account in the configuration.",
        "unknown_account" => {
            "Add the account to the configuration and restart the daemon, or correct its name."
        }
        "key_refused" => {
            "Put a valid key in place; it is read again at the next probe, or at once by SIGHUP."
        }
        "account_paused" => "Find out with `payrecond check` whether the provider can be reached.",
        _ => return None,
    };
    Some(told.to_owned())
}
