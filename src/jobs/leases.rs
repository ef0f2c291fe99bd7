//! The leases of one daemon: taken if free, renewed, given up if another daemon has fewer, and
//! released at the end. The database's clock decides; this process's clock only stops it earlier.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::shares::{ClusterView, HOUSEKEEPING, account_lease};
use crate::store::{Lease, Leases, Presence, StoreError};

/// Number of renewals within the term.
const RENEWALS: u32 = 3;
/// Fraction of the term by which this process stops before the lease ends.
const MARGIN: u32 = 5;
/// Minimum time between giving up two accounts, so that other daemons see the result.
const GIVEN_UP_EVERY: Duration = Duration::from_secs(2);

/// A change of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseChange {
    /// This daemon has it.
    Gained(Lease),
    /// Another daemon has it: nothing can be written under it any more.
    Lost(String),
    /// Another daemon should have it: finish requests in flight, then call `release`.
    GiveUp(String),
}

/// Accounts that another daemon should have, one at a time.
#[derive(Debug, Default)]
struct GivingUp {
    /// Its requests in flight are being finished.
    current: Option<String>,
    /// The last one that was released.
    last: Option<String>,
    /// The next one is not given up before, by the monotonic clock.
    not_before: Duration,
}

impl GivingUp {
    fn begin(&mut self, lease: &str, now: Duration) {
        self.current = Some(lease.to_owned());
        self.not_before = now + GIVEN_UP_EVERY;
    }

    fn end(&mut self, lease: &str) {
        if self.current.as_deref() == Some(lease) {
            self.last = self.current.take();
        }
    }

    /// A lease was taken at `now`. If it is the one given up last, the daemon that should have had it
    /// does not run any more, and is forgotten within a term.
    fn note_taken(&mut self, lease: &str, term: Duration, now: Duration) {
        if self.last.as_deref() == Some(lease) {
            self.not_before = now + term;
        }
    }
}

/// Manages the leases of one daemon.
pub struct LeaseKeeper {
    leases: Arc<dyn Leases>,
    clock: Arc<dyn Clock>,
    me: Presence,
    wanted: Vec<String>,
    term: Duration,
    held: BTreeMap<String, Lease>,
    giving_up: GivingUp,
    trusted_until: Duration,
    renew_at: Duration,
    view: ClusterView,
    changes: Vec<LeaseChange>,
}

impl LeaseKeeper {
    /// For the accounts of `me`, and the tasks for all accounts; holds nothing yet.
    pub fn new(
        leases: Arc<dyn Leases>,
        clock: Arc<dyn Clock>,
        me: Presence,
        term: Duration,
    ) -> Self {
        let accounts = me.accounts.iter().map(|account| account_lease(account));
        let wanted = accounts.chain([HOUSEKEEPING.to_owned()]).collect();
        Self {
            leases,
            clock,
            me,
            wanted,
            term,
            held: BTreeMap::new(),
            giving_up: GivingUp::default(),
            trusted_until: Duration::ZERO,
            renew_at: Duration::ZERO,
            view: ClusterView::default(),
            changes: Vec::new(),
        }
    }

    /// Held leases are valid at least until this time, by the monotonic clock.
    pub fn trusted_until(&self) -> Duration {
        self.trusted_until
    }

    /// All daemons and leases, as last seen.
    pub fn view(&self) -> &ClusterView {
        &self.view
    }

    /// One run: renews leases when it is time, and takes free ones. `take_changes` returns the
    /// changes, also after an error.
    ///
    /// # Errors
    /// If the database cannot be used; held leases then end by themselves.
    pub async fn run_once(&mut self) -> Result<(), StoreError> {
        self.renew_when_due().await?;
        self.view = self.leases.view(self.term).await?;
        self.take_free().await?;
        self.give_up();
        Ok(())
    }

    /// The changes since the last call.
    pub fn take_changes(&mut self) -> Vec<LeaseChange> {
        std::mem::take(&mut self.changes)
    }

    /// Renews held leases, when it is time.
    ///
    /// # Errors
    /// Like `run_once`.
    pub async fn renew_when_due(&mut self) -> Result<(), StoreError> {
        if self.clock.monotonic() < self.renew_at {
            return Ok(());
        }
        self.leases.announce(&self.me, &self.wanted).await?;
        // The time before the query, since the answer may take long.
        let asked = self.clock.monotonic();
        let held: Vec<Lease> = self.held.values().cloned().collect();
        let kept = if held.is_empty() {
            Vec::new()
        } else {
            self.leases.renew(&self.me.name, &held, self.term).await?
        };
        for lease in held.into_iter().filter(|lease| !kept.contains(&lease.name)) {
            self.held.remove(&lease.name);
            self.giving_up.end(&lease.name);
            self.changes.push(LeaseChange::Lost(lease.name));
        }
        self.note_held(asked);
        self.renew_at = asked + self.term / RENEWALS;
        Ok(())
    }

    async fn take_free(&mut self) -> Result<(), StoreError> {
        let wanted: Vec<String> = self
            .wanted
            .iter()
            .filter(|name| !self.held.contains_key(*name))
            .cloned()
            .collect();
        let free = self.view.to_take(&self.me.name, &wanted);
        if free.is_empty() {
            return Ok(());
        }
        let asked = self.clock.monotonic();
        let taken = self.leases.take(&self.me.name, &free, self.term).await?;
        if self.held.is_empty() && !taken.is_empty() {
            self.note_held(asked);
        }
        for lease in taken {
            self.giving_up.note_taken(&lease.name, self.term, asked);
            self.held.insert(lease.name.clone(), lease.clone());
            self.changes.push(LeaseChange::Gained(lease));
        }
        Ok(())
    }

    fn give_up(&mut self) {
        let now = self.clock.monotonic();
        if now < self.giving_up.not_before || self.giving_up.current.is_some() {
            return;
        }
        let given = self.view.to_give_up(&self.me.name).map(str::to_owned);
        if let Some(name) = given.filter(|name| self.held.contains_key(name)) {
            self.giving_up.begin(&name, now);
            self.changes.push(LeaseChange::GiveUp(name));
        }
    }

    fn note_held(&mut self, asked: Duration) {
        self.trusted_until = asked + self.term.saturating_sub(self.term / MARGIN);
    }

    /// Releases a lease, once nothing is written under it any more.
    ///
    /// # Errors
    /// If the database cannot be used; the lease then ends by itself.
    pub async fn release(&mut self, name: &str) -> Result<(), StoreError> {
        self.giving_up.end(name);
        if let Some(lease) = self.held.remove(name) {
            self.leases.release(&[lease]).await?;
        }
        Ok(())
    }

    /// Releases all leases, and removes this daemon from the list.
    ///
    /// # Errors
    /// Like `release`.
    pub async fn release_all(&mut self) -> Result<(), StoreError> {
        let held: Vec<Lease> = std::mem::take(&mut self.held).into_values().collect();
        self.giving_up.current = None;
        self.leases.release(&held).await?;
        self.leases.leave(&self.me.name).await
    }
}
