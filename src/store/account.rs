//! What a store keeps of an account, for programs that only read.

use serde::{Deserialize, Serialize};

use crate::domain::account::{AccountState, FailureRun};
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
    /// Since when; a paused account, since the first of the failed requests.
    pub state_since: UnixMillis,
    /// The requests that have failed since the last answer; None if the latest one was answered.
    pub failures: Option<FailureRun>,
    /// Whether the provider refused the key when the account was last polled, also where no daemon
    /// has it configured since and `state` is `Unknown`.
    pub is_key_refused: bool,
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

/// The value of the row of `meta` with an account's run of failures.
#[derive(Serialize, Deserialize)]
struct StoredRun {
    since: i64,
    /// 0: the key was refused to an earlier owner of the account, and no request was made since.
    requests: u32,
    #[serde(default)]
    key_refused: bool,
}

/// The key of that row.
pub(super) fn failures_key(account: &AccountName) -> String {
    format!("account_failures:{account}")
}

/// The value of that row; empty for no failure, since rows of `meta` are never deleted.
pub(super) fn failures_to_value(account: &AccountRecord) -> String {
    let key_refused = account.is_key_refused;
    let unasked = FailureRun {
        since: account.state_since,
        requests: 0,
    };
    let run = account.failures.or(key_refused.then_some(unasked));
    let stored = run.map(|run| StoredRun {
        since: run.since.0,
        requests: run.requests,
        key_refused,
    });
    let json = stored.and_then(|stored| serde_json::to_string(&stored).ok());
    json.unwrap_or_default()
}

/// Parses the value of that row: the run, and whether the key was refused. An invalid value counts as
/// no failure.
pub(super) fn failures_from_value(value: Option<&str>) -> (Option<FailureRun>, bool) {
    let stored = value.and_then(|value| serde_json::from_str::<StoredRun>(value).ok());
    let Some(stored) = stored else {
        return (None, false);
    };
    let run = FailureRun {
        since: UnixMillis(stored.since),
        requests: stored.requests,
    };
    (Some(run).filter(|run| run.requests > 0), stored.key_refused)
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

impl ListRecord {
    /// Whether the list is read by positions, not by time or as a ledger.
    pub fn has_positions(&self) -> bool {
        self.read_from.is_some()
    }
}
