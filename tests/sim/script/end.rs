//! The end of a story: a person decides what waits for one, and what is left is judged.

use payrecond::clock::Clock as _;
use payrecond::domain::decide::decide;
use payrecond::domain::invoice::InvoiceId;
use payrecond::domain::observation::{Observation, OrderState, Verdict};
use payrecond::domain::state::Status;
use payrecond::jobs::poll::Strategy;
use payrecond::store::Store as _;
use payrecond::store::sqlite::SqliteStore;

use crate::disk::wait_for;
use crate::model::{self, Remains};
use crate::nature::Shape;
use crate::readers::BOT;
use crate::script::Story;
use crate::shop::{InvoiceRow, Shop};
use crate::stream;
use crate::world::{Kind, World};

impl Story {
    /// What a person would say of an invoice in review, by the truth.
    fn verdict(&self, row: &InvoiceRow) -> Option<Verdict> {
        if row.status != Status::Review.as_str() {
            return None;
        }
        let world = self.world.lock();
        let account = world.account(&row.account).unwrap_or_default();
        let wish = world.wish(account, &row.external_id)?;
        if world.stores[account].book.is_some() {
            // It waits for the rest of its money.
            return None;
        }
        if matches!(wish.kind, Kind::Missing | Kind::Conflict) {
            return Some(Verdict::Cancelled);
        }
        match world.order_of(wish)?.state(self.clock.monotonic()) {
            OrderState::Paid => Some(Verdict::Paid),
            OrderState::Expired => Some(Verdict::Expired),
            OrderState::Cancelled => Some(Verdict::Cancelled),
            OrderState::Open
            | OrderState::Partial
            | OrderState::Authorized
            | OrderState::Unknown => None,
        }
    }

    /// The last looks may have shown what only a list shows, another external id: that is for a
    /// person again. Once: what was decided stays so.
    pub fn needs_person_again(&mut self) -> bool {
        if std::mem::replace(&mut self.has_called_again, true) {
            return false;
        }
        let mut shop = Shop::open(&self.path, &self.clock);
        let rows = shop.invoices();
        shop.close();
        rows.iter().any(|row| self.verdict(row).is_some())
    }

    /// A person decides what waits for one, by the truth, and asks for a last look at what has
    /// ended, where the plan of looks cannot know better.
    pub fn person_decides(&mut self, store: &SqliteStore) {
        let rows = self.shop.as_mut().map(Shop::invoices).unwrap_or_default();
        for row in rows {
            let verdict = self.verdict(&row);
            let invoice = wait_for(store.invoice(InvoiceId(row.id))).unwrap();
            let (Some(verdict), Some(invoice)) = (verdict, invoice) else {
                continue;
            };
            let observation = Observation::Resolved {
                observed_at: self.clock.now(),
                verdict,
                note: "as it is in truth".into(),
            };
            let mut decision = decide(&invoice, "walletpay", observation);
            let cadence = self.world.lock().nature.cadence.clone();
            let next = cadence.next_poll(&decision.row, self.clock.now(), 0.5);
            decision.row.schedule.next_poll_at = next;
            let decisions = [decision];
            let written = wait_for(store.commit(&decisions, self.clock.now())).unwrap();
            model::committed(&self.world, &self.clock, &decisions, &written);
        }
        let nudges = {
            let world = self.world.lock();
            let mut stores = world.stores.iter();
            // A ledger is read for as long as somebody waits for it.
            !world.nature.plan_finds_late_money() || stores.any(|store| store.book.is_some())
        };
        if let Some(shop) = self.shop.as_mut().filter(|_| nudges) {
            shop.nudge_ended();
        }
    }

    pub fn check_budgets(&mut self) {
        let mut world = self.world.lock();
        let World { nature, stores, .. } = &mut *world;
        for (store, account) in stores.iter_mut().zip(&nature.accounts) {
            let limits = account.limits;
            // A page goes out after the database was asked for its company.
            let slack = match account.strategy {
                Strategy::Single if account.shape == Shape::Positions => 0.0,
                Strategy::Single | Strategy::Auto | Strategy::List => 1.0,
            };
            let rate = limits.requests_per_second;
            let verdict = model::budget_is_kept(&store.requests, rate, limits.burst, slack);
            if let Some((law, how)) = verdict {
                self.trace.broken(law, how);
            }
            store.forget_life();
        }
    }

    /// The stream is a consumer as well, and holds each event once.
    fn judge_stream(&self, remains: &mut Remains) {
        if let Some(stream) = &self.stream {
            let twice = stream::held_twice(stream);
            let how = || twice.clone().unwrap_or_default();
            self.trace
                .hold("a stream holds each event once", twice.is_none(), how);
            remains
                .consumers
                .push((stream::STREAM, stream::read(stream)));
        }
    }

    pub fn judge(&mut self) {
        let mut shop = Shop::open(&self.path, &self.clock);
        while self.readers.bot_reads(&mut shop, &mut self.rng, false) {}
        while self.readers.keeper_reads(&mut shop, &mut self.rng) {}
        let mut remains = Remains {
            invoices: shop.invoices(),
            events: shop.events(),
            transactions: shop.transactions(),
            consumers: vec![
                ("stdout", self.readers.of_stdout.clone()),
                (BOT, self.readers.of_bot.clone()),
                ("keeper", self.readers.of_keeper.clone()),
            ],
        };
        shop.close();
        self.judge_stream(&mut remains);
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
