//! Simulates hours of readings in a few milliseconds: their cost, and which polls they replace.

use super::*;

fn terms(requests_per_second: f64) -> SpanTerms {
    SpanTerms {
        paid: true,
        created: true,
        is_preferred: false,
        follows: true,
        refunds: true,
        page_limit: 100,
        bytes_per_second: 131_072,
        requests_per_second,
        min_interval: Duration::from_secs(3),
    }
}

fn moment(at: Duration) -> SpanMoment {
    SpanMoment {
        at,
        theirs: UnixMillis(1_800_000_000_000).plus(at),
    }
}

/// Runs for `lasts`; each page holds `bytes`, and each reading of payments has `pages` pages.
/// Returns the number of requests.
fn run(planner: &mut SpanPlanner, lasts: Duration, pages: u32, bytes: u64) -> u32 {
    let mut requests = 0;
    let mut read = 0;
    let mut now = Duration::ZERO;
    while now < lasts {
        let begun = moment(now);
        let mut request = planner.take_due_request(begun);
        if request.is_none() && planner.refunds_are_due(now) {
            request = Some(planner.take_refunds_request(begun, false));
        }
        if request.is_none() && planner.paid_is_due(now) {
            request = Some(planner.take_paid_request(begun));
        }
        if let Some(request) = request {
            requests += 1;
            read = if request.is_first { 1 } else { read + 1 };
            let page = SpanPageSummary {
                items: 10,
                bytes,
                goes_on: request.why == SpanWhy::Paid && read < pages,
                ..SpanPageSummary::default()
            };
            planner.learn_page(page, now);
        }
        now += Duration::from_millis(50);
    }
    requests
}

#[test]
fn readings_beyond_due_entries_take_half_of_the_requests() {
    let hour = Duration::from_hours(1);
    let mut planner = SpanPlanner::new(terms(1.0), Duration::ZERO);
    let requests = run(&mut planner, hour, 1, 10_000);
    assert!((1700..=1810).contains(&requests), "{requests}");
    // A reading of seven pages is made that much less often.
    let mut planner = SpanPlanner::new(terms(1.0), Duration::ZERO);
    let requests = run(&mut planner, hour, 7, 10_000);
    assert!((1700..=1810).contains(&requests), "{requests}");
    let mut unlimited = SpanPlanner::new(terms(0.0), Duration::ZERO);
    let requests = run(&mut unlimited, hour, 1, 10_000);
    assert!((1800..=2000).contains(&requests), "{requests}");
}

#[test]
fn readings_beyond_due_entries_keep_to_their_byte_rate() {
    let mut planner = SpanPlanner::new(terms(0.0), Duration::ZERO);
    let requests = run(&mut planner, Duration::from_hours(1), 1, 1_310_720);
    assert!((340..=365).contains(&requests), "{requests}");
    let none = SpanTerms {
        bytes_per_second: 0,
        ..terms(0.0)
    };
    let mut planner = SpanPlanner::new(none, Duration::ZERO);
    let requests = run(&mut planner, Duration::from_hours(1), 1, 1000);
    assert_eq!(requests, 120, "refunds alone");
}

#[test]
fn a_reading_counts_as_a_poll_while_it_is_fresh_and_frequent() {
    let mut planner = SpanPlanner::new(terms(1.0), Duration::ZERO);
    let known_at = moment(Duration::ZERO).theirs;
    let begin = moment(Duration::ZERO);
    assert!(planner.reaches(known_at, begin), "the first reading will");
    assert!(!planner.counts_as_poll(Duration::ZERO), "none was made");
    run(&mut planner, Duration::from_secs(20), 1, 1000);
    let now = Duration::from_secs(20);
    assert!(planner.reaches(known_at, moment(now)) && planner.counts_as_poll(now));
    let long_ago = known_at.minus(Duration::from_hours(2));
    assert!(!planner.reaches(long_ago, moment(now)));
    let later = Duration::from_mins(1);
    assert!(!planner.counts_as_poll(later), "none was made for long");
    let mut slow = SpanPlanner::new(terms(1.0), Duration::ZERO);
    run(&mut slow, Duration::from_mins(10), 20, 1000);
    let now = Duration::from_mins(10);
    assert!(!slow.counts_as_poll(now), "forty seconds are too long");
}

#[test]
fn due_entries_are_read_for_only_where_it_saves_requests() {
    let none_beyond = SpanTerms {
        bytes_per_second: 0,
        refunds: false,
        ..terms(1.0)
    };
    let mut planner = SpanPlanner::new(none_beyond, Duration::ZERO);
    let now = Duration::from_secs(1);
    assert_eq!(planner.expect_paid(1, now), None);
    assert_eq!(planner.take_due_request(moment(now)), None);
    assert!(planner.expect_paid(2, now).is_some());
    let request = planner.take_due_request(moment(now)).unwrap();
    assert_eq!(request.why, SpanWhy::Paid);
    planner.fail(now);
    assert_eq!(planner.expect_paid(50, now), None, "not while it fails");
    assert!(planner.next_request(false).is_none());
}

#[test]
fn a_failed_reading_restarts_where_the_last_one_ended() {
    let mut planner = SpanPlanner::new(terms(0.0), Duration::ZERO);
    let first = planner.take_paid_request(moment(Duration::ZERO));
    planner.learn_page(SpanPageSummary::default(), Duration::ZERO);
    let at = Duration::from_secs(100);
    let second = planner.take_paid_request(moment(at));
    assert!(second.from > first.from);
    let goes_on = SpanPageSummary {
        goes_on: true,
        ..SpanPageSummary::default()
    };
    assert_eq!(planner.learn_page(goes_on, at), None);
    planner.fail(at);
    assert!(!planner.paid_is_due(at), "a pause");
    let later = Duration::from_secs(200);
    assert!(planner.paid_is_due(later));
    let third = planner.take_paid_request(moment(later));
    assert_eq!((third.from, third.is_first), (second.from, true));
}
