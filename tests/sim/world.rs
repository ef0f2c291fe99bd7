//! The truth: orders at the provider, what becomes of them, what the provider said of each, and how
//! it is disposed at the moment. Nothing here knows the daemon.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use payrecond::domain::observation::OrderState;
use payrecond::domain::shares::account_lease;
use payrecond::domain::time::UnixMillis;

use crate::cluster::leases::{SharedLeases, lock};
use crate::cluster::nature::MOST_DAEMONS;
use crate::ledger::book::Book;
use crate::ledger::payers;
use crate::nature::Nature;
use crate::shapes::{Quirks, draw};
use crate::trace::Trace;

/// Nobody waits for what lies further off.
const A_LONG_TIME: Duration = Duration::from_hours(1);

/// What becomes of an order, by the provider's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Paid so long after it was made, if its time is not over then.
    Paid(Duration),
    /// Paid so long after its time was over.
    Late(Duration),
    Cancelled(Duration),
    /// Nothing happens until its time is over.
    Forgotten,
}

/// What the shop drops in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An order that the shop made itself.
    Given,
    /// One that the daemon is to make.
    Requested,
    /// An order id that the provider does not know.
    Missing,
    /// The order asks for another sum than the invoice.
    WrongSum,
    /// The order bears another external id than the invoice.
    Alien,
    /// The provider refuses to make it.
    RefusedThere,
    /// Its options cannot be sent.
    RefusedHere,
    /// An order with its external id and another sum exists.
    Conflict,
    /// Money is expected under its external id: the provider keeps a ledger.
    Expected,
    /// The same, and no payment can bear such an id.
    LongLabel,
}

/// An invoice as the shop wants it.
#[derive(Clone, Debug)]
pub struct Wish {
    pub account: usize,
    pub external_id: String,
    pub kind: Kind,
    pub amount: String,
    pub currency: &'static str,
    /// The amount, in the smallest units of a ledger.
    pub units: u64,
    pub states_amount: bool,
    pub timeout_s: u64,
    pub fate: Fate,
    pub quirks: Quirks,
    pub drop_in_at: Duration,
    /// The order, for those that the shop made itself.
    pub order_id: Option<String>,
    /// By the daemon's wall clock, the last time.
    pub inserted_at: Option<UnixMillis>,
}

impl Wish {
    pub fn has_order_id(&self) -> bool {
        matches!(
            self.kind,
            Kind::Given | Kind::Missing | Kind::WrongSum | Kind::Alien
        )
    }

    /// Whether the daemon is to make its order or link.
    pub fn is_requested(&self) -> bool {
        matches!(
            self.kind,
            Kind::Requested | Kind::RefusedThere | Kind::RefusedHere | Kind::Conflict
        )
    }

    /// The amount of an order, in cents.
    pub fn cents(&self) -> u64 {
        let digits = self.amount.replace('.', "");
        digits.parse().unwrap_or_default()
    }

    /// The amount, where the invoice states one.
    pub fn price(&self) -> Option<u64> {
        (self.states_amount || self.is_requested()).then_some(self.units)
    }
}

/// An order at the provider.
#[derive(Clone, Debug)]
pub struct Order {
    pub id: String,
    pub external_id: String,
    pub amount: String,
    pub made_at: Duration,
    pub expires_at: Duration,
    pub fate: Fate,
    pub quirks: Quirks,
    /// Since when a payer could know the link.
    pub linked_at: Option<Duration>,
    /// States that the provider told somebody, true or not.
    pub said: Vec<OrderState>,
    pub said_wrong_amount: bool,
    pub said_external_id: bool,
    pub said_payment: bool,
}

impl Order {
    /// When it was paid, if it was by `now`.
    pub fn paid_at(&self, now: Duration) -> Option<Duration> {
        let linked_at = self.linked_at?;
        let (at, until) = match self.fate {
            Fate::Paid(after) => (self.made_at + after, self.expires_at),
            Fate::Late(after) => (self.expires_at + after, Duration::MAX),
            Fate::Cancelled(_) | Fate::Forgotten => return None,
        };
        let at = at.max(linked_at);
        (at <= now && at < until).then_some(at)
    }

    pub fn state(&self, now: Duration) -> OrderState {
        if self.paid_at(now).is_some() {
            return OrderState::Paid;
        }
        if let Fate::Cancelled(after) = self.fate
            && now >= (self.made_at + after).min(self.expires_at)
        {
            return if self.made_at + after < self.expires_at {
                OrderState::Cancelled
            } else {
                OrderState::Expired
            };
        }
        if now >= self.expires_at {
            OrderState::Expired
        } else {
            OrderState::Open
        }
    }

    /// Whether nothing becomes of it any more.
    pub fn is_over(&self, now: Duration) -> bool {
        match self.fate {
            Fate::Paid(_) | Fate::Cancelled(_) => self.state(now) != OrderState::Open,
            Fate::Late(_) => self.linked_at.is_none() || self.paid_at(now).is_some(),
            // A crowd's orders stay open for days.
            Fate::Forgotten => {
                self.state(now) != OrderState::Open || self.expires_at > now + A_LONG_TIME
            }
        }
    }

    /// A state that it was in once and is no more, for answers that come from an old copy.
    pub fn old_state(&self, now: Duration) -> OrderState {
        match (self.state(now), self.fate) {
            (OrderState::Paid, Fate::Late(_)) => OrderState::Expired,
            _ => OrderState::Open,
        }
    }

    pub fn note_said(&mut self, state: OrderState) {
        if !self.said.contains(&state) {
            self.said.push(state);
        }
    }
}

/// How the provider is disposed towards an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Calm,
    /// One answer in so many goes wrong.
    Flaky(u8),
    /// No answer comes: always the same kind of trouble.
    Storm(u8),
}

/// What a wait may be cut short by where one daemon reads what another one recorded.
const CLOCKS_DIFFER: Duration = Duration::from_secs(3);

/// A wait that the provider asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    pub asked_at: Duration,
    /// No request may come between these.
    pub from: Duration,
    pub to: Duration,
    /// The lease under which the daemon asked; 0 where there is one daemon.
    pub token: i64,
    /// Whoever has the account next can know it.
    pub is_recorded: bool,
}

impl Wait {
    /// The longer one of two, where the same daemon was asked for both.
    pub fn or_longer(self, before: Option<Self>) -> Self {
        let longer = before.filter(|wait| wait.token == self.token && wait.to >= self.to);
        longer.unwrap_or(self)
    }

    /// Whether it holds the account for who asks under this lease.
    pub fn binds(&self, now: Duration, token: Option<i64>) -> bool {
        if token == Some(self.token) {
            return now > self.from && now < self.to;
        }
        self.is_recorded && now > self.from && now + CLOCKS_DIFFER < self.to
    }
}

/// One account as the provider sees it.
#[derive(Debug, Default)]
pub struct Store {
    /// In the order in which they were made.
    pub orders: Vec<Order>,
    /// Where it keeps a ledger and no orders.
    pub book: Option<Book>,
    /// Lives of the daemon so far.
    pub life: u64,
    pub weather: Option<Weather>,
    /// Order ids of which it said that there are none, with the first time.
    pub said_missing: Vec<(String, Duration)>,
    /// External ids of creations it refused, and of those that met another order.
    pub said_refused: Vec<String>,
    pub said_conflict: Vec<String>,
    /// Requests of this life of the daemon, but for those that only count orders.
    pub requests: Vec<Duration>,
    /// By daemon.
    pub in_flight: [usize; MOST_DAEMONS],
    /// What the provider asked to wait.
    pub held: Option<Wait>,
    /// The lease under which a refused key was recorded, until a probe succeeds or its owner records another state.
    pub refused_under: Option<i64>,
    pub total_requests: u64,
    /// The last time that everything was nudged: how many, and after how many requests.
    pub nudged: Option<(u64, u64)>,
}

impl Store {
    pub fn order(&mut self, id: &str) -> Option<&mut Order> {
        self.orders.iter_mut().find(|order| order.id == id)
    }

    /// The daemon begins a new life: it remembers no wait, and nothing is under way.
    pub fn forget_life(&mut self) {
        self.life += 1;
        self.requests.clear();
        self.in_flight = [0; MOST_DAEMONS];
        self.held = None;
    }
}

/// All of it.
pub struct World {
    pub nature: Nature,
    pub stores: Vec<Store>,
    pub wishes: Vec<Wish>,
    pub rng: fastrand::Rng,
    /// Every number that was given out in the outbox, with the event that got it.
    pub numbers: BTreeMap<i64, String>,
    /// The id of each invoice's `payment.paid`, by account and external id.
    pub paid_ids: BTreeMap<(usize, String), String>,
    /// When it was written first, by account and external id.
    pub paid_said_at: BTreeMap<(usize, String), Duration>,
    /// Where several daemons share the accounts.
    pub leases: Option<SharedLeases>,
    next_id: u64,
}

impl World {
    pub fn new(nature: Nature, mut rng: fastrand::Rng) -> Self {
        let wishes: Vec<Wish> = (0..nature.orders)
            .map(|n| any_wish(n, &nature, &mut rng))
            .collect();
        let accounts = nature.accounts.iter().enumerate();
        let stores = accounts
            .map(|(account, own)| Store {
                book: own
                    .shape
                    .ledger()
                    .map(|kind| payers::draw_book(account, own, kind, &nature, &wishes, &mut rng)),
                ..Store::default()
            })
            .collect();
        Self {
            nature,
            stores,
            wishes,
            rng,
            numbers: BTreeMap::new(),
            paid_ids: BTreeMap::new(),
            paid_said_at: BTreeMap::new(),
            leases: None,
            next_id: 2_703_383_946_854_400,
        }
    }

    /// Makes an order and returns its id. Ids rise by account as well as overall.
    pub fn make_order(&mut self, account: usize, order: NewOrder, now: Duration) -> String {
        self.next_id += 1;
        let id = self.next_id.to_string();
        self.stores[account].orders.push(Order {
            id: id.clone(),
            external_id: order.external_id,
            amount: order.amount,
            made_at: now,
            expires_at: now + Duration::from_secs(order.timeout_s),
            fate: order.fate,
            quirks: order.quirks,
            linked_at: order.linked.then_some(now),
            said: Vec::new(),
            said_wrong_amount: false,
            said_external_id: false,
            said_payment: false,
        });
        id
    }

    pub fn wish(&self, account: usize, external_id: &str) -> Option<&Wish> {
        self.wishes
            .iter()
            .find(|wish| wish.account == account && wish.external_id == external_id)
    }

    /// The order that belongs to a wish, if there is one.
    pub fn order_of(&self, wish: &Wish) -> Option<&Order> {
        let orders = &self.stores[wish.account].orders;
        match (&wish.order_id, wish.kind) {
            (Some(id), _) => orders.iter().find(|order| order.id == *id),
            (None, Kind::Conflict) => None,
            (None, _) => orders
                .iter()
                .find(|order| order.external_id == wish.external_id),
        }
    }

    /// The token of the lease under which a daemon asks for an account, 0 where there is one daemon; or
    /// who has it.
    pub fn lease_of(&self, account: usize, daemon: usize) -> Result<i64, String> {
        let Some(leases) = &self.leases else {
            return Ok(0);
        };
        let name = account_lease(&self.nature.accounts[account].name);
        lock(leases).token_of(&name, daemon)
    }

    pub fn account(&self, name: &str) -> Option<usize> {
        let mut names = self.nature.accounts.iter();
        names.position(|account| account.name == name)
    }
}

/// What an order is made of.
pub struct NewOrder {
    pub external_id: String,
    pub amount: String,
    pub timeout_s: u64,
    pub fate: Fate,
    pub quirks: Quirks,
    pub linked: bool,
}

/// Worlds of ledgers have no other accounts.
fn any_wish(n: usize, nature: &Nature, rng: &mut fastrand::Rng) -> Wish {
    if nature.theme.is_calm() {
        return draw::calm_wish(n, nature, wish(n, nature, rng), rng);
    }
    if nature.is_reshaped {
        let wish = wish(n, nature, rng);
        let shape = nature.accounts[wish.account].shape;
        let quirks = draw::quirks(n, shape, &wish, rng);
        return Wish { quirks, ..wish };
    }
    if nature.accounts[0].shape.ledger().is_none() {
        return wish(n, nature, rng);
    }
    let account = rng.usize(..nature.accounts.len());
    match nature.accounts[account].shape.ledger() {
        Some(kind) => payers::draw_wish(n, account, kind, nature, rng),
        None => wish(n, nature, rng),
    }
}

fn wish(n: usize, nature: &Nature, rng: &mut fastrand::Rng) -> Wish {
    let kind = match rng.u8(..20) {
        _ if nature.crowd => Kind::Given,
        0 => Kind::Missing,
        1 => Kind::WrongSum,
        2 => Kind::Alien,
        3 => Kind::RefusedThere,
        4 => Kind::RefusedHere,
        5 => Kind::Conflict,
        6..=11 => Kind::Requested,
        _ => Kind::Given,
    };
    let secs = Duration::from_secs;
    let timeout_s = if nature.crowd {
        864_000
    } else {
        let most = [45, 120, 300][rng.usize(..3)];
        rng.u64(30..most)
    };
    let fate = match rng.u8(..10) {
        0..=3 => Fate::Paid(Duration::from_millis(
            rng.u64(500..timeout_s.min(300) * 1000),
        )),
        4..=5 if !nature.crowd => {
            let most = [20, 200][rng.usize(..2)];
            Fate::Late(secs(rng.u64(1..most)))
        }
        6 if !nature.crowd => Fate::Cancelled(secs(rng.u64(1..timeout_s))),
        _ => Fate::Forgotten,
    };
    let most = nature.active.mul_f64(0.6);
    Wish {
        account: rng.usize(..nature.accounts.len()),
        // The same id may stand in two accounts.
        external_id: format!("ORD-{n}"),
        kind,
        amount: format!("{}.{:02}", rng.u32(1..50), rng.u32(..100)),
        currency: "USD",
        units: 0,
        states_amount: rng.u8(..4) != 0,
        timeout_s,
        fate,
        quirks: Quirks::default(),
        drop_in_at: most.mul_f64(rng.f64() * if nature.crowd { 0.1 } else { 1.0 }),
        order_id: None,
        inserted_at: None,
    }
}

/// The world, and where its story is told.
#[derive(Clone)]
pub struct SharedWorld {
    world: Arc<Mutex<World>>,
    pub trace: Arc<Trace>,
}

impl SharedWorld {
    pub fn new(world: World, trace: Arc<Trace>) -> Self {
        let world = Arc::new(Mutex::new(world));
        Self { world, trace }
    }

    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
