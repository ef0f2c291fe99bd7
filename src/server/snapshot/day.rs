//! The last day by hours: payments, and their time to detect. Read from the outbox in parts, each
//! event once.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::time::UnixMillis;
use crate::store::{OutboxEntry, Reports, StoreError};

/// Hours shown, the current one included.
pub(in crate::server) const HOURS: usize = 24;
const HOUR_MS: i64 = 3_600_000;

/// Events read at a time, and maximum number of reads in one run.
const CHUNK: u32 = 2000;
const CHUNKS_A_TURN: u32 = 10;

/// Detection times are counted in classes of growing width: a percentile is accurate to a tenth,
/// and a day with a million payments takes a few kilobytes.
const FINEST_S: f64 = 0.1;
const GROWTH: f64 = 1.1;
const CLASSES: usize = 150;

/// The payments within one hour of the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Hour {
    /// Payments that were detected.
    pub(in crate::server) paid: u64,
    /// For those with a time reported by the provider: the number in each class.
    classes: Vec<u32>,
}

impl Default for Hour {
    fn default() -> Self {
        Self {
            paid: 0,
            classes: vec![0; CLASSES],
        }
    }
}

/// The last hours that have events, by their number since 1970.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Day {
    hours: BTreeMap<i64, Hour>,
    /// The last event that was read; None = nothing yet.
    place: Option<i64>,
    complete: bool,
    last_paid_at: Option<UnixMillis>,
}

impl Day {
    /// Reads what was written since, or a part of it.
    pub(super) async fn read_on(
        &mut self,
        store: &dyn Reports,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let first = now.0.div_euclid(HOUR_MS) - hours_before_this();
        let mut place = match self.place {
            Some(place) => place,
            None => store.seq_before(UnixMillis(first * HOUR_MS)).await?,
        };
        self.complete = false;
        for _ in 0..CHUNKS_A_TURN {
            let told = store.entries_after(place, CHUNK).await?;
            for event in &told {
                place = event.seq;
                self.take(event);
            }
            self.place = Some(place);
            if told.len() < CHUNK as usize {
                self.complete = true;
                break;
            }
        }
        self.hours.retain(|hour, _| *hour >= first);
        Ok(())
    }

    fn take(&mut self, event: &OutboxEntry) {
        if event.event_type != "payment.paid" {
            return;
        }
        let hour = event.created_at.0.div_euclid(HOUR_MS);
        let hour = self.hours.entry(hour).or_default();
        hour.paid += 1;
        self.last_paid_at = self.last_paid_at.max(Some(event.created_at));
        if let Some(paid_at) = event.paid_at {
            hour.classes[class(event.created_at.since(paid_at))] += 1;
        }
    }

    /// When the last payment of the day was detected.
    pub(in crate::server) fn last_paid_at(&self) -> Option<UnixMillis> {
        self.last_paid_at.filter(|_| !self.hours.is_empty())
    }

    /// Whether all of it has been read.
    pub(in crate::server) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The hours up to the current one, which is the last.
    pub(in crate::server) fn hours(&self, now: UnixMillis) -> Vec<(UnixMillis, Hour)> {
        let this = now.0.div_euclid(HOUR_MS);
        let hours = (this - hours_before_this())..=this;
        let told = hours.map(|number| {
            let hour = self.hours.get(&number).cloned().unwrap_or_default();
            (UnixMillis(number * HOUR_MS), hour)
        });
        told.collect()
    }

    /// The whole day as one hour.
    pub(in crate::server) fn whole(&self) -> Hour {
        let mut whole = Hour::default();
        for hour in self.hours.values() {
            whole.paid += hour.paid;
            for (sum, count) in whole.classes.iter_mut().zip(&hour.classes) {
                *sum += count;
            }
        }
        whole
    }
}

impl Hour {
    /// The time within which `percent` of the payments were detected; None = not known for any.
    pub(in crate::server) fn noticed_within(&self, percent: u64) -> Option<Duration> {
        let all: u64 = self.classes.iter().map(|count| u64::from(*count)).sum();
        let rank = (all * percent).div_ceil(100).max(1);
        let mut counted = 0;
        for (class, count) in self.classes.iter().enumerate() {
            counted += u64::from(*count);
            if counted >= rank {
                return Some(upper_end(class));
            }
        }
        None
    }
}

fn hours_before_this() -> i64 {
    i64::try_from(HOURS).unwrap_or(i64::MAX) - 1
}

/// The class of a time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a logarithm of a duration is small, and below zero is cut"
)]
fn class(took: Duration) -> usize {
    let steps = (took.as_secs_f64() / FINEST_S).ln() / GROWTH.ln();
    (steps.ceil().max(0.0) as usize).min(CLASSES - 1)
}

#[expect(clippy::cast_precision_loss, reason = "a class is a small number")]
fn upper_end(class: usize) -> Duration {
    Duration::from_secs_f64(FINEST_S * GROWTH.powf(class as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paid(seq: i64, at: i64, took_ms: i64) -> OutboxEntry {
        OutboxEntry {
            seq,
            event_type: "payment.paid".into(),
            created_at: UnixMillis(at),
            paid_at: Some(UnixMillis(at - took_ms)),
        }
    }

    #[test]
    fn a_percentile_is_accurate_to_a_tenth() {
        let mut day = Day::default();
        for n in 1..=100 {
            day.take(&paid(n, 1_000_000_000_000, n * 1000));
        }
        let whole = day.whole();
        assert_eq!(whole.paid, 100);
        for (percent, expected) in [(50, 50.0), (95, 95.0), (100, 100.0)] {
            let told = whole.noticed_within(percent).unwrap().as_secs_f64();
            assert!(
                (expected..=expected * 1.1).contains(&told),
                "{percent}: {told}"
            );
        }
        assert_eq!(Hour::default().noticed_within(50), None);
    }

    #[test]
    fn hours_follow_the_clock_and_the_current_one_is_last() {
        let mut day = Day::default();
        let now = UnixMillis(1_795_293_000_000);
        day.take(&paid(1, now.0, 0));
        day.take(&paid(2, now.0 - 2 * HOUR_MS, 0));
        let hours = day.hours(now);
        let counts: Vec<u64> = hours
            .iter()
            .rev()
            .take(4)
            .map(|(_, hour)| hour.paid)
            .collect();
        assert_eq!((hours.len(), counts), (HOURS, vec![1, 0, 1, 0]));
        assert!(hours[23].0 <= now && now.0 - hours[23].0.0 < HOUR_MS);
    }
}
