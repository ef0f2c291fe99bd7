//! Reading a list by time: which spans are worth a request, and what a complete reading proves.
//! Pure.
//!
//! Three kinds of reading share one account, one page at a time:
//!
//! - *paid*: all orders that were paid since the last reading. An order that was observed open at a
//!   time covered without a gap by these readings, and that they do not show, is not paid: one
//!   reading polls all of them.
//! - *refunds*: all refunds, whatever order they belong to.
//! - *created*: orders by creation time, in any state. Used for orders about which a reading of
//!   payments proves nothing (never polled, at their end, nudged), where one page shows several of
//!   them, and for orders known only by their external id.
//!
//! A list may change while it is paged. Each reading begins, by the provider's clock, before the
//! moment that the last one reached, so a change missed by one page is shown by the next reading.

mod created;
mod followed;
mod gapless;
mod request;

use std::time::Duration;

use self::created::CreatedSpans;
pub use self::created::{CreatedCandidate, Missed};
use self::followed::FollowedSearch;
use self::gapless::GaplessSpan;
pub use self::request::{SpanMoment, SpanPageSummary, SpanRequest, SpanTerms, SpanWhy};
use crate::domain::time::UnixMillis;

/// Minimum time between readings of payments, where the rate limit allows more.
const PAID_EVERY: Duration = Duration::from_secs(2);
/// Time between readings of refunds; refunds are noticed within a minute.
const REFUNDS_EVERY: Duration = Duration::from_secs(30);
/// Time until the next check while no invoice waits for money.
const IDLE_DELAY: Duration = Duration::from_secs(3);
/// A reading later than this no longer replaces polls.
const SLACK: Duration = Duration::from_millis(1500);
/// A reading replaces single polls if its period is at most this many minimum intervals.
const REPLACES_POLLS: u32 = 5;
/// First delay after a failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// A reading in progress.
#[derive(Debug)]
struct SpanReading {
    why: SpanWhy,
    from: UnixMillis,
    until: Option<UnixMillis>,
    began: SpanMoment,
    pages: u32,
    items: u64,
    unsettled_since: Option<UnixMillis>,
    /// Whether its requests are for due entries.
    is_for_due: bool,
}

/// Plans the readings of one account's list by time.
#[derive(Debug)]
pub struct SpanPlanner {
    terms: SpanTerms,
    paid: GaplessSpan,
    refunds: GaplessSpan,
    created: CreatedSpans,
    followed: FollowedSearch,
    reading: Option<SpanReading>,
    /// Whether a reading of payments would cover a due entry.
    wants_paid: bool,
    /// Before this time, only due entries are read for; this limits other readings to half of the
    /// rate limit.
    free_at: Duration,
    paid_at: Duration,
    refunds_at: Duration,
    failures: u32,
    not_before: Duration,
}

impl SpanPlanner {
    /// Nothing was read yet.
    pub fn new(terms: SpanTerms, now: Duration) -> Self {
        Self {
            created: CreatedSpans::new(terms.page_limit, terms.is_preferred),
            followed: FollowedSearch::default(),
            terms,
            paid: GaplessSpan::payments(),
            refunds: GaplessSpan::refunds(),
            reading: None,
            wants_paid: false,
            free_at: now,
            paid_at: now,
            refunds_at: now,
            failures: 0,
            not_before: now,
        }
    }

    /// Whether any reading is possible.
    pub fn is_used(&self) -> bool {
        let terms = &self.terms;
        terms.paid || terms.created || terms.refunds || terms.follows
    }

    /// Whether orders can be searched for by external id.
    pub fn follows(&self) -> bool {
        self.terms.follows
    }

    /// Restores the progress of the previous run from the output of `to_text`.
    pub fn restore(&mut self, text: &str) {
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("paid", stretch)) => self.paid.restore(stretch),
                Some(("refunds", stretch)) => self.refunds.restore(stretch),
                Some(_) | None => {}
            }
        }
    }

    /// The progress, for the next run.
    pub fn to_text(&self) -> String {
        let stretches = [("paid", &self.paid), ("refunds", &self.refunds)];
        let lines = stretches.map(|(name, stretch)| Some(format!("{name} {}", stretch.to_text()?)));
        lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }

    // ------------------------------------------------------------------ due entries

    /// Whether readings of payments cover an order that was observed open at `known_at`, or the
    /// next one will.
    pub fn reaches(&self, known_at: UnixMillis, now: SpanMoment) -> bool {
        let will_reach = self.paid.will_reach(known_at, now);
        self.terms.paid && (self.paid.reaches(known_at) || will_reach)
    }

    /// Whether the last reading of payments is recent enough to count as a poll of all orders that
    /// it covers.
    pub fn counts_as_poll(&self, now: Duration) -> bool {
        let period = self.paid_period();
        let is_frequent = period <= self.terms.min_interval.max(PAID_EVERY) * REPLACES_POLLS;
        let is_fresh = |at: Duration| now <= at + period * 2 + SLACK;
        is_frequent && self.paid.read_at().is_some_and(is_fresh)
    }

    /// Announces that a reading of payments would cover `due` entries. Returns the time until which
    /// they should wait for one; None = it is not worth a request, or not possible.
    pub fn expect_paid(&mut self, due: usize, now: Duration) -> Option<Duration> {
        if now < self.not_before || !self.terms.paid {
            return None;
        }
        let is_coming = self.reads_beyond() && self.next_paid() <= now + SLACK;
        let is_under_way = self.reads(&SpanWhy::Paid);
        if !is_coming && !is_under_way {
            let pages = usize::try_from(self.paid.pages()).unwrap_or(usize::MAX);
            if due <= pages.max(1) && !self.terms.is_preferred {
                return None;
            }
            self.wants_paid = true;
        }
        Some(now + SLACK)
    }

    /// Plans readings by creation time for those of `due` of which one page shows several. Returns
    /// the entries left to other requests.
    pub fn plan_created(&mut self, due: &[CreatedCandidate]) -> Vec<u32> {
        let is_usable = self.terms.created && self.failures == 0;
        self.created.plan(due, is_usable)
    }

    /// Plans one search for all orders known only by their external id, whose rows were inserted at
    /// these times.
    pub fn plan_followed(&mut self, mut inserted: Vec<UnixMillis>) {
        if self.reads(&SpanWhy::Followed) {
            inserted.clear();
        }
        self.followed.want(inserted);
    }

    /// Whether a due entry waits for a reading.
    pub fn has_due(&self) -> bool {
        let has_planned = self.created.has_planned() || self.followed.is_wanted();
        self.wants_paid || has_planned || self.is_reading_due()
    }

    /// Nothing is due.
    pub fn clear_due(&mut self) {
        self.created.clear();
        self.followed.want(Vec::new());
    }

    fn is_reading_due(&self) -> bool {
        self.reading.as_ref().is_some_and(|one| one.is_for_due)
    }

    fn reads(&self, why: &SpanWhy) -> bool {
        self.reading.as_ref().is_some_and(|one| one.why == *why)
    }

    // ------------------------------------------------------------------ requests

    /// Whether a reading is in progress.
    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// The next page for due entries, or of the reading in progress.
    pub fn take_due_request(&mut self, now: SpanMoment) -> Option<SpanRequest> {
        if now.at < self.not_before {
            return None;
        }
        if let Some(reading) = &self.reading {
            // Beyond due entries, only as the rate limit allows; a reading in progress is
            // completed.
            let may_go_on = self.has_due() || now.at >= self.free_at;
            return may_go_on.then(|| reading.request());
        }
        if std::mem::take(&mut self.wants_paid) {
            return Some(self.begin(SpanWhy::Paid, self.paid.next_from(now), None, now, true));
        }
        if let Some(from) = self.followed.take(now.theirs) {
            return Some(self.begin(SpanWhy::Followed, from, None, now, true));
        }
        let (from, until) = self.created.take()?;
        Some(self.begin(SpanWhy::Due, from, Some(until), now, true))
    }

    /// Whether refunds should be read now.
    pub fn refunds_are_due(&self, now: Duration) -> bool {
        let may_begin = self.reading.is_none() && now >= self.not_before;
        self.terms.refunds && may_begin && now >= self.refunds_at
    }

    /// Whether payments should be read now, beyond due entries.
    pub fn paid_is_due(&self, now: Duration) -> bool {
        let may_begin = self.reading.is_none() && now >= self.not_before;
        self.reads_beyond() && may_begin && now >= self.next_paid()
    }

    /// The first page of refunds since the last reading; `is_for_due` in a single pass, which then reads all pages.
    pub fn take_refunds_request(&mut self, now: SpanMoment, is_for_due: bool) -> SpanRequest {
        let from = self.refunds.next_from(now);
        self.begin(SpanWhy::Refunds, from, None, now, is_for_due)
    }

    /// The first page of payments since the last reading.
    pub fn take_paid_request(&mut self, now: SpanMoment) -> SpanRequest {
        let from = self.paid.next_from(now);
        self.begin(SpanWhy::Paid, from, None, now, false)
    }

    /// Postpones readings: no invoice waits for money at present.
    pub fn rest(&mut self, now: Duration) {
        self.paid_at = now + IDLE_DELAY;
    }

    /// When the next page should be requested, if nothing changes.
    pub fn next_request(&self, for_due_alone: bool) -> Option<Duration> {
        let due = self.has_due().then_some(Duration::ZERO);
        let goes_on = self.reading.is_some().then_some(self.free_at);
        let paid = self.reads_beyond().then(|| self.next_paid());
        let refunds = self.terms.refunds.then_some(self.refunds_at);
        let beyond = [goes_on, paid, refunds].into_iter().flatten();
        let beyond = beyond.filter(|_| !for_due_alone).min();
        let next = due.into_iter().chain(beyond).min();
        next.map(|at| at.max(self.not_before))
    }

    fn begin(
        &mut self,
        why: SpanWhy,
        from: UnixMillis,
        until: Option<UnixMillis>,
        began: SpanMoment,
        is_for_due: bool,
    ) -> SpanRequest {
        match why {
            SpanWhy::Paid => self.paid_at = began.at + PAID_EVERY,
            SpanWhy::Refunds => self.refunds_at = began.at + REFUNDS_EVERY,
            SpanWhy::Due | SpanWhy::Followed => {}
        }
        let reading = SpanReading {
            why,
            from,
            until,
            began,
            pages: 0,
            items: 0,
            unsettled_since: None,
            is_for_due,
        };
        self.reading.insert(reading).request()
    }

    fn reads_beyond(&self) -> bool {
        self.terms.paid && self.terms.bytes_per_second > 0
    }

    fn next_paid(&self) -> Duration {
        self.paid_at.max(self.free_at)
    }

    /// Time from one reading of payments to the next, assuming as many pages as last time.
    fn paid_period(&self) -> Duration {
        if !self.reads_beyond() {
            return PAID_EVERY;
        }
        PAID_EVERY.max(self.price(0) * self.paid.pages().max(1))
    }

    /// Time charged for a page beyond due entries: half of the requests, and its bytes.
    fn price(&self, bytes: u64) -> Duration {
        let rate = self.terms.requests_per_second;
        let of_request = if rate > 0.0 { 2.0 / rate } else { 0.0 };
        let of_bytes = bytes.saturating_mul(1000) / self.terms.bytes_per_second.max(1);
        let of_request = Duration::try_from_secs_f64(of_request).unwrap_or(LONGEST_PAUSE);
        of_request.max(Duration::from_millis(of_bytes))
    }

    // ------------------------------------------------------------------ learning

    /// Records a page. At the end of a reading, returns the entries that it was for and did not
    /// show.
    pub fn learn_page(&mut self, page: SpanPageSummary<'_>, now: Duration) -> Option<Missed> {
        self.failures = 0;
        let reading = self.reading.as_mut()?;
        reading.pages += 1;
        reading.items += page.items;
        let unsettled = [reading.unsettled_since, page.unsettled_since];
        reading.unsettled_since = unsettled.into_iter().flatten().min();
        let is_for_due = reading.is_for_due;
        let is_enough = match reading.why {
            SpanWhy::Due => self.created.learn(page.slots, page.polled, reading.pages),
            SpanWhy::Paid | SpanWhy::Refunds | SpanWhy::Followed => false,
        };
        if !is_for_due && self.terms.bytes_per_second > 0 {
            self.free_at = self.free_at.max(now) + self.price(page.bytes);
        }
        if page.goes_on && !is_enough {
            return None;
        }
        let reading = self.reading.take()?;
        if reading.why == SpanWhy::Refunds {
            // What a long reading has delayed has its turn before the next one.
            let took = now.saturating_sub(reading.began.at);
            self.refunds_at = self.refunds_at.max(now + took);
        }
        Some(self.conclude(reading))
    }

    fn conclude(&mut self, reading: SpanReading) -> Missed {
        let SpanReading {
            why, from, began, ..
        } = reading;
        let mut missed = Missed::default();
        match why {
            SpanWhy::Paid => self.paid.learn(from, began, reading.pages, None),
            SpanWhy::Refunds => {
                let pages = reading.pages;
                self.refunds
                    .learn(from, began, pages, reading.unsettled_since);
            }
            SpanWhy::Followed => self.followed.learn(from, began.theirs),
            SpanWhy::Due => missed = self.created.conclude(),
        }
        // A reading that was abandoned has at least this many pages.
        if matches!(why, SpanWhy::Due | SpanWhy::Followed) {
            let until = reading.until.unwrap_or(began.theirs);
            self.created.learn_density(until.since(from), reading.items);
        }
        missed
    }

    /// Records a failed page: the reading is abandoned, and the earlier progress stays.
    pub fn fail(&mut self, now: Duration) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10));
        self.failures += 1;
        self.not_before = now + pause.min(LONGEST_PAUSE);
        self.give_up();
    }

    /// Abandons the reading in progress.
    pub fn give_up(&mut self) {
        self.reading = None;
        self.created.conclude();
    }
}

impl SpanReading {
    fn request(&self) -> SpanRequest {
        SpanRequest {
            why: self.why.clone(),
            from: self.from,
            until: self.until,
            is_first: self.pages == 0,
        }
    }
}

#[cfg(test)]
mod tests;
