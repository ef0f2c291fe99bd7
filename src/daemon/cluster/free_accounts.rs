//! A single pass beside other daemons.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::prior_state::PriorState;
use super::{TURN_EVERY, note_release};
use crate::clock::Clock;
use crate::daemon::parts::{Parts, limits};
use crate::domain::shares::account_lease;
use crate::jobs::leases::{LeaseChange, LeaseKeeper};
use crate::jobs::poll::PollSetup;
use crate::store::{Leases, Presence, Store, StoreError, process_name};

/// Term of the leases of a single pass, and number of searches for free ones before it begins.
const ONCE_TERM: Duration = Duration::from_secs(10);
const ONCE_TURNS: u32 = 3;

/// The accounts of a single pass (`run --once`): all, or those that no daemon polls at present.
pub(in crate::daemon) struct FreeAccounts {
    keeper: Option<LeaseKeeper>,
    clock: Arc<dyn Clock>,
}

impl FreeAccounts {
    /// Takes the free accounts, and leaves out the others.
    pub(in crate::daemon) async fn take(
        parts: &Parts,
        setups: Vec<PollSetup>,
    ) -> Result<(Self, Vec<PollSetup>), StoreError> {
        let clock = Arc::clone(&parts.clock);
        let Some(leases) = parts.store.leases() else {
            return Ok((
                Self {
                    keeper: None,
                    clock,
                },
                setups,
            ));
        };
        let accounts = setups.iter().map(|setup| setup.account.0.clone());
        let me = Presence {
            name: process_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            accounts: accounts.collect(),
        };
        let keeper = LeaseKeeper::new(Arc::clone(&leases), Arc::clone(&clock), me, ONCE_TERM);
        let mut free = Self {
            keeper: Some(keeper),
            clock,
        };
        let stores = free.take_leases(&leases).await?;
        let mut mine = Vec::new();
        for mut setup in setups {
            if let Some(store) = stores.get(&account_lease(&setup.account.0)) {
                setup.store = Arc::clone(store);
                free.take_over(parts, &setup).await?;
                mine.push(setup);
            } else {
                tracing::warn!(account = %setup.account, "account is polled by another daemon; left out");
            }
        }
        Ok((free, mine))
    }

    /// Goes on where the last owner of an account stopped. A refused key is tried by the probe at once: nobody
    /// else may be there to find out that it works again.
    async fn take_over(&self, parts: &Parts, setup: &PollSetup) -> Result<(), StoreError> {
        let (store, clock) = (setup.store.as_ref(), self.clock.as_ref());
        let prior = PriorState::read(store, &setup.account, clock).await?;
        let mut settings = parts.accounts.iter().map(|account| &account.settings);
        if let Some(settings) = settings.find(|own| own.name == setup.account.0) {
            let now = clock.monotonic();
            let mut limiter = setup.limiter.lock();
            prior.apply(&mut limiter, limits(settings), now);
            limiter.probe_soon(now);
        }
        Ok(())
    }

    /// Leaves a lease that another daemon should have free for a moment.
    async fn take_leases(
        &mut self,
        leases: &Arc<dyn Leases>,
    ) -> Result<BTreeMap<String, Arc<dyn Store>>, StoreError> {
        let mut stores = BTreeMap::new();
        if let Some(keeper) = &mut self.keeper {
            for _ in 0..ONCE_TURNS {
                keeper.run_once().await?;
                for change in keeper.take_changes() {
                    if let LeaseChange::Gained(lease) = change {
                        stores.insert(lease.name.clone(), leases.fenced(&lease));
                    }
                }
                self.clock.sleep(TURN_EVERY).await;
            }
        }
        Ok(stores)
    }

    /// Returns when a lease is lost; until then the held leases are renewed.
    pub(in crate::daemon) async fn keep(&mut self) {
        loop {
            self.clock.sleep(TURN_EVERY).await;
            if let Some(keeper) = &mut self.keeper {
                if let Err(error) = keeper.renew_when_due().await {
                    tracing::debug!(%error, "leases could not be renewed; retrying");
                }
                let is_lost = |change: &LeaseChange| matches!(change, LeaseChange::Lost(_));
                if keeper.take_changes().iter().any(is_lost) {
                    return;
                }
            }
        }
    }

    pub(in crate::daemon) async fn release(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            note_release(keeper.release_all().await);
        }
    }
}
