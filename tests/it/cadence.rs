//! Plans of polls: their limits for any row and any clock, and the figures they are designed for.

use std::time::Duration;

use payrecond::domain::cadence::{Because, Cadence};
use payrecond::domain::decide::decide;
use payrecond::domain::event::EventType;
use payrecond::domain::invoice::Invoice;
use payrecond::domain::observation::{Observation, ObservedOrder, OrderState};
use payrecond::domain::state::Status;
use payrecond::domain::time::UnixMillis;
use proptest::prelude::*;

use crate::rows::{INSERTED, TIMEOUT_S, invoice, observed};

const EXPIRY: UnixMillis = UnixMillis(INSERTED.0 + TIMEOUT_S * 1000);

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn at(since_insert: Duration) -> UnixMillis {
    INSERTED.plus(since_insert)
}

fn ended(status: Status) -> Invoice {
    let mut row = invoice(status);
    row.facts.ended_at = Some(EXPIRY.plus(secs(1)));
    row
}

/// The times of polls of a row that never changes, each made exactly on time, until there are none.
fn polls(cadence: &Cadence, row: &Invoice, from: UnixMillis, limit: usize) -> Vec<UnixMillis> {
    let next = |now: &UnixMillis| cadence.next_poll(row, *now, 0.5);
    std::iter::successors(next(&from), next)
        .take(limit)
        .collect()
}

#[test]
fn the_delay_grows_with_age_from_minimum_to_maximum() {
    let cadence = Cadence {
        jitter: 0.0,
        checks_after_expiry: Vec::new(),
        ..Cadence::default()
    };
    let row = invoice(Status::Pending);
    for (age, delay) in [
        (0, 3),
        (29, 3),
        (30, 3),
        (60, 6),
        (600, 60),
        (6_000, 600),
        (1_000_000, 600),
    ] {
        let now = at(secs(age));
        let poll = cadence.next_poll_because(&row, now, 0.5);
        assert_eq!(poll, Some((now.plus(secs(delay)), Because::Age)), "{age} s");
    }
    // A row from the future, because the clock was set back, counts as new.
    let before = at(Duration::ZERO).minus(secs(9_000));
    assert_eq!(
        cadence.next_poll(&row, before, 0.5),
        Some(before.plus(secs(3)))
    );
}

#[test]
fn jitter_moves_the_poll_either_way() {
    let cadence = Cadence::default();
    let row = invoice(Status::Pending);
    let now = at(secs(100));
    for (roll, delay_ms) in [(0.0, 9_000), (0.5, 10_000), (1.0, 11_000), (7.0, 11_000)] {
        let poll = cadence.next_poll(&row, now, roll).unwrap();
        assert_eq!(poll.since(now), Duration::from_millis(delay_ms), "{roll}");
    }
}

#[test]
fn fixed_polls_follow_the_expiry_and_then_none() {
    let cadence = Cadence::default();
    for status in [Status::Expired, Status::Cancelled] {
        let planned = polls(&cadence, &ended(status), EXPIRY.plus(secs(1)), 100);
        let expected = [30, 120, 600, 3_600, 86_400].map(|s| EXPIRY.plus(secs(s)));
        assert_eq!(planned, expected);
    }
    // An order that is still open is also polled shortly after its expiry, and then by its age.
    let row = invoice(Status::Pending);
    let just_before = EXPIRY.minus(secs(1));
    assert_eq!(
        cadence.next_poll_because(&row, just_before, 0.5),
        Some((EXPIRY.plus(secs(1)), Because::AfterExpiry(secs(1))))
    );
    let much_later = EXPIRY.plus(secs(100 * 86_400));
    assert_eq!(
        cadence.next_poll(&row, much_later, 0.5),
        Some(much_later.plus(secs(600)))
    );
}

#[test]
fn an_early_end_starts_the_fixed_polls() {
    let cadence = Cadence::default();
    let mut row = invoice(Status::Cancelled);
    let ended_at = at(secs(100));
    row.facts.ended_at = Some(ended_at);
    let planned = polls(&cadence, &row, ended_at, 100);
    assert_eq!(planned.first(), Some(&ended_at.plus(secs(1))));
    assert_eq!(planned.last(), Some(&ended_at.plus(secs(86_400))));
    assert_eq!(planned.len(), 6);
}

#[test]
fn a_failed_poll_backs_off_up_to_max_interval() {
    let cadence = Cadence {
        jitter: 0.0,
        ..Cadence::default()
    };
    let mut row = invoice(Status::Pending);
    for (failures, delay) in [(0, 3), (1, 6), (3, 24), (7, 384), (8, 600), (1 << 40, 600)] {
        row.schedule.failures = failures;
        let poll = cadence.after_failure(&row, INSERTED, 0.5);
        assert_eq!(poll, INSERTED.plus(secs(delay)), "{failures}");
    }
    // Never earlier than its age requires.
    row.schedule.failures = 1;
    let now = at(secs(1_000));
    assert_eq!(cadence.after_failure(&row, now, 0.5), now.plus(secs(100)));
}

#[test]
fn a_failed_poll_of_an_ended_order_is_repeated() {
    let cadence = Cadence::default();
    for failing in 0..cadence.checks_after_expiry.len() {
        let row = ended(Status::Expired);
        let mut now = EXPIRY;
        let mut made = 0;
        let mut number = 0;
        while let Some(planned) = cadence.next_poll(&row, now, 0.5) {
            now = planned;
            if number == failing {
                let mut failed = row.clone();
                failed.schedule.failures = 1;
                now = cadence.after_failure(&failed, now, 0.5);
                assert!(now.since(planned) <= cadence.horizon(Status::Expired));
            }
            made += 1;
            number += 1;
            assert!(made < 100, "polls without end");
        }
        let last = *cadence.checks_after_expiry.iter().max().unwrap();
        assert!(now >= EXPIRY.plus(last), "the last poll is lost");
        assert!(made >= 4, "{made} polls with number {failing} failed");
    }
}

#[test]
fn a_clock_set_back_plans_nothing_beyond_the_horizon() {
    let cadence = Cadence::default();
    let row = ended(Status::Expired);
    let now = EXPIRY.minus(secs(10 * 86_400));
    assert_eq!(
        cadence.next_poll(&row, now, 0.5),
        Some(now.plus(secs(86_400)))
    );
    // Few polls are made until the clock has caught up.
    assert_eq!(polls(&cadence, &row, now, 1_000).len(), 10 + 6);
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (0_u64..1_000_000).prop_map(Duration::from_millis),
        1 => (any::<u64>(), 0_u32..1_000_000_000).prop_map(|(s, n)| Duration::new(s, n)),
        1 => Just(Duration::ZERO),
        1 => Just(Duration::MAX),
    ]
}

fn any_cadence() -> impl Strategy<Value = Cadence> {
    (
        any_duration(),
        prop_oneof![0.0..10.0_f64, Just(0.0), Just(f64::MAX)],
        any_duration(),
        0.0..=0.5_f64,
        prop::collection::vec(any_duration(), 0..8),
    )
        .prop_map(
            |(min_interval, age_factor, max_interval, jitter, checks)| Cadence {
                min_interval,
                age_factor,
                max_interval,
                jitter,
                checks_after_expiry: checks,
            },
        )
}

/// Any cadence that the configuration accepts.
fn sane_cadence() -> impl Strategy<Value = Cadence> {
    (
        100_u64..3_600_000,
        0.0..10.0_f64,
        0_u64..864_000_000,
        0.0..=0.5_f64,
        prop::collection::vec(0_u64..10_000_000, 0..8),
    )
        .prop_map(|(min, age_factor, more, jitter, checks)| Cadence {
            min_interval: Duration::from_millis(min),
            age_factor,
            max_interval: Duration::from_millis(min + more).min(secs(864_000)),
            jitter,
            checks_after_expiry: checks.into_iter().map(Duration::from_millis).collect(),
        })
}

fn any_time() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => -90_000_000_i64..90_000_000,
        1 => any::<i64>(),
        1 => Just(i64::MIN),
        1 => Just(i64::MAX),
    ]
}

/// Rows with arbitrary times, including impossible ones.
fn any_row() -> impl Strategy<Value = Invoice> {
    (
        prop::sample::select(Status::ALL.to_vec()),
        any_time(),
        prop::option::of(any_time()),
        prop::option::of(any_time()),
        any::<i64>(),
        any::<i64>(),
    )
        .prop_map(|(status, created, expires, ended, timeout_s, failures)| {
            let mut row = invoice(status);
            row.created_at = UnixMillis(created);
            row.facts.expires_at = expires.map(UnixMillis);
            row.facts.ended_at = ended.map(UnixMillis);
            row.wish.timeout_s = timeout_s;
            row.schedule.failures = failures;
            row
        })
}

fn is_polled_forever(status: Status) -> bool {
    match status {
        Status::Requested | Status::Pending | Status::Review => true,
        Status::Paid | Status::Rejected | Status::Expired | Status::Cancelled => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_plan_lies_ahead_and_within_the_horizon(
        cadence in any_cadence(),
        row in any_row(),
        now in any_time().prop_filter("no time is after it", |now| *now < i64::MAX),
        roll in -1.0..2.0_f64,
    ) {
        let now = UnixMillis(now);
        let status = row.facts.status;
        let furthest = now.plus(cadence.horizon(status));
        match cadence.next_poll(&row, now, roll) {
            None => prop_assert!(!is_polled_forever(status)),
            Some(poll) => {
                prop_assert!(!matches!(status, Status::Paid | Status::Rejected));
                prop_assert!(poll > now);
                prop_assert!(poll <= furthest);
            }
        }
        let again = cadence.after_failure(&row, now, roll);
        prop_assert!(again > now);
        if !matches!(status, Status::Paid | Status::Rejected) {
            prop_assert!(again <= furthest);
        }
    }

    #[test]
    fn an_order_that_can_still_change_is_polled_within_max_interval(
        cadence in sane_cadence(),
        age_ms in 0_u64..10_000_000_000,
        roll in 0.0..1.0_f64,
    ) {
        let now = at(Duration::from_millis(age_ms));
        let mut row = invoice(Status::Pending);
        row.facts.expires_at = Some(EXPIRY);
        let (poll, because) = cadence.next_poll_because(&row, now, roll).unwrap();
        let longest = cadence.max_interval.mul_f64(1.0 + cadence.jitter);
        prop_assert!(poll.since(now) <= longest);
        // Only a fixed poll may come before the minimum interval.
        let shortest = cadence.min_interval.mul_f64(1.0 - cadence.jitter);
        let told_in_millis = Duration::from_millis(1);
        if because == Because::Age {
            prop_assert!(poll.since(now) + told_in_millis >= shortest);
        }
    }

    #[test]
    fn an_ended_order_gets_only_the_fixed_polls(
        cadence in any_cadence(),
        mut row in any_row(),
        ended_status in prop::sample::select(vec![Status::Expired, Status::Cancelled]),
    ) {
        row.facts.status = ended_status;
        row.facts.ended_at = row.facts.ended_at.or(Some(INSERTED));
        let from = row.facts.ended_at.unwrap();
        let planned = polls(&cadence, &row, from, 100);
        prop_assert!(planned.len() <= cadence.checks_after_expiry.len());
        // Each fixed poll that lies ahead is made, including the last one.
        let base = from.min(row.expiry());
        let last = cadence.checks_after_expiry.iter().map(|&check| base.plus(check)).max();
        prop_assert_eq!(planned.last().copied(), last.filter(|last| *last > from));
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_waiting_order_costs_few_polls_however_long_it_waits(
        cadence in sane_cadence(),
        age_factor in 0.01..10.0_f64,
        days in 1_u32..20,
    ) {
        let cadence = Cadence { age_factor, ..cadence };
        let until = secs(86_400) * days;
        let row = invoice(Status::Pending);
        let planned = polls(&cadence, &row, INSERTED, 5_000)
            .into_iter()
            .take_while(|poll| *poll <= at(until))
            .count();
        let (least, greatest) = (cadence.min_interval, cadence.max_interval);
        let while_young = 1.0 / age_factor;
        let growing = greatest.div_duration_f64(least).ln() / age_factor.ln_1p();
        let at_the_greatest = until.div_duration_f64(greatest);
        let fixed = f64::from(u32::try_from(cadence.checks_after_expiry.len()).unwrap());
        let limit = while_young + growing + at_the_greatest + fixed + 3.0;
        prop_assume!(limit < 5_000.0);
        let planned = f64::from(u32::try_from(planned).unwrap());
        prop_assert!(planned <= limit, "{planned} polls instead of {limit}");
    }
}

/// One order of the model: its polls from the insert until there are none.
struct Model {
    requests: u32,
    /// Time from when the provider showed the payment to when it was detected. None = never.
    delay: Option<Duration>,
}

/// Follows an order whose payment is visible at the provider from `visible_at` on.
fn follow(cadence: &Cadence, rng: &mut fastrand::Rng, visible_at: Option<UnixMillis>) -> Model {
    let mut row = invoice(Status::Pending);
    let mut model = Model {
        requests: 0,
        delay: None,
    };
    let mut next = cadence.next_poll(&row, INSERTED, rng.f64());
    while let Some(now) = next {
        let state = if visible_at.is_some_and(|visible| visible <= now) {
            OrderState::Paid
        } else if now >= EXPIRY {
            OrderState::Expired
        } else {
            OrderState::Open
        };
        let seen = ObservedOrder {
            observed_at: now,
            ..observed(state)
        };
        let decision = decide(&row, "walletpay", Observation::Seen(seen));
        row = *decision.row;
        model.requests += 1;
        let shown = decision.event.map(|event| event.event_type);
        if shown == Some(EventType::Paid) {
            model.delay = visible_at.map(|visible| now.since(visible));
        }
        next = cadence.next_poll(&row, now, rng.f64());
        assert!(model.requests < 1_000, "polls without end");
    }
    model
}

/// When a payer pays: log-normal, median 60 s, before the expiry. In 2 of 100 cases the provider
/// shows it only after the expiry, within ten minutes.
fn payment_shows_at(rng: &mut fastrand::Rng) -> UnixMillis {
    const MEDIAN_S: f64 = 60.0;
    const SPREAD: f64 = 1.2;
    if rng.f64() < 0.02 {
        return EXPIRY.plus(secs(600).mul_f64(rng.f64()));
    }
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * rng.f64()).cos();
    let after = Duration::from_secs_f64(MEDIAN_S * (SPREAD * normal).exp());
    let life = EXPIRY.since(INSERTED);
    at(if after < life {
        after
    } else {
        life.mul_f64(rng.f64())
    })
}

fn percentile_s(sorted: &[Duration], share: f64) -> f64 {
    let places = f64::from(u32::try_from(sorted.len()).unwrap());
    let skipped = sorted
        .iter()
        .zip(0_u32..)
        .filter(|(_, i)| f64::from(*i) < places * share);
    skipped.last().unwrap().0.as_secs_f64()
}

#[track_caller]
fn is_about(figure: f64, promised: f64, tolerance: f64) {
    assert!(
        (figure - promised).abs() <= tolerance,
        "{figure:.2} instead of {promised} ± {tolerance}"
    );
}

#[test]
fn the_default_cadence_keeps_the_figures_of_the_design() {
    let cadence = Cadence::default();
    let mut rng = fastrand::Rng::with_seed(0x9a7e_c07d);

    let unpaid: u32 = (0..1_000)
        .map(|_| follow(&cadence, &mut rng, None).requests)
        .sum();
    is_about(f64::from(unpaid) / 1_000.0, 51.0, 1.0);

    let mut delays: Vec<Duration> = (0..20_000)
        .map(|_| {
            let shows_at = payment_shows_at(&mut rng);
            let model = follow(&cadence, &mut rng, Some(shows_at));
            model.delay.expect("a payment was missed")
        })
        .collect();
    delays.sort_unstable();
    is_about(percentile_s(&delays, 0.50), 2.7, 0.2);
    is_about(percentile_s(&delays, 0.95), 27.0, 2.0);
}
