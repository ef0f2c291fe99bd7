//! One turn of a poller: take in what became due, judge what pages showed, plan, begin what the
//! limits allow, write; then wait for whatever comes first.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::entry::{Entry, EntryKind};
use super::fetch::{self, Question, Step};
use super::ledger::{LedgerAnswer, LedgerReader};
use super::load::{Group, Loaded, ScheduledInvoice};
use super::page::{self, lock};
use super::schedule::{self, tick};
use super::{BATCH, Poller};
use crate::domain::invoice::Invoice;
use crate::domain::listing::Positions;
use crate::domain::planner::ListRequest;
use crate::domain::planner::cover::By;
use crate::jobs::LONGEST_NAP;
use crate::limit::StopReason;
use crate::store::{DueRow, ListBeginning, StoreError};

/// Payments said without amounts are completed after a start if they are no older and no more than
/// this; the rest is left to the audit.
const LACKING_SINCE: Duration = Duration::from_hours(24);
const LACKING_MOST: u32 = 500;
/// Where every poll writes its row anyway, plans that come close together need not wait for company.
const SHORTEST_REST: Duration = Duration::from_millis(5);
/// What is due and cannot be planned or begun is looked through again after so long.
const LOOK_THROUGH_AGAIN: Duration = Duration::from_millis(500);

impl Poller {
    /// Does all that can be done now.
    pub(super) async fn turn(&mut self) {
        if let Err(error) = self.refill().await {
            let again = self.writer.fail(&error);
            self.queue.wait_until(again);
        }
        self.launch();
        self.start_commit();
    }

    async fn refill(&mut self) -> Result<(), StoreError> {
        let has_unmatched = !self.unmatched.is_empty() || self.has_ledger_work();
        let has_read = self.take_in().await?;
        self.match_shown().await?;
        self.match_missing().await?;
        self.match_refunds().await?;
        self.plan_told().await?;
        self.work_on_ledger().await?;
        if has_read || has_unmatched {
            self.writer.recovered();
        }
        let now = self.setup.clock.monotonic();
        if self.writer.is_full() || self.writer.must_wait(now) {
            return Ok(());
        }
        self.plan();
        if !self.writer.is_failing() {
            self.begin_list().await?;
            self.begin_span().await?;
            self.begin_ledger();
        }
        self.begin_load();
        if self.writer.is_failing() && !self.requests.loader.is_loading() {
            self.writer.loaded();
        }
        Ok(())
    }

    // ------------------------------------------------------------------------- what is due

    /// Whether the database was read.
    async fn take_in(&mut self) -> Result<bool, StoreError> {
        let now = self.setup.clock.monotonic();
        if !self.queue.is_due(now) {
            return Ok(false);
        }
        let (store, account) = (self.setup.store.as_ref(), &self.setup.account);
        let wall = self.pass.once.unwrap_or_else(|| self.setup.clock.now());
        let takes_new = self.pass.once.is_none();
        if takes_new {
            self.queue.read_back(wall, now);
        }
        let taken = self.queue.read(store, account, wall, takes_new).await?;
        self.adopt(&taken.rows, now);
        if let Some(beginning) = taken.beginning {
            self.begin_with(beginning).await?;
        }
        if !self.queue.goes_on() {
            let (store, account) = (self.setup.store.as_ref(), &self.setup.account);
            let at_least = if self.shapes().page_limit > 0 {
                self.setup.intake_interval
            } else {
                SHORTEST_REST
            };
            let rest = self.queue.rest(store, account, wall, (now, at_least));
            rest.await?;
        }
        Ok(true)
    }

    /// What the run before this one knew of the list, and payments that it told without amounts.
    async fn begin_with(&mut self, beginning: ListBeginning) -> Result<(), StoreError> {
        let text = beginning.positions.unwrap_or_default();
        self.spans.restore(&text);
        if let Some(ledger) = &mut self.requests.ledger {
            ledger.begin_with(&text);
        }
        if self.shapes().page_limit == 0 {
            return Ok(());
        }
        self.planner.listing.positions = Positions::parse(&text);
        let lately = self.setup.clock.now().minus(LACKING_SINCE);
        let (store, account) = (&self.setup.store, &self.setup.account);
        let lacking = store.without_amounts(account, lately, LACKING_MOST).await?;
        let now = self.setup.clock.monotonic();
        for (order, created_at) in lacking {
            self.planner
                .want_details(&order.0, Some(created_at), None, now);
        }
        Ok(())
    }

    fn adopt(&mut self, rows: &[DueRow], now: Duration) {
        let shared = Arc::clone(&self.shared);
        let mut shared = lock(&shared);
        let mut orders_to_come = false;
        for row in rows {
            if row.is_nudged() || row.polled_at.is_none() {
                self.planner.expect_urgent();
            }
            let Some(slot) = shared.schedule.adopt(row, tick(now)) else {
                continue;
            };
            let Some(order_id) = &row.order_id else {
                if let Some(ledger) = &mut self.requests.ledger {
                    ledger.check_new(row.id);
                }
                orders_to_come = true;
                continue;
            };
            // Where a page showed it lately. Its next page compares it anew.
            if let Some(position) = shared.forget_seen(&order_id.0) {
                shared.schedule.place(slot, position);
            }
        }
        if orders_to_come {
            // An order seen before may be theirs: the list tells it by their external id.
            shared.forget_all_seen();
        }
    }

    /// Something is due so soon: a rest that is longer ends early, if the database can be used.
    pub(super) fn read_again_in(&mut self, wait: Duration) {
        if !self.writer.is_failing() {
            let at = self.setup.clock.monotonic() + wait;
            self.queue.read_again_at(at);
        }
    }

    /// Entries that are due.
    pub(super) fn due_now(&self) -> u64 {
        let now = tick(self.setup.clock.monotonic());
        lock(&self.shared).schedule.count_due(now) as u64
    }

    fn plan(&mut self) {
        let shapes = self.shapes();
        let now = self.setup.clock.monotonic();
        let wall = self.setup.clock.now();
        let shared = Arc::clone(&self.shared);
        let schedule = &mut lock(&shared).schedule;
        let count = schedule.count_due(tick(now));
        if count == 0 {
            self.planner.clear();
            self.spans.clear_due();
            return;
        }
        // Pages cover more at once, the more of it is known.
        let waits_for_more = self.queue.goes_on() && shapes.page_limit > 0;
        if waits_for_more || !self.planner.wants_plan(count, now) {
            return;
        }
        let most = self.planner.most_planned();
        let mut due = if self.requests.ledger.is_some() {
            // A reading of the ledger polls all others.
            schedule.turns_of(tick(now), most, |entry| entry.kind == EntryKind::Create)
        } else if self.planner.sweeps(count, now) {
            let is_alone = |e: &Entry| e.candidate(shapes).by == By::Alone;
            let alone = schedule.turns_of(tick(now), most, is_alone);
            if self.planner.is_sweeping() {
                self.planner.plan_beside_sweep(&alone, now, count);
                return;
            }
            // In the order of their turns come those that no page tells of.
            let others = schedule.due(tick(now)).to_vec();
            let is_other = |slot: &u32| schedule.entry(*slot).is_some_and(|e| !is_alone(e));
            let others = others.into_iter().filter(is_other);
            alone.iter().copied().chain(others).collect()
        } else {
            schedule.turns(tick(now), most)
        };
        due.retain(|slot| {
            // Once its time is over, a list that still shows it open is not taken at its word.
            let may_wait = schedule.entry(*slot).filter(|e| e.may_be_watched(wall));
            let position = may_wait.and_then(Entry::position);
            let until = position.and_then(|at| self.planner.watched_until(at, now));
            if let Some(until) = until {
                schedule.put_off(*slot, tick(until));
            }
            until.is_none()
        });
        let due = self.plan_spans(due, schedule, now);
        let view = |slot| Some(schedule.entry(slot)?.candidate(shapes));
        self.planner.plan(&due, &view, now, count);
    }

    // ----------------------------------------------------------------------------- asking

    /// Begins the next request to the list, if one is wanted and the limits allow it: first what is
    /// due needs, then missing amounts, then the watch. One at a time.
    async fn begin_list(&mut self) -> Result<(), StoreError> {
        let now = self.setup.clock.monotonic();
        let fetches_wait = self.requests.loader.ready() > 0 || self.planner.has_fetches();
        let is_fetches_turn = self.requests.list_was_last && fetches_wait;
        let may_begin = self.requests.list.is_none() && self.planner.may_list(now);
        if !may_begin || is_fetches_turn || self.setup.limiter.lock().room(now) == 0 {
            return Ok(());
        }
        let mut request = self.planner.take_list_request();
        if request.is_none() && self.pass.once.is_none() {
            request = self.planner.take_details_request(now);
            if request.is_none() && self.planner.watch_is_due(now) {
                if self.setup.store.has_pending(&self.setup.account).await? {
                    request = self.planner.take_watch_request(now);
                } else {
                    self.planner.rest_watch(now);
                }
            }
        }
        if let Some(request) = request {
            self.send_to_list(request, now);
        }
        Ok(())
    }

    fn send_to_list(&mut self, request: ListRequest, now: Duration) {
        let Ok(permit) = self.setup.limiter.lock().take(now) else {
            return;
        };
        self.planner.begin(&request, now);
        self.requests.list_was_last = true;
        let provider = Arc::clone(&self.setup.provider);
        let clock = Arc::clone(&self.setup.clock);
        let shared = Arc::clone(&self.shared);
        let listed = page::list(request, permit, provider, clock, shared);
        self.requests.list = Some(listed.boxed());
    }

    /// Loads the rows whose turn for a request of their own has come, while earlier ones are asked
    /// about.
    fn begin_load(&mut self) {
        let now = self.setup.clock.monotonic();
        if self.requests.loader.is_loading() {
            return;
        }
        let (most, enough) = {
            let mut limiter = self.setup.limiter.lock();
            if limiter.rate().is_none() && limiter.stop_reason().is_none() {
                (BATCH, BATCH / 2)
            } else {
                (limiter.room(now).min(BATCH), 1)
            }
        };
        if most == 0 || self.requests.loader.ready() >= enough {
            return;
        }
        let groups = self.planner.take_fetches(most, BATCH);
        let mut shared = lock(&self.shared);
        let groups: Vec<Vec<ScheduledInvoice>> = groups
            .into_iter()
            .map(|slots| shared.schedule.take_turns(&slots))
            .filter(|group| !group.is_empty())
            .collect();
        shared.schedule.used_turns(groups.len());
        drop(shared);
        if !groups.is_empty() {
            let (store, clock) = (&self.setup.store, &self.setup.clock);
            self.requests
                .loader
                .begin(groups, Arc::clone(store), Arc::clone(clock));
        }
    }

    fn loaded(&mut self, loaded: Loaded) {
        let now = self.setup.clock.monotonic();
        let mut shared = lock(&self.shared);
        let schedule = &mut shared.schedule;
        let mut invoices = match loaded.invoices {
            Ok(invoices) => invoices,
            Err(error) => {
                for (slot, _) in loaded.groups.iter().flatten() {
                    schedule.make_due(*slot);
                }
                drop(shared);
                let again = self.writer.fail_load(&error);
                self.queue.wait_until(again);
                return;
            }
        };
        self.writer.loaded();
        for turns in loaded.groups {
            let mut group = Group::new();
            for (slot, id) in turns {
                let invoice = invoices.remove(&id);
                match invoice.filter(|i| i.schedule.next_poll_at.is_some()) {
                    Some(invoice) if schedule.follow(slot, &invoice, tick(now)) => {
                        group.push(invoice);
                    }
                    Some(_) => {}
                    // Gone, or final.
                    None => schedule.remove(slot),
                }
            }
            if !group.is_empty() {
                self.requests.loader.push(group);
            }
        }
    }

    fn launch(&mut self) {
        if self.pass.is_finishing {
            return;
        }
        self.launch_probe();
        if self.writer.is_failing() {
            return;
        }
        while let Some(group) = self.requests.loader.pop() {
            let asked = self.questions(group);
            if asked.is_empty() {
                continue;
            }
            let now = self.setup.clock.monotonic();
            let permit = self.setup.limiter.lock().take(now);
            let Ok(permit) = permit else {
                let group = asked.into_iter().map(|(invoice, _)| invoice);
                self.requests.loader.push_front(group.collect());
                return;
            };
            self.requests.list_was_last = false;
            self.requests.fetcher.ask(asked, permit);
        }
    }

    /// Those that need a request; what needs none is decided.
    fn questions(&mut self, group: Group) -> Vec<(Invoice, Question)> {
        let now = self.setup.clock.now();
        let mut asked = Vec::with_capacity(group.len());
        for invoice in group {
            match fetch::step(&invoice, self.setup.provider.as_ref(), now) {
                Step::Ask(question) => asked.push((invoice, question)),
                Step::Known(observation) => self.decide(Box::new(invoice), *observation),
                Step::Nothing => self.plan_only(Box::new(invoice)),
            }
        }
        asked
    }

    fn launch_probe(&mut self) {
        let now = self.setup.clock.monotonic();
        let (probe, stop) = {
            let mut limiter = self.setup.limiter.lock();
            (limiter.take_probe(now), limiter.stop_reason())
        };
        let Some(permit) = probe else { return };
        if stop == Some(StopReason::KeyRefused) {
            self.reload_key();
        }
        self.requests.fetcher.probe(permit);
    }

    pub(super) fn reload_key(&mut self) {
        match (self.setup.read_key)() {
            Ok(key) => self.setup.provider.set_key(key),
            Err(error) => {
                tracing::warn!(account = %self.setup.account, error, "key could not be read again");
            }
        }
    }

    // ---------------------------------------------------------------------------- waiting

    /// Waits for whatever comes first: an answer, the end of a commit, or time.
    pub(super) async fn progress(&mut self) {
        self.setup.heartbeat.beat(self.setup.clock.monotonic());
        self.tell_of_stop();
        self.meter_limits();
        let nap = self.nap();
        let clock = Arc::clone(&self.setup.clock);
        let Self {
            requests, writer, ..
        } = self;
        tokio::select! {
            biased;
            outcome = writer.finished() => self.committed(outcome),
            answer = ledger_answer(&mut requests.ledger) => self.ledger_answered(answer),
            listed = under_way(&mut requests.list) => {
                self.requests.list = None;
                self.listed(listed);
            }
            loaded = requests.loader.finished() => self.loaded(loaded),
            outcome = under_way(&mut requests.span) => {
                self.requests.span = None;
                self.span_read(outcome);
            }
            Some(asked) = requests.fetcher.next() => self.asked(asked),
            () = clock.sleep(nap) => {}
        }
        while let Some(asked) = self.requests.fetcher.try_next() {
            self.asked(asked);
        }
    }

    /// How long to wait when nothing happens.
    fn nap(&mut self) -> Duration {
        let now = self.setup.clock.monotonic();
        let mut nap = LONGEST_NAP;
        if let Some(wait) = self.writer.wait(now) {
            nap = nap.min(wait);
        }
        // On the way out, or while much waits to be written, what could be asked is no reason to
        // wake.
        if !self.pass.is_finishing && !self.writer.is_full() {
            nap = nap.min(self.next_work(now).saturating_sub(now));
        }
        nap.max(Duration::from_millis(1))
    }

    /// When there is something to do, if nothing comes back before.
    fn next_work(&mut self, now: Duration) -> Duration {
        if self.writer.is_failing() {
            // Nothing is planned or asked meanwhile: only the next try of the database counts.
            let again = self.queue.not_before();
            return if again > now {
                again
            } else {
                now + self.setup.intake_interval
            };
        }
        if self.queue.goes_on() || !self.unmatched.is_empty() || self.has_ledger_work() {
            return now;
        }
        let mut wakes = vec![self.queue.not_before()];
        {
            let mut shared = lock(&self.shared);
            if shared.schedule.count_due(tick(now)) > 0 {
                wakes.push(now + LOOK_THROUGH_AGAIN);
            }
            wakes.extend(shared.schedule.next_due().map(schedule::begins));
        }
        let (room, probe) = {
            let mut limiter = self.setup.limiter.lock();
            let is_stopped = limiter.stop_reason().is_some();
            let room = limiter.wait(now).filter(|_| !is_stopped);
            (room, limiter.wait_for_probe(now))
        };
        wakes.extend(probe.map(|wait| now + wait));
        let ledger = self.requests.ledger.as_ref();
        let is_due = ledger.is_some() && self.is_ledger_due();
        let next_page = ledger.and_then(|ledger| ledger.next_request(is_due, now));
        if let Some(room) = room {
            wakes.extend(self.next_span(now).map(|at| at.max(now + room)));
            wakes.extend(next_page.map(|at| at.max(now + room)));
            wakes.extend(self.next_request(now).map(|at| at.max(now + room)));
        }
        wakes.into_iter().min().unwrap_or(now + LONGEST_NAP)
    }

    /// When the next request could begin, if the limits allow it.
    fn next_request(&self, now: Duration) -> Option<Duration> {
        let is_loading = self.requests.loader.is_loading();
        let has_ready = self.requests.loader.ready() > 0;
        if has_ready || self.planner.has_fetches() && !is_loading {
            return Some(now);
        }
        if self.requests.list.is_some() || self.shapes().page_limit == 0 {
            return None;
        }
        let for_due = (!self.planner.is_idle()).then(|| self.planner.listing.not_before());
        let beyond = self
            .planner
            .next_beyond()
            .filter(|_| self.pass.once.is_none());
        for_due.into_iter().chain(beyond).min()
    }
}

/// The answer of a ledger; never where there is none.
async fn ledger_answer(ledger: &mut Option<LedgerReader>) -> LedgerAnswer {
    match ledger {
        Some(ledger) => ledger.answered().await,
        None => std::future::pending().await,
    }
}

/// The end of what is under way; never when there is nothing.
async fn under_way<T>(under_way: &mut Option<BoxFuture<'static, T>>) -> T {
    match under_way {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
