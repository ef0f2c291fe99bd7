//! The budget of an audit in a process of its own: a part of its account's, lent by the daemon.

use std::mem::Discriminant;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::AuditError;
use crate::clock::Clock;
use crate::domain::account::AccountState;
use crate::domain::invoice::AccountName;
use crate::domain::time::UnixMillis;
use crate::jobs::lending::LOAN;
use crate::limit::Limits;
use crate::provider::ProviderError;
use crate::store::{AccountRecord, BudgetAsk, Database, StoreError};

/// A loan is asked for again so often.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Nothing is asked of the provider in the last moments of a loan.
const MARGIN: Duration = Duration::from_secs(1);
/// A daemon lends within so long: it looks for what is asked every few seconds.
const LENT_WITHIN: Duration = Duration::from_secs(30);
/// A stopped account is waited for so long: two of its rarest probes.
pub(super) const PATIENCE: Duration = Duration::from_mins(10);
/// Where a provider asks for a pause and does not say how long.
const HOLD_WITHOUT_WORD: Duration = Duration::from_secs(1);

/// A part of an account's request budget, borrowed until it is given back or its process ends.
pub struct BorrowedBudget {
    account: AccountName,
    limits: Limits,
    store: Arc<dyn Database>,
    clock: Arc<dyn Clock>,
    owner: String,
    asked: Mutex<Asked>,
    /// The obstacle that was last logged.
    reported: Mutex<Option<Discriminant<LoanObstacle>>>,
}

/// What was last asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    until: UnixMillis,
    held_until: Option<UnixMillis>,
}

/// Why no request may be made now.
pub(super) enum LoanObstacle {
    /// The provider has asked the daemon for a pause.
    Held(Duration),
    /// The daemon has stopped the account.
    Stopped {
        error: ProviderError,
        /// When it probes next, if that is known.
        probes_at: Option<UnixMillis>,
    },
    /// The daemon has not lent anything yet.
    NotLent,
    /// Its limits leave nothing to lend.
    NothingToLend,
}

impl LoanObstacle {
    /// How long it is waited for.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Self::Held(_) => Duration::MAX,
            Self::Stopped { .. } => PATIENCE,
            Self::NotLent => LENT_WITHIN,
            Self::NothingToLend => Duration::ZERO,
        }
    }

    /// What the audit ends with.
    pub(super) fn into_error(self, account: &AccountName) -> AuditError {
        let account = account.clone();
        let no_budget = |why: &str| AuditError::NoBudget {
            account: account.clone(),
            why: why.to_owned(),
        };
        match self {
            Self::Stopped { error, .. } => AuditError::ProviderError { account, error },
            Self::Held(_) => no_budget("the provider asks for a pause"),
            Self::NotLent => no_budget(
                "the daemon that runs has lent no part of it within 30 s: it is of an older version, or waits for its database",
            ),
            Self::NothingToLend => no_budget(
                "burst and max_in_flight must be at least 2 to be shared with the daemon that runs; stop it meanwhile, or let it audit by itself ([jobs] audit)",
            ),
        }
    }
}

impl BorrowedBudget {
    /// Asks for a part of the account's budget.
    ///
    /// # Errors
    /// When another process has borrowed it, or the database cannot be used.
    pub async fn ask(
        account: AccountName,
        limits: Limits,
        store: Arc<dyn Database>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, AuditError> {
        let budget = Self {
            account,
            limits,
            store,
            clock,
            owner: Uuid::new_v4().to_string(),
            asked: Mutex::default(),
            reported: Mutex::default(),
        };
        if budget.renew().await? {
            return Ok(Arc::new(budget));
        }
        Err(AuditError::NoBudget {
            account: budget.account,
            why: format!(
                "another audit of it runs; one that was killed is forgotten after {} s",
                LOAN.as_secs()
            ),
        })
    }

    /// Asks again and again. Never returns.
    pub async fn keep(self: Arc<Self>) {
        loop {
            self.clock.sleep(RENEW_EVERY).await;
            if let Err(error) = self.renew().await {
                tracing::debug!(account = %self.account, %error, "request budget not asked for again");
            }
        }
    }

    /// Gives it back, so that the daemon need not wait for the end of the loan.
    pub async fn give_back(&self) {
        let mut asked = self.asked();
        asked.until = UnixMillis(0);
        if let Err(error) = self.write(asked).await {
            tracing::debug!(account = %self.account, %error, "request budget not given back; the loan ends by itself");
        }
    }

    /// Tells the daemon that the provider has asked for a pause.
    pub(super) async fn tell_of(&self, error: &ProviderError) {
        let wait = match error {
            ProviderError::RateLimited { wait } => wait.unwrap_or(HOLD_WITHOUT_WORD),
            ProviderError::Unavailable {
                wait: Some(wait), ..
            } => *wait,
            ProviderError::Unavailable { wait: None, .. }
            | ProviderError::KeyRefused(_)
            | ProviderError::Unreachable(_)
            | ProviderError::Malformed(_)
            | ProviderError::Refused(_) => return,
        };
        let held_until = Some(self.clock.now().plus(wait));
        let asked = Asked {
            held_until,
            ..self.asked()
        };
        if let Err(error) = self.write(asked).await {
            tracing::debug!(account = %self.account, %error, "daemon could not be notified of a pause");
        }
    }

    /// Why no request may be made now, if that is so.
    pub(super) async fn obstacle(&self) -> Result<Option<LoanObstacle>, StoreError> {
        let record = self.store.account(&self.account).await?;
        let now = self.clock.now();
        if let Some(wait) = record.as_ref().and_then(|record| held_for(record, now)) {
            return Ok(Some(LoanObstacle::Held(wait)));
        }
        // A lock file that cannot be read is a daemon's of another user.
        let daemon_runs = self.store.daemon_runs().await.unwrap_or(true);
        let until = if daemon_runs {
            if !self.limits.can_lend() {
                return Ok(Some(LoanObstacle::NothingToLend));
            }
            if let Some(stopped) = record.as_ref().and_then(stopped) {
                return Ok(Some(stopped));
            }
            self.store.budget_grant(&self.account).await?
        } else {
            // A daemon that starts now finds what is asked for before it makes a request.
            Some(self.asked().until)
        };
        let holds = until.is_some_and(|until| until > self.clock.now().plus(MARGIN));
        Ok((!holds).then_some(LoanObstacle::NotLent))
    }

    /// Logs what a request waits for, once for each cause: a person waits for the audit.
    pub(super) fn report(&self, obstacle: &LoanObstacle) {
        let cause = std::mem::discriminant(obstacle);
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.replace(cause) == Some(cause) {
            return;
        }
        let account = &self.account;
        match obstacle {
            LoanObstacle::Held(wait) => {
                let until = self.clock.now().plus(*wait);
                tracing::warn!(%account, %until, "audit waits: the provider asks for a pause");
            }
            LoanObstacle::Stopped { error, probes_at } => {
                let next_probe = probes_at.map_or_else(|| "soon".to_owned(), |at| at.to_string());
                let patience = PATIENCE.as_secs() / 60;
                tracing::warn!(%account, %error, next_probe, patience_min = patience, "audit waits: the daemon has stopped the account except for probes");
            }
            // Usually for a moment only; both end the audit with their reason.
            LoanObstacle::NotLent | LoanObstacle::NothingToLend => {}
        }
    }

    async fn renew(&self) -> Result<bool, StoreError> {
        let asked = Asked {
            until: self.clock.now().plus(LOAN),
            ..self.asked()
        };
        self.write(asked).await
    }

    async fn write(&self, asked: Asked) -> Result<bool, StoreError> {
        let ask = BudgetAsk {
            account: self.account.clone(),
            owner: self.owner.clone(),
            until: asked.until,
            held_until: asked.held_until,
        };
        let is_ours = self.store.ask_for_budget(&ask, self.clock.now()).await?;
        if is_ours {
            *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        }
        Ok(is_ours)
    }

    fn asked(&self) -> Asked {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn held_for(record: &AccountRecord, now: UnixMillis) -> Option<Duration> {
    let until = record.resume_at.filter(|at| *at > now)?;
    (record.state == AccountState::Held).then(|| until.since(now))
}

/// What a running daemon has stopped the account for.
fn stopped(record: &AccountRecord) -> Option<LoanObstacle> {
    let why = || record.last_error.clone().unwrap_or_default();
    let error = match record.state {
        AccountState::KeyRefused => ProviderError::KeyRefused(why()),
        AccountState::Paused => ProviderError::Unreachable(why()),
        AccountState::Working | AccountState::Held | AccountState::Unknown => return None,
    };
    Some(LoanObstacle::Stopped {
        error,
        probes_at: record.resume_at,
    })
}
