//! One question to the provider about one invoice, and what it brings.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::invoice::{Invoice, OrderId};
use crate::domain::sighting::News;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::provider::{CouldNotAsk, Creation, CreationAnswer, Look, Provider};
use crate::throttle::Permit;

/// What is to be done about an invoice that is due.
#[derive(Debug)]
pub(super) enum Step {
    /// Send the creation.
    Create(Creation),
    /// Ask about the order.
    Look(OrderId),
    /// No request is needed to know this.
    Known(Box<News>),
    /// There is nothing to ask about: only plan the next look.
    Nothing,
}

/// Chooses the step. Pure but for the provider's judgement of the shop's options.
pub(super) fn step(invoice: &Invoice, provider: &dyn Provider, now: UnixMillis) -> Step {
    match (invoice.facts.status, &invoice.facts.order_id) {
        (Status::Requested, _) => creation_step(invoice, provider, now),
        (Status::Paid | Status::Rejected, _) | (_, None) => Step::Nothing,
        (
            Status::Pending | Status::Expired | Status::Cancelled | Status::Review,
            Some(order_id),
        ) => Step::Look(order_id.clone()),
    }
}

fn creation_step(invoice: &Invoice, provider: &dyn Provider, now: UnixMillis) -> Step {
    let timeout = Duration::from_secs(u64::try_from(invoice.wish.timeout_s).unwrap_or(0));
    if now.since(invoice.created_at) > timeout {
        return Step::Known(Box::new(News::CreationTooLate { observed_at: now }));
    }
    match provider.creation(invoice) {
        Ok(creation) => Step::Create(creation),
        Err(reason) => Step::Known(Box::new(News::CreationRefused {
            observed_at: now,
            reason,
        })),
    }
}

/// A question that came back.
pub(super) struct Asked {
    pub(super) invoice: Box<Invoice>,
    pub(super) permit: Permit,
    pub(super) answer: Result<News, CouldNotAsk>,
}

/// What a question needs to know about the account.
pub(super) struct Asker {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) not_found_grace: Duration,
    /// Whether other answers show that the service works.
    pub(super) service_works: bool,
}

impl Asker {
    /// Sends the creation.
    pub(super) async fn create(
        self,
        invoice: Box<Invoice>,
        permit: Permit,
        creation: Creation,
    ) -> Asked {
        let answer = self.provider.create(&creation).await.map(|answer| {
            let observed_at = self.clock.now();
            match answer {
                CreationAnswer::Exists(sighting) => News::Created(sighting),
                CreationAnswer::Refused(reason) => News::CreationRefused {
                    observed_at,
                    reason,
                },
                CreationAnswer::Conflict(_) => News::CreationConflict { observed_at },
            }
        });
        Asked {
            invoice,
            permit,
            answer,
        }
    }

    /// Asks about the order.
    pub(super) async fn look(self, invoice: Box<Invoice>, permit: Permit, order: OrderId) -> Asked {
        let answer = match self.provider.look(&order).await {
            Ok(Look::Seen(sighting)) => Ok(News::Seen(sighting)),
            Ok(Look::NotFound) => self.not_found(&invoice).await,
            Err(error) => Err(error),
        };
        Asked {
            invoice,
            permit,
            answer,
        }
    }

    /// "Not found" counts once the grace is over, and only while the service is shown to work: by
    /// other answers, else by one harmless request. What that one says of the account is heeded.
    async fn not_found(&self, invoice: &Invoice) -> Result<News, CouldNotAsk> {
        let observed_at = self.clock.now();
        let since = invoice.facts.not_found_since;
        let grace_over =
            since.is_some_and(|since| observed_at.since(since) >= self.not_found_grace);
        let mut counts = grace_over && self.service_works;
        if grace_over && !self.service_works {
            match self.provider.count().await {
                Ok(_) => counts = true,
                Err(
                    error @ (CouldNotAsk::RateLimited { .. }
                    | CouldNotAsk::Unavailable { wait: Some(_), .. }
                    | CouldNotAsk::KeyRefused(_)),
                ) => return Err(error),
                Err(
                    CouldNotAsk::Unavailable { wait: None, .. }
                    | CouldNotAsk::Unreachable(_)
                    | CouldNotAsk::Malformed(_)
                    | CouldNotAsk::Refused(_),
                ) => {}
            }
        }
        Ok(News::NotFound {
            observed_at,
            counts,
        })
    }
}
