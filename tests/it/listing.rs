//! Positions in a list without an index, with simulated lists: regular, shifting and wrong ones.

use payrecond::domain::listing::{Estimate, MARGIN, PageSummary, Positions};
use payrecond::domain::time::UnixMillis;
use proptest::prelude::*;

/// A store's list at the provider.
struct Shop {
    created: Vec<i64>,
    is_final: Vec<bool>,
}

impl Shop {
    /// Random gaps, some zero; neighbours swapped by up to `swaps` positions.
    fn random(rng: &mut fastrand::Rng, orders: usize, swaps: usize) -> Self {
        let mut now = 1_700_000_000_000;
        let mut pace = 1000;
        let mut created = Vec::with_capacity(orders);
        for _ in 0..orders {
            if rng.u32(..5000) == 0 {
                pace = 1 << rng.u32(..24);
            }
            now += rng.i64(0..=pace);
            created.push(now);
        }
        for chunk in created.chunks_mut(swaps + 1) {
            rng.shuffle(chunk);
        }
        let is_final = vec![false; orders];
        Self { created, is_final }
    }

    fn page(&self, offset: u64, asked: u32) -> PageSummary {
        let from = usize::try_from(offset).unwrap().min(self.created.len());
        let to = (from + asked as usize).min(self.created.len());
        let finals = self.is_final[from..to].iter().take_while(|f| **f);
        PageSummary {
            offset,
            asked,
            items: (to - from) as u64,
            leading_final: finals.count() as u64,
            first_created: self.created[from..to].first().map(|&ms| UnixMillis(ms)),
            last_created: self.created[from..to].last().map(|&ms| UnixMillis(ms)),
        }
    }
}

fn log2_ceil(total: u64, limit: u32) -> u32 {
    (0..64).find(|&k| u64::from(limit) << k >= total).unwrap()
}

/// Searches for the order at `place`; returns the number of probes.
fn seek(known: &mut Positions, shop: &Shop, place: usize, page_limit: u32) -> u32 {
    let created_at = UnixMillis(shop.created[place]);
    let mut probes = 0;
    while let Some(position) = known.probe(created_at, page_limit) {
        assert_eq!(known.page_around(created_at, page_limit), None);
        known.learn_page(&shop.page(position, 1));
        probes += 1;
        assert!(probes < 100, "no end of probes");
    }
    let (offset, count) = known.page_around(created_at, page_limit).unwrap();
    assert!(count <= page_limit);
    let place = place as u64;
    assert!(
        offset <= place && place < offset + u64::from(count),
        "{place} is not on the page {offset}+{count}"
    );
    if let Estimate::At { position, within } = known.place_of(created_at) {
        assert!(position.abs_diff(place) <= within, "{position}±{within}");
    }
    known.learn_page(&shop.page(offset, count));
    probes
}

/// Sizes from 1 to two millions, small and large ones equally often.
fn some_size() -> impl Strategy<Value = usize> {
    let size = (0..=20_u32).prop_flat_map(|power| 1_usize << power..=2 << power);
    size.prop_map(|size| size.min(2_000_000))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bisection_finds_any_order(size in some_size(), page_limit in 128..20_000_u32, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let shop = Shop::random(&mut rng, size, 7);
        let mut learning = Positions::default();
        learning.learn_total(size as u64);
        let most = log2_ceil(size as u64, page_limit) + 2;
        for _ in 0..50 {
            let mut known = Positions::default();
            known.learn_total(size as u64);
            let place = rng.usize(..size);
            let probes = seek(&mut known, &shop, place, page_limit);
            prop_assert!(probes <= most, "{} > {}", probes, most);
            let probes = seek(&mut learning, &shop, rng.usize(..size), page_limit);
            prop_assert!(probes <= most, "{} > {} with knowledge", probes, most);
        }
    }

    #[test]
    fn small_pages_find_orders_of_distinct_times(
        size in 1..20_000_usize,
        page_limit in 1..64_u32,
        seed: u64,
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut shop = Shop::random(&mut rng, size, 0);
        for (i, created) in shop.created.iter_mut().enumerate() {
            *created += i64::try_from(i).unwrap();
        }
        let mut known = Positions::default();
        known.learn_total(size as u64);
        let most = log2_ceil(size as u64, page_limit) + 2;
        for _ in 0..700 {
            let probes = seek(&mut known, &shop, rng.usize(..size), page_limit);
            prop_assert!(probes <= most, "{} > {}", probes, most);
        }
    }

    #[test]
    fn the_floor_never_passes_an_order_that_is_not_final(page_limit in 64..300_u32, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut shop = Shop::random(&mut rng, 0, 0);
        let mut known = Positions::default();
        for now in 0..600 {
            for _ in 0..rng.usize(..40) {
                let end = shop.created.len();
                let slips_in = end - rng.usize(..8).min(end);
                shop.created.insert(slips_in, now * 1000);
                shop.is_final.insert(slips_in, rng.bool());
            }
            for is_final in &mut shop.is_final {
                *is_final |= rng.u32(..20) == 0;
            }
            let (offset, count) = match rng.u32(..3) {
                0 => (known.floor(), page_limit),
                1 => (rng.u64(..=shop.created.len() as u64), page_limit),
                _ => known.tail(page_limit),
            };
            known.learn_page(&shop.page(offset, count));
            let floor = usize::try_from(known.floor()).unwrap();
            prop_assert!(floor <= shop.created.len());
            prop_assert!(shop.is_final[..floor].iter().all(|f| *f));
        }
        prop_assert!(known.floor() > 0, "it moves at all");
    }
}

fn some_time() -> impl Strategy<Value = UnixMillis> {
    prop_oneof![any::<i64>(), 0..1000_i64].prop_map(UnixMillis)
}

fn some_place() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..2000_u64, 1 => any::<u64>()]
}

fn some_page() -> impl Strategy<Value = PageSummary> {
    let times = (prop::option::of(some_time()), prop::option::of(some_time()));
    let page = (some_place(), 0..500_u32, some_place(), some_place(), times);
    page.prop_map(
        |(offset, asked, items, leading_final, (first_created, last_created))| PageSummary {
            offset,
            asked,
            items,
            leading_final,
            first_created,
            last_created,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn wrong_answers_only_cost_accuracy(
        pages in prop::collection::vec((some_page(), any::<bool>()), 0..1500),
        total in some_place(),
        sought in some_time(),
        page_limit in 0..12_000_u32,
        lies in prop::collection::vec(prop::option::of(some_time()), 200),
    ) {
        let mut known = Positions::default();
        for (page, shrinks) in &pages {
            known.learn_page(page);
            if *shrinks && page.items == 7 {
                known.shrink(page.offset);
            }
            known.place_of(sought);
        }
        known.learn_total(total);
        let (offset, count) = known.tail(page_limit);
        prop_assert!(count <= page_limit && offset <= known.total());
        let text = known.to_text();
        prop_assert!(text.len() <= 16 * 1024);
        prop_assert_eq!(Positions::parse(&text).to_text(), text);

        let mut probes = 0;
        while let Some(position) = known.probe(sought, page_limit) {
            let shown = lies[probes];
            let items = shown.is_some().into();
            let first_created = shown;
            known.learn_page(&PageSummary { offset: position, asked: 1, items, first_created, ..PageSummary::default() });
            probes += 1;
            prop_assert!(probes <= 66, "no end of probes");
        }
        if let Some((_, count)) = known.page_around(sought, page_limit) {
            prop_assert!(count <= page_limit);
        }
    }

    #[test]
    fn an_invalid_text_is_no_knowledge(text in "[1 ]{1,3}[0-9 ]{1,20}[0-9a-f+ -]{0,60}") {
        let known = Positions::parse(&text);
        prop_assert!(known.floor() <= known.total());
        prop_assert_eq!(&Positions::parse(&known.to_text()), &known);
        known.tail(100);
        known.probe(UnixMillis(5), 100);
    }
}

#[test]
fn contradictory_texts_are_invalid() {
    for text in [
        "",
        "1",
        "2 5 0 7 0+0",
        "1 5 6 7 0+0",
        "1 5 0 7 5+0",
        "1 5 0 7 0+0 0+1",
        "1 5 0 7 0+0 1+ffffffffffffffff",
        "1 18446744073709551615 0 0",
        "1 5 0 7 0+0 x",
        "1 5 0 7 0+0 ",
    ] {
        assert_eq!(Positions::parse(text), Positions::default(), "{text}");
    }
    let (text, total) = ("1 5 2 -7 0+0 4+ff", 5);
    assert_eq!(Positions::parse(text).total(), total);
    assert_eq!(Positions::parse(text).to_text(), text);
}

#[test]
fn the_longest_text_fits_its_column() {
    let mut known = Positions::default();
    let step = u64::MAX / 1024;
    for i in 0..512_u64 {
        let later = i64::MIN.saturating_add_unsigned(i * (u64::MAX / 512));
        known.learn_item(i * step, UnixMillis(later));
    }
    let text = known.to_text();
    assert!((14_000..=16_384).contains(&text.len()), "{}", text.len());
    assert_eq!(Positions::parse(&text), known);
}

#[test]
fn the_tail_is_one_page_from_the_floor() {
    let mut known = Positions::default();
    assert_eq!(known.tail(10_000), (0, 10_000));
    known.learn_total(50_000);
    assert_eq!(known.tail(10_000), (40_016, 10_000));
    assert_eq!(known.tail(1), (49_999, 1));
    let mut page = PageSummary {
        offset: 0,
        asked: 10_000,
        items: 10_000,
        leading_final: 10_000,
        ..PageSummary::default()
    };
    page.offset = 1;
    known.learn_page(&page);
    assert_eq!(known.floor(), 0, "the first one was never shown");
    for _ in 0..5 {
        page.offset = known.floor();
        known.learn_page(&page);
    }
    assert_eq!(known.floor(), 50_000 - 5 * MARGIN);
    page.offset = 40_000;
    known.learn_page(&page);
    assert_eq!(known.floor(), 50_000 - MARGIN);
    assert_eq!(known.tail(10_000), (49_984, 10_000));
    page.offset = 40_000;
    page.leading_final = 12;
    known.learn_page(&page);
    assert_eq!(known.floor(), 40_012, "an open order below the floor");
}

#[test]
fn places_follow_from_times() {
    let mut known = Positions::default();
    assert_eq!(known.place_of(UnixMillis(5)), Estimate::Unknown);
    assert_eq!(known.probe(UnixMillis(5), 100), None);
    known.learn_item(0, UnixMillis(0));
    known.learn_item(1000, UnixMillis(10_000));
    assert_eq!(known.place_of(UnixMillis(10_001)), Estimate::Tail);
    let (position, within) = (250, 766);
    assert_eq!(
        known.place_of(UnixMillis(2500)),
        Estimate::At { position, within }
    );
    known.learn_item(500, UnixMillis(2400));
    let (position, within) = (506, 510);
    assert_eq!(
        known.place_of(UnixMillis(2500)),
        Estimate::At { position, within }
    );
}

#[test]
fn newer_knowledge_wins() {
    let mut known = Positions::default();
    for position in 0..100 {
        known.learn_item(position, UnixMillis(100 * i64::try_from(position).unwrap()));
    }
    known.learn_item(50, UnixMillis(3000));
    // Orders at 31 to 49 were later and are gone. Those at 30 and 50 have the same time.
    let (position, within) = (40, 27);
    assert_eq!(
        known.place_of(UnixMillis(3000)),
        Estimate::At { position, within }
    );
    let (position, within) = (51, 16);
    assert_eq!(
        known.place_of(UnixMillis(3050)),
        Estimate::At { position, within }
    );
}

#[test]
fn a_wrong_length_costs_few_requests() {
    let mut rng = fastrand::Rng::with_seed(3);
    let shop = Shop::random(&mut rng, 5000, 0);
    for wrong in [6000, 1_000_000, u64::MAX] {
        let mut known = Positions::default();
        known.learn_page(&shop.page(0, 2000));
        known.learn_total(wrong);
        let mut requests = 0;
        while known.total() != 5000 {
            let (offset, count) = known.tail(2000);
            known.learn_page(&shop.page(offset, count));
            requests += 1;
            assert!(requests < 80, "{known:?}");
        }
    }
}

#[test]
fn the_tail_keeps_up_with_a_busy_shop() {
    let mut rng = fastrand::Rng::with_seed(6);
    let shop = Shop::random(&mut rng, 20_000, 0);
    let mut known = Positions::default();
    for requests in 1..=20 {
        let (offset, count) = known.tail(2000);
        known.learn_page(&shop.page(offset, count));
        if known.total() == 20_000 {
            assert_eq!((requests, known.tail(2000)), (11, (18_016, 2000)));
            return;
        }
    }
    panic!("{known:?}");
}

#[test]
fn a_count_below_what_pages_have_shown_proves_nothing() {
    let mut positions = Positions::default();
    positions.learn_page(&PageSummary {
        offset: 0,
        asked: 1000,
        items: 1000,
        ..PageSummary::default()
    });
    assert!(positions.goes_on(), "the page was full");
    positions.learn_count(999);
    assert!(positions.goes_on());
    positions.learn_count(1000);
    assert!(!positions.goes_on());
    assert_eq!(positions.total(), 1000);
}

#[test]
fn two_pages_with_the_same_early_end_are_believed() {
    let mut rng = fastrand::Rng::with_seed(4);
    let mut shop = Shop::random(&mut rng, 5000, 0);
    shop.is_final.fill(true);
    let mut known = Positions::default();
    known.learn_page(&shop.page(0, 5000));
    known.learn_page(&shop.page(4000, 2000));
    assert_eq!(known.floor(), 5000 - MARGIN);
    shop.created.truncate(1200);
    shop.is_final.truncate(1200);
    known.learn_page(&shop.page(1000, 1000));
    assert_eq!(known.total(), 5000, "that may be all that a page holds");
    assert_eq!(known.page_limit(1000), 1000, "once is no rule");
    known.learn_page(&shop.page(1100, 200));
    assert_eq!((known.total(), known.floor()), (1200, 1200 - MARGIN));
    assert_eq!(known.page_limit(1000), 1000);
    seek(&mut known, &shop, 700, 128);
}

#[test]
fn a_shifted_list_is_learned_again() {
    let mut rng = fastrand::Rng::with_seed(5);
    let mut shop = Shop::random(&mut rng, 100_000, 0);
    let mut known = Positions::default();
    known.learn_total(100_000);
    for _ in 0..300 {
        seek(&mut known, &shop, rng.usize(..100_000), 500);
    }
    shop.created.drain(..5);
    shop.is_final.drain(..5);
    for _ in 0..300 {
        seek(&mut known, &shop, rng.usize(..99_995), 500);
    }
}

#[test]
fn a_short_page_is_the_end_only_if_the_count_says_so() {
    let page = |offset, items| PageSummary {
        offset,
        asked: 1000,
        items,
        ..PageSummary::default()
    };
    let mut known = Positions::default();
    known.learn_count(250);
    known.learn_page(&page(0, 100));
    assert!(known.was_cut_short(&page(0, 100)));
    assert_eq!((known.total(), known.page_limit(1000)), (250, 1000));
    known.learn_count(250);
    assert_eq!((known.total(), known.page_limit(1000)), (250, 1000));
    let mut longer = known.clone();
    longer.learn_page(&page(100, 100));
    assert_eq!(longer.page_limit(1000), 100, "twice is one");
    longer.learn_count(100);
    assert_eq!((longer.total(), longer.page_limit(1000)), (250, 100));
    known.learn_count(100);
    assert_eq!((known.total(), known.page_limit(1000)), (100, 1000));
}

/// The learned capacity of pages is not permanent: the short page may have been an exception.
#[test]
fn longer_pages_are_tried_again_after_many_full_ones() {
    let page = |offset, asked, items| PageSummary {
        offset,
        asked,
        items,
        ..PageSummary::default()
    };
    let mut known = Positions::default();
    known.learn_count(1_000_000);
    known.learn_page(&page(0, 1000, 1));
    known.learn_page(&page(500, 1000, 1));
    assert_eq!(known.page_limit(1000), 1);
    let tries = (0..10_000).take_while(|n| {
        known.learn_page(&page(1000 + n, 1, 1));
        known.page_limit(1000) == 1
    });
    assert_eq!(tries.count(), 255);
}
