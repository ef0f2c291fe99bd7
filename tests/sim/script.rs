//! The story of one seed: lives of the daemon one after the other, all that happens beside them,
//! and the judgement at the end.

mod beside;
mod copies;
mod end;
pub mod plan;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use payrecond::clock::Clock as _;
use payrecond::store::Database as _;
use tokio::runtime::Builder;

use crate::clock::{SharedClock, SimClock};
use crate::disk::{Death, Place, wait_for};
use crate::life::{Cradle, Life};
use crate::nature::Nature;
use crate::readers::{BOT, Readers, lock};
use crate::script::copies::Copy;
use crate::script::plan::Deed;
use crate::shop::Shop;
use crate::stream::SharedStream;
use crate::trace::{Broken, Trace};
use crate::world::{SharedWorld, World};

/// Where events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sinks {
    Stdout,
    StdoutAndStream,
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
/// A seed under way.
pub struct Story {
    pub clock: SharedClock,
    pub trace: Arc<Trace>,
    pub world: SharedWorld,
    pub rng: fastrand::Rng,
    folder: tempfile::TempDir,
    pub path: PathBuf,
    pub deeds: BTreeMap<(Duration, usize), Deed>,
    pub readers: Readers,
    copies: Vec<Copy>,
    pub shop: Option<Shop>,
    /// The second sink, where there is one.
    stream: Option<SharedStream>,
    pub trouble: bool,
    /// Once more after the trouble, before the last life.
    may_put_back: bool,
    has_called_again: bool,
    pub tally: Tally,
}

/// Lives through a seed.
pub fn live_through(seed: u64, sinks: Sinks, keep: impl FnOnce(Arc<Trace>)) -> Outcome {
    let mut rng = fastrand::Rng::with_seed(seed);
    let clock = Arc::new(SimClock::default());
    let trace = Arc::new(Trace::new(Arc::clone(&clock)));
    keep(Arc::clone(&trace));
    let nature = Nature::of_seed(seed, &mut rng);
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
        stream: (sinks == Sinks::StdoutAndStream).then(SharedStream::default),
        trouble: true,
        may_put_back: true,
        has_called_again: false,
        tally: Tally::default(),
    };
    story.plan();
    if story.world.lock().nature.cluster.is_some() {
        story.run_cluster();
    } else {
        story.run();
    }
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
    fn run(&mut self) {
        loop {
            let ended = self.live_once();
            if self.trace.first_broken().is_some() {
                return;
            }
            if ended == Ended::Done {
                if !self.needs_person_again() {
                    break;
                }
                self.plan_last_looks();
                continue;
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
        let (death, stream) = (self.death(), self.stream.clone());
        let mut rng = self.rng.fork();
        let cradle = Cradle {
            own_clock: Arc::clone(&clock) as _,
            daemon: 0,
            path: &path,
            clock: &clock,
            world: &world,
            pipe: &pipe,
            stream: stream.as_ref(),
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

    pub fn death(&mut self) -> Option<Death> {
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
}
