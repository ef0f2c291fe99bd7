//! One turn of a poller that reads the list: take in what became due, judge what pages showed, plan,
//! and begin what the budget allows. What pages showed is judged in `judge`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;

use super::book;
use super::page::{self, Errand, Fetched, Purpose, lock};
use super::{BATCH, Poller};
use crate::domain::invoice::{Invoice, InvoiceId};
use crate::domain::positions::Positions;
use crate::domain::time::UnixMillis;
use crate::jobs::LONGEST_NAP;
use crate::store::{DueRow, QueuePlace, StoreError};

/// Rows taken in at a time.
const CHUNK: u32 = 2_000;
/// Plans so old are read once more: their writer may have committed late.
const LAG: Duration = Duration::from_secs(2);
/// Payments said without amounts are completed after a start if they are no older and no more than
/// this; the rest is left to the audit.
const LACKING_SINCE: Duration = Duration::from_hours(24);
const LACKING_MOST: u32 = 500;
/// A look of its own that is already under way is left alone for so long.
const BUSY: Duration = Duration::from_millis(100);

const LAST_ID: InvoiceId = InvoiceId(i64::MAX);

impl Poller {
    /// As `refill`, for the strategies that read the list.
    pub(super) async fn refill_by_list(&mut self) {
        if let Err(error) = self.refill_or_fail().await {
            self.read_not_before = self.committer.fail(&error);
        }
    }

    async fn refill_or_fail(&mut self) -> Result<(), StoreError> {
        self.take_in().await?;
        self.judge_taken().await?;
        self.judge_missing().await?;
        self.committer.recovered();
        if self.committer.is_failing() || self.committer.is_full() {
            return Ok(());
        }
        let (now, wall) = (self.setup.clock.monotonic(), self.setup.clock.now());
        if let Some(reading) = &mut self.reading {
            reading.plan(now, wall);
        }
        self.begin_page().await?;
        self.load_ones().await
    }

    // ------------------------------------------------------------------ taking what is due

    async fn take_in(&mut self) -> Result<(), StoreError> {
        let now = self.setup.clock.monotonic();
        let Some(reading) = &mut self.reading else {
            return Ok(());
        };
        if now < self.read_not_before && !reading.intake.goes_on {
            return Ok(());
        }
        let (store, account) = (&self.setup.store, &self.setup.account);
        let wall = self.once.unwrap_or_else(|| self.setup.clock.now());
        let beginning = store.list_beginning(account).await?;
        let intake = &mut reading.intake;
        let mut rows = Vec::new();
        let mut highest_id = intake.highest_id;
        if intake.begun {
            let nudges = QueuePlace {
                at: UnixMillis(-1),
                id: LAST_ID,
            };
            let none = UnixMillis(0);
            rows = store.due_after(account, nudges, none, CHUNK).await?;
            if beginning.highest_id > intake.highest_id && self.once.is_none() {
                let after = intake.highest_id;
                let new = store.inserted_after(account, after, CHUNK).await?;
                let last = new.last().map_or(after, |row| row.id);
                let is_all = new.len() < CHUNK as usize;
                highest_id = if is_all {
                    beginning.highest_id.max(last)
                } else {
                    last
                };
                rows.extend(new.into_iter().filter(|row| row.next_poll_at <= wall));
            }
        } else {
            intake.begun = true;
            highest_id = beginning.highest_id;
            let text = beginning.positions.unwrap_or_default();
            reading.positions = Positions::parse(&text);
            // Said by the run before this one, or while the list was not read.
            let lately = wall.minus(LACKING_SINCE);
            let lacking = store.without_amounts(account, lately, LACKING_MOST).await?;
            for (order, created_at) in lacking {
                reading.details.want(&order.0, Some(created_at), None, now);
            }
        }
        let due = store.due_after(account, intake.cursor, wall, CHUNK).await?;
        // Noted once all is read, and taken in before anything else can fail: what is passed over
        // here is read by nobody again.
        intake.highest_id = highest_id;
        intake.goes_on = due.len() == CHUNK as usize;
        intake.cursor = match due.last() {
            Some(last) if intake.goes_on => QueuePlace {
                at: last.next_poll_at,
                id: last.id,
            },
            Some(_) | None => QueuePlace {
                at: wall.minus(LAG).max(UnixMillis(0)),
                id: LAST_ID,
            },
        };
        rows.extend(due);
        let goes_on = intake.goes_on;
        self.adopt(&rows, now);
        if !goes_on {
            let (store, account) = (&self.setup.store, &self.setup.account);
            let next = store.next_plan(account, wall).await?;
            let until_next = next.map_or(LONGEST_NAP, |at| at.since(wall));
            // Plans that come thick and fast are taken in together.
            self.rest(until_next.max(self.setup.intake_interval));
        }
        Ok(())
    }

    fn adopt(&mut self, rows: &[DueRow], now: Duration) {
        let Some(reading) = &self.reading else { return };
        let mut shared = lock(&reading.shared);
        let mut orders_to_come = false;
        for row in rows {
            let is_adopted = shared.book.adopt(row, book::tick(now));
            let Some(order_id) = row.order_id.as_ref().filter(|_| is_adopted) else {
                orders_to_come |= is_adopted;
                continue;
            };
            // Where a page showed it lately. Its next page compares it anew.
            let position = shared.forget_seen(&order_id.0);
            if let (Some(position), Some(slot)) = (position, shared.book.slot_of(&order_id.0)) {
                shared.book.place(slot, position);
            }
        }
        if orders_to_come {
            // An order seen before may be theirs: the list tells it by their external id.
            shared.forget_all_seen();
        }
    }

    // ---------------------------------------------------------------------------------- asking

    /// Begins the next page, if one is wanted and the budget allows it: first what is due needs,
    /// then missing amounts, then the watch. One page at a time.
    async fn begin_page(&mut self) -> Result<(), StoreError> {
        let now = self.setup.clock.monotonic();
        let Some(reading) = &mut self.reading else {
            return Ok(());
        };
        let may_begin =
            self.page.is_none() && now >= reading.pages_not_before && !reading.pages_rest();
        let ones_wait = !self.queue.is_empty() || reading.has_ones();
        let ones_turn = self.page_was_last && ones_wait;
        if !may_begin || ones_turn || self.setup.gate.lock().room(now) == 0 {
            return Ok(());
        }
        let mut errand = reading.errand_for_due();
        if errand.is_none() && self.once.is_none() {
            let page_limit = reading.page_limit();
            errand = reading.details.errand(&reading.positions, page_limit, now);
        }
        let watch_is_due = reading.watch.next().is_some_and(|at| at <= now);
        if errand.is_none() && self.once.is_none() && watch_is_due {
            if self.setup.store.has_pending(&self.setup.account).await? {
                errand = reading.watch_errand(now);
            } else {
                reading.watch.rest(now);
            }
        }
        if let Some(errand) = errand {
            self.send_errand(errand, now);
        }
        Ok(())
    }

    fn send_errand(&mut self, errand: Errand, now: Duration) {
        let taken = self.gate().take(now);
        let (Some(reading), Ok(permit)) = (&mut self.reading, taken) else {
            return;
        };
        if errand.purpose == Purpose::Watch {
            reading.watch.begun(now);
        }
        self.page_was_last = true;
        let provider = Arc::clone(&self.setup.provider);
        let clock = Arc::clone(&self.setup.clock);
        let shared = Arc::clone(&reading.shared);
        self.page = Some(page::fetch(errand, permit, provider, clock, shared).boxed());
    }

    /// Loads the rows whose turn for a look of their own has come.
    async fn load_ones(&mut self) -> Result<(), StoreError> {
        let now = self.setup.clock.monotonic();
        let room = if self.queue.is_empty() {
            self.gate().room(now)
        } else {
            0
        };
        let Some(reading) = self.reading.as_mut().filter(|_| room > 0) else {
            return Ok(());
        };
        let ones = reading.take_ones(room.min(BATCH));
        if ones.is_empty() {
            return Ok(());
        }
        self.page_was_last = false;
        let ids: Vec<InvoiceId> = ones.iter().map(|(_, id)| *id).collect();
        match self.setup.store.load(&ids).await {
            Ok(invoices) => {
                self.queue_loaded(&ones, invoices, now);
                self.mark_creations().await;
                Ok(())
            }
            Err(error) => {
                let mut shared = lock(&reading.shared);
                for (slot, _) in &ones {
                    shared.book.make_due(*slot);
                }
                Err(error)
            }
        }
    }

    fn queue_loaded(&mut self, ones: &[(u32, InvoiceId)], invoices: Vec<Invoice>, now: Duration) {
        let Some(reading) = &self.reading else { return };
        let mut shared = lock(&reading.shared);
        let mut by_id: HashMap<InvoiceId, Invoice> = invoices
            .into_iter()
            .map(|invoice| (invoice.id, invoice))
            .collect();
        for (slot, id) in ones {
            let invoice = by_id.remove(id);
            match invoice.filter(|invoice| invoice.schedule.next_poll_at.is_some()) {
                // Gone, or final.
                None => shared.book.remove(*slot),
                Some(_) if self.claimed.contains(id) => {
                    shared.book.put_off(*slot, book::tick(now + BUSY));
                }
                Some(invoice) => self.queue.push_back(Box::new(invoice)),
            }
        }
    }

    /// Takes in a page that came back.
    pub(super) fn fetched(&mut self, mut fetched: Fetched) {
        self.meter_page(&fetched);
        let (now, wall) = (self.setup.clock.monotonic(), self.setup.clock.now());
        match &fetched.result {
            Ok(_) => {
                self.gate().settle(&fetched.permit, Ok(()), now);
                self.standing.succeeded(wall);
                self.counts.answered += 1;
            }
            Err(error) => {
                tracing::debug!(account = %self.setup.account, %error, "a page could not be read");
                self.gate().settle(&fetched.permit, Err(error), now);
                self.standing.failed(wall, error.to_string());
                self.counts.could_not_ask += 1;
            }
        }
        self.tell_of_trouble();
        self.cover(&fetched.covered, now, wall);
        let started_at = fetched.started_at;
        let taken = std::mem::take(&mut fetched.taken).into_iter();
        self.taken.extend(taken.map(|taken| (started_at, taken)));
        let Some(reading) = &mut self.reading else {
            return;
        };
        let missing = reading.learn(&fetched, now, wall);
        if !self.setup.strategy.has_looks() {
            self.missing.extend(missing);
        }
    }

    // --------------------------------------------------------------------------------- waiting

    /// How long nothing of the list needs to be done.
    pub(super) fn list_nap(&mut self, now: Duration) -> Duration {
        let room = self.gate().wait(now);
        let Some(reading) = &self.reading else {
            return Duration::MAX;
        };
        let may_begin_page = self.page.is_none() && !reading.pages_rest();
        if self.committer.is_failing() {
            // Nothing is planned or asked meanwhile: only the next try of the database counts.
            let again = self.read_not_before.saturating_sub(now);
            return if again.is_zero() {
                self.setup.intake_interval
            } else {
                again
            };
        }
        if reading.intake.goes_on || !self.taken.is_empty() || !self.missing.is_empty() {
            return Duration::ZERO;
        }
        let mut wakes = Vec::new();
        let next_due = lock(&reading.shared).book.next_due();
        wakes.extend(next_due.map(book::begins));
        if self.once.is_none() && may_begin_page {
            let pages = reading.watch.next().into_iter();
            let pages = pages.chain(reading.details.next());
            wakes.extend(pages.map(|at| at.max(reading.pages_not_before)));
        }
        if !reading.is_idle() {
            let for_page = may_begin_page.then_some(reading.pages_not_before);
            // While a page is under way, only those that need none can begin.
            wakes.extend(for_page.or(reading.has_ones().then_some(now)));
        }
        // Without room for a request there is no use in waking.
        let room = room.map_or(Duration::MAX, |wait| now + wait);
        let wake = wakes.into_iter().min();
        wake.map_or(Duration::MAX, |at| at.max(room).saturating_sub(now))
    }

    /// For one pass: whether all that was due has been looked at.
    pub(super) fn list_is_done(&mut self) -> bool {
        let Some(reading) = &self.reading else {
            return true;
        };
        let has_read_all = reading.intake.begun && !reading.intake.goes_on;
        let is_judged = self.taken.is_empty() && self.missing.is_empty();
        has_read_all && is_judged && self.page.is_none() && self.list_left() == 0
    }

    /// Entries still due.
    pub(super) fn list_left(&self) -> u64 {
        let Some(reading) = &self.reading else {
            return 0;
        };
        let now = book::tick(self.setup.clock.monotonic());
        lock(&reading.shared).book.due(now).len() as u64
    }
}
