//! Things that happen, beside a daemon that lives or while it is down.

use std::sync::atomic::Ordering;
use std::time::Duration;

use payrecond::clock::Clock as _;

use crate::life::Life;
use crate::model;
use crate::readers::lock;
use crate::script::Story;
use crate::script::plan::Deed;
use crate::shapes::laws;
use crate::shop::Shop;
use crate::stream;
use crate::world::{Fate, Kind, NewOrder};

impl Story {
    pub(super) fn do_in_life(&mut self, deed: Deed, life: &mut Life) {
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
    pub(super) fn be_down(&mut self) {
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
    pub fn happens(&mut self, deed: Deed) {
        self.trace.tell(format_args!("{deed:?}"));
        let Some(shop) = &mut self.shop else { return };
        let now = self.clock.monotonic();
        let external_id = |n: usize| self.world.lock().wishes[n].external_id.clone();
        match deed {
            Deed::DropIn(n) => self.drop_in(n),
            Deed::Nudge(n) => shop.nudge(&external_id(n)),
            Deed::NudgeAll => self.nudge_all(),
            Deed::NudgesAnswered => self.check_nudges(),
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
                if let Some(stream) = &self.stream {
                    stream::heal(stream);
                }
                for store in &mut self.world.lock().stores {
                    store.weather = None;
                }
            }
            Deed::Restart
            | Deed::Mishap(..)
            | Deed::Recovers(_)
            | Deed::SharesChecked
            | Deed::BadDisk(_)
            | Deed::Backup
            | Deed::Reload
            | Deed::Audit(_)
            | Deed::Check
            | Deed::PersonDecides
            | Deed::End => {}
        }
    }

    /// A program asks for a poll of every order.
    fn nudge_all(&mut self) {
        let Some(shop) = &mut self.shop else { return };
        let nudged = shop.nudge_all();
        let store = &mut self.world.lock().stores[0];
        store.nudged = Some((nudged, store.total_requests));
    }

    fn check_nudges(&mut self) {
        let Some(shop) = &mut self.shop else { return };
        let left = shop.count_nudged();
        let world = self.world.lock();
        let Some((nudged, before)) = world.stores[0].nudged else {
            return;
        };
        let requests = world.stores[0].total_requests - before;
        let verdict = laws::are_answered(&world.nature, nudged, left, requests);
        drop(world);
        if let Some((law, how)) = verdict {
            self.trace.broken(law, how);
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
            quirks: wish.quirks.clone(),
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
            Kind::Requested
            | Kind::RefusedThere
            | Kind::RefusedHere
            | Kind::Expected
            | Kind::LongLabel => {}
        }
        wish.inserted_at = Some(self.clock.now());
        let account = world.nature.accounts[wish.account].name.clone();
        world.wishes[n] = wish.clone();
        drop(world);
        if let Some(shop) = &mut self.shop {
            shop.drop_in(&account, &wish);
        }
    }
}
