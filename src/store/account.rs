//! What a store keeps of an account, for programs that only read.

use std::time::Duration;

use crate::domain::account::AccountState;
use crate::domain::invoice::AccountName;
use crate::domain::time::UnixMillis;

/// What the daemon last found out about an account.
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
    /// When the next request may be made, if not at once.
    pub resume_at: Option<UnixMillis>,
    /// When the provider last answered.
    pub last_success_at: Option<UnixMillis>,
    /// When it last could not be asked.
    pub last_failure_at: Option<UnixMillis>,
    /// Why, on one line.
    pub last_error: Option<String>,
    /// The store's list, where it is read.
    pub list: ListRecord,
}

impl AccountRecord {
    /// Its last error; one that works again has none any more.
    pub fn standing_error(&self) -> Option<&str> {
        let error = self.last_error.as_deref();
        error.filter(|_| self.state != AccountState::Working)
    }
}

/// A process beside the daemon wants a part of an account's request budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetAsk {
    /// The account.
    pub account: AccountName,
    /// Who asks: a name that no other process has.
    pub owner: String,
    /// Until when, unless it is asked for again.
    pub until: UnixMillis,
    /// The provider has told that process to make no request before.
    pub held_until: Option<UnixMillis>,
}

/// What is known of a store's list at the provider, and how far looks by page have covered what was
/// due: such looks write no invoice row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListRecord {
    /// Orders in it.
    pub total: Option<i64>,
    /// So many first orders are known to be final.
    pub floor: Option<i64>,
    /// `Positions::to_text`.
    pub positions: Option<String>,
    /// When a page was last read to its end.
    pub read_at: Option<UnixMillis>,
    /// Its first place, from 0.
    pub read_from: Option<i64>,
    /// The place after its last.
    pub read_to: Option<i64>,
    /// At this moment no look was overdue, whatever the invoices' own rows say.
    pub caught_up_at: Option<UnixMillis>,
}

/// What became due since an account's word that nothing was overdue is not overdue yet: the word is
/// given anew every ten seconds, and looks by page have most likely covered it.
pub const WORD_HOLDS_FOR: Duration = Duration::from_secs(30);

impl ListRecord {
    /// Whether nothing was overdue a moment ago.
    pub fn has_just_caught_up(&self, now: UnixMillis) -> bool {
        let at = self.caught_up_at;
        at.is_some_and(|at| now.since(at) < WORD_HOLDS_FOR)
    }
}
