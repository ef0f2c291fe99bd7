//! Rows that a program keeps locked. They are left out of writes and polled again: nothing waits for a
//! program that forgot to end its transaction, and no invoice is forgotten because of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::invoice::AccountName;
use crate::domain::time::UnixMillis;

/// After a row was found locked, writes do not wait for locks for this long.
const NO_WAIT_FOR: Duration = Duration::from_secs(30);

/// The rows that were left out of writes and not read again since.
#[derive(Default)]
pub(super) struct HeldRows(Mutex<HeldState>);

#[derive(Default)]
struct HeldState {
    /// The earliest plan among those of each account.
    plans: BTreeMap<AccountName, UnixMillis>,
    found_at: Option<Instant>,
}

impl HeldRows {
    /// A write ended because a row was locked.
    pub(super) fn note_found(&self) {
        self.lock().found_at = Some(Instant::now());
    }

    /// Whether the next write should not wait for locks.
    pub(super) fn were_found_lately(&self) -> bool {
        let found_at = self.lock().found_at;
        found_at.is_some_and(|at| at.elapsed() < NO_WAIT_FOR)
    }

    /// A row with this plan was left out.
    pub(super) fn note_left_out(&self, account: &AccountName, plan: UnixMillis) {
        let plans = &mut self.lock().plans;
        let earliest = plans.entry(account.clone()).or_insert(plan);
        *earliest = plan.min(*earliest);
    }

    /// The earliest plan of what was left out of an account; it is about to be read again.
    pub(super) fn take(&self, account: &AccountName) -> Option<UnixMillis> {
        self.lock().plans.remove(account)
    }

    fn lock(&self) -> MutexGuard<'_, HeldState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
