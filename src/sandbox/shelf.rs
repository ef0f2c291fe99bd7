//! Orders in order of creation, found by their id or by the shop's own id, and the part of a
//! [`Simulator`] shared by all providers that store orders this way.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, RwLock};

use super::core::{SandboxCore, read, write};
use super::moment::Moment;
use super::operation::SimulatedProvider;
use super::sample::SampleShop;
use super::simulator::{ControlError, CreateError, OrderAction, OrderBatch, OrderView, Simulator};

/// Orders are created this many at a time, so that large batches do not block requests.
const SEED_CHUNK: usize = 1_000;

/// Orders, oldest first.
pub(super) struct Shelf<T> {
    orders: Vec<T>,
    by_id: HashMap<String, usize>,
    /// The newest order of each id, since these providers accept the same id again.
    by_external_id: HashMap<Arc<str>, usize>,
}

impl<T> Shelf<T> {
    pub fn new() -> Shelf<T> {
        Shelf {
            orders: Vec::new(),
            by_id: HashMap::new(),
            by_external_id: HashMap::new(),
        }
    }

    pub fn put(&mut self, id: String, external_id: &Arc<str>, order: T) -> &T {
        let place = self.orders.len();
        self.by_id.insert(id, place);
        if !external_id.is_empty() {
            self.by_external_id.insert(Arc::clone(external_id), place);
        }
        self.orders.push(order);
        &self.orders[place]
    }

    /// Oldest first.
    pub fn all(&self) -> &[T] {
        &self.orders
    }

    pub fn place_of_id(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    pub fn get(&self, id: &str) -> Option<&T> {
        self.place_of_id(id).map(|place| &self.orders[place])
    }

    pub fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.place_of_id(id).map(|place| &mut self.orders[place])
    }

    /// By id, else the newest with that external id.
    fn place(&self, reference: &str) -> Option<usize> {
        let by_name = || self.by_external_id.get(reference).copied();
        self.place_of_id(reference).or_else(by_name)
    }
}

/// A provider that stores its orders in a [`Shelf`].
pub(super) trait OrderShelf: Send + Sync {
    type Order: Send + Sync;
    const PROVIDER: SimulatedProvider;
    const SAMPLE: &'static SampleShop;
    /// All statuses of the provider, and the sandbox's own for orders that the provider deleted.
    const WORDS: &'static [&'static str];

    fn core(&self) -> &SandboxCore;

    fn shelf(&self) -> &RwLock<Shelf<Self::Order>>;

    fn view(&self, order: &Self::Order, now: Moment) -> OrderView;

    /// `place` is the order's index, used for random choices.
    fn change(
        &self,
        order: &mut Self::Order,
        place: usize,
        action: &OrderAction,
        now: Moment,
    ) -> Result<(), ControlError>;

    /// Creates one order of a batch.
    fn make(
        &self,
        stock: &mut Shelf<Self::Order>,
        batch: &OrderBatch,
        external_id: String,
        now: Moment,
    ) -> Result<(), CreateError>;
}

impl<S: OrderShelf> Simulator for S {
    fn provider(&self) -> SimulatedProvider {
        S::PROVIDER
    }

    fn sample(&self) -> &'static SampleShop {
        S::SAMPLE
    }

    fn len(&self) -> usize {
        read(self.shelf()).all().len()
    }

    fn views(&self, places: Range<usize>) -> Vec<OrderView> {
        let stock = read(self.shelf());
        let now = self.core().now();
        let rest = stock.all().get(places.start..).unwrap_or_default();
        let orders = rest.iter().take(places.len());
        orders.map(|order| self.view(order, now)).collect()
    }

    fn find(&self, reference: &str) -> Option<OrderView> {
        let stock = read(self.shelf());
        let place = stock.place(reference)?;
        Some(self.view(&stock.all()[place], self.core().now()))
    }

    fn count_by_status(&self) -> BTreeMap<&'static str, u64> {
        let mut counts: BTreeMap<_, _> = S::WORDS.iter().map(|word| (*word, 0)).collect();
        for view in self.views(0..usize::MAX) {
            *counts.entry(view.status).or_default() += 1;
        }
        counts
    }

    fn act(&self, reference: &str, action: &OrderAction) -> Result<OrderView, ControlError> {
        let mut stock = write(self.shelf());
        // Read after taking the lock: times must ascend in the order of the changes.
        let now = self.core().now();
        let place = stock.place(reference);
        let place = place.ok_or_else(|| ControlError::Unknown(reference.into()))?;
        let order = &mut stock.orders[place];
        self.change(order, place, action, now)?;
        Ok(self.view(order, now))
    }

    fn seed(&self, batch: &OrderBatch) -> Result<Range<usize>, CreateError> {
        let first = self.len();
        let mut made = 0;
        while made < batch.count {
            let mut stock = write(self.shelf());
            let now = self.core().now();
            for _ in 0..SEED_CHUNK.min(batch.count - made) {
                let number = stock.all().len() + 1;
                let external_id = format!("{}{number}", batch.external_id_prefix);
                self.make(&mut stock, batch, external_id, now)?;
                made += 1;
            }
        }
        Ok(first..first + made)
    }
}
