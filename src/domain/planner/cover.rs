//! Finds the fewest and cheapest requests that cover the due orders.
//!
//! An order can be requested alone, in a batch with others, or by reading a page of the store's
//! list. A request costs a fixed price plus its bytes, so the question is how to cut the list into
//! pages and which orders to request singly. With the orders sorted by position this is a shortest
//! path: the cheapest way to cover the first `i` orders ends with a single request for the `i`-th
//! order, or with a page whose last wanted order it is. The earliest start of such a page only
//! moves forward, so the cheapest start is a sliding-window minimum. This takes linear time after
//! sorting and finds the exact optimum.
//!
//! Batches can hold orders from any position, so the cost of one more order in a batch depends on
//! all the others. With batches, the path is therefore computed for four prices of a single
//! request, and the best result is taken. It costs at most one request more than the optimum,
//! unless the optimum has many pages so small that they take more requests than batches alone.

use std::collections::VecDeque;
use std::ops::Range;

/// What the provider's requests can cover, and what the account's strategy allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Whether requests for one order are allowed.
    pub one: bool,
    /// Maximum number of orders in a batch; 0 = no batches.
    pub batch_limit: u32,
    /// Maximum number of items on a page of the list; 0 = no list.
    pub page_limit: u32,
    /// Items to read on either side of the wanted ones, since near-simultaneous orders may swap
    /// places. Limited to the length of a page.
    pub overlap: u32,
}

/// Costs of requests, in bytes. Each is limited to 1 GiB, the maximum size of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Fixed cost of a request.
    pub request: u64,
    /// Size of the answer about one order, alone or in a batch.
    pub one_bytes: u64,
    /// Measured size of one item of the list.
    pub item_bytes: u64,
}

/// An order to be polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<K> {
    /// The caller's key.
    pub key: K,
    /// Its position in the list, from 0; None = unknown.
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
    /// Only a request for this order alone.
    Alone,
}

/// One planned request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedRequest<K> {
    /// Orders by id: one, or a batch.
    Fetch(Vec<K>),
    /// For part of the list.
    Page {
        /// Position of the first item.
        offset: u64,
        /// Number of items, at most the page limit.
        count: u32,
        /// The orders that it covers, in order of position.
        covers: Vec<K>,
    },
}

/// The requests to make, most urgent first, and the orders that no request covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<K> {
    /// Sorted by the first covered order, in the order of `wanted`.
    pub requests: Vec<PlannedRequest<K>>,
    /// Orders that no allowed request covers.
    pub unreachable: Vec<K>,
}

/// The cheapest requests that cover `wanted`, each order once; at equal cost, the fewest requests.
/// Never more requests than orders and, with batches, never more than batches alone would take.
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

/// Higher positions are rejected: no list offset can have them.
const LAST_PLACE: u64 = i64::MAX.unsigned_abs();

/// Combines cost and number of requests in one number: a byte counts as this much, and a request as
/// 1 on top of its bytes. So the lower price has the lower cost or, at equal cost, fewer requests.
/// 2^63 items of 2^30 bytes and this factor stay below 2^126.
const BYTE: i128 = 1 << 32;

/// A wanted order that pages can cover.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Placed {
    place: u64,
    /// Index in `wanted`, which is sorted by urgency.
    index: usize,
    page_only: bool,
}

/// A way to cover all orders that can be covered.
#[derive(Default)]
struct Cover {
    /// Each page as a range of the placed orders that it covers.
    pages: Vec<Range<usize>>,
    /// Orders to request alone or in batches, as ascending indexes.
    singles: Vec<usize>,
}

/// The wanted orders, as indexes grouped by the requests that can cover them, and the prices.
struct Task {
    /// Pages, and single requests unless marked; sorted by position.
    placed: Vec<Placed>,
    /// Single requests and batches only.
    loose: Vec<usize>,
    /// A separate request each.
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

    /// Start of a page whose first wanted order is `first`.
    fn begin(&self, first: Placed) -> u64 {
        first.place.saturating_sub(self.overlap)
    }

    /// End of a page whose last wanted order is `last`.
    fn end(&self, last: Placed) -> u64 {
        last.place + self.overlap + 1
    }

    fn items(&self, page: &[Placed]) -> u64 {
        match page {
            [] => 0,
            [first, ..] => self.end(page[page.len() - 1]) - self.begin(*first),
        }
    }

    /// Without batches, the exact optimum. With batches, the cheapest cover under four prices of a
    /// single request: zero (no page unless one is required, so the largest number of requests that
    /// is allowed), a full request, its share of a full batch, and its bytes alone (it joins a
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

    /// The cheapest cover if a single request costs `single`.
    fn cheapest_cover(&self, single: i128) -> Cover {
        // For each number of first orders: how many of them, counted from the last, are on one
        // page; 0 = the last one is requested singly.
        let mut last_pages = Vec::with_capacity(self.placed.len());
        // Possible starts of the current page in ascending price: the price before it, minus the
        // items that it leaves out.
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
            // Never empty: a page for one order is always possible.
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
