//! Sends planned requests, as far as the limits allow.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;

use super::BATCH;
use super::load::{Group, Loaded, ScheduledInvoice};
use super::page::{self, lock};
use super::poller::Poller;
use super::schedule::tick;
use super::step::{Question, Step, choose_step};
use super::trusted::once_trusted;
use crate::domain::invoice::Invoice;
use crate::domain::planner::ListRequest;
use crate::limit::StopReason;
use crate::store::StoreError;

impl Poller {
    /// Whether a request to a list or a ledger may begin now: such requests alternate with those for
    /// single invoices, and the limits have room.
    pub(super) fn may_begin_reading(&self, now: Duration) -> bool {
        let fetches_wait = self.requests.loader.count_ready() > 0 || self.planner.has_fetches();
        let is_turn_of_fetches = self.requests.list_was_last && fetches_wait;
        !is_turn_of_fetches && self.setup.limiter.lock().room(now) > 0
    }

    /// Begins the next request to the list, if one is needed and the limits allow it: first for due
    /// entries, then for missing amounts, then for the watch. One at a time.
    pub(super) async fn begin_list_request(&mut self) -> Result<(), StoreError> {
        let now = self.setup.clock.monotonic();
        let may_begin = self.requests.list.is_none() && self.planner.may_list(now);
        if !may_begin || !self.may_begin_reading(now) {
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
            self.send_list_request(request);
        }
        Ok(())
    }

    fn send_list_request(&mut self, request: ListRequest) {
        // Read again: the database was asked meanwhile, and the lease may be over since.
        let now = self.setup.clock.monotonic();
        let Ok(permit) = self.setup.limiter.lock().take(now) else {
            return;
        };
        self.planner.begin(&request, now);
        self.requests.list_was_last = true;
        let provider = Arc::clone(&self.setup.provider);
        let clock = Arc::clone(&self.setup.clock);
        let shared = Arc::clone(&self.shared);
        let listed = page::list(request, permit, provider, clock, shared);
        let (limiter, clock) = (self.setup.limiter.clone(), Arc::clone(&self.setup.clock));
        self.requests.list = Some(once_trusted(limiter, clock, listed).boxed());
    }

    /// Whether no row is to be loaded for the planned due entries.
    pub(super) fn has_nothing_to_load(&self) -> bool {
        !self.queue.has_more() && !self.planner.has_fetches() && !self.requests.loader.is_loading()
    }

    /// Loads the next rows that need a request of their own, while requests for earlier ones are in
    /// flight.
    pub(super) fn begin_load(&mut self) {
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
        // After a failure, rows are loaded even if no request is allowed: otherwise nothing would
        // show that the database works again.
        let (most, enough) = if self.writer.database.is_failing() {
            (most.max(1), usize::MAX)
        } else {
            (most, enough)
        };
        if most == 0 || self.requests.loader.count_ready() >= enough {
            return;
        }
        let groups = self.planner.take_fetches(most, BATCH);
        let mut shared = lock(&self.shared);
        let groups: Vec<Vec<ScheduledInvoice>> = groups
            .into_iter()
            .map(|slots| shared.schedule.take_turns(&slots))
            .filter(|group| !group.is_empty())
            .collect();
        shared.schedule.count_used_turns(groups.len());
        drop(shared);
        if !groups.is_empty() {
            let (store, clock) = (&self.setup.store, &self.setup.clock);
            let creates = self.setup.provider.creates();
            let creates = creates.is_none_or(|creates| creates.missing_setting().is_none());
            self.requests
                .loader
                .begin(groups, creates, Arc::clone(store), Arc::clone(clock));
        }
    }

    pub(super) fn accept_rows(&mut self, loaded: Loaded) {
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
                let again = self.writer.database.note_load_failure(&error, now);
                self.queue.wait_until(again);
                return;
            }
        };
        self.writer.database.note_load();
        self.writer.note_success();
        for turns in loaded.groups {
            let mut group = Group::new();
            for (slot, id) in turns {
                let invoice = invoices.remove(&id);
                match invoice.filter(|i| i.schedule.next_poll_at.is_some()) {
                    Some(invoice) if schedule.follow_rename(slot, &invoice, tick(now)) => {
                        group.push(invoice);
                    }
                    Some(_) => {}
                    // Deleted, or final.
                    None => schedule.remove(slot),
                }
            }
            if !group.is_empty() {
                self.requests.loader.push(group);
            }
        }
    }

    pub(super) fn launch_requests(&mut self) {
        if self.pass.is_finishing {
            return;
        }
        self.launch_probe();
        if self.writer.database.is_failing() {
            return;
        }
        while let Some(group) = self.requests.loader.pop() {
            let asked = self.choose_questions(group);
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
            self.requests.fetcher.send(asked, permit);
        }
    }

    /// Selects the invoices that need a request; the others are decided here.
    fn choose_questions(&mut self, group: Group) -> Vec<(Invoice, Question)> {
        let now = self.setup.clock.now();
        let mut asked = Vec::with_capacity(group.len());
        for invoice in group {
            let is_first = self.requests.loader.is_first_creation(invoice.id);
            match choose_step(&invoice, is_first, self.setup.provider.as_ref(), now) {
                Step::Ask(question) => asked.push((invoice, question)),
                Step::Known(observation) => self.decide_invoice(Box::new(invoice), *observation),
                Step::Nothing => self.plan_next_poll(Box::new(invoice)),
                Step::Unconfigured(what) => self.wait_for_configuration(Box::new(invoice), &what),
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
}
