//! The simulated provider behind its door: orders, faults and counters, shared by all connections.
//!
//! The demo and tests use it in-process, next to the HTTP sides. Each call is one step under a lock.

use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::SandboxOptions;
use super::book::{Book, ControlError, CreateError, Payment};
use super::deck::{Dealt, Deck};
use super::fault::{Fault, Operation};
use super::limit::Bucket;
use super::moment::Moment;
use super::order::{NewOrder, Order, OrderView, Status};
use super::tally::Stats;

/// Orders are made this many at a time, so that seeding a million does not keep requests waiting.
const SEED_CHUNK: usize = 2_000;

/// The truth that clients are measured against, and the hands that change it.
pub struct World {
    book: RwLock<Book>,
    deck: Mutex<Deck>,
    stats: Mutex<Stats>,
    limit: Option<Mutex<Bucket>>,
    /// Never goes back, or an expired order would come alive again by itself.
    latest_nanos: AtomicI64,
}

/// An order made, or made before by the same parameters.
#[derive(Debug, Clone)]
pub struct Created {
    pub order: OrderView,
    pub already: bool,
}

/// Many orders at once, for load tests: external ids are `external_id_prefix` and a number that never repeats.
#[derive(Debug, Clone)]
pub struct Batch {
    pub count: usize,
    pub external_id_prefix: String,
    pub amount: String,
    pub currency: String,
    /// Seconds, 30 to 864000.
    pub timeout_seconds: i64,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch {
            count: 1,
            external_id_prefix: "LOAD-".into(),
            amount: "1.00".into(),
            currency: "USD".into(),
            timeout_seconds: 3600,
        }
    }
}

impl World {
    pub(super) fn new(options: &SandboxOptions) -> World {
        World {
            book: RwLock::new(Book::new(options.seed)),
            deck: Mutex::new(Deck::new(options.seed, options.faults.clone())),
            stats: Mutex::new(Stats::new()),
            limit: options
                .rate_limit
                .map(|per_second| Mutex::new(Bucket::new(per_second))),
            latest_nanos: AtomicI64::new(i64::MIN),
        }
    }

    /// The provider's clock.
    pub fn now(&self) -> Moment {
        let wall = Moment::now().nanos();
        Moment::from_nanos(wall.max(self.latest_nanos.fetch_max(wall, Ordering::Relaxed)))
    }

    pub fn create(&self, new: &NewOrder) -> Result<Created, CreateError> {
        let mut book = self.book_mut();
        let now = self.now();
        let (order, already) = book.create(new, now)?;
        Ok(Created {
            order: order.view(now),
            already,
        })
    }

    /// Makes `batch.count` orders; answers with their places in the list.
    pub fn seed(&self, batch: &Batch) -> Result<Range<usize>, CreateError> {
        let mut new = NewOrder::simple("", &batch.amount, &batch.currency);
        new.timeout_seconds = batch.timeout_seconds;
        let mut made = None;
        let mut left = batch.count;
        while left > 0 {
            let mut book = self.book_mut();
            let now = self.now();
            for _ in 0..left.min(SEED_CHUNK) {
                let place = book.orders().len();
                new.external_id = format!("{}{}", batch.external_id_prefix, place + 1);
                if book.create(&new, now)?.1 {
                    return Err(CreateError::Conflict(new.external_id));
                }
                made.get_or_insert(place..place).end = place + 1;
                left -= 1;
            }
        }
        Ok(made.unwrap_or(0..0))
    }

    /// `reference` is an order id, else an external id; so for all that follow.
    pub fn pay(&self, reference: &str, payment: &Payment) -> Result<OrderView, ControlError> {
        self.change(|book, now| {
            book.pay(reference, payment, now)
                .map(|order| order.view(now))
        })
    }

    /// `late` allows the change of an order that has ended already.
    pub fn cancel(&self, reference: &str, late: bool) -> Result<OrderView, ControlError> {
        self.change(|book, now| {
            book.cancel(reference, late, now)
                .map(|order| order.view(now))
        })
    }

    /// `late` allows the change of an order that has ended already.
    pub fn expire(&self, reference: &str, late: bool) -> Result<OrderView, ControlError> {
        self.change(|book, now| {
            book.expire(reference, late, now)
                .map(|order| order.view(now))
        })
    }

    pub fn order(&self, reference: &str) -> Option<OrderView> {
        let book = self.book();
        book.find(reference).map(|order| order.view(self.now()))
    }

    /// All orders as they stand now, oldest first.
    pub fn orders(&self) -> Vec<OrderView> {
        self.page(0, usize::MAX, |orders, now| {
            orders.iter().map(|order| order.view(now)).collect()
        })
    }

    pub fn set_faults(&self, faults: Vec<Fault>) {
        lock(&self.deck).replace(faults);
    }

    /// The faults in force, with what is left of each count.
    pub fn faults(&self) -> Vec<Fault> {
        lock(&self.deck).faults().to_vec()
    }

    pub fn stats(&self) -> Stats {
        let mut stats = lock(&self.stats).clone();
        stats.orders = Status::ALL
            .into_iter()
            .map(|status| (status.word(), 0))
            .collect();
        self.page(0, usize::MAX, |orders, now| {
            for order in orders {
                *stats.orders.entry(order.status(now).0.word()).or_default() += 1;
            }
        });
        stats
    }

    pub(super) fn len(&self) -> usize {
        self.book().orders().len()
    }

    /// By order id only, as the preview looks it up.
    pub(super) fn by_id(&self, id: &str) -> Option<OrderView> {
        let book = self.book();
        book.by_id(id).map(|order| order.view(self.now()))
    }

    /// Lets `read` see up to `count` orders from `offset` on, all at one moment.
    pub(super) fn page<T>(
        &self,
        offset: usize,
        count: usize,
        read: impl FnOnce(&[Order], Moment) -> T,
    ) -> T {
        let book = self.book();
        let rest = book.orders().get(offset..).unwrap_or_default();
        read(&rest[..count.min(rest.len())], self.now())
    }

    pub(super) fn deal(&self, operation: Operation) -> Option<Dealt> {
        lock(&self.deck).deal(operation)
    }

    pub(super) fn put_back(&self, dealt: &Dealt) {
        lock(&self.deck).put_back(dealt);
    }

    /// Whole seconds to wait when the rate limit is reached.
    pub(super) fn over_limit(&self) -> Option<u64> {
        let wait = lock(self.limit.as_ref()?).take(self.now()).err()?;
        Some(wait.as_secs() + 1)
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Stats> {
        lock(&self.stats)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Book, Moment) -> T) -> T {
        let mut book = self.book_mut();
        // Read after the lock was got: moments must ascend in the order of the changes.
        let now = self.now();
        change(&mut book, now)
    }

    fn book(&self) -> RwLockReadGuard<'_, Book> {
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn book_mut(&self) -> RwLockWriteGuard<'_, Book> {
        self.book.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A panic elsewhere must not take the simulator down: its steps leave nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_batches_never_collide() {
        let world = World::new(&SandboxOptions::default());
        let batch = Batch {
            count: 4_500,
            ..Batch::default()
        };
        assert_eq!(world.seed(&batch).unwrap(), 0..4_500);
        assert_eq!(world.seed(&batch).unwrap(), 4_500..9_000);
        let orders = world.orders();
        assert_eq!(orders.len(), 9_000);
        assert_eq!(&*orders[8_999].external_id, "LOAD-9000");
        assert!(orders.is_sorted_by_key(|order| order.created_date_time));
        assert_eq!(world.stats().orders["ACTIVE"], 9_000);
    }

    #[test]
    fn a_bad_batch_is_refused_before_anything_is_made() {
        let world = World::new(&SandboxOptions::default());
        let bad = Batch {
            count: 10,
            amount: "0.001".into(),
            ..Batch::default()
        };
        assert!(matches!(world.seed(&bad), Err(CreateError::Invalid(_))));
        assert_eq!(world.len(), 0);
    }
}
