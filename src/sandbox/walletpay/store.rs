//! The simulated store, shared by all connections. Each call is one step under a lock.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, RwLock};

use super::book::OrderBook;
use super::order::{WalletPayOrder, WalletPayStatus};
use crate::sandbox::core::{SandboxCore, read, write};
use crate::sandbox::moment::Moment;
use crate::sandbox::new_order::NewOrder;
use crate::sandbox::operation::SimulatedProvider;
use crate::sandbox::sample::SampleShop;
use crate::sandbox::simulator::{
    ControlError, CreateError, Created, OrderAction, OrderBatch, OrderView, Simulator,
};

/// Orders are created this many at a time, so that seeding a million does not block requests.
const SEED_CHUNK: usize = 2_000;

pub(in crate::sandbox) struct WalletPaySimulator {
    pub(super) core: Arc<SandboxCore>,
    book: RwLock<OrderBook>,
}

impl WalletPaySimulator {
    pub fn new(core: Arc<SandboxCore>) -> WalletPaySimulator {
        WalletPaySimulator {
            book: RwLock::new(OrderBook::new(core.seed())),
            core,
        }
    }

    /// Creates the order, or finds the existing one with the same parameters (`true`), and shows
    /// it.
    pub(super) fn make<T>(
        &self,
        new: &NewOrder,
        show: impl FnOnce(&WalletPayOrder, bool, Moment) -> T,
    ) -> Result<T, CreateError> {
        let mut book = write(&self.book);
        let now = self.core.now();
        let (order, already) = book.create(new, now)?;
        Ok(show(order, already, now))
    }

    /// By order id only, like the preview.
    pub(super) fn by_id<T>(
        &self,
        id: &str,
        show: impl FnOnce(&WalletPayOrder, Moment) -> T,
    ) -> Option<T> {
        let book = read(&self.book);
        book.by_id(id).map(|order| show(order, self.core.now()))
    }

    /// Gives `show` access to up to `count` orders from `offset` on, at one moment.
    pub(super) fn page<T>(
        &self,
        offset: usize,
        count: usize,
        show: impl FnOnce(&[WalletPayOrder], Moment) -> T,
    ) -> T {
        let book = read(&self.book);
        let rest = book.orders().get(offset..).unwrap_or_default();
        show(&rest[..count.min(rest.len())], self.core.now())
    }
}

impl Simulator for WalletPaySimulator {
    fn provider(&self) -> SimulatedProvider {
        SimulatedProvider::WalletPay
    }

    fn sample(&self) -> &'static SampleShop {
        &super::SAMPLE
    }

    fn len(&self) -> usize {
        read(&self.book).orders().len()
    }

    fn views(&self, places: Range<usize>) -> Vec<OrderView> {
        self.page(places.start, places.len(), |orders, now| {
            orders.iter().map(|order| order.view(now)).collect()
        })
    }

    fn find(&self, reference: &str) -> Option<OrderView> {
        let book = read(&self.book);
        let order = book.find(reference)?;
        Some(order.view(self.core.now()))
    }

    fn count_by_status(&self) -> BTreeMap<&'static str, u64> {
        let all = WalletPayStatus::ALL.into_iter();
        let mut counts: BTreeMap<_, _> = all.map(|status| (status.word(), 0)).collect();
        self.page(0, usize::MAX, |orders, now| {
            for order in orders {
                *counts.entry(order.status(now).0.word()).or_default() += 1;
            }
        });
        counts
    }

    fn act(&self, reference: &str, action: &OrderAction) -> Result<OrderView, ControlError> {
        let mut book = write(&self.book);
        // Read after taking the lock: times must ascend in the order of the changes.
        let now = self.core.now();
        let order = match action {
            OrderAction::Pay(payment) => book.pay(reference, payment, now),
            OrderAction::Cancel(ending) => book.cancel(reference, ending.late, now),
            OrderAction::Expire(ending) => book.expire(reference, ending.late, now),
            OrderAction::Refund(_) => {
                let refused = "Wallet Pay knows no refunds: money goes back by hand, unseen";
                book.find(reference)
                    .ok_or_else(|| ControlError::Unknown(reference.into()))?;
                Err(ControlError::Invalid(refused.into()))
            }
        }?;
        Ok(order.view(now))
    }

    fn create(&self, new: &NewOrder) -> Option<Result<Created, CreateError>> {
        Some(self.make(new, |order, already, now| Created {
            order: order.view(now),
            already,
        }))
    }

    fn seed(&self, batch: &OrderBatch) -> Result<Range<usize>, CreateError> {
        let currency = batch.currency.as_deref().unwrap_or("USD");
        let mut new = NewOrder::simple("", &batch.amount, currency);
        new.timeout_seconds = batch.timeout_seconds;
        let mut made = None;
        let mut left = batch.count;
        while left > 0 {
            let mut book = write(&self.book);
            let now = self.core.now();
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
}
