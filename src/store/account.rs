//! What a store keeps of an account, for programs that only read.

use std::time::Duration;

use crate::domain::account::AccountState;
use crate::domain::invoice::AccountName;
use crate::domain::time::UnixMillis;

/// What the daemon last recorded about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// The account.
    pub name: AccountName,
    /// Its provider.
    pub provider: String,
    /// Whether its requests go out.
    pub state: AccountState,
    /// Since when.
    pub state_since: UnixMillis,
    /// When the next request may be made, unless at once.
    pub resume_at: Option<UnixMillis>,
    /// When the provider last answered.
    pub last_success_at: Option<UnixMillis>,
    /// When a request last failed.
    pub last_failure_at: Option<UnixMillis>,
    /// The error of that request, on one line.
    pub last_error: Option<String>,
    /// The store's order list, where it is read.
    pub list: ListRecord,
}

impl AccountRecord {
    /// Its last error; None once the account works again.
    pub fn current_error(&self) -> Option<&str> {
        let error = self.last_error.as_deref();
        error.filter(|_| self.state != AccountState::Working)
    }
}

/// A request by a process beside the daemon for a part of an account's rate limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetAsk {
    /// The account.
    pub account: AccountName,
    /// The requesting process, by a unique name.
    pub owner: String,
    /// End of the loan, unless the request is renewed.
    pub until: UnixMillis,
    /// The provider asked that process to make no request before this time.
    pub held_until: Option<UnixMillis>,
}

/// What is known of a store's order list at the provider, and the time up to which polls by page
/// have covered due invoices: such polls write no invoice row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListRecord {
    /// Number of orders in it.
    pub total: Option<i64>,
    /// Number of orders from the first on that are known to be final.
    pub floor: Option<i64>,
    /// `Positions::to_text`.
    pub positions: Option<String>,
    /// When a page was last read completely.
    pub read_at: Option<UnixMillis>,
    /// Position of the first order on that page, from 0.
    pub read_from: Option<i64>,
    /// Position after its last order.
    pub read_to: Option<i64>,
    /// At this time no poll was overdue, whatever the plans in the invoices' own rows.
    pub caught_up_at: Option<UnixMillis>,
}

/// How long `caught_up_at` covers invoices that became due after it: it is renewed every ten
/// seconds, and polls by page have most likely covered them.
pub const CAUGHT_UP_HOLDS: Duration = Duration::from_secs(30);

impl ListRecord {
    /// Whether the list is read by positions, not by time or as a ledger.
    pub fn has_positions(&self) -> bool {
        self.read_from.is_some()
    }

    /// Whether nothing was overdue a moment ago.
    pub fn has_just_caught_up(&self, now: UnixMillis) -> bool {
        let at = self.caught_up_at;
        at.is_some_and(|at| now.since(at) < CAUGHT_UP_HOLDS)
    }
}
