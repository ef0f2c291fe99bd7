//! Which requests cover what is due: the fewest, cheapest.
//!
//! An order can be asked about alone, together with some others, or by reading a page of the
//! store's list. A request costs a fixed price and its bytes, so the question is where to cut the
//! list into pages and what to leave to single polls. In the order of places that is a shortest
//! path: the cheapest way to cover the first `i` orders ends with a single poll at the `i`-th or
//! with a page whose last wanted order it is. How far such a page may reach back is a window that
//! only moves forward, so its cheapest beginning is a sliding-window minimum: linear time after
//! sorting, and the exact optimum.
//!
//! Batches fill up with orders from anywhere, so what one more order in them costs depends on all
//! the others. There the path is sought under four prices of a single poll and the best result
//! taken: at most the price of one request dearer than the optimum, unless that were many pages
//! so small that they take more requests than batches alone.

use std::collections::VecDeque;
use std::ops::Range;

/// What one request of the provider can reach, and what the account's strategy allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Whether polls of one order are allowed.
    pub one: bool,
    /// Most orders that one batch can name; 0 = no batches.
    pub batch_limit: u32,
    /// Most items of the list that one page can hold; 0 = no list.
    pub page_limit: u32,
    /// Items read on either side of what a page is wanted for, since near-simultaneous orders may
    /// swap places. Cut to what a page can hold.
    pub overlap: u32,
}

/// What requests cost, in bytes. Each is cut to 1 GiB, the most that an answer can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// What one request is worth, whatever it carries.
    pub request: u64,
    /// Bytes of the answer about one order, alone or in a batch.
    pub one_bytes: u64,
    /// Bytes of one item of the list, as measured.
    pub item_bytes: u64,
}

/// An order that is to be polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<K> {
    /// How the caller knows it.
    pub key: K,
    /// Its place in the list, from 0; None = not known.
    pub place: Option<u64>,
    /// Which requests can report it.
    pub by: By,
}

/// Which requests can report an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Any.
    Any,
    /// Only a page of the list.
    Page,
    /// Only a request that asks for it and nothing else.
    Alone,
}

/// One request to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedRequest<K> {
    /// For these orders by their ids: one, or a batch.
    Fetch(Vec<K>),
    /// For part of the list.
    Page {
        /// Number of first orders left out.
        offset: u64,
        /// Items to read, at most the page limit.
        count: u32,
        /// The orders that it is read for, in the order of their places.
        covers: Vec<K>,
    },
}

/// What to ask, most urgent first, and what cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<K> {
    /// Each stands where the first order that it covers stood among the wanted ones.
    pub requests: Vec<PlannedRequest<K>>,
    /// Orders that no allowed request reaches.
    pub unreachable: Vec<K>,
}

/// The cheapest requests that cover `wanted`, each order once; of equal costs the fewer requests.
/// At most one request for each order; with batches, no more than batches alone would take.
pub fn cover<K: Copy>(wanted: &[Wanted<K>], reach: &Reach, costs: &Costs) -> Plan<K> {
    let task = Task::of(wanted, reach, costs);
    let Cover { pages, singles } = task.best_cover();
    let key = |&index: &usize| wanted[index].key;
    let mut ranked: Vec<(usize, PlannedRequest<K>)> = Vec::with_capacity(pages.len());
    for page in pages.iter().map(|page| &task.placed[page.clone()]) {
        let request = PlannedRequest::Page {
            offset: task.begin(page[0]),
            count: u32::try_from(task.items(page)).unwrap_or(reach.page_limit),
            covers: page.iter().map(|item| key(&item.index)).collect(),
        };
        let urgency = page.iter().map(|item| item.index).min();
        ranked.push((urgency.unwrap_or_default(), request));
    }
    let alone = task.alone.chunks(1);
    for orders in singles.chunks(task.batch_size).chain(alone) {
        let request = PlannedRequest::Fetch(orders.iter().map(key).collect());
        ranked.push((orders[0], request));
    }
    ranked.sort_unstable_by_key(|&(urgency, _)| urgency);
    Plan {
        requests: ranked.into_iter().map(|(_, request)| request).collect(),
        unreachable: task.unreachable.iter().map(key).collect(),
    }
}

/// Places above this are not believed: no list's offset can name them.
const LAST_PLACE: u64 = i64::MAX.unsigned_abs();

/// Costs and number of requests in one number: a byte counts this much, a request 1 on top of its
/// bytes. So the lower price is the lower cost, and of equal costs the fewer requests.
/// 2^63 items of 2^30 bytes and this factor stay below 2^126.
const BYTE: i128 = 1 << 32;

/// A wanted order that pages can reach.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Placed {
    place: u64,
    /// Among the wanted ones: how urgent it is.
    index: usize,
    page_only: bool,
}

/// A way to cover all that can be reached.
#[derive(Default)]
struct Cover {
    /// Each page by the placed orders that it covers.
    pages: Vec<Range<usize>>,
    /// Wanted orders to be polled alone or in batches, by index, ascending.
    singles: Vec<usize>,
}

/// The wanted orders, by index, according to what can reach them, and the prices.
struct Task {
    /// Pages, and single polls unless marked; by place.
    placed: Vec<Placed>,
    /// Single polls and batches only.
    loose: Vec<usize>,
    /// A request of its own each.
    alone: Vec<usize>,
    unreachable: Vec<usize>,
    batch_size: usize,
    page_limit: u64,
    overlap: u64,
    request_price: i128,
    one_price: i128,
    item_price: i128,
}

impl Task {
    fn of<K>(wanted: &[Wanted<K>], reach: &Reach, costs: &Costs) -> Self {
        let singles_allowed = reach.one || reach.batch_limit > 0;
        let price = |bytes: u64| i128::from(bytes.min(1 << 30)) * BYTE;
        let room = reach.page_limit.saturating_sub(1) / 2;
        let mut task = Self {
            placed: Vec::new(),
            loose: Vec::new(),
            alone: Vec::new(),
            unreachable: Vec::new(),
            batch_size: usize::try_from(reach.batch_limit.max(1)).unwrap_or(usize::MAX),
            page_limit: reach.page_limit.into(),
            overlap: reach.overlap.min(room).into(),
            request_price: price(costs.request) + 1,
            one_price: price(costs.one_bytes),
            item_price: price(costs.item_bytes),
        };
        for (index, order) in wanted.iter().enumerate() {
            if order.by == By::Alone {
                task.alone.push(index);
                continue;
            }
            let page_only = order.by == By::Page || !singles_allowed;
            match order.place {
                Some(place) if reach.page_limit > 0 && place <= LAST_PLACE => {
                    task.placed.push(Placed {
                        place,
                        index,
                        page_only,
                    });
                }
                Some(_) | None if page_only => task.unreachable.push(index),
                Some(_) | None => task.loose.push(index),
            }
        }
        task.placed.sort_unstable();
        task
    }

    /// Where a page begins whose first wanted order is `first`.
    fn begin(&self, first: Placed) -> u64 {
        first.place.saturating_sub(self.overlap)
    }

    /// Where a page ends whose last wanted order is `last`.
    fn end(&self, last: Placed) -> u64 {
        last.place + self.overlap + 1
    }

    fn items(&self, page: &[Placed]) -> u64 {
        match page {
            [] => 0,
            [first, ..] => self.end(page[page.len() - 1]) - self.begin(*first),
        }
    }

    /// Without batches the one exact answer. With them the cheapest of those under four prices of
    /// a single poll: nothing (no page but where one is needed: the most requests that are
    /// allowed), its own request, its share of a full batch's, its bytes alone (it fills up a
    /// batch that is made anyway).
    fn best_cover(&self) -> Cover {
        let own = self.request_price + self.one_price;
        if self.batch_size == 1 {
            return self.cheapest_cover(own);
        }
        let share = self.request_price / self.batch_size as i128 + self.one_price;
        let batches_alone = self.cheapest_cover(0);
        let most_requests = self.requests(&batches_alone);
        [own, share, self.one_price]
            .into_iter()
            .map(|single| self.cheapest_cover(single))
            .filter(|cover| self.requests(cover) <= most_requests)
            .chain([batches_alone])
            .min_by_key(|cover| self.price(cover))
            .unwrap_or_default()
    }

    fn requests(&self, cover: &Cover) -> usize {
        cover.pages.len() + cover.singles.len().div_ceil(self.batch_size)
    }

    fn price(&self, cover: &Cover) -> i128 {
        let pages = cover.pages.iter().map(|page| &self.placed[page.clone()]);
        let items: i128 = pages.map(|page| i128::from(self.items(page))).sum();
        self.request_price * self.requests(cover) as i128
            + self.one_price * cover.singles.len() as i128
            + self.item_price * items
    }

    /// The cheapest cover where a single poll costs `single`.
    fn cheapest_cover(&self, single: i128) -> Cover {
        // For each number of first orders: how many of them, counted from the last, end on one
        // page; 0 = the last one is polled alone.
        let mut last_pages = Vec::with_capacity(self.placed.len());
        // Where a page that is open now may begin, rising in price: what was paid before it, less
        // the items that it leaves out.
        let mut beginnings: VecDeque<(i128, usize)> = VecDeque::new();
        let mut paid = 0;
        for (i, &item) in self.placed.iter().enumerate() {
            let beginning = paid - self.item_price * i128::from(self.begin(item));
            while beginnings.back().is_some_and(|b| b.0 >= beginning) {
                beginnings.pop_back();
            }
            beginnings.push_back((beginning, i));
            let earliest = self.end(item).saturating_sub(self.page_limit);
            while beginnings
                .front()
                .is_some_and(|b| self.begin(self.placed[b.1]) < earliest)
            {
                beginnings.pop_front();
            }
            // Never empty: a page for one order always fits.
            let (before, first) = beginnings.front().copied().unwrap_or((beginning, i));
            let by_page =
                before + self.item_price * i128::from(self.end(item)) + self.request_price;
            let alone = paid + single;
            let takes_page = item.page_only || by_page < alone;
            paid = if takes_page { by_page } else { alone };
            last_pages.push(if takes_page { i + 1 - first } else { 0 });
        }
        self.trace_back(&last_pages)
    }

    fn trace_back(&self, last_pages: &[usize]) -> Cover {
        let mut pages = Vec::new();
        let mut singles = self.loose.clone();
        let mut end = last_pages.len();
        while end > 0 {
            let covered = last_pages[end - 1];
            if covered == 0 {
                end -= 1;
                singles.push(self.placed[end].index);
            } else {
                pages.push(end - covered..end);
                end -= covered;
            }
        }
        singles.sort_unstable();
        Cover { pages, singles }
    }
}
