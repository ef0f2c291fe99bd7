//! Requests about single invoices: creations, polls of one order or a batch, searches by external
//! id, and the probe. Each runs as a separate task, so that answers are parsed on all cores.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::itemize::itemize;
use super::search::{Searcher, can_search};
use super::step::Question;
use super::task::join_result;
use crate::clock::Clock;
use crate::domain::invoice::{Invoice, OrderId};
use crate::domain::observation::{Observation, ObservedOrder};
use crate::domain::time::UnixMillis;
use crate::limit::{Permit, SharedLimiter};
use crate::provider::{Creation, CreationAnswer, FetchedOrder, Provider, ProviderError};

fn observed_creation(answer: CreationAnswer, observed_at: UnixMillis) -> Observation {
    match answer {
        CreationAnswer::Exists(observed) => Observation::Created(observed),
        CreationAnswer::Link(pay_link) => Observation::LinkMade {
            observed_at,
            pay_link,
        },
        CreationAnswer::Refused(reason) => Observation::CreationRefused {
            observed_at,
            reason,
        },
        CreationAnswer::Conflict(_) => Observation::CreationConflict { observed_at },
    }
}

/// An answer no older than this proves that the account's service works.
const PROOF_OF_SERVICE: Duration = Duration::from_mins(1);

/// The provider's answer about the invoices of one request.
#[derive(Debug)]
pub(super) struct FetchAnswer {
    /// For each invoice.
    pub(super) observations: Vec<Observation>,
    /// Whether it proves that the service works: "not found" alone does not.
    pub(super) proves: bool,
}

/// A completed request.
pub(super) struct FetchOutcome {
    pub(super) about: About,
    pub(super) permit: Permit,
    pub(super) answer: Result<FetchAnswer, ProviderError>,
}

/// The subject of a request.
pub(super) enum About {
    /// These invoices, in the order of the answer.
    Invoices(Vec<Invoice>),
    /// None: the probe.
    Nothing,
}

/// The requests of one account in flight, except for those to its list.
pub(super) struct Fetcher {
    requester: Requester,
    tasks: JoinSet<FetchOutcome>,
}

/// What a request needs of the account.
#[derive(Clone)]
struct Requester {
    provider: Arc<dyn Provider>,
    clock: Arc<dyn Clock>,
    limiter: SharedLimiter,
    not_found_grace: Duration,
}

impl Fetcher {
    pub(super) fn new(
        provider: Arc<dyn Provider>,
        clock: Arc<dyn Clock>,
        limiter: SharedLimiter,
        not_found_grace: Duration,
    ) -> Self {
        Self {
            requester: Requester {
                provider,
                clock,
                limiter,
                not_found_grace,
            },
            tasks: JoinSet::new(),
        }
    }

    /// Whether no request is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Sends a request about one invoice, or about several orders at once.
    pub(super) fn send(&mut self, wanted: Vec<(Invoice, Question)>, permit: Permit) {
        let requester = self.requester.clone();
        let (invoices, questions): (Vec<_>, Vec<_>) = wanted.into_iter().unzip();
        self.tasks.spawn(async move {
            let answer = requester.answer(&invoices, questions).await;
            FetchOutcome {
                about: About::Invoices(invoices),
                permit,
                answer,
            }
        });
    }

    /// Sends the probe.
    pub(super) fn probe(&mut self, permit: Permit) {
        let provider = Arc::clone(&self.requester.provider);
        self.tasks.spawn(async move {
            let answer = provider
                .probe()
                .await
                .map(|()| FetchAnswer::proof(Vec::new()));
            FetchOutcome {
                about: About::Nothing,
                permit,
                answer,
            }
        });
    }

    /// Waits for the next completed request; None if none is in flight.
    pub(super) async fn next(&mut self) -> Option<FetchOutcome> {
        self.tasks.join_next().await.map(join_result)
    }

    /// A request that has already completed.
    pub(super) fn try_next(&mut self) -> Option<FetchOutcome> {
        self.tasks.try_join_next().map(join_result)
    }
}

impl Requester {
    async fn answer(
        &self,
        invoices: &[Invoice],
        questions: Vec<Question>,
    ) -> Result<FetchAnswer, ProviderError> {
        let mut orders = Vec::with_capacity(questions.len());
        for (invoice, question) in invoices.iter().zip(questions) {
            match question {
                Question::Order(order) => orders.push(order),
                // Never in a batch.
                Question::Create(creation) => {
                    return self.create_or_adopt(invoice, &creation).await;
                }
                Question::FindOrCreate(creation, sent_at) => {
                    return self.find_or_create(invoice, &creation, sent_at).await;
                }
                Question::ByExternalId => return self.find(invoice).await,
            }
        }
        self.poll(invoices, &orders).await
    }

    async fn create(&self, creation: &Creation) -> Result<FetchAnswer, ProviderError> {
        let Some(creates) = self.provider.creates() else {
            return Err(ProviderError::Refused(
                "orders cannot be created at this provider".into(),
            ));
        };
        let answer = creates.create(creation).await?;
        let observed_at = self.clock.now();
        Ok(FetchAnswer::proof(vec![observed_creation(
            answer,
            observed_at,
        )]))
    }

    /// Creates an order. If an earlier attempt made one with other bytes, for example with other
    /// settings, a search finds it and it is adopted.
    async fn create_or_adopt(
        &self,
        invoice: &Invoice,
        creation: &Creation,
    ) -> Result<FetchAnswer, ProviderError> {
        let answer = self.create(creation).await?;
        let is_conflict = matches!(
            answer.observations[..],
            [Observation::CreationConflict { .. }]
        );
        let sent_at = invoice.facts.create_sent_at;
        if let Some(sent_at) = sent_at.filter(|_| is_conflict && can_search(&*self.provider)) {
            let searcher = self.searcher();
            searcher.wait_for_turn().await?;
            if let Some(found) = searcher.find_created(invoice, sent_at).await? {
                return Ok(FetchAnswer::proof(vec![Observation::Created(found)]));
            }
        }
        Ok(answer)
    }

    /// Repeats a creation with an unknown outcome: a second order would stay open.
    async fn find_or_create(
        &self,
        invoice: &Invoice,
        creation: &Creation,
        first_sent_at: UnixMillis,
    ) -> Result<FetchAnswer, ProviderError> {
        let searcher = self.searcher();
        if let Some(found) = searcher.find_created(invoice, first_sent_at).await? {
            return Ok(FetchAnswer::proof(vec![Observation::Created(found)]));
        }
        searcher.wait_for_turn().await?;
        self.create(creation).await
    }

    fn searcher(&self) -> Searcher<'_> {
        Searcher {
            provider: self.provider.as_ref(),
            clock: &self.clock,
            limiter: &self.limiter,
        }
    }

    async fn poll(
        &self,
        invoices: &[Invoice],
        orders: &[OrderId],
    ) -> Result<FetchAnswer, ProviderError> {
        let Some(fetches) = self.provider.fetches() else {
            return Err(ProviderError::Refused(
                "orders cannot be polled by id at this provider".into(),
            ));
        };
        let mut answers = fetches.fetch(orders).await?;
        if answers.len() != invoices.len() {
            let what = format!("asked for {} orders, got {}", orders.len(), answers.len());
            return Err(ProviderError::Malformed(what));
        }
        for answer in &mut answers {
            if let FetchedOrder::Seen(observed) = answer {
                let (provider, clock) = (self.provider.as_ref(), self.clock.as_ref());
                itemize(provider, &self.limiter, clock, observed).await?;
            }
        }
        self.judge(invoices, answers).await
    }

    async fn find(&self, invoice: &Invoice) -> Result<FetchAnswer, ProviderError> {
        let found: Option<ObservedOrder> = self.searcher().find(&invoice.external_id).await?;
        let proof = found.map(|observed| FetchAnswer::proof(vec![Observation::Seen(observed)]));
        match proof {
            Some(proof) => Ok(proof),
            None => self.judge_missing(&[invoice]).await,
        }
    }

    async fn judge(
        &self,
        invoices: &[Invoice],
        answers: Vec<FetchedOrder>,
    ) -> Result<FetchAnswer, ProviderError> {
        let missing: Vec<&Invoice> = invoices
            .iter()
            .zip(&answers)
            .filter(|(_, order)| **order == FetchedOrder::NotFound)
            .map(|(invoice, _)| invoice)
            .collect();
        if missing.len() < answers.len() {
            // An answer with one order is complete: missing ones do not exist.
            let not_found = self.not_found_observations(&missing);
            return Ok(FetchAnswer::proof(merge_observations(answers, not_found)));
        }
        self.judge_missing(&missing).await
    }

    /// "Not found" counts once the grace is over, and only if the service is known to work: by
    /// another answer, else by a probe. A service that finds nothing and also fails the probe
    /// proves nothing about the order.
    async fn judge_missing(&self, missing: &[&Invoice]) -> Result<FetchAnswer, ProviderError> {
        let observations = self.not_found_observations(missing);
        let proves = !self.service_works();
        if proves {
            self.limiter.lock().charge(self.clock.monotonic());
            self.provider.probe().await?;
        }
        Ok(FetchAnswer {
            observations,
            proves,
        })
    }

    fn not_found_observations(&self, missing: &[&Invoice]) -> Vec<Observation> {
        let observed_at = self.clock.now();
        let each = missing.iter().map(|invoice| Observation::NotFound {
            observed_at,
            counts: invoice.counts_as_missing(observed_at, self.not_found_grace),
        });
        each.collect()
    }

    /// Whether another answer proves that. It must be younger than the grace, so that it came after
    /// the order was first missing.
    fn service_works(&self) -> bool {
        let proof = PROOF_OF_SERVICE.min(self.not_found_grace);
        let now = self.clock.monotonic();
        let limiter = self.limiter.lock();
        let is_young = |at| now.saturating_sub(at) < proof;
        limiter.stop_reason().is_none() && limiter.last_answer().is_some_and(is_young)
    }
}

impl FetchAnswer {
    fn proof(observations: Vec<Observation>) -> Self {
        Self {
            observations,
            proves: true,
        }
    }
}

/// The observation of each order, found or missing.
fn merge_observations(answers: Vec<FetchedOrder>, not_found: Vec<Observation>) -> Vec<Observation> {
    let mut not_found = not_found.into_iter();
    let each = answers.into_iter().filter_map(|order| match order {
        FetchedOrder::Seen(observed) => Some(Observation::Seen(observed)),
        FetchedOrder::NotFound => not_found.next(),
    });
    each.collect()
}
