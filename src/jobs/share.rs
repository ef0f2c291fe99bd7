//! The part of the work that this daemon does: all of it, or the part under its leases.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::invoice::AccountName;
use crate::domain::shares::{HOUSEKEEPING, account_lease};
use crate::store::Store;

/// How often a task checks whether its account is still this daemon's.
const CHECKED_EVERY: Duration = Duration::from_millis(500);

/// The share of one daemon. Clones share the same state.
#[derive(Clone)]
pub struct WorkShare {
    store: Arc<dyn Store>,
    /// None if there is no other daemon.
    held: Option<Arc<Mutex<HeldWork>>>,
}

/// The current leases.
#[derive(Default)]
struct HeldWork {
    /// The store that writes under each lease.
    stores: BTreeMap<String, Arc<dyn Store>>,
    /// Accounts that any daemon could poll.
    known: Vec<AccountName>,
}

impl WorkShare {
    /// All of the work.
    pub fn alone(store: Arc<dyn Store>) -> Self {
        Self { store, held: None }
    }

    /// Nothing, until leases are gained.
    pub fn shared(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            held: Some(Arc::default()),
        }
    }

    /// The store that writes for an account; None if this daemon does not poll it.
    pub fn account(&self, account: &AccountName) -> Option<Arc<dyn Store>> {
        self.of_lease(&account_lease(&account.0))
    }

    /// Runs a task for an account with the store that writes for it. None if this daemon does not poll the
    /// account, or no longer does: then the task is dropped.
    pub async fn while_held<T, F>(
        &self,
        account: &AccountName,
        clock: &dyn Clock,
        run: impl FnOnce(Arc<dyn Store>) -> F,
    ) -> Option<T>
    where
        F: Future<Output = T>,
    {
        let store = self.account(account)?;
        tokio::select! {
            biased;
            done = run(Arc::clone(&store)) => Some(done),
            () = self.until_lost(account, &store, clock) => None,
        }
    }

    async fn until_lost(&self, account: &AccountName, store: &Arc<dyn Store>, clock: &dyn Clock) {
        let is_same = |held: &Arc<dyn Store>| Arc::ptr_eq(held, store);
        while self.account(account).as_ref().is_some_and(is_same) {
            clock.sleep(CHECKED_EVERY).await;
        }
    }

    /// The store that writes for tasks for all accounts; None if another daemon does them.
    pub fn housekeeping(&self) -> Option<Arc<dyn Store>> {
        self.of_lease(HOUSEKEEPING)
    }

    /// Every account that any daemon could poll; with a single daemon, those of its configuration.
    pub fn known(&self, configured: &[AccountName]) -> Vec<AccountName> {
        match self.lock() {
            Some(held) => held.known.iter().chain(configured).cloned().collect(),
            None => configured.to_vec(),
        }
    }

    /// Records that a lease was taken.
    pub fn gain(&self, lease: &str, store: Arc<dyn Store>) {
        if let Some(mut held) = self.lock() {
            held.stores.insert(lease.to_owned(), store);
        }
    }

    /// Records that a lease was lost or released.
    pub fn lose(&self, lease: &str) {
        if let Some(mut held) = self.lock() {
            held.stores.remove(lease);
        }
    }

    /// Records the accounts that the running daemons have.
    pub fn note_known(&self, known: Vec<AccountName>) {
        if let Some(mut held) = self.lock() {
            held.known = known;
        }
    }

    fn of_lease(&self, lease: &str) -> Option<Arc<dyn Store>> {
        match self.lock() {
            Some(held) => held.stores.get(lease).cloned(),
            None => Some(Arc::clone(&self.store)),
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, HeldWork>> {
        let held = self.held.as_ref()?;
        Some(held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
