//! Which request a due invoice needs, if any.

use std::time::Duration;

use crate::domain::invoice::{Invoice, OrderId};
use crate::domain::observation::Observation;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::provider::{Creation, Provider};

/// The next step for a due invoice.
#[derive(Debug)]
pub(super) enum Step {
    /// A request is needed.
    Ask(Question),
    /// The observation is known without a request.
    Known(Box<Observation>),
    /// Nothing to request: only plan the next poll.
    Nothing,
    /// The order cannot be created before the configuration is mended: what it lacks.
    Unconfigured(String),
}

/// A request about one invoice.
#[derive(Debug)]
pub(super) enum Question {
    /// Create the order.
    Create(Creation),
    /// Find the order of an earlier attempt, first sent at this time; create it if there is none.
    FindOrCreate(Creation, UnixMillis),
    /// Poll the order.
    Order(OrderId),
    /// Search for the order by the invoice's external id.
    ByExternalId,
}

/// Chooses the step; `is_first`: the invoice's creation was never sent. Pure except for the
/// provider's check of the shop's options.
pub(super) fn choose_step(
    invoice: &Invoice,
    is_first: bool,
    provider: &dyn Provider,
    now: UnixMillis,
) -> Step {
    match (invoice.facts.status, &invoice.facts.order_id) {
        (Status::Requested, _) => creation_step(invoice, is_first, provider, now),
        (Status::Paid | Status::Rejected, _) => Step::Nothing,
        (
            Status::Pending | Status::Expired | Status::Cancelled | Status::Review,
            Some(order_id),
        ) if provider.fetches().is_some() => Step::Ask(Question::Order(order_id.clone())),
        (Status::Pending | Status::Expired | Status::Cancelled | Status::Review, None)
            if provider.finds().is_some() =>
        {
            Step::Ask(Question::ByExternalId)
        }
        (Status::Pending | Status::Expired | Status::Cancelled | Status::Review, _) => {
            Step::Nothing
        }
    }
}

fn creation_step(
    invoice: &Invoice,
    is_first: bool,
    provider: &dyn Provider,
    now: UnixMillis,
) -> Step {
    let timeout = Duration::from_secs(u64::try_from(invoice.wish.timeout_s).unwrap_or(0));
    if now.since(invoice.created_at) > timeout {
        return Step::Known(Box::new(Observation::CreationTooLate { observed_at: now }));
    }
    let refused = |reason| {
        Step::Known(Box::new(Observation::CreationRefused {
            observed_at: now,
            reason,
        }))
    };
    let Some(creates) = provider.creates() else {
        return refused(format!(
            "{} cannot create orders by request; insert the order_id of an existing one",
            provider.name()
        ));
    };
    if let Some(what) = creates.missing_setting() {
        return Step::Unconfigured(what);
    }
    let sent_at = invoice.facts.create_sent_at.filter(|_| !is_first);
    match (creates.creation(invoice), sent_at) {
        (Err(reason), _) => refused(reason),
        (Ok(creation), Some(at)) if now.since(at) >= creates.idempotent_for() => {
            Step::Ask(Question::FindOrCreate(creation, at))
        }
        (Ok(creation), _) => Step::Ask(Question::Create(creation)),
    }
}
