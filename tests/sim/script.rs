//! The story of one seed: lives of the daemon one after the other, all that happens beside them,
//! and the judgement at the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use payrecond::clock::Clock as _;
use payrecond::domain::decide::decide;
use payrecond::domain::invoice::InvoiceId;
use payrecond::domain::sighting::{News, OrderState, Verdict};
use payrecond::domain::state::Status;
use payrecond::jobs::poll::Strategy;
use payrecond::store::Store as _;
use payrecond::store::sqlite::{SqliteStore, restore};
use tokio::runtime::Builder;

use crate::clock::{SharedClock, SimClock};
use crate::disk::{Death, Place, wait_for};
use crate::life::{Cradle, Life};
use crate::model::{self, Remains};
use crate::nature::Nature;
use crate::readers::{BOT, Readers, lock};
use crate::shop::Shop;
use crate::trace::{Broken, Trace};
use crate::world::{Fate, Kind, NewOrder, SharedWorld, Weather, World};

/// After the person and the last nudges, so long for the last looks.
const LAST_LOOKS: Duration = Duration::from_mins(4);
/// Between two looks at whether everything has settled: then the rest need not be waited for.
const CHECK_EVERY: Duration = Duration::from_secs(20);

/// What happens beside the daemon.
#[derive(Clone, Copy, Debug)]
enum Deed {
    DropIn(usize),
    Nudge(usize),
    Metadata(usize),
    Weather(usize, Weather),
    /// The wall clock jumps by so many seconds.
    Jump(i64),
    BadDisk(bool),
    BotReads,
    KeeperReads,
    Backup,
    ReaderStalls(Duration),
    ReaderGoes,
    Reload,
    Audit(usize),
    /// The daemon is told to stop, and started again.
    Restart,
    TroubleEnds,
    /// Is everything as it should be already?
    Check,
    PersonDecides,
    End,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Killed,
    Stopped,
    Done,
}

/// What came of a seed.
pub struct Outcome {
    pub broken: Option<Broken>,
    pub story: Vec<String>,
    pub tally: Tally,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub lives: u64,
    pub put_back: u64,
    pub requests: u64,
    pub events: u64,
    pub virtual_s: u64,
    /// Paid orders whose request an older copy knew only as too late.
    pub forgotten: u64,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.lives += other.lives;
        self.put_back += other.put_back;
        self.requests += other.requests;
        self.events += other.events;
        self.virtual_s += other.virtual_s;
        self.forgotten += other.forgotten;
    }
}

struct Copy {
    file: PathBuf,
    highest_seq: i64,
}

/// A seed under way.
struct Story {
    clock: SharedClock,
    trace: Arc<Trace>,
    world: SharedWorld,
    rng: fastrand::Rng,
    folder: tempfile::TempDir,
    path: PathBuf,
    deeds: BTreeMap<(Duration, usize), Deed>,
    readers: Readers,
    copies: Vec<Copy>,
    shop: Option<Shop>,
    trouble: bool,
    /// Once more after the trouble, before the last life.
    may_put_back: bool,
    tally: Tally,
}

/// Lives through a seed.
pub fn live_through(seed: u64, keep: impl FnOnce(Arc<Trace>)) -> Outcome {
    let mut rng = fastrand::Rng::with_seed(seed);
    let clock = Arc::new(SimClock::default());
    let trace = Arc::new(Trace::new(Arc::clone(&clock)));
    keep(Arc::clone(&trace));
    let nature = Nature::of(&mut rng);
    trace.tell(format_args!("seed {seed}: {nature:?}"));
    let world = SharedWorld::new(World::new(nature, rng.fork()), Arc::clone(&trace));
    let folder = folder();
    let mut story = Story {
        path: folder.path().join("sim.db"),
        clock,
        trace,
        world,
        rng,
        folder,
        deeds: BTreeMap::new(),
        readers: Readers::default(),
        copies: Vec::new(),
        shop: None,
        trouble: true,
        may_put_back: true,
        tally: Tally::default(),
    };
    story.plan();
    story.run();
    Outcome {
        broken: story.trace.first_broken(),
        story: story.trace.lines(),
        tally: story.tally,
    }
}

/// In memory where there is such a place: a sync costs nothing there.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = tempfile::Builder::new().prefix("sim").tempdir_in(memory);
    made.or_else(|_| tempfile::tempdir()).unwrap()
}

impl Story {
    // ------------------------------------------------------------------------------ planning

    fn at(&mut self, at: Duration, deed: Deed) {
        let place = self.deeds.keys().map(|(_, n)| n + 1).max().unwrap_or(0);
        self.deeds.insert((at, place), deed);
    }

    fn somewhen(&mut self) -> Duration {
        let active = self.world.lock().nature.active;
        active.mul_f64(self.rng.f64())
    }

    fn plan(&mut self) {
        let (nature, wishes) = {
            let world = self.world.lock();
            (world.nature.clone(), world.wishes.clone())
        };
        for (n, wish) in wishes.iter().enumerate() {
            self.at(wish.drop_in_at, Deed::DropIn(n));
            if self.rng.u8(..3) == 0 {
                let (nudge, metadata) = (self.somewhen(), self.somewhen());
                self.at(nudge, Deed::Nudge(n));
                self.at(metadata, Deed::Metadata(n));
            }
        }
        for account in 0..nature.accounts.len() {
            self.plan_weather(account, &nature);
        }
        self.plan_trouble(&nature);
        if self.rng.u8(..4) == 0 {
            let (at, account) = (self.somewhen(), self.rng.usize(..nature.accounts.len()));
            self.at(at, Deed::Audit(account));
        }
        for n in 0..10 {
            let at = nature.active.mul_f64(f64::from(n) / 10.0);
            self.at(at, Deed::BotReads);
            self.at(at + Duration::from_secs(5), Deed::KeeperReads);
        }
        self.at(nature.active, Deed::TroubleEnds);
        let settled = nature.active + nature.settling();
        self.at(settled, Deed::PersonDecides);
        self.at(settled + LAST_LOOKS, Deed::End);
        let mut check = nature.active + CHECK_EVERY;
        while check < settled + LAST_LOOKS {
            self.at(check, Deed::Check);
            check += CHECK_EVERY;
        }
    }

    /// Everything is as it should be: what comes next comes now.
    fn skip_waiting(&mut self) {
        let now = self.clock.monotonic();
        let ahead = self.deeds.iter().map(|(&key, &deed)| (key, deed));
        let next = ahead
            .filter(|(_, deed)| matches!(deed, Deed::PersonDecides | Deed::End))
            .min_by_key(|&(key, _)| key);
        let Some((key, deed)) = next else { return };
        self.deeds.remove(&key);
        self.deeds.retain(|&(at, _), _| at > now);
        self.deeds.insert((now, 0), deed);
    }

    fn plan_weather(&mut self, account: usize, nature: &Nature) {
        if !nature.storms && !nature.lies {
            return;
        }
        for _ in 0..self.rng.u8(1..8) {
            let weather = match self.rng.u8(..4) {
                0 => Weather::Calm,
                1 if nature.storms => Weather::Storm(self.rng.u8(..6)),
                _ => Weather::Flaky(self.rng.u8(2..12)),
            };
            let at = self.somewhen();
            self.at(at, Deed::Weather(account, weather));
        }
        if nature.storms && self.rng.u8(..3) == 0 {
            // An outage that lasts to the end of all trouble.
            let storm = Weather::Storm(self.rng.u8(..6));
            let at = nature.active.mul_f64(0.75);
            self.at(at, Deed::Weather(account, storm));
        }
    }

    fn plan_trouble(&mut self, nature: &Nature) {
        for _ in 0..self.rng.u8(1..4) {
            let (jump, disk) = (self.somewhen(), self.somewhen());
            if nature.jumps {
                let far = [3, 90, 4000][self.rng.usize(..3)];
                let seconds = self.rng.i64(-far..=far);
                self.at(jump, Deed::Jump(seconds));
            }
            if nature.bad_disk {
                self.at(disk, Deed::BadDisk(true));
                let longer = Duration::from_secs(self.rng.u64(1..40));
                self.at(disk + longer, Deed::BadDisk(false));
            }
            let (stalls, goes) = (self.somewhen(), self.somewhen());
            let longer = Duration::from_secs(self.rng.u64(1..100));
            self.at(stalls, Deed::ReaderStalls(longer));
            if self.rng.u8(..3) == 0 {
                self.at(goes, Deed::ReaderGoes);
            }
            let (backup, restart, reload) = (self.somewhen(), self.somewhen(), self.somewhen());
            if nature.puts_back {
                self.at(backup, Deed::Backup);
                self.at(restart, Deed::Restart);
            }
            if self.rng.bool() {
                self.at(restart, Deed::Restart);
            }
            self.at(reload, Deed::Reload);
        }
    }

    // --------------------------------------------------------------------------------- lives

    fn run(&mut self) {
        loop {
            let ended = self.live_once();
            if self.trace.first_broken().is_some() {
                return;
            }
            if ended == Ended::Done {
                break;
            }
            self.be_down();
            let may_put_back = std::mem::replace(&mut self.may_put_back, self.trouble);
            if may_put_back && self.rng.bool() {
                self.put_back();
            }
        }
        self.judge();
    }

    fn live_once(&mut self) -> Ended {
        self.tally.lives += 1;
        let clock = Arc::clone(&self.clock);
        let runtime = Builder::new_current_thread()
            .on_thread_park(move || clock.advance())
            .build()
            .unwrap();
        let pipe = Arc::clone(&self.readers.pipe);
        let (clock, world) = (Arc::clone(&self.clock), self.world.clone());
        let path = self.path.clone();
        let death = self.death();
        let mut rng = self.rng.fork();
        let cradle = Cradle {
            path: &path,
            clock: &clock,
            world: &world,
            pipe: &pipe,
            death,
            rng: &mut rng,
        };
        let store = cradle.open();
        let mut shop = Shop::open(&self.path, &self.clock);
        shop.subscribe(BOT);
        self.shop = Some(shop);
        let ended = runtime.block_on(async {
            let mut life = cradle.start(Arc::clone(&store));
            self.go_on(&mut life).await
        });
        // Whoever was at something is gone, at once and without a word.
        drop(runtime);
        self.trace
            .tell(format_args!("the daemon is gone: {ended:?}"));
        if let Some(shop) = self.shop.take() {
            shop.close();
        }
        wait_for(store.close());
        let read = lock(&pipe).end(&mut self.rng);
        self.readers.of_stdout.extend(read);
        self.check_budgets();
        ended
    }

    fn death(&mut self) -> Option<Death> {
        let crashes = self.world.lock().nature.crashes;
        if !crashes || !self.trouble || self.rng.u8(..4) == 0 {
            return None;
        }
        let place = match self.rng.u8(..3) {
            0 => Place::Write,
            1 => Place::Commit,
            _ => Place::Flush,
        };
        let most = [3, 10, 40][self.rng.usize(..3)];
        Some(Death {
            place,
            countdown: self.rng.u32(..most),
            after: self.rng.bool(),
        })
    }

    /// Lets the daemon live and things happen, until one of them ends it.
    async fn go_on(&mut self, life: &mut Life) -> Ended {
        let clock = Arc::clone(&self.clock);
        loop {
            let Some((&(at, place), &deed)) = self.deeds.first_key_value() else {
                return Ended::Done;
            };
            let wait = at.saturating_sub(clock.monotonic());
            tokio::select! {
                biased;
                () = life.reaper.died.notified() => return Ended::Killed,
                Some(ended) = life.pollers.join_next() => {
                    self.trace.broken("no poller ends by itself", format!("{ended:?}"));
                    return Ended::Killed;
                }
                () = clock.sleep(wait) => {}
            }
            let spins = clock.spins.load(Ordering::Relaxed);
            let how = || "hundreds of wakes within a second".to_owned();
            self.trace.hold("nobody spins", !spins, how);
            if self.trace.first_broken().is_some() {
                return Ended::Killed;
            }
            if life.reaper.is_dead() {
                return Ended::Killed;
            }
            self.deeds.remove(&(at, place));
            self.do_in_life(deed, life);
            if self.ends_life(deed) {
                let reaper = Arc::clone(&life.reaper);
                tokio::select! {
                    biased;
                    () = reaper.died.notified() => return Ended::Killed,
                    () = life.end_well() => {}
                }
                return match deed {
                    Deed::End => Ended::Done,
                    _ => Ended::Stopped,
                };
            }
        }
    }

    /// The end of trouble is a start anew in half of the worlds, and where nobody reads stdout.
    fn ends_life(&mut self, deed: Deed) -> bool {
        match deed {
            Deed::Restart | Deed::End => true,
            Deed::TroubleEnds => self.rng.bool() || lock(&self.readers.pipe).is_broken,
            _ => false,
        }
    }

    fn do_in_life(&mut self, deed: Deed, life: &mut Life) {
        match deed {
            Deed::BadDisk(bad) => {
                self.trace.tell(format_args!("bad disk: {bad}"));
                life.is_bad.store(bad, Ordering::Relaxed);
            }
            Deed::Reload => life.reload.notify_waiters(),
            Deed::Audit(account) => life.audit(account, &self.world, &self.clock),
            Deed::Backup => self.back_up(&life.store),
            Deed::TroubleEnds => {
                life.is_bad.store(false, Ordering::Relaxed);
                self.happens(deed);
            }
            Deed::PersonDecides => self.person_decides(&life.store),
            Deed::Check => {
                let Some(shop) = &mut self.shop else { return };
                let rows = shop.invoices();
                if model::has_settled(&self.world, &self.clock, &rows) {
                    self.skip_waiting();
                }
            }
            Deed::End => {}
            _ => self.happens(deed),
        }
    }

    /// The daemon is down for a while, and things happen all the same.
    fn be_down(&mut self) {
        let until = self.clock.monotonic() + Duration::from_millis(self.rng.u64(..30_000));
        self.shop = Some(Shop::open(&self.path, &self.clock));
        while let Some((&(at, place), &deed)) = self.deeds.first_key_value() {
            let ends_life = matches!(
                deed,
                Deed::TroubleEnds | Deed::Check | Deed::PersonDecides | Deed::End | Deed::Backup
            );
            if at > until || ends_life {
                break;
            }
            self.clock.pass_to(at);
            self.deeds.remove(&(at, place));
            self.happens(deed);
        }
        self.clock.pass_to(until);
        if let Some(shop) = self.shop.take() {
            shop.close();
        }
    }

    /// What happens whether or not the daemon lives.
    fn happens(&mut self, deed: Deed) {
        self.trace.tell(format_args!("{deed:?}"));
        let Some(shop) = &mut self.shop else { return };
        let now = self.clock.monotonic();
        let external_id = |n: usize| self.world.lock().wishes[n].external_id.clone();
        match deed {
            Deed::DropIn(n) => self.drop_in(n),
            Deed::Nudge(n) => shop.nudge(&external_id(n)),
            Deed::Metadata(n) => shop.set_metadata(&external_id(n), self.rng.u32(..99)),
            Deed::Weather(account, weather) => {
                self.world.lock().stores[account].weather = Some(weather);
            }
            Deed::Jump(seconds) => self.clock.jump(seconds * 1000),
            Deed::BotReads => drop(self.readers.bot_reads(shop, &mut self.rng, true)),
            Deed::KeeperReads => drop(self.readers.keeper_reads(shop, &mut self.rng)),
            Deed::ReaderStalls(longer) => lock(&self.readers.pipe).stalled_until = now + longer,
            Deed::ReaderGoes => lock(&self.readers.pipe).is_broken = true,
            Deed::TroubleEnds => {
                self.trouble = false;
                for store in &mut self.world.lock().stores {
                    store.weather = None;
                }
            }
            Deed::Restart
            | Deed::BadDisk(_)
            | Deed::Backup
            | Deed::Reload
            | Deed::Audit(_)
            | Deed::Check
            | Deed::PersonDecides
            | Deed::End => {}
        }
    }

    /// The shop makes its order, where it makes it itself, and drops the invoice in.
    fn drop_in(&mut self, n: usize) {
        let now = self.clock.monotonic();
        let mut world = self.world.lock();
        let mut wish = world.wishes[n].clone();
        let order = NewOrder {
            external_id: wish.external_id.clone(),
            amount: wish.amount.clone(),
            timeout_s: wish.timeout_s,
            fate: wish.fate,
            linked: true,
        };
        match wish.kind {
            Kind::Given | Kind::WrongSum => {
                wish.order_id = Some(world.make_order(wish.account, order, now));
            }
            Kind::Alien => {
                let external_id = format!("{}-of-another", wish.external_id);
                let order = NewOrder {
                    external_id,
                    ..order
                };
                wish.order_id = Some(world.make_order(wish.account, order, now));
            }
            Kind::Conflict => {
                let amount = "123.45".to_owned();
                let fate = Fate::Forgotten;
                let order = NewOrder {
                    amount,
                    fate,
                    ..order
                };
                world.make_order(wish.account, order, now);
            }
            Kind::Missing => wish.order_id = Some(format!("nowhere-{n}")),
            Kind::Requested | Kind::RefusedThere | Kind::RefusedHere => {}
        }
        wish.inserted_at = Some(self.clock.now());
        let account = world.nature.accounts[wish.account].name.clone();
        world.wishes[n] = wish.clone();
        drop(world);
        if let Some(shop) = &mut self.shop {
            shop.drop_in(&account, &wish);
        }
    }

    // ---------------------------------------------------------------------- copies put back

    fn back_up(&mut self, store: &SqliteStore) {
        let file = self
            .folder
            .path()
            .join(format!("copy-{}", self.copies.len()));
        let copied = wait_for(store.backup(&file)).unwrap();
        let highest_seq = copied.highest_seq;
        self.trace.tell(format_args!("a copy at #{highest_seq}"));
        self.copies.push(Copy { file, highest_seq });
    }

    fn put_back(&mut self) {
        if self.copies.is_empty() {
            return;
        }
        let copy = &self.copies[self.rng.usize(..self.copies.len())];
        let mut shop = Shop::open(&self.path, &self.clock);
        let (epoch, highest) = (shop.epoch(), shop.highest_seq());
        shop.close();
        let by_hand = self.rng.bool();
        self.trace.tell(format_args!(
            "the copy at #{} is put back over #{highest}, by hand: {by_hand}",
            copy.highest_seq
        ));
        if by_hand {
            fs::copy(&copy.file, &self.path).unwrap();
            for beside in ["-wal", "-shm"] {
                let _ = fs::remove_file(format!("{}{beside}", self.path.display()));
            }
        } else {
            wait_for(restore(&copy.file, &self.path, true, self.clock.now())).unwrap();
        }
        self.tally.put_back += 1;
        let migrated = wait_for(payrecond::store::sqlite::migrate(
            &self.path,
            self.clock.now(),
        ));
        let anew = migrated.unwrap().epoch != epoch;
        let must = !by_hand || copy.highest_seq < highest;
        self.trace
            .hold("a copy put back begins a new epoch", anew || !must, || {
                format!("#{} after #{highest}", copy.highest_seq)
            });
        self.drop_in_again();
    }

    /// The shop compares, and drops in anew what the copy does not know.
    fn drop_in_again(&mut self) {
        let mut shop = Shop::open(&self.path, &self.clock);
        let mut world = self.world.lock();
        let names: Vec<String> = world
            .nature
            .accounts
            .iter()
            .map(|a| a.name.clone())
            .collect();
        for wish in world
            .wishes
            .iter_mut()
            .filter(|wish| wish.inserted_at.is_some())
        {
            shop.drop_in(&names[wish.account], wish);
        }
        for row in shop.invoices() {
            let mut wishes = world.wishes.iter_mut();
            let wish = wishes
                .find(|w| names[w.account] == row.account && w.external_id == row.external_id);
            if let Some(wish) = wish {
                wish.inserted_at = Some(row.created_at);
            }
        }
        drop(world);
        shop.close();
    }

    // ------------------------------------------------------------------------------- the end

    /// A person decides what waits for one, by the truth, and asks for a last look at what has
    /// ended, where the plan of looks cannot know better.
    fn person_decides(&mut self, store: &SqliteStore) {
        let now = self.clock.monotonic();
        let Some(shop) = &mut self.shop else { return };
        let rows = shop.invoices();
        for row in rows
            .iter()
            .filter(|row| row.status == Status::Review.as_str())
        {
            let world = self.world.lock();
            let account = world.account(&row.account).unwrap_or_default();
            let wish = world.wish(account, &row.external_id);
            let verdict = wish.and_then(|wish| match (wish.kind, world.order_of(wish)) {
                (Kind::Missing | Kind::Conflict, _) => Some(Verdict::Cancelled),
                (_, None) => None,
                (_, Some(order)) => match order.state(now) {
                    OrderState::Paid => Some(Verdict::Paid),
                    OrderState::Expired => Some(Verdict::Expired),
                    OrderState::Cancelled => Some(Verdict::Cancelled),
                    OrderState::Open | OrderState::Unknown => None,
                },
            });
            drop(world);
            let invoice = wait_for(store.invoice(InvoiceId(row.id))).unwrap();
            let (Some(verdict), Some(invoice)) = (verdict, invoice) else {
                continue;
            };
            let news = News::Resolved {
                observed_at: self.clock.now(),
                verdict,
                note: "as it is in truth".into(),
            };
            let mut decision = decide(&invoice, "walletpay", news);
            let cadence = self.world.lock().nature.cadence.clone();
            let next = cadence.next_look(&decision.row, self.clock.now(), 0.5);
            decision.row.schedule.next_poll_at = next;
            let decisions = [decision];
            let written = wait_for(store.commit(&decisions, self.clock.now())).unwrap();
            model::committed(&self.world, &self.clock, &decisions, &written);
        }
        if !self.world.lock().nature.plan_finds_late_money() {
            shop.nudge_ended();
        }
    }

    fn check_budgets(&mut self) {
        let mut world = self.world.lock();
        let World { nature, stores, .. } = &mut *world;
        for (store, account) in stores.iter_mut().zip(&nature.accounts) {
            let limits = account.limits;
            // A page goes out after the database was asked for its company.
            let slack = match account.strategy {
                Strategy::Preview => 0.0,
                Strategy::Auto | Strategy::List => 1.0,
            };
            let rate = limits.requests_per_second;
            let verdict = model::budget_is_kept(&store.requests, rate, limits.burst, slack);
            if let Some((law, how)) = verdict {
                self.trace.broken(law, how);
            }
            store.forget_life();
        }
    }

    fn judge(&mut self) {
        let mut shop = Shop::open(&self.path, &self.clock);
        while self.readers.bot_reads(&mut shop, &mut self.rng, false) {}
        while self.readers.keeper_reads(&mut shop, &mut self.rng) {}
        let remains = Remains {
            invoices: shop.invoices(),
            events: shop.events(),
            consumers: vec![
                ("stdout", self.readers.of_stdout.clone()),
                (BOT, self.readers.of_bot.clone()),
                ("keeper", self.readers.of_keeper.clone()),
            ],
        };
        shop.close();
        self.tally.events = remains.events.len() as u64;
        self.tally.requests = self
            .world
            .lock()
            .stores
            .iter()
            .map(|s| s.total_requests)
            .sum();
        self.tally.virtual_s = self.clock.monotonic().as_secs();
        self.tally.forgotten = model::at_the_end(&self.world, &self.clock, &remains);
    }
}
