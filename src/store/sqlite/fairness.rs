//! Write fairness: when the write lock is left free for other programs.
//!
//! SQLite has no queue for the lock: a program that finds it taken retries after 1, 2, 5, 10, 15,
//! 20, 25, 25, 25, 50, 50 ms, then every 100 ms. A writer that takes the lock again at once blocks
//! each of these retries; one that leaves it free between two transactions blocks few.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// While other programs write, the lock is left free for at least this long between two
/// transactions,
pub(super) const REST_BESIDE_OTHERS: Duration = Duration::from_millis(25);
/// and for this many times as long as it was held, since it is held longer on a busy machine,
const REST_TO_WORK: u32 = 4;
/// but for at most this many times the minimum.
const LONGEST_REST: u32 = 4;
/// How long other programs count as active after they wrote.
const OTHERS_STAY: Duration = Duration::from_secs(5);

/// A waiting program cannot be seen, and would wait forever while the writer never pauses. So after
/// this time of continuous writing, the lock is left free for longer than the time between two
/// retries.
const SPELL: Duration = Duration::from_millis(1500);
const REST: Duration = Duration::from_millis(120);

/// When the next transaction may begin.
pub(super) struct WriteFairness {
    beside_others: Duration,
    /// When the current period of continuous writing began.
    spell_began: Option<Instant>,
    /// When the last transaction ended, and how long it held the lock.
    last: Option<(Instant, Duration)>,
    began: Option<Instant>,
    /// The count of commits by others, and when it was last seen to rise.
    others: Option<(i64, Option<Instant>)>,
}

impl WriteFairness {
    /// `beside_others`: the rest between two transactions while others write.
    pub(super) fn new(beside_others: Duration) -> Self {
        Self {
            beside_others,
            spell_began: None,
            last: None,
            began: None,
            others: None,
        }
    }

    /// Waits until the next transaction may begin. `data_version` is that of the writing
    /// connection: it changes with the commits of all others.
    pub(super) async fn wait(&mut self, data_version: i64) {
        let now = Instant::now();
        let until = self.rest_ends(data_version, now);
        if until > now {
            sleep_until(until).await;
        }
    }

    fn rest_ends(&mut self, data_version: i64, now: Instant) -> Instant {
        let seen = match self.others {
            Some((before, seen)) if before == data_version => seen,
            Some(_) => Some(now),
            None => None,
        };
        self.others = Some((data_version, seen));
        let Some((ended, held)) = self.last else {
            self.spell_began = Some(now);
            return now;
        };
        let beside_others = seen.is_some_and(|at| now < at + OTHERS_STAY);
        let rest = if beside_others {
            let longest = self.beside_others * LONGEST_REST;
            (held * REST_TO_WORK).clamp(self.beside_others, longest)
        } else {
            Duration::ZERO
        };
        let is_spent = |began: Instant| now.max(ended + rest) >= began + SPELL;
        let until = if self.spell_began.is_some_and(is_spent) {
            ended + rest.max(REST)
        } else {
            ended + rest
        };
        if until.max(now) >= ended + REST {
            self.spell_began = Some(until.max(now));
        }
        until
    }

    /// Records that a transaction has got the lock.
    pub(super) fn began(&mut self) {
        self.began = Some(Instant::now());
    }

    /// Records the end of a transaction.
    pub(super) fn ended(&mut self) {
        let now = Instant::now();
        let held = self.began.take().map(|began| now - began);
        self.last = Some((now, held.unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// How long each of some transactions waited; they begin `every` interval and end at once.
    fn waits(versions: impl IntoIterator<Item = i64>, every: Duration) -> Vec<u128> {
        let mut fairness = WriteFairness::new(REST_BESIDE_OTHERS);
        let mut now = Instant::now();
        let each = versions.into_iter().map(|version| {
            let until = fairness.rest_ends(version, now).max(now);
            let waited = until - now;
            fairness.last = Some((until, Duration::ZERO));
            now = until + every;
            waited.as_millis()
        });
        each.collect()
    }

    #[test]
    fn a_lone_writer_rests_only_after_continuous_writing() {
        let waits = waits(std::iter::repeat_n(7, 400), 10 * MS);
        let rests: Vec<_> = waits.iter().filter(|waited| **waited > 0).collect();
        assert_eq!(rests, [&110, &110]);
    }

    #[test]
    fn beside_other_writers_the_lock_is_left_free_after_each_transaction() {
        let waits = waits(1..20, 10 * MS);
        assert_eq!(waits[0], 0);
        assert!(waits[1..].iter().all(|waited| *waited == 15), "{waits:?}");
    }

    #[test]
    fn inactive_writers_are_forgotten() {
        let versions = [1, 2].into_iter().chain(std::iter::repeat_n(2, 60));
        let waits = waits(versions, 200 * MS);
        assert_eq!(waits.iter().filter(|waited| **waited > 0).count(), 0);
        let waits = self::waits([1, 2].into_iter().chain([2; 600]), 10 * MS);
        assert_eq!(waits[599], 0);
    }
}
