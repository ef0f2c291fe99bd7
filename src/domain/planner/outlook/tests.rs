use std::collections::HashSet;

use super::*;
use crate::domain::time::UnixMillis;

const AUTO: Shapes = Shapes {
    single: true,
    batch_limit: 0,
    page_limit: 10_000,
};
const LIST: Shapes = Shapes {
    single: false,
    ..AUTO
};

/// `count` entries that no page showed yet, inserted one second apart.
fn guessed(count: u32) -> Vec<Candidate> {
    let newest = 1_800_000_000_000;
    (0..count)
        .map(|n| Candidate {
            created_at: UnixMillis(newest + i64::from(n) * 1000),
            place: Place::Guessed,
            by: By::Any,
        })
        .collect()
}

/// Like `guessed`, but shown by a page, each `apart` positions after the previous one.
fn shown(count: u32, apart: u64) -> Vec<Candidate> {
    let mut entries = guessed(count);
    for (n, entry) in entries.iter_mut().enumerate() {
        entry.place = Place::Shown(n as u64 * apart);
    }
    entries
}

fn plan(shapes: Shapes, total: u64, entries: &[Candidate]) -> Planned {
    plan_after(Count::NotRequested, shapes, total, entries)
}

fn plan_after(count: Count, shapes: Shapes, total: u64, entries: &[Candidate]) -> Planned {
    let mut positions = Positions::default();
    positions.learn_total(total);
    let outlook = Outlook {
        positions: &positions,
        shapes,
        item_bytes: 400,
        request_bytes: REQUEST_BYTES,
        count,
    };
    let due: Vec<u32> = (0..u32::try_from(entries.len()).unwrap()).collect();
    outlook.plan(&due, &|slot| entries.get(slot as usize).copied())
}

/// Number of fetches and of pages in a plan; checks that every entry is covered once.
fn shape(planned: &Planned) -> (usize, usize) {
    let mut covered = HashSet::new();
    let (mut fetches, mut pages) = (0, 0);
    for request in &planned.requests {
        let slots = match request {
            PlannedRequest::Fetch(slots) => {
                fetches += 1;
                slots
            }
            PlannedRequest::Page { covers, .. } => {
                pages += 1;
                covers
            }
        };
        assert!(slots.iter().all(|slot| covered.insert(*slot)));
    }
    if let Some(sweep) = &planned.sweep {
        assert!(sweep.members.iter().all(|slot| covered.insert(*slot)));
    }
    (fetches, pages)
}

#[test]
fn nothing_due_plans_no_request() {
    for shapes in [AUTO, LIST] {
        let planned = plan(shapes, 5000, &[]);
        assert!(planned.requests.is_empty() && planned.sweep.is_none());
        assert!(!planned.needs_count);
    }
}

#[test]
fn a_few_orders_far_apart_get_single_requests() {
    let entries = shown(5, 1000);
    assert_eq!(shape(&plan(AUTO, 5000, &entries)), (5, 0));
    let by_list = plan(LIST, 5000, &entries);
    assert_eq!(shape(&by_list), (0, 5), "or each by a small page");
}

#[test]
fn under_a_low_rate_limit_orders_far_apart_share_a_page() {
    let entries = shown(80, 50);
    let mut positions = Positions::default();
    positions.learn_total(5000);
    let due: Vec<u32> = (0..80).collect();
    let requests = |request_bytes| {
        let outlook = Outlook {
            positions: &positions,
            shapes: AUTO,
            item_bytes: 400,
            request_bytes,
            count: Count::NotRequested,
        };
        shape(&outlook.plan(&due, &|slot| entries.get(slot as usize).copied()))
    };
    assert_eq!(requests(REQUEST_BYTES), (80, 0));
    assert_eq!(requests(131_072 / 5), (0, 1), "5 requests a second");
}

#[test]
fn many_neighbours_share_a_page() {
    let planned = plan(AUTO, 1000, &shown(300, 1));
    assert_eq!(shape(&planned), (0, 1));
    let Some(PlannedRequest::Page { offset, count, .. }) = planned.requests.front() else {
        panic!("{planned:?}")
    };
    assert_eq!((*offset, u64::from(*count)), (0, 300 + MARGIN));
}

#[test]
fn a_page_at_the_end_extends_beyond_it() {
    let planned = plan(AUTO, 300, &shown(300, 1));
    let Some(PlannedRequest::Page { count, .. }) = planned.requests.front() else {
        panic!("{planned:?}")
    };
    assert_eq!(*count, 10_000, "new orders cost nothing if there are none");
}

#[test]
fn many_orders_at_unknown_positions_are_found_by_a_sweep() {
    let entries = guessed(300);
    let unknown_length = plan(AUTO, 0, &entries);
    assert!(unknown_length.needs_count && unknown_length.sweep.is_none());
    assert!(unknown_length.requests.is_empty(), "the count comes first");
    let uncounted = plan(AUTO, 1000, &entries);
    assert!(uncounted.needs_count, "pages alone do not show the end");
    let planned = plan_after(Count::Known, AUTO, 1000, &entries);
    assert_eq!(shape(&planned), (0, 0));
    let sweep = planned.sweep.unwrap();
    assert_eq!((sweep.from, sweep.to, sweep.end), (0, 1000, 1000));
    assert_eq!(sweep.members.len(), 300);
    let too_long = plan(AUTO, 100_000, &entries);
    assert_eq!(shape(&too_long), (300, 0), "not worth reading");
}

#[test]
fn without_pages_every_order_is_requested_by_its_id() {
    let singles = Shapes {
        page_limit: 0,
        ..AUTO
    };
    let batches = Shapes {
        batch_limit: 100,
        ..singles
    };
    for entries in [shown(300, 1), guessed(300)] {
        for (shapes, requests) in [(singles, 300), (batches, 3)] {
            let planned = plan(shapes, 1000, &entries);
            assert_eq!(shape(&planned), (requests, 0));
            assert!(planned.sweep.is_none() && !planned.needs_count);
        }
    }
}

#[test]
fn an_entry_that_no_page_shows_gets_a_single_request() {
    let mut entries = shown(300, 1);
    for n in [10, 20, 30] {
        entries[n].by = By::Alone;
    }
    assert_eq!(shape(&plan(AUTO, 1000, &entries)), (3, 1));
    assert_eq!(shape(&plan(LIST, 1000, &entries)), (3, 1), "creations");
    let batches = Shapes {
        batch_limit: 100,
        page_limit: 0,
        ..AUTO
    };
    assert_eq!(shape(&plan(batches, 1000, &entries)), (3 + 3, 0));
}

#[test]
fn an_entry_that_only_the_list_shows_is_swept_for_or_waits() {
    let mut entries = guessed(1);
    entries[0].by = By::Page;
    entries[0].place = Place::Elsewhere;
    let planned = plan_after(Count::Known, AUTO, 30_000, &entries);
    assert_eq!(shape(&planned), (0, 0));
    assert_eq!(planned.sweep.unwrap().members, [0]);
    let without_pages = Shapes {
        page_limit: 0,
        ..AUTO
    };
    let planned = plan(without_pages, 30_000, &entries);
    assert!(planned.requests.is_empty() && planned.sweep.is_none());
}

#[test]
fn with_very_many_entries_the_whole_stretch_is_read() {
    let count = u32::try_from(MOST_PLANNED).unwrap() + 1;
    let mut entries = shown(count, 1);
    for entry in &mut entries {
        if let Place::Shown(place) = &mut entry.place {
            *place += 1000;
        }
    }
    entries[0].by = By::Alone;
    let planned = plan(AUTO, 50_000, &entries);
    assert_eq!(planned.requests, [PlannedRequest::Fetch(vec![0])]);
    let sweep = planned.sweep.unwrap();
    let last = 1000 + u64::from(count) - 1;
    assert_eq!((sweep.from, sweep.end), (1001 - MARGIN, last + MARGIN + 1));
    assert!(sweep.members.is_empty(), "all places are known");
    let unknown_length = plan(AUTO, 0, &entries);
    assert!(unknown_length.needs_count && unknown_length.sweep.is_none());
}
