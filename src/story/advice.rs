//! What a person can do about an invoice.

use super::{Configured, Obstacle, Surroundings};
use crate::domain::invoice::Invoice;
use crate::domain::state::{Status, reason};

/// What a person can do, in sentences.
pub(super) fn advice(
    invoice: &Invoice,
    obstacles: &[Obstacle],
    surroundings: &Surroundings,
) -> Vec<String> {
    let id = invoice.id;
    let mut told: Vec<String> = obstacles.iter().filter_map(way_round).collect();
    if surroundings.account == Configured::Unknown && invoice.schedule.next_poll_at.is_some() {
        told.extend(insert_under_another_account(invoice, surroundings));
    }
    let is_missing = invoice.facts.not_found_since.is_some();
    match invoice.facts.status {
        Status::Review => {
            let facts = &invoice.facts;
            if facts.paid_at.is_some() || !facts.payment.is_empty() {
                told.push("The provider's status is PAID.".to_owned());
            }
            if facts.reason.as_deref() == Some(reason::ORDER_NOT_FOUND) {
                told.push(order_not_found());
            }
            told.push(format!(
                "Check the order at the provider, then decide: payrecond resolve '{id}' --as \
                 paid|expired|cancelled --note TEXT"
            ));
        }
        Status::Pending if is_missing => told.push(order_not_found()),
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

fn order_not_found() -> String {
    "Compare order_id with the order at the provider, and make sure that the account's API key is that \
     of the store in which the order was made. If the order id is wrong, insert the invoice again with \
     another external id and the right one: an order id never changes."
        .to_owned()
}

/// The account of an invoice never changes, so it is inserted again.
fn insert_under_another_account(invoice: &Invoice, surroundings: &Surroundings) -> Vec<String> {
    let (id, own) = (invoice.id.0, &invoice.account);
    let (account, which) = match surroundings.accounts.as_slice() {
        [only] => (only.0.as_str(), ""),
        _ => ("NAME", ", with the right account for NAME"),
    };
    let follows = invoice.facts.status == Status::Pending && invoice.facts.order_id.is_none();
    let (column, value) = if follows {
        (", status", ", 'pending'")
    } else {
        ("", "")
    };
    let mut told = vec![
        format!(
            "If the name is right, add an [[account]] with name = \"{own}\" to the configuration and restart the daemon."
        ),
        format!(
            "If it is a mistake, correct the program that writes it and insert the invoice again{which}: \
             INSERT INTO invoices (account, external_id, order_id, amount, currency, description, \
             timeout_seconds, options, metadata{column}) SELECT '{account}', external_id, order_id, amount, \
             currency, description, timeout_seconds, options, metadata{value} FROM invoices WHERE id = {id};"
        ),
    ];
    let is_deletable =
        invoice.facts.status == Status::Requested && invoice.facts.create_sent_at.is_none();
    told.push(if is_deletable {
        format!("Then delete this one: DELETE FROM invoices WHERE id = {id};")
    } else {
        format!(
            "This one stays and is never polled. Add an [[account]] with name = \"{own}\" and enabled = \
             false, so that it is not reported any more."
        )
    });
    told
}

fn way_round(obstacle: &Obstacle) -> Option<String> {
    let told = match obstacle.kind {
        "no_daemon" => "Start the daemon: payrecond run, or systemctl start payrecond.",
        "account_disabled" => {
            "Set enabled = true for the account in the configuration and restart the daemon."
        }
        "key_refused" => {
            "Replace the API key. A key file is read again at the next probe, or at once after SIGHUP \
             (systemctl reload payrecond); a key that systemd hands over, after a restart."
        }
        "account_failing" | "account_paused" => {
            "Run `payrecond check` to test whether the provider can be reached."
        }
        _ => return None,
    };
    Some(told.to_owned())
}
