//! Requests that cover due orders: invariants, and the optimum found by brute force.

use std::collections::BTreeSet;

use payrecond::domain::planner::cover::{By, Costs, Plan, PlannedRequest, Reach, Wanted, cover};
use proptest::prelude::*;

const WALLETPAY: Reach = Reach {
    one: true,
    batch_limit: 0,
    page_limit: 10_000,
    overlap: 16,
};
const COSTS: Costs = Costs {
    request: 20_000,
    one_bytes: 600,
    item_bytes: 400,
};

fn at(key: usize, place: u64) -> Wanted<usize> {
    Wanted {
        key,
        place: Some(place),
        by: By::Any,
    }
}

fn plan_places(places: &[u64], reach: &Reach, costs: &Costs) -> Plan<usize> {
    let wanted: Vec<_> = places.iter().enumerate().map(|(i, &p)| at(i, p)).collect();
    cover(&wanted, reach, costs)
}

/// Cost in bytes, then number of requests.
fn cost(requests: &[PlannedRequest<usize>], costs: &Costs) -> (u64, u64) {
    let bytes = |request: &PlannedRequest<usize>| match request {
        PlannedRequest::Fetch(keys) => costs.one_bytes * keys.len() as u64,
        PlannedRequest::Page { count, .. } => costs.item_bytes * u64::from(*count),
    };
    let cost = requests
        .iter()
        .map(|request| costs.request + bytes(request))
        .sum();
    (cost, requests.len() as u64)
}

/// The keys that a request covers; a page must contain them, with as much overlap as fits.
fn covered(request: &PlannedRequest<usize>, wanted: &[Wanted<usize>], reach: &Reach) -> Vec<usize> {
    match request {
        PlannedRequest::Fetch(keys) => {
            assert!(!keys.is_empty() && keys.len() <= reach.batch_limit.max(1) as usize);
            assert!(reach.one || reach.batch_limit > 0);
            assert!(keys.iter().all(|&key| wanted[key].by != By::Page));
            keys.clone()
        }
        PlannedRequest::Page {
            offset,
            count,
            covers,
        } => {
            assert!(*count > 0 && *count <= reach.page_limit && !covers.is_empty());
            let overlap = u64::from(reach.overlap.min((reach.page_limit - 1) / 2));
            let places: Vec<u64> = covers.iter().map(|&k| wanted[k].place.unwrap()).collect();
            assert!(places.is_sorted());
            assert_eq!(*offset, places[0].saturating_sub(overlap));
            let last = places[places.len() - 1];
            assert_eq!(offset + u64::from(*count), last + overlap + 1);
            covers.clone()
        }
    }
}

fn check(wanted: &[Wanted<usize>], reach: &Reach, costs: &Costs) -> Plan<usize> {
    let plan = cover(wanted, reach, costs);
    let mut seen = BTreeSet::new();
    let mut urgency = None;
    for request in &plan.requests {
        let keys = covered(request, wanted, reach);
        let most_urgent = keys.iter().min().copied();
        assert!(most_urgent > urgency, "most urgent first");
        urgency = most_urgent;
        for key in keys {
            assert!(seen.insert(key), "{key} is covered twice");
        }
    }
    for &key in &plan.unreachable {
        assert!(seen.insert(key), "{key} is covered and unreachable");
        let single = wanted[key].by != By::Page && (reach.one || reach.batch_limit > 0);
        let paged = wanted[key].place.is_some() && reach.page_limit > 0;
        assert!(!single && !paged, "{key} is reachable");
    }
    assert_eq!(seen.len(), wanted.len());
    assert!(plan.requests.len() + plan.unreachable.len() <= wanted.len());
    plan
}

/// The optimum over every choice of sets of orders for pages, with single requests for the rest.
fn brute_force(wanted: &[Wanted<usize>], reach: &Reach, costs: &Costs) -> (u64, u64) {
    let single_allowed = reach.one || reach.batch_limit > 0;
    let on_list = |w: &&Wanted<usize>| w.place.is_some() && reach.page_limit > 0;
    let listed: Vec<_> = wanted.iter().filter(on_list).collect();
    let loose = wanted.iter().filter(|w| !on_list(w) && w.by != By::Page);
    let loose = if single_allowed { loose.count() } else { 0 } as u64;
    let overlap = u64::from(reach.overlap.min(reach.page_limit.saturating_sub(1) / 2));
    let page = |mask: usize| {
        let places = (0..listed.len()).filter(|i| mask >> i & 1 == 1);
        let places: Vec<u64> = places.filter_map(|i| listed[i].place).collect();
        let begin = places.iter().min()?.saturating_sub(overlap);
        let items = places.iter().max()? + overlap + 1 - begin;
        (items <= u64::from(reach.page_limit)).then(|| costs.request + items * costs.item_bytes)
    };
    let full = 1 << listed.len();
    let pages: Vec<_> = (0..full).map(page).collect();
    let mut by_pages = vec![Some((0, 0))];
    for mask in 1..full {
        let mut best: Option<(u64, u64)> = None;
        let mut part = mask;
        while part > 0 {
            if let (Some(page), Some((rest, requests))) = (pages[part], by_pages[mask ^ part]) {
                let candidate = (page + rest, requests + 1);
                best = Some(best.map_or(candidate, |b| b.min(candidate)));
            }
            part = (part - 1) & mask;
        }
        by_pages.push(best);
    }
    let with_singles = |mask: usize| {
        let (bytes, requests) = by_pages[mask]?;
        let rest = (0..listed.len()).filter(|i| mask >> i & 1 == 0);
        let rest: Vec<_> = rest.map(|i| listed[i]).collect();
        if rest.iter().any(|w| w.by == By::Page || !single_allowed) {
            return None;
        }
        let singles = rest.len() as u64 + loose;
        let batches = singles.div_ceil(u64::from(reach.batch_limit.max(1)));
        let bytes = bytes + batches * costs.request + singles * costs.one_bytes;
        Some((bytes, requests + batches))
    };
    (0..full).filter_map(with_singles).min().unwrap()
}

fn some_wanted(most: usize, last_place: u64) -> impl Strategy<Value = Vec<Wanted<usize>>> {
    let one = (
        prop::option::weighted(0.9, 0..=last_place),
        prop::bool::weighted(0.15),
    );
    prop::collection::vec(one, 0..=most).prop_map(|orders| {
        let numbered = orders.into_iter().enumerate();
        numbered
            .map(|(key, (place, page_only))| Wanted {
                key,
                place,
                by: if page_only { By::Page } else { By::Any },
            })
            .collect()
    })
}

fn some_costs() -> impl Strategy<Value = Costs> {
    (0..2000_u64, 0..300_u64, 0..100_u64).prop_map(|(request, one_bytes, item_bytes)| Costs {
        request,
        one_bytes,
        item_bytes,
    })
}

fn some_reach(batches: impl Strategy<Value = u32>) -> impl Strategy<Value = Reach> {
    (any::<bool>(), batches, 0..40_u32, 0..6_u32).prop_map(
        |(one, batch_limit, page_limit, overlap)| Reach {
            one,
            batch_limit,
            page_limit,
            overlap,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_cost_is_the_optimum(
        wanted in some_wanted(10, 60),
        reach in some_reach(0..=1_u32),
        costs in some_costs(),
    ) {
        let plan = check(&wanted, &reach, &costs);
        prop_assert_eq!(cost(&plan.requests, &costs), brute_force(&wanted, &reach, &costs));
    }

    #[test]
    fn with_batches_it_is_within_one_request_of_the_optimum(
        wanted in some_wanted(10, 60),
        reach in some_reach(2..=6_u32),
        costs in some_costs(),
    ) {
        let plan = check(&wanted, &reach, &costs);
        let (found, requests) = cost(&plan.requests, &costs);
        if wanted.iter().all(|w| w.by != By::Page) {
            prop_assert!(requests <= (wanted.len() as u64).div_ceil(reach.batch_limit.into()));
        }
        // Otherwise many cheap pages could be the optimum: more requests than batches alone.
        if costs.one_bytes <= costs.item_bytes {
            let (best, _) = brute_force(&wanted, &reach, &costs);
            prop_assert!(found <= best + costs.request, "{} > {} + {}", found, best, costs.request);
        }
    }

    #[test]
    fn the_invariants_hold_on_long_lists(
        wanted in some_wanted(400, 20_000),
        reach in some_reach(0..=50_u32),
        page_limit in 0..3000_u32,
        costs in some_costs(),
    ) {
        check(&wanted, &Reach { page_limit, ..reach }, &costs);
    }
}

#[test]
fn a_lone_order_is_requested_singly() {
    for place in [0, 3, 999_999] {
        let plan = plan_places(&[place], &WALLETPAY, &COSTS);
        assert_eq!(plan.requests, [PlannedRequest::Fetch(vec![0])]);
    }
}

#[test]
fn neighbours_share_a_page() {
    let plan = plan_places(&[1000, 1010, 900_000, 1004], &WALLETPAY, &COSTS);
    let page = PlannedRequest::Page {
        offset: 984,
        count: 43,
        covers: vec![0, 3, 1],
    };
    assert_eq!(plan.requests, [page, PlannedRequest::Fetch(vec![2])]);
}

#[test]
fn at_equal_cost_the_fewest_requests_are_made() {
    let costs = Costs {
        request: 10,
        one_bytes: 5,
        item_bytes: 10,
    };
    let reach = Reach {
        overlap: 0,
        ..WALLETPAY
    };
    let plan = plan_places(&[7, 8], &reach, &costs);
    assert_eq!(cost(&plan.requests, &costs), (30, 1));
}

#[test]
fn pages_that_touch_become_one() {
    let costs = Costs {
        request: 1,
        one_bytes: 1 << 20,
        item_bytes: 1,
    };
    let plan = plan_places(&[100, 133], &WALLETPAY, &costs);
    assert_eq!(plan.requests.len(), 1);
    let plan = plan_places(&[100, 135], &WALLETPAY, &costs);
    assert_eq!(plan.requests.len(), 2);
}

#[test]
fn a_million_neighbours_take_a_hundred_pages() {
    let places: Vec<u64> = (0..1_000_000).collect();
    let plan = plan_places(&places, &WALLETPAY, &COSTS);
    assert!(plan.requests.len() <= 101, "{}", plan.requests.len());
}

#[test]
fn impossible_positions_do_no_harm() {
    let last = i64::MAX.unsigned_abs();
    let places = [u64::MAX, last + 1, last, last, last - 1, 7, 7, 7, 0];
    let free = Costs::default();
    let dear = Costs {
        request: u64::MAX,
        one_bytes: u64::MAX,
        item_bytes: u64::MAX,
    };
    for costs in [COSTS, free, dear] {
        for one in [true, false] {
            let reach = Reach { one, ..WALLETPAY };
            let unreachable = plan_places(&places, &reach, &costs).unreachable;
            assert_eq!(unreachable.is_empty(), one);
        }
    }
}

#[test]
fn an_order_only_on_pages_is_read_from_a_page_at_any_cost() {
    let mut wanted = [at(0, 500), at(1, 501)];
    wanted[0].by = By::Page;
    let plan = cover(&wanted, &WALLETPAY, &COSTS);
    let page = PlannedRequest::Page {
        offset: 484,
        count: 34,
        covers: vec![0, 1],
    };
    assert_eq!(plan.requests, [page]);
}

#[test]
fn nothing_wanted_plans_no_request() {
    assert!(plan_places(&[], &WALLETPAY, &COSTS).requests.is_empty());
}
