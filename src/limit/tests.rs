use std::time::Duration;

use super::*;
use crate::provider::ProviderError;

const START: Duration = Duration::from_secs(100);

fn seconds(seconds: f64) -> Duration {
    START + Duration::from_secs_f64(seconds)
}

fn limiter(rate: f64, burst: u32, max_in_flight: usize) -> Limiter {
    Limiter::new(
        Limits {
            requests_per_second: rate,
            burst,
            max_in_flight,
        },
        START,
    )
}

fn unreachable() -> ProviderError {
    ProviderError::Unreachable("connection refused".into())
}

#[test]
fn the_rate_limit_holds_over_any_span() {
    let mut limiter = limiter(5.0, 10, 100);
    let mut made = 0;
    for step in 0..10_000 {
        let now = seconds(f64::from(step) / 1000.0);
        while let Ok(permit) = limiter.take(now) {
            made += 1;
            limiter.settle(&permit, Ok(()), now);
        }
    }
    assert!(
        (59..=60).contains(&made),
        "10 at once and 5 a second for 10 s, not {made}"
    );
}

/// At whatever moments a part is lent, taken back and lent again.
#[test]
fn lender_and_borrower_together_keep_the_rate_limit() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (rate, burst) = (f64::from(rng.u8(1..20)), rng.u32(2..12));
        let mut ours = limiter(rate, burst, 100);
        let lent = Limits {
            requests_per_second: rate,
            burst,
            max_in_flight: 100,
        }
        .lent();
        let mut theirs: Option<(Limiter, Duration)> = None;
        let mut made: Vec<Duration> = Vec::new();
        for step in 0..20_000 {
            let now = seconds(f64::from(step) / 1000.0);
            if theirs.is_none() && rng.u16(..1000) == 0 {
                let until = now + Duration::from_millis(rng.u64(1..3000));
                ours.lend_until(until, now);
                theirs = Some((Limiter::empty(lent, now), until));
            }
            theirs.take_if(|(_, until)| *until <= now);
            let borrower = theirs.as_mut().map(|(limiter, _)| limiter);
            for limiter in [Some(&mut ours), borrower].into_iter().flatten() {
                while let Ok(permit) = limiter.take(now) {
                    made.push(now);
                    limiter.settle(&permit, Ok(()), now);
                }
            }
        }
        for (first, from) in made.iter().enumerate().step_by(7) {
            for (count, to) in (1_u32..).zip(&made[first..]) {
                let span = to.saturating_sub(*from).as_secs_f64();
                let most = f64::from(burst) + rate * span + 0.01;
                assert!(f64::from(count) <= most, "{seed}: {count} in {span} s");
            }
        }
        assert_eq!(ours.rate(), theirs.map_or(Some(rate), |_| Some(rate / 2.0)));
    }
}

#[test]
fn a_loan_ends_by_itself() {
    let mut limiter = limiter(10.0, 5, 4);
    limiter.lend_until(seconds(3.0), START);
    assert_eq!((limiter.rate(), limiter.room(START)), (Some(5.0), 3));
    limiter.room(seconds(3.0));
    assert_eq!(limiter.rate(), Some(10.0));
    assert_eq!(limiter.room(seconds(4.0)), 4);
}

#[test]
fn requests_in_flight_never_exceed_the_limit() {
    let mut limiter = limiter(0.0, 1, 3);
    let permits: Vec<Permit> = (0..3).map(|_| limiter.take(START).unwrap()).collect();
    assert_eq!(limiter.take(START).unwrap_err(), None);
    limiter.settle(&permits[0], Ok(()), START);
    assert!(limiter.take(START).is_ok());
}

#[test]
fn a_refused_key_leaves_only_probes_until_the_first_success() {
    let mut limiter = limiter(0.0, 1, 3);
    let permit = limiter.take(START).unwrap();
    let refused = ProviderError::KeyRefused("HTTP 401".into());
    limiter.settle(&permit, Err(&refused), START);
    assert_eq!(limiter.stop_reason(), Some(StopReason::KeyRefused));
    assert_eq!(
        limiter.take(seconds(1.0)).unwrap_err(),
        Some(Duration::from_secs(1))
    );
    assert!(limiter.take_probe(seconds(1.0)).is_none(), "not yet");
    let probe = limiter.take_probe(seconds(2.0)).unwrap();
    assert!(
        limiter.take_probe(seconds(2.0)).is_none(),
        "one probe at a time"
    );
    limiter.settle(&probe, Err(&refused), seconds(2.0));
    let mut now = seconds(2.0);
    for _ in 0..30 {
        now += limiter.wait(now).unwrap();
        let probe = limiter.take_probe(now).unwrap();
        limiter.settle(&probe, Err(&refused), now);
    }
    assert_eq!(limiter.wait(now), Some(Duration::from_mins(5)));
    now += Duration::from_mins(5);
    let probe = limiter.take_probe(now).unwrap();
    limiter.settle(&probe, Ok(()), now);
    assert_eq!(limiter.stop_reason(), None);
    assert!(limiter.take(now).is_ok());
}

#[test]
fn a_stopped_account_waits_for_its_probe_and_any_hold() {
    let mut limiter = limiter(0.0, 1, 3);
    let permit = limiter.take(START).unwrap();
    let refused = ProviderError::KeyRefused("HTTP 401".into());
    limiter.settle(&permit, Err(&refused), START);
    let until_probe = Some(Duration::from_secs(2));
    assert_eq!(limiter.wait(START), until_probe);
    assert_eq!(limiter.wait_for_probe(START), until_probe);
    let later = seconds(2.0);
    let probe = limiter.take_probe(later).unwrap();
    assert_eq!(
        (limiter.wait(later), limiter.wait_for_probe(later)),
        (None, None)
    );
    let too_often = ProviderError::RateLimited {
        wait: Some(Duration::from_mins(1)),
    };
    limiter.settle(&probe, Err(&too_often), later);
    assert_eq!(limiter.wait(later), Some(Duration::from_mins(1)));
    assert_eq!(limiter.wait_for_probe(later), limiter.wait(later));
}

#[test]
fn failures_among_successes_stop_nothing() {
    let mut limiter = limiter(0.0, 1, 10);
    for _ in 0..100 {
        let (good, bad) = (limiter.take(START).unwrap(), limiter.take(START).unwrap());
        limiter.settle(&bad, Err(&unreachable()), START);
        assert!(limiter.blames_order(START));
        limiter.settle(&good, Ok(()), START);
    }
}

/// Eight failures in a row, each of a separate request.
fn fail_in_a_row(limiter: &mut Limiter, error: &ProviderError) {
    for _ in 0..8 {
        assert!(limiter.take_probe(START).is_none());
        let permit = limiter.take(START).unwrap();
        limiter.settle(&permit, Err(error), START);
    }
}

#[test]
fn when_nothing_succeeds_the_account_pauses_once_the_probe_fails_too() {
    let mut limiter = limiter(0.0, 1, 10);
    fail_in_a_row(&mut limiter, &unreachable());
    assert_eq!(limiter.stop_reason(), None, "only doubt");
    assert!(!limiter.blames_order(START));
    let probe = limiter.take_probe(START).unwrap();
    assert!(limiter.take(START).is_ok(), "nobody waits for it");
    limiter.settle(&probe, Err(&unreachable()), START);
    assert_eq!(limiter.stop_reason(), Some(StopReason::Failing));
    assert_eq!(limiter.cause(), "unreachable: connection refused");
    assert!(!limiter.blames_order(START));
    assert!(limiter.take(START).is_err());
}

#[test]
fn when_the_probe_succeeds_the_orders_are_to_blame_and_others_go_on() {
    let refused = ProviderError::KeyRefused("HTTP 403".into());
    for error in [unreachable(), refused.clone()] {
        let mut limiter = limiter(0.0, 1, 10);
        fail_in_a_row(&mut limiter, &unreachable());
        let probe = limiter.take_probe(START).unwrap();
        limiter.settle(&probe, Ok(()), START);
        fail_in_a_row(&mut limiter, &error);
        assert!(limiter.blames_order(START));
        assert!(limiter.take_probe(START).is_none(), "it was asked just now");
        assert!(limiter.take_probe(seconds(10.0)).is_some());
        assert_eq!(limiter.stop_reason(), None, "{error}");
        let permit = limiter.take(seconds(10.0)).unwrap();
        limiter.settle(&permit, Err(&refused), seconds(10.0));
        assert_eq!(limiter.stop_reason(), Some(StopReason::KeyRefused));
    }
}

#[test]
fn a_late_failure_of_the_same_kind_delays_no_probe() {
    let mut limiter = limiter(0.0, 1, 10);
    let permits: Vec<Permit> = (0..10).map(|_| limiter.take(START).unwrap()).collect();
    for permit in &permits {
        let refused = ProviderError::KeyRefused("HTTP 401".into());
        limiter.settle(permit, Err(&refused), START);
    }
    assert_eq!(limiter.next_probe_in(START), Some(Duration::from_secs(2)));
}

#[test]
fn a_requested_wait_holds_everything_and_halves_the_rate_once() {
    let mut limiter = limiter(8.0, 10, 10);
    let permits: Vec<Permit> = (0..4).map(|_| limiter.take(START).unwrap()).collect();
    let too_often = ProviderError::RateLimited {
        wait: Some(Duration::from_secs(3)),
    };
    for permit in &permits {
        limiter.settle(permit, Err(&too_often), seconds(0.1));
    }
    assert_eq!(limiter.rate(), Some(4.0));
    assert_eq!(limiter.wait(seconds(0.1)), Some(Duration::from_secs(3)));
    let permit = limiter.take(seconds(3.2)).unwrap();
    limiter.settle(&permit, Ok(()), seconds(4.2));
    assert!(limiter.rate().unwrap() > 4.0, "grows again with success");
}

#[test]
fn an_unlimited_account_learns_a_limit() {
    let mut limiter = limiter(0.0, 10, 1000);
    for step in 0..100 {
        let now = seconds(f64::from(step) / 100.0);
        let permit = limiter.take(now).unwrap();
        limiter.settle(&permit, Ok(()), now);
    }
    let permit = limiter.take(seconds(0.999)).unwrap();
    limiter.settle(
        &permit,
        Err(&ProviderError::RateLimited { wait: None }),
        seconds(0.999),
    );
    let rate = limiter.rate().unwrap();
    assert!((45.0..=55.0).contains(&rate), "{rate}");
}

#[test]
fn a_429_early_in_a_second_is_measured_by_the_previous_second() {
    let mut limiter = limiter(0.0, 10, 1000);
    for step in 0..=100 {
        let now = seconds(f64::from(step) / 100.0);
        let permit = limiter.take(now).unwrap();
        limiter.settle(&permit, Ok(()), now);
    }
    let permit = limiter.take(seconds(1.001)).unwrap();
    let too_often = ProviderError::RateLimited { wait: None };
    limiter.settle(&permit, Err(&too_often), seconds(1.002));
    let rate = limiter.rate().unwrap();
    assert!((45.0..=55.0).contains(&rate), "{rate}");
}

#[test]
fn a_reserved_permit_is_left_by_others_and_within_the_rate_limit() {
    let limits = Limits {
        requests_per_second: 5.0,
        burst: 2,
        max_in_flight: 2,
    };
    let limiter = SharedLimiter::new(limits, START);
    let busy = limiter.lock().take(START).unwrap();
    let reservation = limiter.reserve();
    assert_eq!(
        limiter.lock().take(START).unwrap_err(),
        None,
        "the last slot"
    );
    assert_eq!(limiter.lock().room(START), 0);
    let kept = reservation.take(START).unwrap();
    drop(reservation);
    limiter.lock().settle(&busy, Ok(()), START);
    assert!(limiter.lock().take(START).is_err(), "the burst is used up");
    limiter.lock().settle(&kept, Ok(()), START);
    let second = limiter.reserve();
    assert!(
        limiter.lock().take(seconds(0.2)).is_err(),
        "the next token is kept"
    );
    drop(second);
    assert!(limiter.lock().take(seconds(0.2)).is_ok());
}

#[test]
fn a_stopped_account_is_only_probed_despite_a_reservation() {
    let limits = Limits {
        requests_per_second: 0.0,
        burst: 1,
        max_in_flight: 1,
    };
    let limiter = SharedLimiter::new(limits, START);
    let permit = limiter.lock().take(START).unwrap();
    let refused = ProviderError::KeyRefused("HTTP 401".into());
    limiter.lock().settle(&permit, Err(&refused), START);
    let reservation = limiter.reserve();
    let later = seconds(10.0);
    assert!(reservation.take(later).is_err(), "probes are the poller's");
    assert!(limiter.lock().take(later).is_err());
    assert!(limiter.lock().take_probe(later).is_some());
}
