//! One daemon among several: its tasks as the composition root starts them, on a machine of its own.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use payrecond::clock::{Clock, CorrectedClock};
use payrecond::daemon::{SharedPolling, SharedPollingParts, clock_loop, intake_loop};
use payrecond::domain::decide::Rules;
use payrecond::domain::invoice::AccountName;
use payrecond::jobs::audit::Audit;
use payrecond::jobs::database_clock::DatabaseClock;
use payrecond::jobs::intake::Intake;
use payrecond::jobs::poll::PollSetup;
use payrecond::jobs::share::WorkShare;
use payrecond::jobs::{CommitSignal, Heartbeat};
use payrecond::limit::{Limits, SharedLimiter};
use payrecond::store::sqlite::SqliteStore;
use payrecond::store::{Leases, Store};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::cluster::leases::{DaemonLeases, daemon_name};
use crate::cluster::machine::Machine;
use crate::cluster::nature::ClusterNature;
use crate::cluster::server::{Connection, Server};
use crate::cluster::stdout::StdoutInTurn;
use crate::disk::{Disk, Reaper};
use crate::life::{Cradle, one_by_one, provider_of};
use crate::readers::{Output, SharedPipe};
use crate::trace::Trace;
use crate::world::SharedWorld;

/// A daemon that runs.
pub struct Member {
    pub machine: Machine,
    pub reaper: Arc<Reaper>,
    pub is_bad: Arc<AtomicBool>,
    pub is_cut: Arc<AtomicBool>,
    pub has_ended: Arc<AtomicBool>,
    pub stop: CancellationToken,
    pub reload: Arc<Notify>,
    pub pipe: SharedPipe,
    pub share: WorkShare,
    clock: SharedClock,
    own_clock: Arc<dyn Clock>,
    limiters: Vec<SharedLimiter>,
}

/// Tasks by the order in which they end.
#[derive(Default)]
struct Tasks {
    polling: JoinSet<()>,
    others: JoinSet<()>,
    feed: JoinSet<()>,
}

impl Member {
    pub fn is_well(&self) -> bool {
        let set = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        !self.reaper.is_dead() && !set(&self.is_bad) && !set(&self.is_cut)
    }

    /// Begins an audit of an account.
    pub fn audit(&self, n: usize, account: usize, world: &SharedWorld) {
        let own = world.lock().nature.accounts[account].clone();
        let name = AccountName(own.name);
        let Some(store) = self.share.account(&name) else {
            return;
        };
        let audit = Audit {
            provider: provider_of(n, account, world, &self.clock, own.shape),
            account: name,
            store,
            clock: Arc::clone(&self.own_clock),
            limiter: self.limiters[account].clone(),
            rules: Rules::default(),
            adopt: false,
            borrowed: None,
            polled_until: Some(self.stop.clone()),
        };
        let (trace, share) = (Arc::clone(&world.trace), self.share.clone());
        self.machine.handle().spawn(async move {
            let clock = audit.clock.as_ref();
            let run = |store| {
                let audit = audit.with_store(store);
                async move { audit.run_once().await }
            };
            let said = share.while_held(&audit.account, clock, run).await;
            let said = said.map(|report| report.map(|report| report.said));
            trace.tell(format_args!("{:8} audit: {said:?}", audit.account.0));
        });
    }
}

impl Cradle<'_> {
    /// Starts a daemon as one of several.
    pub fn start_member(mut self, server: &Server, inner: &Arc<SqliteStore>, life: u32) -> Member {
        let machine = Machine::new();
        let inside = machine.handle().enter();
        let reaper = Arc::new(Reaper::new(self.death));
        let (is_bad, is_cut) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let disk = self.disk_of(server, inner, &reaper, (&is_bad, &is_cut));
        let leases = Arc::new(DaemonLeases {
            disk: disk.clone(),
            table: Arc::clone(&server.leases),
        });
        let database_clock = self.correct_clock(server, &leases);
        let store: Arc<dyn Store> = Arc::new(disk);
        let wake = Arc::new(Notify::new());
        let committed = Arc::new(CommitSignal::new(vec![Arc::clone(&wake)]));
        let limiters = self.limiters();
        let own = self.accounts();
        let (changed, told) = one_by_one(own.len() + 1);
        let mut told = told.into_iter();
        let setups = self.setups(own, &limiters, (&store, &committed), told.by_ref());
        let share = WorkShare::shared(Arc::clone(&store));
        let (stop, reload) = (CancellationToken::new(), Arc::new(Notify::new()));
        let name = daemon_name(self.daemon, life);
        let mut tasks = Tasks::default();
        let known = setups.iter().map(|(setup, _)| setup.account.clone());
        let intake = self.shared_intake(&store, known.collect(), share.clone());
        let polling = SharedPolling::new(SharedPollingParts {
            leases: Arc::clone(&leases) as Arc<dyn Leases>,
            share: share.clone(),
            clock: Arc::clone(&self.own_clock),
            name: name.clone(),
            term: self.cluster(|nature| nature.term),
            accounts: setups,
            heartbeat: Heartbeat::default(),
        });
        tasks
            .polling
            .spawn(polling.run(stop.clone(), Arc::clone(&reload)));
        let (clock, interval) = (Arc::clone(&self.own_clock), self.intake_interval());
        let intake = intake_loop(intake, clock, interval, changed, stop.clone());
        tasks.others.spawn(intake);
        let clock = Arc::clone(&self.own_clock);
        let clock = clock_loop(database_clock, clock, stop.clone());
        tasks.others.spawn(clock);
        let flush = CancellationToken::new();
        if let Some(told) = told.next() {
            let stdout = self.stdout_in_turn(leases, &reaper, name, (wake, told));
            tasks.feed.spawn(stdout.deliver(flush.clone()));
        }
        let has_ended = Arc::new(AtomicBool::new(false));
        let ends = (stop.clone(), flush, Arc::clone(&has_ended));
        tokio::spawn(tasks.supervise(ends, Arc::clone(&self.world.trace)));
        drop(inside);
        Member {
            machine,
            reaper,
            is_bad,
            is_cut,
            has_ended,
            stop,
            reload,
            pipe: Arc::clone(self.pipe),
            share,
            clock: Arc::clone(self.clock),
            own_clock: Arc::clone(&self.own_clock),
            limiters,
        }
    }
}

impl Cradle<'_> {
    /// Corrects this daemon's clock by the database's, as its start does before anything else.
    fn correct_clock(&mut self, server: &Server, leases: &Arc<DaemonLeases>) -> Arc<DatabaseClock> {
        let corrected = CorrectedClock::over(Arc::clone(&self.own_clock));
        corrected.correct(corrected.monotonic(), server.clock.now());
        self.own_clock = Arc::clone(&corrected) as Arc<dyn Clock>;
        let leases = Arc::clone(leases) as Arc<dyn Leases>;
        Arc::new(DatabaseClock::new(Some(leases), corrected))
    }

    fn setups(
        &mut self,
        own: Vec<usize>,
        limiters: &[SharedLimiter],
        (store, committed): (&Arc<dyn Store>, &Arc<CommitSignal>),
        told: impl Iterator<Item = watch::Receiver<()>>,
    ) -> Vec<(PollSetup, Limits)> {
        let mut setups = Vec::new();
        for (account, told) in own.into_iter().zip(told) {
            let limiter = limiters[account].clone();
            let setup = self.poller(account, limiter, store, committed, told);
            setups.push((setup, self.world.lock().nature.accounts[account].limits));
        }
        setups
    }

    fn disk_of(
        &mut self,
        server: &Server,
        inner: &Arc<SqliteStore>,
        reaper: &Arc<Reaper>,
        (is_bad, is_cut): (&Arc<AtomicBool>, &Arc<AtomicBool>),
    ) -> Disk {
        let lags = self.cluster(|nature| nature.lags);
        Disk {
            inner: Arc::clone(inner),
            world: self.world.clone(),
            clock: Arc::clone(self.clock),
            reaper: Arc::clone(reaper),
            is_bad: Arc::clone(is_bad),
            rng: Arc::new(Mutex::new(self.rng.fork())),
            calls: Arc::new(AtomicU32::new(0)),
            server: Some(Connection {
                daemon: self.daemon,
                clock: Arc::clone(&server.clock),
                leases: Arc::clone(&server.leases),
                statements: server.machine.handle().clone(),
                posts: Arc::clone(&server.posts),
                is_cut: Arc::clone(is_cut),
                lags,
                lease: None,
            }),
        }
    }

    fn cluster<T>(&self, read: impl FnOnce(&ClusterNature) -> T) -> T {
        let world = self.world.lock();
        read(world.nature.cluster.as_ref().unwrap())
    }

    fn intake_interval(&self) -> Duration {
        self.world.lock().nature.intake_interval
    }

    /// The accounts that it knows.
    fn accounts(&self) -> Vec<usize> {
        self.cluster(|nature| nature.daemons[self.daemon].accounts.clone())
    }

    fn limiters(&self) -> Vec<SharedLimiter> {
        let world = self.world.lock();
        let limits = world.nature.accounts.iter().map(|account| account.limits);
        let now = self.clock.monotonic();
        limits
            .map(|limits| SharedLimiter::new(limits, now))
            .collect()
    }

    fn shared_intake(
        &self,
        store: &Arc<dyn Store>,
        known: Vec<AccountName>,
        share: WorkShare,
    ) -> Intake {
        let clock = Arc::clone(&self.own_clock);
        let cadence = self.world.lock().nature.cadence.clone();
        let store = Arc::clone(store);
        Intake::new(store, clock, cadence, known, Heartbeat::default()).sharing(share)
    }

    fn stdout_in_turn(
        &mut self,
        leases: Arc<DaemonLeases>,
        reaper: &Arc<Reaper>,
        owner: String,
        (committed, changed): (Arc<Notify>, watch::Receiver<()>),
    ) -> StdoutInTurn {
        let (pipe, clock) = (Arc::clone(self.pipe), Arc::clone(self.clock));
        let (reaper, trace) = (Arc::clone(reaper), Arc::clone(&self.world.trace));
        let rng = self.rng.fork();
        let interval = self.intake_interval();
        StdoutInTurn {
            leases,
            owner,
            term: self.cluster(|nature| nature.term),
            clock: Arc::clone(self.clock),
            committed,
            changed,
            interval,
            output: Box::new(move || Output {
                pipe: Arc::clone(&pipe),
                clock: Arc::clone(&clock),
                reaper: Arc::clone(&reaper),
                trace: Arc::clone(&trace),
                rng: rng.clone(),
                stall: None,
            }),
        }
    }
}

impl Tasks {
    /// Ends them as the composition root does, once it is told to.
    async fn supervise(
        mut self,
        (stop, flush, has_ended): (CancellationToken, CancellationToken, Arc<AtomicBool>),
        trace: Arc<Trace>,
    ) {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            Some(ended) = self.polling.join_next() => {
                trace.broken("polling does not end by itself", format!("{ended:?}"));
            }
        }
        for tasks in [&mut self.polling, &mut self.others] {
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap();
            }
        }
        flush.cancel();
        while let Some(ended) = self.feed.join_next().await {
            ended.unwrap();
        }
        has_ended.store(true, Ordering::Relaxed);
    }
}
