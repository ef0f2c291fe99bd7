//! The provider of one account in this world: slow, moody, sometimes wrong, always scripted by the
//! seed. It holds the daemon to its budget while it is asked.

use std::time::Duration;

use async_trait::async_trait;
use payrecond::clock::Clock as _;
use payrecond::domain::invoice::{ExternalId, Invoice, OrderId};
use payrecond::domain::money::Money;
use payrecond::domain::observation::{ObservedMoney, ObservedOrder, OrderState, Payment};
use payrecond::provider::{
    ApiKey, CreateOrders, Creation, CreationAnswer, FetchOrders, FetchedOrder, ListByTime,
    ListItem, ListOrders, ListRefunds, PageEnd, PageVisitor, Provider, ProviderError,
};

use crate::clock::{BEGINNING, SharedClock};
use crate::fault::{Fault, Lie};
use crate::nature::Shape;
use crate::world::{Kind, NewOrder, Order, SharedWorld, World};

/// Bytes of a list item.
const ITEM_BYTES: u64 = 390;
/// The provider of one account, for one life of the daemon.
#[derive(Clone)]
pub struct SimProvider {
    pub account: usize,
    /// Which of several daemons asks.
    pub daemon: usize,
    pub shape: Shape,
    pub world: SharedWorld,
    pub clock: SharedClock,
}

/// A request under way. Dropped with its task when the daemon dies.
pub struct UnderWay<'a>(&'a SimProvider);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut world = self.0.world.lock();
        let in_flight = &mut world.stores[self.0.account].in_flight[self.0.daemon];
        *in_flight = in_flight.saturating_sub(1);
    }
}

impl SimProvider {
    fn name_of_account(&self) -> String {
        self.world.lock().nature.accounts[self.account].name.clone()
    }

    pub fn tell(&self, what: &str) {
        let account = self.name_of_account();
        self.world.trace.tell(format_args!("{account:8} {what}"));
    }

    /// A request comes in: is it within the budget?
    pub fn arrive(&self) -> UnderWay<'_> {
        let now = self.clock.monotonic();
        let mut world = self.world.lock();
        let limit = world.nature.accounts[self.account].limits.max_in_flight;
        let lease = world.lease_of(self.account, self.daemon);
        let store = &mut world.stores[self.account];
        store.total_requests += 1;
        store.in_flight[self.daemon] += 1;
        let (in_flight, held) = (store.in_flight[self.daemon], store.held);
        let refused_under = store.refused_under;
        store.requests.push(now);
        drop(world);
        // One that proves that the service works goes along with another under way.
        let trace = &self.world.trace;
        trace.hold("no more under way than allowed", in_flight <= limit, || {
            format!("{in_flight} under way, {limit} allowed")
        });
        let is_held = held.is_some_and(|wait| wait.binds(now, lease.as_ref().ok().copied()));
        trace.hold("a server's wait holds the account", !is_held, || {
            format!("asked within {held:?} under {lease:?}")
        });
        let is_refused = lease
            .as_ref()
            .is_ok_and(|token| refused_under.is_some_and(|refused| refused != *token));
        trace.hold(
            "a new owner only probes with a key that was refused",
            !is_refused,
            || format!("refused under {refused_under:?}, asked under {lease:?}"),
        );
        trace.hold(
            "an account is asked by the daemon that has its lease",
            lease.is_ok(),
            || format!("daemon {}: {lease:?}", self.daemon),
        );
        UnderWay(self)
    }

    pub async fn answer_takes_time(&self) {
        let millis = {
            let mut world = self.world.lock();
            if world.rng.u8(..20) == 0 {
                world.rng.u64(..10_000)
            } else {
                world.rng.u64(5..400)
            }
        };
        self.clock.sleep(Duration::from_millis(millis)).await;
    }

    /// What the account can be asked for.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    pub fn clock_time(&self) -> Duration {
        self.clock.monotonic()
    }

    pub async fn wait(&self, time: Duration) {
        self.clock.sleep(time).await;
    }

    /// What the provider says of an order, and that it said so; `by_list`: with all that is known.
    pub fn observed(&self, order: &mut Order, lie: Option<Lie>, by_list: bool) -> ObservedOrder {
        let now = self.clock.monotonic();
        let state = match lie {
            Some(Lie::UnknownWord) => OrderState::Unknown,
            Some(Lie::OldState) => order.old_state(now),
            _ => order.state(now),
        };
        order.note_said(state);
        let wrong_amount = lie == Some(Lie::WrongAmount);
        order.said_wrong_amount |= wrong_amount;
        order.said_external_id |= by_list;
        let paid_at = order.paid_at(now).filter(|_| state == OrderState::Paid);
        order.said_payment |= by_list && paid_at.is_some();
        let amount = if wrong_amount {
            "777.77"
        } else {
            &order.amount
        };
        ObservedOrder {
            order_id: OrderId(order.id.clone()),
            state,
            provider_status: word(state).into(),
            observed_at: self.clock.now(),
            told_at: None,
            bare_amount: None,
            external_id: by_list.then(|| ExternalId(order.external_id.clone())),
            number: Some(format!("n{}", order.id)),
            amount: Some(Money {
                value: amount.into(),
                currency: "USD".into(),
            }),
            created_at: Some(BEGINNING.plus(order.made_at)),
            expires_at: Some(BEGINNING.plus(order.expires_at)),
            paid_at: paid_at.map(|at| BEGINNING.plus(at)),
            pay_link: Some(format!("https://t.me/wallet?order={}", order.id)),
            direct_pay_link: None,
            payment: paid_at.filter(|_| by_list).map(|_| payment(&order.amount)),
            money: if self.shape() == Shape::Spans && lie != Some(Lie::OldState) {
                order.money(now)
            } else {
                ObservedMoney::default()
            },
        }
    }

    /// Makes the order, or finds the one that exists.
    fn make(&self, external_id: &str, amount: &str) -> CreationAnswer {
        let now = self.clock.monotonic();
        let mut world = self.world.lock();
        let Some(wish) = world.wish(self.account, external_id).cloned() else {
            return CreationAnswer::Refused("nobody wished for this".into());
        };
        if wish.kind == Kind::RefusedThere {
            let refused = &mut world.stores[self.account].said_refused;
            refused.push(external_id.to_owned());
            return CreationAnswer::Refused("the provider does not like it".into());
        }
        let orders = &world.stores[self.account].orders;
        let existing = orders.iter().position(|o| o.external_id == external_id);
        let place = existing.unwrap_or_else(|| {
            let order = NewOrder {
                external_id: external_id.to_owned(),
                amount: amount.to_owned(),
                timeout_s: wish.timeout_s,
                fate: wish.fate,
                quirks: wish.quirks,
                linked: false,
            };
            world.make_order(self.account, order, now);
            world.stores[self.account].orders.len() - 1
        });
        let store = &mut world.stores[self.account];
        let order = &mut store.orders[place];
        if order.amount != amount {
            store.said_conflict.push(external_id.to_owned());
            return CreationAnswer::Conflict("another order has this id".into());
        }
        CreationAnswer::Exists(self.observed(order, None, false))
    }

    fn show(&self, place: usize, index: u64, lie: Option<Lie>, visitor: &mut dyn PageVisitor) {
        let mut world = self.world.lock();
        let order = &mut world.stores[self.account].orders[place];
        let lie = lie.filter(|lie| *lie != Lie::NotFound);
        let observed = self.observed(order, lie, true);
        drop(world);
        let created_at = observed.created_at.map(|at| at.to_string());
        let amount = observed.amount.as_ref();
        let item = ListItem {
            index,
            order_id: &observed.order_id.0,
            external_id: observed.external_id.as_ref().map(|id| id.0.as_str()),
            state: observed.state,
            created_at: created_at.as_deref(),
            amount: amount.map(|money| (money.value.as_str(), money.currency.as_str())),
        };
        if visitor.wants(&item) {
            visitor.take(index, observed);
        }
    }

    /// The places of the orders on a page, which may be shifted, short, repeated or swapped.
    fn places_on_page(&self, offset: u64, count: u32, crooked: bool) -> Vec<usize> {
        let mut world = self.world.lock();
        let total = world.stores[self.account].orders.len();
        let World { rng, nature, .. } = &mut *world;
        let cap = nature.accounts[self.account].page_cap;
        let mut from = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut count = cap.map_or(count, |cap| count.min(cap)) as usize;
        let how = if crooked { rng.u8(..4) } else { u8::MAX };
        match how {
            0 => from = from.saturating_sub(rng.usize(1..4)),
            1 => count = rng.usize(..=count),
            _ => {}
        }
        let mut places: Vec<usize> = (from.min(total)..total).take(count).collect();
        if places.len() > 1 && how == 2 {
            let at = rng.usize(1..places.len());
            places[at] = places[at - 1];
        } else if places.len() > 1 && how == 3 {
            let at = rng.usize(1..places.len());
            places.swap(at - 1, at);
        }
        places
    }
}

#[async_trait]
impl Provider for SimProvider {
    fn name(&self) -> &'static str {
        "walletpay"
    }

    fn set_key(&self, _key: ApiKey) {}

    async fn probe(&self) -> Result<(), ProviderError> {
        self.count().await.map(|_| ())
    }

    fn fetches(&self) -> Option<&dyn FetchOrders> {
        Some(self)
    }

    fn lists(&self) -> Option<&dyn ListOrders> {
        (self.shape() == Shape::Positions).then_some(self as &dyn ListOrders)
    }

    fn lists_by_time(&self) -> Option<&dyn ListByTime> {
        (self.shape() == Shape::Spans).then_some(self as &dyn ListByTime)
    }

    fn lists_refunds(&self) -> Option<&dyn ListRefunds> {
        (self.shape() == Shape::Spans).then_some(self as &dyn ListRefunds)
    }

    fn creates(&self) -> Option<&dyn CreateOrders> {
        Some(self)
    }
}

#[async_trait]
impl CreateOrders for SimProvider {
    fn idempotent_for(&self) -> Duration {
        Duration::MAX
    }

    fn creation(&self, invoice: &Invoice) -> Result<Creation, String> {
        if invoice.wish.options.as_deref() == Some(BAD_OPTIONS) {
            return Err("options: returnUrl must be https".into());
        }
        let amount = invoice.facts.amount.as_ref();
        Ok(Creation {
            external_id: invoice.external_id.clone(),
            body: amount.map(|money| money.value.clone()).unwrap_or_default(),
            idempotence_key: String::new(),
        })
    }

    async fn create(&self, creation: &Creation) -> Result<CreationAnswer, ProviderError> {
        let _under_way = self.arrive();
        let id = creation.external_id.0.as_str();
        self.check_creation_is_in_time(id);
        self.answer_takes_time().await;
        let answer = match self.fault() {
            Some(Fault::Unheard(error)) => Err(error),
            Some(Fault::Lost(error)) => {
                let lost = self.make(id, &creation.body);
                self.tell(&format!("create {id}: lost {}", in_short(&lost)));
                Err(error)
            }
            Some(Fault::Lie(_)) | None => Ok(self.make(id, &creation.body)),
        };
        let said = answer.as_ref().map(in_short);
        self.tell(&format!("create {id} -> {said:?}"));
        answer
    }
}

#[async_trait]
impl FetchOrders for SimProvider {
    fn batch_limit(&self) -> u32 {
        self.shape().batch_limit()
    }

    async fn fetch(&self, orders: &[OrderId]) -> Result<Vec<FetchedOrder>, ProviderError> {
        if self.batch_limit() > 1 {
            return self.look_at_all(orders).await;
        }
        assert_eq!(orders.len(), 1, "no batches are offered");
        self.look(&orders[0]).await.map(|look| vec![look])
    }
}

#[async_trait]
impl ListOrders for SimProvider {
    fn page_limit(&self) -> u32 {
        self.world.lock().nature.accounts[self.account].page_limit
    }

    async fn page(
        &self,
        offset: u64,
        count: u32,
        visitor: &mut dyn PageVisitor,
    ) -> Result<PageEnd, ProviderError> {
        let _under_way = self.arrive();
        self.answer_takes_time().await;
        let fault = self.fault();
        let (mut lied, mut crooked, mut cut) = (None, false, None);
        match fault {
            Some(Fault::Unheard(error)) => {
                self.tell(&format!("page {offset}+{count} -> {error}"));
                return Err(error);
            }
            Some(Fault::Lost(error)) => cut = Some(error),
            Some(Fault::Lie(Lie::NotFound)) => crooked = true,
            Some(Fault::Lie(lie)) => lied = Some(lie),
            None => {}
        }
        let places = self.places_on_page(offset, count, crooked);
        let (mut items, end) = (0, places.len());
        let liar = self.world.lock().rng.usize(..end.max(1));
        for (index, place) in places.into_iter().enumerate() {
            if cut.is_some() && index >= end / 2 {
                break;
            }
            let lie = lied.filter(|_| index == liar);
            self.show(place, index as u64, lie, visitor);
            items += 1;
        }
        self.tell(&format!(
            "page {offset}+{count} -> {items} items, crooked {crooked}, lie {lied:?}, cut {cut:?}"
        ));
        match cut {
            Some(error) => Err(error),
            None => Ok(PageEnd {
                items,
                bytes: items * ITEM_BYTES + 60,
            }),
        }
    }

    async fn count(&self) -> Result<u64, ProviderError> {
        // It may go along with a look under way, which has its place in the budget for both.
        self.answer_takes_time().await;
        match self.fault() {
            Some(Fault::Unheard(error) | Fault::Lost(error)) => Err(error),
            Some(Fault::Lie(_)) | None => {
                let store = &mut self.world.lock().stores[self.account];
                store.refused_under = None;
                Ok(store.orders.len() as u64)
            }
        }
    }
}

impl SimProvider {
    async fn look(&self, order: &OrderId) -> Result<FetchedOrder, ProviderError> {
        let _under_way = self.arrive();
        self.answer_takes_time().await;
        let lie = match self.fault() {
            Some(Fault::Unheard(error) | Fault::Lost(error)) => {
                self.tell(&format!("look {order} -> {error}"));
                return Err(error);
            }
            Some(Fault::Lie(lie)) => Some(lie),
            None => None,
        };
        if let Err(error) = self.spoil(&[&order.0]).await {
            self.tell(&format!("look {order} fails -> {error}"));
            return Err(error);
        }
        let look = self.look_up(order, lie);
        let said = match &look {
            FetchedOrder::Seen(seen) => seen.provider_status.clone(),
            FetchedOrder::NotFound => "not found".into(),
        };
        let lied = lie.map(|lie| format!(" ({lie:?})")).unwrap_or_default();
        self.tell(&format!("look {order} -> {said}{lied}"));
        Ok(look)
    }

    /// What is said of an order.
    pub fn look_up(&self, order: &OrderId, lie: Option<Lie>) -> FetchedOrder {
        let shape = self.shape();
        let now = self.clock.monotonic();
        let mut world = self.world.lock();
        let store = &mut world.stores[self.account];
        let is_missing = lie == Some(Lie::NotFound);
        let found = store.orders.iter_mut().find(|o| o.id == order.0);
        if let Some(found) = found.filter(|_| !is_missing) {
            FetchedOrder::Seen(self.observed(found, lie, tells_all(shape)))
        } else {
            store.said_missing.push((order.0.clone(), now));
            FetchedOrder::NotFound
        }
    }
}

impl SimProvider {
    /// No creation is sent later than the invoice's time-out after the insert.
    pub fn check_creation_is_in_time(&self, external_id: &str) {
        let now = self.clock.now();
        let world = self.world.lock();
        let Some(wish) = world.wish(self.account, external_id) else {
            return;
        };
        let age = wish.inserted_at.map(|at| now.since(at));
        let most = Duration::from_secs(wish.timeout_s) + world.nature.clocks_agree_within();
        let in_time = age.is_some_and(|age| age <= most);
        let holds = in_time || world.nature.jumps;
        drop(world);
        self.world
            .trace
            .hold("no creation is sent too late", holds, || {
                format!("{external_id}, {age:?} after the insert")
            });
    }
}

/// Whether one order tells what else only a list tells.
fn tells_all(shape: Shape) -> bool {
    matches!(shape, Shape::Batch(_) | Shape::Spans)
}

/// Options that the provider's own module refuses.
pub const BAD_OPTIONS: &str = r#"{"returnUrl":"ftp://x"}"#;

/// The provider's word for a state.
pub fn word(state: OrderState) -> &'static str {
    match state {
        OrderState::Open => "ACTIVE",
        OrderState::Partial => "PARTIAL",
        OrderState::Authorized => "HELD",
        OrderState::Paid => "PAID",
        OrderState::Expired => "EXPIRED",
        OrderState::Cancelled => "CANCELLED",
        OrderState::Unknown => "FROZEN",
    }
}

fn in_short(answer: &CreationAnswer) -> String {
    match answer {
        CreationAnswer::Exists(seen) => format!("exists {}", seen.provider_status),
        CreationAnswer::Link(_) => "link".into(),
        CreationAnswer::Refused(_) => "refused".into(),
        CreationAnswer::Conflict(_) => "conflict".into(),
    }
}

fn payment(amount: &str) -> Payment {
    Payment {
        value: Some(amount.to_owned()),
        currency: Some("USDT".into()),
        fee: Some("0.01".into()),
        net: Some("0.99".into()),
        exchange_rate: Some("1.00".into()),
    }
}
