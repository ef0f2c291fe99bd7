//! Lending: a process beside the daemon, such as the `audit` command, borrows a part of an
//! account's rate limit through the database.
//!
//! Its request contains the end of the loan and is renewed before that. The daemon first reduces
//! its own limits and then records the end of the loan; the loan is valid only when recorded. So
//! both together never exceed the configured limits, even if one of them is late, and a borrower
//! that was killed keeps nothing for long.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::invoice::AccountName;
use crate::domain::time::UnixMillis;
use crate::jobs::share::WorkShare;
use crate::limit::{Limits, SharedLimiter};
use crate::store::{BudgetAsk, Store, StoreError};

/// Duration of a loan that is not renewed.
pub const LOAN: Duration = Duration::from_secs(15);
/// A loan that seems to last longer than this was requested by another clock, or before this one
/// was set back.
pub const LONGEST_LOAN: Duration = Duration::from_secs(30);

/// The lending side, for all accounts of a daemon.
pub struct Lender {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    accounts: Vec<LentAccount>,
    share: WorkShare,
}

/// An account whose rate limit may be lent in part.
struct LentAccount {
    name: AccountName,
    limits: Limits,
    limiter: SharedLimiter,
    /// The end of the loan that was last recorded.
    granted: Option<UnixMillis>,
    /// The end of the wait that a borrower last reported.
    held: Option<UnixMillis>,
    /// Requested but not recorded yet: too many requests are in flight.
    is_pending: bool,
}

impl Lender {
    /// Lends for these accounts, each with its configured limits and its limiter.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        accounts: impl IntoIterator<Item = (AccountName, Limits, SharedLimiter)>,
    ) -> Self {
        let accounts = accounts
            .into_iter()
            .map(|(name, limits, limiter)| LentAccount {
                name,
                limits,
                limiter,
                granted: None,
                held: None,
                is_pending: false,
            });
        Self {
            share: WorkShare::alone(Arc::clone(&store)),
            store,
            clock,
            accounts: accounts.collect(),
        }
    }

    /// The same, of the accounts that are this daemon's.
    #[must_use]
    pub fn sharing(self, share: WorkShare) -> Self {
        Self { share, ..self }
    }

    /// Whether a loan waits for requests in flight.
    pub fn is_pending(&self) -> bool {
        self.accounts.iter().any(|account| account.is_pending)
    }

    /// Reads the requests for loans, and grants them.
    ///
    /// # Errors
    /// If the database cannot be used; then no more is lent than before.
    pub async fn run_once(&mut self) -> Result<(), StoreError> {
        for ask in self.store.budget_asks().await? {
            let account = self.accounts.iter_mut().find(|a| a.name == ask.account);
            if let Some(account) = account.filter(|account| account.limits.can_lend())
                && let Some(store) = self.share.account(&ask.account)
                && account.may_lend(&ask, self.clock.as_ref())
            {
                match store.grant_budget(&ask.account, ask.until).await {
                    Ok(()) => account.granted = Some(ask.until),
                    // The new owner lends.
                    Err(StoreError::LeaseLost(_)) => {}
                    Err(error) => return Err(error),
                }
                account.is_pending = false;
            }
        }
        Ok(())
    }
}

impl LentAccount {
    /// Reduces or restores the limits. Returns whether the loan should be recorded now.
    fn may_lend(&mut self, ask: &BudgetAsk, clock: &dyn Clock) -> bool {
        let (wall, now) = (clock.now(), clock.monotonic());
        let mut limiter = self.limiter.lock();
        if let Some(until) = ask.held_until.filter(|_| ask.held_until != self.held) {
            limiter.hold(until.since(wall), now);
            self.held = Some(until);
        }
        let lasts = ask.until.since(wall).min(LONGEST_LOAN);
        limiter.lend_until(now.saturating_add(lasts), now);
        let is_new = !lasts.is_zero() && self.granted != Some(ask.until);
        self.is_pending = is_new && limiter.is_over_limit();
        is_new && !self.is_pending
    }
}
