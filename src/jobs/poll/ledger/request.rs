//! When pages of a ledger are requested, and what comes back.
//!
//! A reading begins when an invoice is due, at most once per `min_interval`: it polls every open
//! invoice, so their number does not matter. Beyond that, while an invoice waits for money, the ledger
//! is read with half of the request budget and within `list_bytes_per_second`; else often enough to
//! notice refunds and late payments.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;

use super::pace::LedgerDemand;
use super::reader::{LedgerAnswer, LedgerReader, PageInHand};
use crate::domain::planner::Strategy;
use crate::jobs::poll::page::lock;
use crate::jobs::poll::poller::Poller;
use crate::jobs::poll::schedule::{Entry, EntryKind, tick};
use crate::jobs::poll::trusted::once_trusted;
use crate::provider::ProviderError;
use crate::store::StoreError;

/// While no invoice waits for money, that is checked again after this delay.
const REST: Duration = Duration::from_secs(10);

impl Poller {
    /// Whether what the ledger brought waits to be worked on.
    pub(in crate::jobs::poll) fn has_ledger_work(&self) -> bool {
        let ledger = self.requests.ledger.as_ref();
        ledger.is_some_and(LedgerReader::has_work)
    }

    /// When the next page may be requested, apart from the limits.
    pub(in crate::jobs::poll) fn next_ledger_request_at(&self, now: Duration) -> Option<Duration> {
        let reader = self.requests.ledger.as_ref()?;
        reader.next_request_at(
            self.ledger_demand(now),
            self.setup.settings.cadence.min_interval,
            now,
        )
    }

    /// Which invoices wait for a reading.
    fn ledger_demand(&self, now: Duration) -> LedgerDemand {
        let mut shared = lock(&self.shared);
        let schedule = &mut shared.schedule;
        if schedule.count_due_with_orders(tick(now)) == 0 {
            return match self.pass.once {
                Some(_) => LedgerDemand::Nothing,
                None => LedgerDemand::Beyond,
            };
        }
        let slots = schedule.due_slots(tick(now)).to_vec();
        let mut due = slots.iter().filter_map(|slot| schedule.entry(*slot));
        let is_nudge = |entry: &Entry| entry.kind != EntryKind::Create && entry.nudged_for > 0;
        if due.any(is_nudge) {
            LedgerDemand::Nudged
        } else {
            LedgerDemand::Due
        }
    }

    /// Begins the next request for a page, if one is wanted and the limits allow it.
    pub(in crate::jobs::poll) async fn begin_ledger_request(&mut self) -> Result<(), StoreError> {
        let now = self.setup.clock.monotonic();
        let may_begin = self.next_ledger_request_at(now).is_some_and(|at| at <= now);
        if !may_begin || !self.may_begin_reading(now) {
            return Ok(());
        }
        let (store, account) = (&self.setup.store, &self.setup.account);
        if self.is_ledger_watch(now) && !store.has_pending(account).await? {
            if let Some(reader) = &mut self.requests.ledger {
                reader.pace.rest_until(now + REST);
            }
            return Ok(());
        }
        self.send_ledger_request();
        Ok(())
    }

    fn send_ledger_request(&mut self) {
        // Read again: the database was asked meanwhile, and the lease may be over since.
        let now = self.setup.clock.monotonic();
        let Ok(permit) = self.setup.limiter.lock().take(now) else {
            return;
        };
        self.requests.list_was_last = true;
        let provider = Arc::clone(&self.setup.provider);
        let Some(reader) = &mut self.requests.ledger else {
            return;
        };
        if !reader.ledger.is_reading() {
            reader.number = lock(&self.shared).schedule.begin_page();
            reader.pace.begin_reading(now);
        }
        reader.pace.count_request();
        let (cursor, from) = (reader.ledger.cursor().cloned(), reader.ledger.from());
        let ask = async move {
            let result = match provider.ledger() {
                Some(ledger) => ledger.ledger_page(cursor.as_ref(), from).await,
                None => Err(ProviderError::Refused("account has no ledger".into())),
            };
            LedgerAnswer { permit, result }
        };
        let (limiter, clock) = (self.setup.limiter.clone(), Arc::clone(&self.setup.clock));
        reader.request = Some(once_trusted(limiter, clock, ask).boxed());
    }

    /// Takes in a page that came back.
    pub(in crate::jobs::poll) fn accept_ledger_answer(&mut self, answer: LedgerAnswer) {
        let answer = self.judge_page(answer);
        self.meter_ledger(&answer);
        let now = self.setup.clock.monotonic();
        self.settle(&answer.permit, answer.result.as_ref().map(|_| ()), true);
        let Some(reader) = &mut self.requests.ledger else {
            return;
        };
        match answer.result {
            Ok(page) => {
                reader.pace.note_page(page.transactions.len());
                reader.page = PageInHand::Unmatched(page);
            }
            Err(error) => {
                tracing::debug!(account = %self.setup.account, %error, "ledger request failed");
                reader.pace.note_failure(now);
                reader.comparisons.release_held();
            }
        }
    }

    /// A page with entries that cannot be read is a failure, until they are left out, and so is one of
    /// another ledger, until that has shown several times in a row.
    fn judge_page(&mut self, answer: LedgerAnswer) -> LedgerAnswer {
        let LedgerAnswer { permit, result } = answer;
        let result = match (&mut self.requests.ledger, result) {
            (Some(reader), Ok(page)) => {
                let judged = reader.unreadable.judge(&self.setup.account, page);
                let meter = &self.setup.signals.meter;
                meter.observed("ledger", "unreadable", judged.newly_left_out);
                let account = &self.setup.account;
                judged
                    .result
                    .and_then(|page| reader.judge_ledger(account, page))
            }
            (_, result) => result,
        };
        LedgerAnswer { permit, result }
    }

    // --------------------------------------------------------------- beyond what is due

    /// Whether the next reading would only be for the case that an invoice waits for money.
    fn is_ledger_watch(&self, now: Duration) -> bool {
        let Some(reader) = &self.requests.ledger else {
            return false;
        };
        let is_wanted = reader.ledger.is_reading() || reader.pace.read_again_at() <= now;
        !is_wanted && self.ledger_demand(now) == LedgerDemand::Beyond
    }

    /// Plans the next reading beyond what is due by what the last one cost.
    pub(in crate::jobs::poll) fn plan_ledger_watch(&mut self) {
        let now = self.setup.clock.monotonic();
        let rate = self.setup.limiter.lock().rate();
        let bytes_per_second = self.setup.settings.list_bytes_per_second;
        let watches = bytes_per_second > 0 && self.setup.settings.strategy != Strategy::Single;
        if !watches || self.pass.once.is_some() {
            return;
        }
        if let Some(reader) = &mut self.requests.ledger {
            reader.pace.plan_watch(rate, bytes_per_second, now);
        }
    }
}
