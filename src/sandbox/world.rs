//! All simulated providers and their shared parts, for reading and changing orders directly. The
//! demo and tests use it in-process, beside the HTTP APIs.

mod bills;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::middleware;
use axum::response::Response;

use super::core::SandboxCore;
use super::faults::Fault;
use super::installed::Books;
use super::ledger::{NewTransaction, SimulatedLedger, TransactionView};
use super::moment::Moment;
use super::new_order::NewOrder;
use super::operation::SimulatedProvider;
use super::registry::SIMULATORS;
use super::simulator::{
    ControlError, CreateError, Created, OrderAction, OrderBatch, OrderEnding, OrderView,
    SimulatedPayment, SimulatedRefund, Simulator,
};
use super::tally::SandboxStats;

/// The simulated providers, their faults and counters.
pub struct World {
    core: Arc<SandboxCore>,
    /// In the order of their names in [`SimulatedProvider::ALL`].
    simulators: Vec<Arc<dyn Simulator>>,
    /// Providers without orders.
    ledgers: Vec<Arc<dyn SimulatedLedger>>,
}

impl World {
    pub(super) fn new(core: &Arc<SandboxCore>) -> (World, Router) {
        let mut world = World {
            core: Arc::clone(core),
            simulators: Vec::new(),
            ledgers: Vec::new(),
        };
        let mut routes = Router::new();
        for install in SIMULATORS {
            let installed = install(core);
            routes = routes.merge(installed.routes);
            match installed.books {
                Books::Orders(simulator) => world.simulators.push(simulator),
                Books::Ledger(ledger) => world.ledgers.push(ledger),
            }
        }
        let dated = middleware::map_response_with_state(Arc::clone(core), dated);
        (world, routes.layer(dated))
    }

    /// The providers' clock.
    pub fn now(&self) -> Moment {
        self.core.now()
    }

    /// Sets the providers' clock ahead: a day passes at once, and each answer's `Date` tells it.
    pub fn advance(&self, by: Duration) {
        self.core.advance(by);
    }

    /// Creates an order at the provider whose orders [`NewOrder`] describes.
    pub fn create(&self, new: &NewOrder) -> Result<Created, CreateError> {
        let mut made = self.simulators.iter().filter_map(|one| one.create(new));
        let nobody = || CreateError::Invalid("no provider makes such orders".into());
        made.next().ok_or_else(nobody)?
    }

    /// Creates `batch.count` orders; returns their indexes among the orders of the provider.
    pub fn seed(&self, batch: &OrderBatch) -> Result<Range<usize>, CreateError> {
        let mut at = self.at(Some(batch.provider));
        let one = at.next().ok_or_else(|| {
            CreateError::Invalid(format!("provider: {} keeps no orders", batch.provider))
        })?;
        one.seed(batch)
    }

    /// `reference` is an order id, else an external id, at the first provider that knows it; the
    /// same applies to the functions below.
    pub fn pay(
        &self,
        reference: &str,
        payment: &SimulatedPayment,
    ) -> Result<OrderView, ControlError> {
        self.act(None, reference, &OrderAction::Pay(payment.clone()))
    }

    /// `late` allows the change of an order that has already ended.
    pub fn cancel(&self, reference: &str, late: bool) -> Result<OrderView, ControlError> {
        let ending = OrderEnding {
            late,
            ..OrderEnding::default()
        };
        self.act(None, reference, &OrderAction::Cancel(ending))
    }

    /// `late` allows the change of an order that has already ended.
    pub fn expire(&self, reference: &str, late: bool) -> Result<OrderView, ControlError> {
        let ending = OrderEnding {
            late,
            ..OrderEnding::default()
        };
        self.act(None, reference, &OrderAction::Expire(ending))
    }

    /// Refunds `amount` to the payer, by default everything that is left.
    pub fn refund(&self, reference: &str, amount: Option<&str>) -> Result<OrderView, ControlError> {
        let refund = SimulatedRefund {
            amount: amount.map(str::to_owned),
        };
        self.act(None, reference, &OrderAction::Refund(refund))
    }

    /// Applies an action to an order at `provider`, or at the first that knows `reference`.
    pub fn act(
        &self,
        provider: Option<SimulatedProvider>,
        reference: &str,
        action: &OrderAction,
    ) -> Result<OrderView, ControlError> {
        for simulator in self.at(provider) {
            match simulator.act(reference, action) {
                Err(ControlError::Unknown(_)) => {}
                known => return known,
            }
        }
        Err(ControlError::Unknown(reference.into()))
    }

    pub fn order(&self, reference: &str) -> Option<OrderView> {
        self.order_at(None, reference)
    }

    pub fn order_at(
        &self,
        provider: Option<SimulatedProvider>,
        reference: &str,
    ) -> Option<OrderView> {
        self.at(provider).find_map(|one| one.find(reference))
    }

    /// All orders at this moment, by provider, oldest first.
    pub fn orders(&self) -> Vec<OrderView> {
        let all = self.simulators.iter();
        all.flat_map(|one| one.views(0..one.len())).collect()
    }

    /// Up to `count` orders from `offset` on, of `provider` or of all, one after the other.
    pub(super) fn page(
        &self,
        provider: Option<SimulatedProvider>,
        offset: usize,
        count: usize,
    ) -> Vec<OrderView> {
        let (mut skip, mut left) = (offset, count);
        let mut page = Vec::new();
        for simulator in self.at(provider) {
            let views = simulator.views(skip..skip.saturating_add(left));
            skip = skip.saturating_sub(simulator.len());
            left -= views.len();
            page.extend(views);
        }
        page
    }

    /// Adds a movement of money to the ledger of `provider`.
    pub fn add_transaction(
        &self,
        provider: SimulatedProvider,
        new: &NewTransaction,
    ) -> Result<TransactionView, ControlError> {
        let mut ledgers = self.ledgers.iter();
        if let Some(ledger) = ledgers.find(|ledger| ledger.provider() == provider) {
            return ledger.add(new);
        }
        let names: Vec<_> = self.ledgers.iter().map(|it| it.provider().name()).collect();
        let names = names.join(", ");
        let problem = format!("provider: {provider} keeps no ledger; expected: {names}");
        Err(ControlError::Invalid(problem))
    }

    /// All movements of money, by provider, oldest first.
    pub fn transactions(&self) -> Vec<TransactionView> {
        let ledgers = self.ledgers.iter();
        ledgers.flat_map(|ledger| ledger.transactions()).collect()
    }

    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.core.set_faults(faults);
    }

    /// The active faults with their remaining counts.
    pub fn faults(&self) -> Vec<Fault> {
        self.core.faults()
    }

    pub fn stats(&self) -> SandboxStats {
        let mut stats = self.core.tally().clone();
        let all = self.simulators.iter();
        stats.orders = all
            .map(|one| (one.provider(), one.count_by_status()))
            .collect();
        stats
    }

    fn at(&self, provider: Option<SimulatedProvider>) -> impl Iterator<Item = &Arc<dyn Simulator>> {
        let all = self.simulators.iter();
        all.filter(move |one| provider.is_none_or(|wanted| wanted == one.provider()))
    }
}

/// The answer with the time of the providers' clock.
async fn dated(State(core): State<Arc<SandboxCore>>, mut response: Response) -> Response {
    let nanos = u64::try_from(core.now().nanos()).unwrap_or_default();
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_nanos(nanos));
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::super::options::SandboxOptions;
    use super::*;

    fn world() -> World {
        World::new(&Arc::new(SandboxCore::new(&SandboxOptions::default()))).0
    }

    #[test]
    fn seeded_batches_never_collide() {
        let world = world();
        let batch = OrderBatch {
            count: 4_500,
            ..OrderBatch::default()
        };
        assert_eq!(world.seed(&batch).unwrap(), 0..4_500);
        assert_eq!(world.seed(&batch).unwrap(), 4_500..9_000);
        let orders = world.orders();
        assert_eq!(orders.len(), 9_000);
        assert_eq!(&*orders[8_999].external_id, "LOAD-9000");
        assert!(orders.is_sorted_by_key(|order| order.created_date_time));
        assert_eq!(
            world.stats().orders[&SimulatedProvider::WalletPay]["ACTIVE"],
            9_000
        );
    }

    #[test]
    fn a_bad_batch_is_refused_before_anything_is_made() {
        let world = world();
        for provider in SimulatedProvider::ALL {
            let bad = OrderBatch {
                provider: *provider,
                count: 10,
                amount: "0.0x".into(),
                ..OrderBatch::default()
            };
            let refused = world.seed(&bad);
            assert!(
                matches!(refused, Err(CreateError::Invalid(_))),
                "{provider}"
            );
        }
        assert_eq!(world.orders().len(), 0);
    }

    #[test]
    fn every_provider_of_orders_makes_batches_and_finds_them() {
        let world = world();
        let providers: Vec<_> = world.simulators.iter().map(|one| one.provider()).collect();
        for provider in &providers {
            let batch = OrderBatch {
                provider: *provider,
                count: 3,
                external_id_prefix: format!("{provider}-"),
                ..OrderBatch::default()
            };
            assert_eq!(world.seed(&batch).unwrap(), 0..3, "{provider}");
            let order = world.order(&format!("{provider}-2")).unwrap();
            assert_eq!(order.provider, *provider);
            assert_eq!(
                world.order(&order.id).unwrap().external_id,
                order.external_id
            );
        }
        let all = world.orders();
        assert_eq!(all.len(), 3 * providers.len());
        let ids = |views: &[OrderView]| views.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&world.page(None, 2, 3)), ids(&all[2..5]));
    }
}
