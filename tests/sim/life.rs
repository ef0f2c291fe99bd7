//! One life of the daemon: the real tasks, started as the composition root starts them, on this
//! world's clock, provider and disk.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex};

use payrecond::clock::Clock;
use payrecond::daemon::{FeedWakes, STDOUT_CONSUMER, feed_loop, intake_loop};
use payrecond::domain::decide::Rules;
use payrecond::domain::invoice::AccountName;
use payrecond::feed::Format;
use payrecond::jobs::audit::Audit;
use payrecond::jobs::feed::{Delivery, Feed, Frames};
use payrecond::jobs::intake::Intake;
use payrecond::jobs::poll::{PollSettings, PollSetup, PollSignals, Poller};
use payrecond::jobs::{CommitSignal, Heartbeat, StatusLines};
use payrecond::limit::SharedLimiter;
use payrecond::metrics::Metrics;
use payrecond::provider::{ApiKey, Provider};
use payrecond::store::Store;
use payrecond::store::sqlite::{SqliteOptions, SqliteStore, migrate};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::disk::{Death, Disk, Reaper, wait_for};
use crate::ledger::server;
use crate::nature::Shape;
use crate::provider::SimProvider;
use crate::readers::{Output, SharedPipe};
use crate::shop::Shop;
use crate::stream::{STREAM, SharedStream, StreamEnd};
use crate::world::SharedWorld;

/// What a life needs of the world.
pub struct Cradle<'a> {
    pub path: &'a Path,
    pub clock: &'a SharedClock,
    pub world: &'a SharedWorld,
    pub pipe: &'a SharedPipe,
    /// The second sink, where there is one.
    pub stream: Option<&'a SharedStream>,
    pub death: Option<Death>,
    pub rng: &'a mut fastrand::Rng,
}

/// A daemon that runs.
pub struct Life {
    pub store: Arc<SqliteStore>,
    pub reaper: Arc<Reaper>,
    pub is_bad: Arc<AtomicBool>,
    pub pollers: JoinSet<()>,
    others: JoinSet<()>,
    feed: JoinSet<()>,
    stop: CancellationToken,
    flush: CancellationToken,
    pub reload: Arc<Notify>,
    disk: Arc<dyn Store>,
    /// By account.
    limiters: Vec<SharedLimiter>,
    audits: JoinSet<()>,
}

impl Cradle<'_> {
    /// Brings the database up to date and opens it. Outside of any runtime.
    pub fn open(&self) -> Arc<SqliteStore> {
        let migrated = wait_for(migrate(self.path, self.clock.now())).unwrap();
        let put_back = migrated.put_back;
        self.world
            .trace
            .tell(format_args!("the daemon starts, put back: {put_back}"));
        let mut shop = Shop::open(self.path, self.clock);
        shop.take_over_time();
        shop.close();
        let options = SqliteOptions {
            rest_beside_others: std::time::Duration::ZERO,
            ..SqliteOptions::new(self.path.to_owned(), "payments")
        };
        Arc::new(wait_for(SqliteStore::open(options)).unwrap())
    }

    /// Starts all tasks. Within the runtime of this life.
    pub fn start(mut self, inner: Arc<SqliteStore>) -> Life {
        let reaper = Arc::new(Reaper::new(self.death));
        let is_bad = Arc::new(AtomicBool::new(false));
        let disk: Arc<dyn Store> = Arc::new(Disk {
            inner: Arc::clone(&inner),
            world: self.world.clone(),
            clock: Arc::clone(self.clock),
            reaper: Arc::clone(&reaper),
            is_bad: Arc::clone(&is_bad),
            rng: Mutex::new(self.rng.fork()),
            calls: AtomicU32::new(0),
        });
        let (stop, flush) = (CancellationToken::new(), CancellationToken::new());
        let (wake, reload) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let wake_stream = Arc::new(Notify::new());
        let wakes = vec![Arc::clone(&wake), Arc::clone(&wake_stream)];
        let committed = Arc::new(CommitSignal::new(wakes));
        let limiters: Vec<SharedLimiter> = {
            let world = self.world.lock();
            let limits = world.nature.accounts.iter().map(|account| account.limits);
            let now = self.clock.monotonic();
            limits
                .map(|limits| SharedLimiter::new(limits, now))
                .collect()
        };
        let accounts = limiters.len();
        let feeds = 1 + usize::from(self.stream.is_some());
        let (changed, told) = one_by_one(accounts + feeds);
        let mut told = told.into_iter();
        let mut pollers = JoinSet::new();
        for (account, told) in told.by_ref().take(accounts).enumerate() {
            let limiter = limiters[account].clone();
            let setup = self.poller(account, limiter, &disk, &committed, told);
            pollers.spawn(Poller::new(setup).run(stop.clone(), Arc::clone(&reload)));
        }
        let interval = self.world.lock().nature.intake_interval;
        let clock = Arc::clone(self.clock) as Arc<dyn Clock>;
        let wakes = self.wakes(wake, told.next().unwrap());
        let mut others = JoinSet::new();
        let intake = self.intake(&disk);
        others.spawn(intake_loop(intake, clock, interval, changed, stop.clone()));
        let mut feed = JoinSet::new();
        let delivery = self.feed(&disk, &inner, &reaper);
        feed.spawn(feed_loop(delivery, wakes, flush.clone()));
        if let (Some(delivery), Some(changed)) =
            (self.stream_feed(&disk, &inner, &reaper), told.next())
        {
            let wakes = self.wakes(wake_stream, changed);
            feed.spawn(feed_loop(delivery, wakes, flush.clone()));
        }
        Life {
            store: inner,
            reaper,
            is_bad,
            pollers,
            others,
            feed,
            stop,
            flush,
            reload,
            disk,
            limiters,
            audits: JoinSet::new(),
        }
    }

    fn poller(
        &mut self,
        account: usize,
        limiter: SharedLimiter,
        disk: &Arc<dyn Store>,
        committed: &Arc<CommitSignal>,
        changed: watch::Receiver<()>,
    ) -> PollSetup {
        let world = self.world.lock();
        let (nature, own) = (&world.nature, &world.nature.accounts[account]);
        PollSetup {
            account: AccountName(own.name.clone()),
            provider: provider_of(account, self.world, self.clock, own.shape),
            read_key: Arc::new(|| ApiKey::from_bytes(b"a key").map_err(str::to_owned)),
            store: Arc::clone(disk),
            clock: Arc::clone(self.clock) as Arc<dyn Clock>,
            limiter,
            settings: PollSettings {
                cadence: nature.cadence.clone(),
                not_found_grace: nature.not_found_grace,
                rules: Rules {
                    deadline_grace: nature.deadline_grace,
                    ..Rules::default()
                },
                intake_interval: nature.intake_interval,
                strategy: own.strategy,
                list_bytes_per_second: own.list_bytes_per_second,
            },
            signals: PollSignals {
                committed: Arc::clone(committed),
                changed,
                heartbeat: Heartbeat::default(),
                status_lines: StatusLines::default(),
                meter: Metrics::new().account(&own.name),
            },
            seed: self.rng.u64(..),
        }
    }

    fn intake(&self, disk: &Arc<dyn Store>) -> Intake {
        let world = self.world.lock();
        let accounts = world.nature.accounts.iter();
        Intake::new(
            Arc::clone(disk),
            Arc::clone(self.clock) as Arc<dyn Clock>,
            world.nature.cadence.clone(),
            accounts.map(|a| AccountName(a.name.clone())).collect(),
            Heartbeat::default(),
        )
    }

    fn feed(
        &mut self,
        disk: &Arc<dyn Store>,
        inner: &Arc<SqliteStore>,
        reaper: &Arc<Reaper>,
    ) -> Feed<Frames<Output>> {
        let delivery = Delivery {
            format: Format::Jsonl,
            consumer: Some(STDOUT_CONSUMER.to_owned()),
            pattern: None,
        };
        let output = Output {
            pipe: Arc::clone(self.pipe),
            clock: Arc::clone(self.clock),
            reaper: Arc::clone(reaper),
            trace: Arc::clone(&self.world.trace),
            rng: self.rng.fork(),
            stall: None,
        };
        let place = wait_for(inner.consumer(STDOUT_CONSUMER)).unwrap();
        Feed::new(Arc::clone(disk), delivery, place, output)
    }
}

impl Cradle<'_> {
    fn wakes(&self, committed: Arc<Notify>, changed: watch::Receiver<()>) -> FeedWakes {
        FeedWakes {
            clock: Arc::clone(self.clock) as Arc<dyn Clock>,
            committed,
            changed,
            interval: self.world.lock().nature.intake_interval,
        }
    }

    /// The feed of the second sink. It draws from a fork of its own, so that the world is the same without it.
    fn stream_feed(
        &self,
        disk: &Arc<dyn Store>,
        inner: &Arc<SqliteStore>,
        reaper: &Arc<Reaper>,
    ) -> Option<Feed<StreamEnd>> {
        let stream = self.stream?;
        let end = StreamEnd {
            stream: Arc::clone(stream),
            store: Arc::clone(disk),
            reaper: Arc::clone(reaper),
            trace: Arc::clone(&self.world.trace),
            rng: self.rng.clone().fork(),
            knows_end: false,
        };
        let place = wait_for(inner.consumer(STREAM)).unwrap();
        let consumer = Some(STREAM.to_owned());
        Some(Feed::into_sink(Arc::clone(disk), consumer, place, end))
    }
}

/// What stands before the provider of an account.
fn provider_of(
    account: usize,
    world: &SharedWorld,
    clock: &SharedClock,
    shape: Shape,
) -> Arc<dyn Provider> {
    let sim = SimProvider {
        account,
        shape,
        world: world.clone(),
        clock: Arc::clone(clock),
    };
    match shape {
        Shape::Positions | Shape::Batch(_) | Shape::Spans => Arc::new(sim),
        Shape::Ledger(kind) => server::client(sim, kind),
    }
}

/// A word that is passed on to each receiver in turn: a channel with several receivers wakes them
/// in an order that is another in each run. Within a runtime.
fn one_by_one(receivers: usize) -> (watch::Sender<()>, Vec<watch::Receiver<()>>) {
    let (sender, mut heard) = watch::channel(());
    let own: Vec<watch::Sender<()>> = (0..receivers).map(|_| watch::Sender::new(())).collect();
    let told = own.iter().map(watch::Sender::subscribe).collect();
    tokio::spawn(async move {
        while heard.changed().await.is_ok() {
            for sender in &own {
                sender.send_modify(|()| {});
            }
        }
    });
    (sender, told)
}

impl Life {
    /// Begins an audit of one account. Nobody waits for its end, as in the daemon.
    pub fn audit(&mut self, account: usize, world: &SharedWorld, clock: &SharedClock) {
        let own = world.lock().nature.accounts[account].clone();
        let provider = provider_of(account, world, clock, own.shape);
        let audit = Audit {
            account: AccountName(own.name),
            provider,
            store: Arc::clone(&self.disk),
            clock: Arc::clone(clock) as Arc<dyn Clock>,
            limiter: self.limiters[account].clone(),
            rules: Rules::default(),
            adopt: false,
            borrowed: None,
            polled_until: Some(self.stop.clone()),
        };
        let trace = Arc::clone(&world.trace);
        self.audits.spawn(async move {
            let said = audit.run_once().await.map(|report| report.said);
            trace.tell(format_args!("{:8} audit: {said:?}", audit.account.0));
        });
    }

    /// Ends as the composition root ends: tasks first, then what is left for the feed.
    pub async fn end_well(&mut self) {
        self.stop.cancel();
        while let Some(ended) = self.pollers.join_next().await {
            ended.unwrap();
        }
        while let Some(ended) = self.others.join_next().await {
            ended.unwrap();
        }
        self.flush.cancel();
        while let Some(ended) = self.feed.join_next().await {
            ended.unwrap();
        }
    }
}
