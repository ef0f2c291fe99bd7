//! The story of a world of several daemons.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use payrecond::clock::Clock as _;
use payrecond::store::Database as _;

use crate::cluster::laws::Watch;
use crate::cluster::leases::LeaseTable;
use crate::cluster::machine::Machine;
use crate::cluster::server::Server;
use crate::cluster::{Cluster, Slot};
use crate::disk::{Death, wait_for};
use crate::life::Cradle;
use crate::model;
use crate::readers::{BOT, SharedPipe, lock};
use crate::script::Story;
use crate::script::plan::{Deed, Mishap};
use crate::shop::Shop;

/// A daemon that is told to stop has ended by then.
const ENDS_WITHIN: Duration = Duration::from_secs(40);
/// What is not over yet is looked at again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Shares are even in one of so many checks: where leases are short and calls are slow, some are lost all the time.
const UNEVEN_CHECKS: u32 = 60;

impl Story {
    pub fn run_cluster(&mut self) {
        let mut cluster = self.open_cluster();
        loop {
            self.let_pass(&mut cluster);
            let is_broken = self.trace.first_broken().is_some();
            let Some((_, deed)) = self.deeds.pop_first().filter(|_| !is_broken) else {
                break;
            };
            self.do_in_cluster(deed, &mut cluster);
            if matches!(deed, Deed::End) {
                self.end_cluster(&mut cluster);
                if self.trace.first_broken().is_some() || !self.needs_person_again() {
                    break;
                }
                self.plan_last_looks();
                self.start_missing(&mut cluster);
            }
        }
        for n in 0..cluster.slots.len() {
            self.drop_member(&mut cluster.slots[n]);
        }
        if let Some(shop) = self.shop.take() {
            shop.close();
        }
        wait_for(cluster.store.close());
        if self.trace.first_broken().is_none() {
            self.check_budgets();
            self.judge();
        }
    }

    fn open_cluster(&mut self) -> Cluster {
        let store = self.with_cradle(0, None, &SharedPipe::default(), |cradle| cradle.open());
        let mut shop = Shop::open(&self.path, &self.clock);
        shop.subscribe(BOT);
        self.shop = Some(shop);
        let leases = Arc::new(std::sync::Mutex::new(LeaseTable::new(Arc::clone(
            &self.clock,
        ))));
        let daemons = {
            let mut world = self.world.lock();
            world.leases = Some(Arc::clone(&leases));
            world.nature.cluster.clone().unwrap().daemons
        };
        let slots = daemons.iter().enumerate().map(|(n, own)| {
            let clock = self.clock.of_another_machine(own.ahead);
            Slot::new(n, Arc::new(clock))
        });
        let mut cluster = Cluster {
            store,
            server: Server {
                machine: Machine::new(),
                clock: Arc::clone(&self.clock),
                leases,
                posts: Arc::new(AtomicU64::new(0)),
            },
            slots: slots.collect(),
            watch: Watch::default(),
        };
        self.start_missing(&mut cluster);
        cluster
    }

    fn with_cradle<T>(
        &mut self,
        n: usize,
        death: Option<Death>,
        pipe: &SharedPipe,
        run: impl FnOnce(Cradle<'_>) -> T,
    ) -> T {
        let (path, world) = (self.path.clone(), self.world.clone());
        let clock = Arc::clone(&self.clock);
        let mut rng = self.rng.fork();
        run(Cradle {
            own_clock: Arc::clone(&clock) as _,
            daemon: n,
            path: &path,
            clock: &clock,
            world: &world,
            pipe,
            stream: None,
            death,
            rng: &mut rng,
        })
    }

    fn start_missing(&mut self, cluster: &mut Cluster) {
        for n in 0..cluster.slots.len() {
            if cluster.slots[n].member.is_none() {
                self.start(n, cluster);
            }
        }
    }

    fn start(&mut self, n: usize, cluster: &mut Cluster) {
        let keeps_name = self
            .world
            .lock()
            .nature
            .cluster
            .as_ref()
            .is_some_and(|nature| nature.keeps_names);
        self.tally.lives += 1;
        let death = self.death();
        let slot = &mut cluster.slots[n];
        slot.lives += 1;
        slot.started_at = self.clock.monotonic();
        let life = if keeps_name { 1 } else { slot.lives };
        self.trace.tell(format_args!("daemon {n} starts"));
        let pipe = SharedPipe::default();
        let (server, store) = (&cluster.server, &cluster.store);
        let own_clock = Arc::clone(&slot.clock);
        let member = self.with_cradle(n, death, &pipe, |cradle| {
            let cradle = Cradle {
                own_clock,
                ..cradle
            };
            cradle.start_member(server, store, life)
        });
        slot.member = Some(member);
        slot.stopping_since = None;
        slot.well_since = None;
    }

    /// Drops a daemon, and keeps what the reader of its stdout has.
    fn drop_member(&mut self, slot: &mut Slot) {
        let Some(member) = slot.member.take() else {
            return;
        };
        let pipe = Arc::clone(&member.pipe);
        drop(member);
        slot.is_paused = false;
        slot.stopping_since = None;
        slot.well_since = None;
        let read = lock(&pipe).end(&mut self.rng);
        // What was not acknowledged comes again, after it came in order.
        let mut seen = BTreeSet::new();
        let firsts: Vec<i64> = read
            .iter()
            .filter_map(|(seq, _)| seen.insert(*seq).then_some(*seq))
            .collect();
        let in_order = firsts.is_sorted();
        let how = || format!("stdout of daemon {}: {read:?}", slot.n);
        self.trace
            .hold("a daemon writes events in order", in_order, how);
        self.readers.of_stdout.extend(read);
        // Of several pipes, what matters is that one of them has each event.
        self.readers.of_stdout.sort();
        self.readers.of_stdout.dedup();
    }

    /// Lets daemons run and time pass until the next deed is due.
    fn let_pass(&mut self, cluster: &mut Cluster) {
        loop {
            cluster.turn();
            self.bury(cluster);
            let now = self.clock.monotonic();
            let verdict = cluster.look(&self.world.lock(), now);
            if let Some((law, how)) = verdict {
                self.trace.broken(law, how);
            }
            let spins = self.clock.spins.load(Ordering::Relaxed);
            let how = || "hundreds of wakes within a second".to_owned();
            self.trace.hold("nobody spins", !spins, how);
            let Some((&(at, _), _)) = self.deeds.first_key_value() else {
                return;
            };
            if self.trace.first_broken().is_some() {
                return;
            }
            match self.clock.next_wake() {
                Some(wake) if wake <= at => self.clock.advance(),
                Some(_) | None => return self.clock.pass_to(at),
            }
        }
    }

    /// Daemons that came to the place where they die are gone, and started again after a while.
    fn bury(&mut self, cluster: &mut Cluster) {
        for n in 0..cluster.slots.len() {
            let slot = &mut cluster.slots[n];
            let is_dead = |slot: &Slot| Some(slot.member.as_ref()?.reaper.is_dead());
            if is_dead(slot).unwrap_or_default() {
                self.trace.tell(format_args!("daemon {n} is gone"));
                self.drop_member(slot);
                let down = Duration::from_millis(self.rng.u64(..30_000));
                self.at(self.clock.monotonic() + down, Deed::Recovers(n));
            }
        }
    }

    fn do_in_cluster(&mut self, deed: Deed, cluster: &mut Cluster) {
        match deed {
            Deed::BadDisk(bad) => {
                self.trace.tell(format_args!("bad connections: {bad}"));
                cluster.be_bad(bad);
            }
            Deed::Restart => {
                let n = self.rng.usize(..cluster.slots.len());
                let down = Duration::from_millis(self.rng.u64(..30_000));
                self.befall(Mishap::Stop, (n, down), cluster);
            }
            Deed::Mishap(mishap, n, longer) if self.trouble => {
                self.befall(mishap, (n, longer), cluster);
            }
            Deed::Jump(seconds) => {
                let n = self.rng.usize(..cluster.slots.len());
                self.trace
                    .tell(format_args!("the clock of daemon {n} jumps by {seconds} s"));
                cluster.slots[n].clock.jump(seconds * 1000);
            }
            Deed::Recovers(n) => self.recover(n, cluster),
            Deed::ReaderStalls(_) | Deed::ReaderGoes => {
                let n = self.rng.usize(..cluster.slots.len());
                if let Some(member) = &cluster.slots[n].member {
                    let mut pipe = lock(&member.pipe);
                    match deed {
                        Deed::ReaderStalls(longer) => {
                            pipe.stalled_until = self.clock.monotonic() + longer;
                        }
                        _ => pipe.is_broken = true,
                    }
                }
            }
            Deed::Reload => cluster.reload(),
            Deed::Audit(account) => cluster.audit(account, self),
            Deed::TroubleEnds => {
                self.happens(deed);
                self.end_trouble(cluster);
            }
            Deed::SharesChecked => {
                let now = self.clock.monotonic();
                if cluster.is_well_for(Duration::from_mins(1), now) {
                    self.check_shares(cluster, now);
                }
            }
            Deed::PersonDecides => self.person_decides(&Arc::clone(&cluster.store)),
            Deed::Check => {
                let are_shared = !self
                    .deeds
                    .values()
                    .any(|deed| matches!(deed, Deed::SharesChecked));
                let rows = self.shop.as_mut().map(Shop::invoices).unwrap_or_default();
                if are_shared && model::has_settled(&self.world, &self.clock, &rows) {
                    self.skip_waiting();
                }
            }
            Deed::End | Deed::Backup | Deed::Mishap(..) => {}
            _ => self.happens(deed),
        }
    }

    /// Accounts may be on their way from one daemon to another, but not for ever.
    fn check_shares(&mut self, cluster: &mut Cluster, now: Duration) {
        let verdict = cluster.is_fair(&self.world.lock().nature);
        let Some((law, how)) = verdict else {
            cluster.watch.uneven = 0;
            return;
        };
        cluster.watch.uneven += 1;
        if cluster.watch.uneven > UNEVEN_CHECKS {
            self.trace.broken(law, how);
        } else {
            self.at(now + AGAIN_AFTER, Deed::SharesChecked);
        }
    }

    fn befall(&mut self, mishap: Mishap, (n, longer): (usize, Duration), cluster: &mut Cluster) {
        let slot = &mut cluster.slots[n];
        if !slot.is_well() {
            return;
        }
        self.trace
            .tell(format_args!("{mishap:?} of daemon {n} for {longer:?}"));
        let now = self.clock.monotonic();
        match (mishap, &slot.member) {
            (_, None) => {}
            (Mishap::Pause, _) => slot.is_paused = true,
            (Mishap::Kill, _) => self.drop_member(slot),
            (Mishap::Stop, Some(member)) => {
                member.stop.cancel();
                slot.stopping_since = Some(now);
            }
            (Mishap::CutOff, Some(member)) => member.is_cut.store(true, Ordering::Relaxed),
        }
        self.at(now + longer, Deed::Recovers(n));
    }

    fn recover(&mut self, n: usize, cluster: &mut Cluster) {
        let slot = &mut cluster.slots[n];
        slot.is_paused = false;
        if let Some(member) = &slot.member {
            member.is_cut.store(false, Ordering::Relaxed);
            if slot.stopping_since.is_none() {
                return;
            }
            if !member.has_ended.load(Ordering::Relaxed) {
                self.at(self.clock.monotonic() + AGAIN_AFTER, Deed::Recovers(n));
                return;
            }
            self.drop_member(slot);
        }
        self.start(n, cluster);
    }

    fn end_trouble(&mut self, cluster: &mut Cluster) {
        cluster.be_bad(false);
        for n in 0..cluster.slots.len() {
            let slot = &mut cluster.slots[n];
            // Nobody writes to a reader that is gone before the daemon is started again.
            let pipe = slot.member.as_ref().map(|member| Arc::clone(&member.pipe));
            if pipe.is_some_and(|pipe| lock(&pipe).is_broken) {
                self.drop_member(slot);
            }
            self.recover(n, cluster);
        }
    }

    /// All daemons end as they should.
    fn end_cluster(&mut self, cluster: &mut Cluster) {
        let until = self.clock.monotonic() + ENDS_WITHIN;
        for slot in &mut cluster.slots {
            if let Some(member) = &slot.member {
                member.stop.cancel();
            }
        }
        loop {
            cluster.turn();
            let mut members = cluster.slots.iter().filter_map(|slot| slot.member.as_ref());
            let have_ended = members
                .all(|member| member.has_ended.load(Ordering::Relaxed) || member.reaper.is_dead());
            let is_late = self.clock.monotonic() > until;
            self.trace
                .hold("a daemon that is told to stop ends", !is_late, String::new);
            if have_ended || is_late {
                break;
            }
            self.clock.advance();
        }
        for n in 0..cluster.slots.len() {
            self.drop_member(&mut cluster.slots[n]);
        }
    }
}

impl Cluster {
    /// Every machine runs until nobody has anything to do.
    fn turn(&self) {
        loop {
            let before = self.server.posts.load(Ordering::Relaxed);
            for slot in self.slots.iter().filter(|slot| !slot.is_paused) {
                if let Some(member) = &slot.member {
                    member.machine.turn();
                }
            }
            self.server.machine.turn();
            if self.server.posts.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }

    fn be_bad(&self, bad: bool) {
        let members = self.slots.iter().filter_map(|slot| slot.member.as_ref());
        members.for_each(|member| member.is_bad.store(bad, Ordering::Relaxed));
    }

    fn reload(&self) {
        let members = self.slots.iter().filter_map(|slot| slot.member.as_ref());
        members.for_each(|member| member.reload.notify_waiters());
    }

    fn audit(&self, account: usize, story: &Story) {
        for slot in self.slots.iter().filter(|slot| slot.is_well()) {
            if let Some(member) = &slot.member {
                member.audit(slot.n, account, &story.world);
            }
        }
    }

    fn is_well_for(&self, span: Duration, now: Duration) -> bool {
        let is_well = |slot: &Slot| slot.well_since.is_some_and(|since| since + span <= now);
        self.slots.iter().all(is_well)
    }
}
