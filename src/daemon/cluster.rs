//! Polling shared by several daemons: one poller for each account whose lease this daemon holds.

mod free_accounts;
mod prior_state;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(super) use self::free_accounts::FreeAccounts;
use self::prior_state::PriorState;
use super::daemon_name;
use super::parts::{Parts, limits};
use crate::clock::Clock;
use crate::config::AccountConfig;
use crate::domain::invoice::AccountName;
use crate::domain::shares::{account_lease, account_of};
use crate::jobs::Heartbeat;
use crate::jobs::leases::{LeaseChange, LeaseKeeper};
use crate::jobs::poll::{PollSetup, Poller};
use crate::jobs::share::WorkShare;
use crate::limit::Limits;
use crate::store::{Lease, Leases, Presence, StoreError};

/// Interval of the search for free leases.
const TURN_EVERY: Duration = Duration::from_millis(500);
/// How long requests in flight may take when the daemon stops; the next owner repeats the rest.
const HANDED_OVER_WITHIN: Duration = Duration::from_millis(800);

/// What the polling of one daemon among several is made of.
pub struct SharedPollingParts {
    /// The leases of the database.
    pub leases: Arc<dyn Leases>,
    /// Where the daemon's other tasks find what is its part of the work.
    pub share: WorkShare,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// A name that no other daemon has.
    pub name: String,
    /// The term of its leases.
    pub term: Duration,
    /// The accounts that it could poll, each with its configured limits.
    pub accounts: Vec<(PollSetup, Limits)>,
    /// Of the task that keeps the leases.
    pub heartbeat: Heartbeat,
}

impl SharedPollingParts {
    pub(super) fn of(
        parts: &Parts,
        leases: Arc<dyn Leases>,
        setups: Vec<PollSetup>,
        heartbeat: Heartbeat,
    ) -> Self {
        let cluster = &parts.config.cluster;
        let name = daemon_name(&parts.config);
        let settings: BTreeMap<&str, &AccountConfig> = parts
            .accounts
            .iter()
            .map(|account| (account.settings.name.as_str(), &account.settings))
            .collect();
        let accounts = setups.into_iter().filter_map(|setup| {
            let limits = limits(settings.get(setup.account.0.as_str())?);
            Some((setup, limits))
        });
        Self {
            leases,
            share: parts.share.clone(),
            clock: Arc::clone(&parts.clock),
            name,
            term: cluster.lease,
            accounts: accounts.collect(),
            heartbeat,
        }
    }
}

/// The accounts of one daemon among several. Public for simulations with a database of their own.
pub struct SharedPolling {
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
    /// Held without a poller: what its last owner left could not be read yet.
    unstarted: Option<Lease>,
}

impl SharedAccount {
    fn new(setup: PollSetup, limits: Limits) -> Self {
        Self {
            setup,
            limits,
            running: None,
            unstarted: None,
        }
    }

    /// Without a lease nobody begins a request for the account, whichever task it is.
    fn stop_requests(&self, now: Duration) {
        self.setup.limiter.lock().trust_until(now);
    }
}

/// A poller under a lease.
struct RunningPoller {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl SharedPolling {
    /// The pollers of all accounts; no lease is taken yet.
    pub fn new(parts: SharedPollingParts) -> Self {
        let accounts: BTreeMap<String, SharedAccount> = parts
            .accounts
            .into_iter()
            .map(|(setup, limits)| {
                let name = setup.account.0.clone();
                (name, SharedAccount::new(setup, limits))
            })
            .collect();
        let me = Presence {
            name: parts.name,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            accounts: accounts.keys().cloned().collect(),
        };
        let (leases, clock) = (parts.leases, parts.clock);
        let keeper = LeaseKeeper::new(Arc::clone(&leases), Arc::clone(&clock), me, parts.term);
        Self {
            keeper,
            leases,
            share: parts.share,
            clock,
            accounts,
            heartbeat: parts.heartbeat,
            is_failing: false,
        }
    }

    /// Polls this daemon's accounts until `stop`, then hands them over.
    pub async fn run(mut self, stop: CancellationToken, reload: Arc<Notify>) {
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
        self.start_unstarted(reload).await;
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

    /// Updates the heartbeats of accounts that another daemon polls, and forgets what their gauges showed.
    fn beat(&self) {
        let now = self.clock.monotonic();
        self.heartbeat.beat(now);
        let idle = self
            .accounts
            .values()
            .filter(|account| account.running.is_none());
        for account in idle {
            account.setup.signals.heartbeat.beat(now);
            account.setup.signals.meter.leave();
        }
    }

    async fn apply(&mut self, change: LeaseChange, reload: &Arc<Notify>) {
        match change {
            LeaseChange::Gained(lease) => {
                tracing::info!(lease = lease.name, token = lease.token, "lease taken");
                if account_of(&lease.name).is_some() {
                    self.start(&lease, reload).await;
                } else {
                    self.share.gain(&lease.name, self.leases.fenced(&lease));
                }
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

    /// Starts the poller of an account where its last owner stopped. No request is made before what that
    /// owner left is known.
    async fn start(&mut self, lease: &Lease, reload: &Arc<Notify>) {
        let store = self.leases.fenced(lease);
        let trusted_until = self.keeper.trusted_until();
        let clock = Arc::clone(&self.clock);
        let share = self.share.clone();
        let Some(account) = self.account_mut(&lease.name) else {
            return;
        };
        let name = &account.setup.account;
        let prior = match PriorState::read(store.as_ref(), name, clock.as_ref()).await {
            Ok(prior) => prior,
            Err(error) => {
                if account.unstarted.replace(lease.clone()).is_none() {
                    tracing::warn!(account = %name, %error, "state of the account could not be read; polling begins once it is");
                }
                return;
            }
        };
        account.unstarted = None;
        let now = clock.monotonic();
        {
            let mut limiter = account.setup.limiter.lock();
            prior.apply(&mut limiter, account.limits, now);
            limiter.trust_until(trusted_until);
        }
        share.gain(&lease.name, Arc::clone(&store));
        account.setup.signals.heartbeat.beat(now);
        account.setup.signals.status_lines.put(&name.0, "polling");
        // Another jitter for each poller, and the same in each run of a simulation.
        account.setup.seed = fastrand::Rng::with_seed(account.setup.seed).u64(..);
        let setup = PollSetup {
            store,
            ..account.setup.clone()
        };
        let stop = CancellationToken::new();
        let task = Poller::new(setup).run(stop.clone(), Arc::clone(reload));
        account.running = Some(RunningPoller {
            task: tokio::spawn(task),
            stop,
        });
    }

    async fn start_unstarted(&mut self, reload: &Arc<Notify>) {
        let accounts = self.accounts.values();
        let unstarted: Vec<Lease> = accounts
            .filter_map(|account| account.unstarted.clone())
            .collect();
        for lease in unstarted {
            self.start(&lease, reload).await;
        }
    }

    fn abort(&mut self, lease: &str) {
        let now = self.clock.monotonic();
        let Some(account) = self.account_mut(lease) else {
            return;
        };
        account.unstarted = None;
        if let Some(running) = account.running.take() {
            running.task.abort();
            account.stop_requests(now);
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
        if let Some(account) = self.account_mut(lease) {
            account.unstarted = None;
        }
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
            account.stop_requests(self.clock.monotonic());
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

fn note_release(released: Result<(), StoreError>) {
    if let Err(error) = released {
        tracing::warn!(%error, "leases could not be released; they end by themselves");
    }
}
