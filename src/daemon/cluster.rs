//! Polling shared by several daemons: one poller for each account whose lease this daemon holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::parts::{Parts, limits};
use crate::clock::Clock;
use crate::config::AccountConfig;
use crate::domain::account::AccountState;
use crate::domain::invoice::AccountName;
use crate::domain::shares::{account_lease, account_of};
use crate::jobs::Heartbeat;
use crate::jobs::leases::{LeaseChange, LeaseKeeper};
use crate::jobs::poll::{PollSetup, Poller};
use crate::jobs::share::WorkShare;
use crate::limit::Limits;
use crate::store::{Lease, Leases, Presence, Store, StoreError, process_name};

/// Interval of the search for free leases.
const TURN_EVERY: Duration = Duration::from_millis(500);
/// How long requests in flight may take when the daemon stops; the next owner repeats the rest.
const HANDED_OVER_WITHIN: Duration = Duration::from_millis(800);

/// Term of the leases of a single pass, and number of searches for free ones before it begins.
const ONCE_TERM: Duration = Duration::from_secs(10);
const ONCE_TURNS: u32 = 3;

/// The accounts of one daemon among several.
pub(super) struct SharedPolling {
    leases: Arc<dyn Leases>,
    keeper: LeaseKeeper,
    share: WorkShare,
    clock: Arc<dyn Clock>,
    accounts: BTreeMap<String, SharedAccount>,
    heartbeat: Heartbeat,
    is_failing: bool,
}

/// An account that this daemon could poll.
struct SharedAccount {
    setup: PollSetup,
    limits: Limits,
    running: Option<RunningPoller>,
}

/// A poller under a lease.
struct RunningPoller {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl SharedPolling {
    /// The pollers of all accounts; no lease is taken yet.
    pub(super) fn new(
        parts: &Parts,
        leases: Arc<dyn Leases>,
        setups: Vec<PollSetup>,
        heartbeat: Heartbeat,
    ) -> Self {
        let cluster = &parts.config.cluster;
        let name = match cluster.name.as_str() {
            "" => process_name(),
            name => name.to_owned(),
        };
        let settings: BTreeMap<&str, &AccountConfig> = parts
            .accounts
            .iter()
            .map(|account| (account.settings.name.as_str(), &account.settings))
            .collect();
        let accounts: BTreeMap<String, SharedAccount> = setups
            .into_iter()
            .filter_map(|setup| {
                let limits = limits(settings.get(setup.account.0.as_str())?);
                let name = setup.account.0.clone();
                let account = SharedAccount {
                    setup,
                    limits,
                    running: None,
                };
                Some((name, account))
            })
            .collect();
        let me = Presence {
            name,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            accounts: accounts.keys().cloned().collect(),
        };
        let clock = Arc::clone(&parts.clock);
        Self {
            keeper: LeaseKeeper::new(Arc::clone(&leases), clock, me, cluster.lease),
            leases,
            share: parts.share.clone(),
            clock: Arc::clone(&parts.clock),
            accounts,
            heartbeat,
            is_failing: false,
        }
    }

    /// Polls this daemon's accounts until `stop`, then hands them over.
    pub(super) async fn run(mut self, stop: CancellationToken, reload: Arc<Notify>) {
        while !stop.is_cancelled() {
            self.turn(&reload).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = self.clock.sleep(TURN_EVERY) => {}
            }
        }
        self.hand_over().await;
    }

    async fn turn(&mut self, reload: &Arc<Notify>) {
        self.beat();
        let turned = self.keeper.run_once().await;
        for change in self.keeper.take_changes() {
            self.apply(change, reload).await;
        }
        let known = self.keeper.view().known_accounts();
        let known = known.map(|name| AccountName(name.to_owned())).collect();
        self.share.note_known(known);
        match turned {
            Ok(()) => self.is_failing = false,
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "leases could not be renewed; retrying");
                }
            }
        }
        self.trust();
        self.release_finished().await;
    }

    /// Updates the heartbeats of accounts that another daemon polls.
    fn beat(&self) {
        let now = self.clock.monotonic();
        self.heartbeat.beat(now);
        let idle = self
            .accounts
            .values()
            .filter(|account| account.running.is_none());
        for account in idle {
            account.setup.signals.heartbeat.beat(now);
        }
    }

    async fn apply(&mut self, change: LeaseChange, reload: &Arc<Notify>) {
        match change {
            LeaseChange::Gained(lease) => {
                tracing::info!(lease = lease.name, token = lease.token, "lease taken");
                self.share.gain(&lease.name, self.leases.fenced(&lease));
                self.start(&lease, reload).await;
            }
            LeaseChange::Lost(name) => {
                tracing::warn!(lease = name, "lease lost to another daemon");
                self.share.lose(&name);
                self.abort(&name);
            }
            LeaseChange::GiveUp(name) => {
                tracing::info!(
                    lease = name,
                    "lease given up; another daemon has fewer accounts"
                );
                match self
                    .account_mut(&name)
                    .and_then(|account| account.running.as_ref())
                {
                    Some(running) => running.stop.cancel(),
                    None => self.release(&name).await,
                }
            }
        }
    }

    /// Starts the poller of an account where its previous owner stopped.
    async fn start(&mut self, lease: &Lease, reload: &Arc<Notify>) {
        let store = self.leases.fenced(lease);
        let trusted_until = self.keeper.trusted_until();
        let clock = Arc::clone(&self.clock);
        let Some(account) = self.account_mut(&lease.name) else {
            return;
        };
        let name = &account.setup.account;
        // If the record is unknown, an empty one is used, which is cautious enough because the
        // bucket is empty.
        let record = store.account(name).await.unwrap_or_default();
        let (wall, now) = (clock.now(), clock.monotonic());
        let refused = record
            .as_ref()
            .filter(|record| record.state == AccountState::KeyRefused)
            .map(|record| record.last_error.clone().unwrap_or_default());
        let held = record
            .and_then(|record| record.resume_at)
            .map(|at| at.since(wall));
        {
            let mut limiter = account.setup.limiter.lock();
            limiter.take_over(account.limits, refused, held, now);
            limiter.trust_until(trusted_until);
        }
        account.setup.signals.heartbeat.beat(now);
        account.setup.signals.status_lines.put(&name.0, "polling");
        let setup = PollSetup {
            store,
            seed: fastrand::u64(..),
            ..account.setup.clone()
        };
        let stop = CancellationToken::new();
        let task = Poller::new(setup).run(stop.clone(), Arc::clone(reload));
        account.running = Some(RunningPoller {
            task: tokio::spawn(task),
            stop,
        });
    }

    fn abort(&mut self, lease: &str) {
        if let Some(account) = self.account_mut(lease)
            && let Some(running) = account.running.take()
        {
            running.task.abort();
            account
                .setup
                .signals
                .status_lines
                .put(&account.setup.account.0, "polled by another daemon");
        }
    }

    /// Allows requests only while the leases are certainly held.
    fn trust(&self) {
        let trusted_until = self.keeper.trusted_until();
        for account in self
            .accounts
            .values()
            .filter(|account| account.running.is_some())
        {
            account.setup.limiter.lock().trust_until(trusted_until);
        }
    }

    /// Releases the leases of pollers that were asked to finish and have done so.
    async fn release_finished(&mut self) {
        let finished = |account: &SharedAccount| {
            let running = account.running.as_ref();
            running.is_some_and(|running| running.stop.is_cancelled() && running.task.is_finished())
        };
        let names: Vec<String> = self
            .accounts
            .iter()
            .filter(|(_, account)| finished(account))
            .map(|(name, _)| account_lease(name))
            .collect();
        for name in names {
            self.abort(&name);
            self.release(&name).await;
        }
    }

    async fn release(&mut self, lease: &str) {
        self.share.lose(lease);
        note_release(self.keeper.release(lease).await);
    }

    /// Ends all pollers and releases their leases, so that other daemons take over at once.
    async fn hand_over(&mut self) {
        for running in self
            .accounts
            .values()
            .filter_map(|account| account.running.as_ref())
        {
            running.stop.cancel();
        }
        let until = self.clock.monotonic() + HANDED_OVER_WITHIN;
        while self.clock.monotonic() < until && self.is_polling() {
            self.clock.sleep(Duration::from_millis(10)).await;
        }
        for account in self.accounts.values_mut() {
            if let Some(running) = account.running.take() {
                running.task.abort();
            }
        }
        note_release(self.keeper.release_all().await);
    }

    fn is_polling(&self) -> bool {
        let mut running = self
            .accounts
            .values()
            .filter_map(|account| account.running.as_ref());
        running.any(|running| !running.task.is_finished())
    }

    fn account_mut(&mut self, lease: &str) -> Option<&mut SharedAccount> {
        self.accounts.get_mut(account_of(lease)?)
    }
}

/// The accounts of a single pass (`run --once`): all, or those that no daemon polls at present.
pub(super) struct FreeAccounts {
    keeper: Option<LeaseKeeper>,
    clock: Arc<dyn Clock>,
}

impl FreeAccounts {
    /// Takes the free accounts, and leaves out the others.
    pub(super) async fn take(
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
                mine.push(setup);
            } else {
                tracing::warn!(account = %setup.account, "account is polled by another daemon; left out");
            }
        }
        Ok((free, mine))
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
    pub(super) async fn keep(&mut self) {
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

    pub(super) async fn release(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            note_release(keeper.release_all().await);
        }
    }
}

fn note_release(released: Result<(), StoreError>) {
    if let Err(error) = released {
        tracing::warn!(%error, "leases could not be released; they end by themselves");
    }
}
