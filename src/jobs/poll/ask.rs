//! One question to the provider about one invoice, and what it brings.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::invoice::{Invoice, OrderId};
use crate::domain::sighting::News;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::provider::{CouldNotAsk, Creation, CreationAnswer, Look, Provider};
use crate::throttle::{Gate, Permit};

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

/// An answer so recent shows that the account's service works.
const PROOF_OF_SERVICE: Duration = Duration::from_mins(1);

/// What the provider said.
pub(super) struct Answer {
    pub(super) news: News,
    /// Whether it shows that the service works: "not found" alone does not.
    pub(super) proves: bool,
}

/// A question that came back.
pub(super) struct Asked {
    pub(super) invoice: Box<Invoice>,
    pub(super) permit: Permit,
    pub(super) answer: Result<Answer, CouldNotAsk>,
}

/// What a question needs to know about the account.
pub(super) struct Asker {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) gate: Gate,
    pub(super) not_found_grace: Duration,
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
            Answer::proof(match answer {
                CreationAnswer::Exists(sighting) => News::Created(sighting),
                CreationAnswer::Refused(reason) => News::CreationRefused {
                    observed_at,
                    reason,
                },
                CreationAnswer::Conflict(_) => News::CreationConflict { observed_at },
            })
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
            Ok(Look::Seen(sighting)) => Ok(Answer::proof(News::Seen(sighting))),
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
    /// another answer, else by one harmless request. A service that finds nothing and answers that
    /// in no better way says nothing about the order.
    async fn not_found(&self, invoice: &Invoice) -> Result<Answer, CouldNotAsk> {
        let observed_at = self.clock.now();
        let proves = !self.service_works();
        if proves {
            self.gate.lock().charge(self.clock.monotonic());
            self.provider.count().await?;
        }
        let since = invoice.facts.not_found_since;
        let counts = since.is_some_and(|since| observed_at.since(since) >= self.not_found_grace);
        let news = News::NotFound {
            observed_at,
            counts,
        };
        Ok(Answer { news, proves })
    }

    /// Whether another answer shows it. Younger than the grace, so given after the order was first
    /// missing.
    fn service_works(&self) -> bool {
        let proof = PROOF_OF_SERVICE.min(self.not_found_grace);
        let now = self.clock.monotonic();
        let gate = self.gate.lock();
        let is_young = |at| now.saturating_sub(at) < proof;
        gate.trouble().is_none() && gate.last_answer().is_some_and(is_young)
    }
}

impl Answer {
    fn proof(news: News) -> Self {
        Self { news, proves: true }
    }
}
