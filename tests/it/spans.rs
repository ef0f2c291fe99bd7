//! The poller with a provider that has single orders, a list by time and a list of refunds, all
//! scripted: what readings of spans show, what they save, and what a moving list must not hide.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use payrecond::clock::{Clock as _, SystemClock};
use payrecond::domain::invoice::{OrderId, TransactionId};
use payrecond::domain::money::Money;
use payrecond::domain::observation::{ObservedMoney, ObservedOrder, OrderState, Payment, Sums};
use payrecond::domain::time::UnixMillis;
use payrecond::domain::transaction::{Direction, Transaction, TransactionStatus};
use payrecond::jobs::poll::{Poller, Strategy};
use payrecond::limit::Limits;
use payrecond::provider::{
    ApiKey, FetchOrders, FetchedOrder, ListByTime, ListRefunds, Provider, ProviderError, Refund,
    RefundPage, SpanCursor, SpanKind, SpanPage, TimeSpan,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::PATIENCE;
use crate::shop::{Shop, UNLIMITED, poll_setup};

const PAGE: usize = 100;

/// An order at the provider.
#[derive(Clone)]
struct Order {
    id: String,
    external_id: Option<String>,
    state: OrderState,
    created_at: UnixMillis,
    paid_at: Option<UnixMillis>,
}

/// The requests made.
#[derive(Clone, Default)]
struct Asked {
    singles: Vec<String>,
    paid: Vec<TimeSpan>,
    created: Vec<TimeSpan>,
    refunds: usize,
    pages: usize,
}

type Hook = Box<dyn FnMut(&mut BTreeMap<String, Order>) + Send>;

#[derive(Default)]
struct Script {
    orders: Mutex<BTreeMap<String, Order>>,
    refunds: Mutex<Vec<Refund>>,
    asked: Mutex<Asked>,
    /// Called after the first page of a reading of payments, once.
    after_page: Mutex<Option<Hook>>,
    lists_fail: Mutex<bool>,
}

struct Scripted(Arc<Script>);

fn now() -> UnixMillis {
    SystemClock::new().now()
}

fn rub(value: &str) -> Money {
    Money {
        value: value.into(),
        currency: "RUB".into(),
    }
}

impl Script {
    fn add(&self, id: &str, state: OrderState) {
        let order = Order {
            id: id.into(),
            external_id: Some(format!("E-{id}")),
            state,
            created_at: now(),
            paid_at: (state == OrderState::Paid).then(now),
        };
        self.orders.lock().unwrap().insert(id.into(), order);
    }

    fn set(&self, id: &str, state: OrderState) {
        pay(&mut self.orders.lock().unwrap(), id, state);
    }

    fn refund(&self, order: &str, id: &str, value: &str) {
        self.refunds.lock().unwrap().push(Refund {
            order_id: order.into(),
            transaction: Transaction {
                id: TransactionId(id.into()),
                direction: Direction::Out,
                external_id: None,
                amount: rub(value),
                is_net: false,
                status: TransactionStatus::Succeeded,
                happened_at: now(),
            },
        });
    }

    fn asked(&self) -> Asked {
        self.asked.lock().unwrap().clone()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Asked) -> bool) {
        let waiting = async {
            while !holds(&self.asked()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect(what);
    }

    fn observed(&self, order: &Order) -> ObservedOrder {
        let is_paid = order.state == OrderState::Paid;
        let refunds = self.refunds.lock().unwrap();
        let refunded = refunds.iter().any(|one| one.order_id.0 == order.id);
        ObservedOrder {
            order_id: OrderId(order.id.clone()),
            state: order.state,
            provider_status: format!("{:?}", order.state),
            observed_at: now(),
            told_at: None,
            bare_amount: None,
            external_id: order.external_id.as_deref().map(Into::into),
            number: None,
            amount: Some(rub("100.00")),
            created_at: Some(order.created_at),
            expires_at: None,
            paid_at: order.paid_at,
            pay_link: None,
            direct_pay_link: None,
            payment: is_paid.then(|| Payment {
                value: Some("100.00".into()),
                currency: Some("RUB".into()),
                ..Payment::default()
            }),
            money: ObservedMoney {
                sums: Sums {
                    received: is_paid.then(|| rub("100.00")),
                    refunded: refunded.then(|| rub("1.00")),
                    refunded_at: None,
                },
                ..ObservedMoney::default()
            },
        }
    }
}

fn pay(orders: &mut BTreeMap<String, Order>, id: &str, state: OrderState) {
    let order = orders.get_mut(id).unwrap();
    order.state = state;
    order.paid_at = (state == OrderState::Paid).then(now);
}

#[async_trait]
impl Provider for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn set_key(&self, _: ApiKey) {}

    async fn probe(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    fn fetches(&self) -> Option<&dyn FetchOrders> {
        Some(self)
    }

    fn lists_by_time(&self) -> Option<&dyn ListByTime> {
        Some(self)
    }

    fn lists_refunds(&self) -> Option<&dyn ListRefunds> {
        Some(self)
    }
}

#[async_trait]
impl FetchOrders for Scripted {
    async fn fetch(&self, orders: &[OrderId]) -> Result<Vec<FetchedOrder>, ProviderError> {
        tokio::task::yield_now().await;
        let id = orders[0].0.clone();
        self.0.asked.lock().unwrap().singles.push(id.clone());
        let order = self.0.orders.lock().unwrap().get(&id).cloned();
        Ok(vec![order.map_or(FetchedOrder::NotFound, |order| {
            FetchedOrder::Seen(self.0.observed(&order))
        })])
    }
}

#[async_trait]
impl ListByTime for Scripted {
    fn lists_by(&self, _: SpanKind) -> bool {
        true
    }

    /// Newest first; the cursor is an index, so the list shifts while it is paged.
    async fn span_page(
        &self,
        span: &TimeSpan,
        cursor: Option<&SpanCursor>,
    ) -> Result<SpanPage, ProviderError> {
        tokio::task::yield_now().await;
        if *self.0.lists_fail.lock().unwrap() {
            return Err(ProviderError::Unreachable("scripted".into()));
        }
        {
            let mut asked = self.0.asked.lock().unwrap();
            asked.pages += 1;
            match (span.kind, cursor) {
                (SpanKind::Created, None) => asked.created.push(*span),
                (SpanKind::Paid, None) => asked.paid.push(*span),
                (_, Some(_)) => {}
            }
        }
        let is_within = |at: UnixMillis| at >= span.from && span.until.is_none_or(|end| at < end);
        let mut orders: Vec<Order> = {
            let all = self.0.orders.lock().unwrap();
            let shown = all.values().filter(|order| match span.kind {
                SpanKind::Created => is_within(order.created_at),
                SpanKind::Paid => order.paid_at.is_some_and(is_within),
            });
            shown.cloned().collect()
        };
        orders.sort_by_key(|order| std::cmp::Reverse((order.created_at, order.id.clone())));
        let from: usize = cursor.map_or(0, |cursor| cursor.0.parse().unwrap());
        let page = orders.iter().skip(from).take(PAGE);
        let page: Vec<ObservedOrder> = page.map(|order| self.0.observed(order)).collect();
        let next = (orders.len() > from + PAGE).then(|| SpanCursor((from + PAGE).to_string()));
        if span.kind == SpanKind::Paid
            && next.is_some()
            && let Some(mut hook) = self.0.after_page.lock().unwrap().take()
        {
            hook(&mut self.0.orders.lock().unwrap());
        }
        Ok(SpanPage {
            orders: page,
            next,
            bytes: 1000,
        })
    }
}

#[async_trait]
impl ListRefunds for Scripted {
    async fn refund_page(
        &self,
        from: UnixMillis,
        _: Option<&SpanCursor>,
    ) -> Result<RefundPage, ProviderError> {
        self.0.asked.lock().unwrap().refunds += 1;
        let refunds = self.0.refunds.lock().unwrap();
        let shown = refunds
            .iter()
            .filter(|one| one.transaction.happened_at >= from);
        Ok(RefundPage {
            refunds: shown.cloned().collect(),
            next: None,
            bytes: 100,
        })
    }

    async fn refunds_of(&self, order: &OrderId) -> Result<Vec<Transaction>, ProviderError> {
        let refunds = self.0.refunds.lock().unwrap();
        let theirs = refunds.iter().filter(|one| one.order_id == *order);
        Ok(theirs.map(|one| one.transaction.clone()).collect())
    }
}

/// A running poller on the shop's database.
struct Polling {
    end: CancellationToken,
    task: JoinHandle<()>,
    _somebody_wrote: watch::Sender<()>,
}

async fn poller(
    shop: &Shop,
    script: &Arc<Script>,
    strategy: Strategy,
    limits: Limits,
) -> (Poller, watch::Sender<()>) {
    let provider = Arc::new(Scripted(Arc::clone(script)));
    let (mut setup, somebody_wrote) = poll_setup(shop, provider, limits).await;
    setup.settings.strategy = strategy;
    setup.settings.list_bytes_per_second = 131_072;
    (Poller::new(setup), somebody_wrote)
}

impl Polling {
    async fn begin(shop: &Shop, script: &Arc<Script>) -> Self {
        Self::begin_by(shop, script, Strategy::Auto, UNLIMITED).await
    }

    async fn begin_by(
        shop: &Shop,
        script: &Arc<Script>,
        strategy: Strategy,
        limits: Limits,
    ) -> Self {
        let (poller, somebody_wrote) = poller(shop, script, strategy, limits).await;
        let end = CancellationToken::new();
        let polling = poller.run(end.clone(), Arc::default());
        Self {
            end,
            task: tokio::spawn(polling),
            _somebody_wrote: somebody_wrote,
        }
    }

    async fn end(self) {
        self.end.cancel();
        self.task.await.unwrap();
    }
}

async fn shop() -> Shop {
    let mut shop = Shop::open().await;
    shop.settings =
        "[polling]\nintake_interval = \"50ms\"\nmin_interval = \"1s\"\njitter = 0.0\n".into();
    shop
}

/// Invoices of orders `from` on, open at the provider.
async fn fill(shop: &Shop, script: &Script, orders: std::ops::Range<u32>) {
    let mut sql = String::from("BEGIN IMMEDIATE;");
    for order in orders {
        script.add(&order.to_string(), OrderState::Open);
        write!(
            sql,
            "INSERT INTO invoices (external_id, order_id, amount, currency) VALUES ('E-{order}', '{order}', '100.00', 'RUB');"
        )
        .unwrap();
    }
    shop.execute(&(sql + "COMMIT;")).await;
}

fn status_of(order: &str) -> String {
    format!("SELECT status FROM invoices WHERE external_id = 'E-{order}'")
}

const EVENTS: &str = "SELECT group_concat(type || ' ' || coalesce(json_extract(payload, '$.data.transaction_id'), '-'), ', ') FROM (SELECT * FROM outbox ORDER BY seq)";

// ------------------------------------------------------------------------------------ polls

/// Pages show all orders that were never polled, and then readings of payments cover all open ones.
#[tokio::test]
async fn a_thousand_open_payments_cost_a_request_or_two_a_round() {
    let shop = shop().await;
    let script = Arc::default();
    fill(&shop, &script, 0..1000).await;
    let polling = Polling::begin(&shop, &script).await;
    let all_polled = "SELECT count(*) FROM invoices WHERE last_polled_at IS NULL";
    shop.until(all_polled, "0").await;
    let begin = script.asked();
    let first = begin.singles.len() + begin.pages;
    assert!(
        first <= 40,
        "{} singles, {} pages",
        begin.singles.len(),
        begin.pages
    );
    // More than ten rounds of the minimum interval.
    script
        .until("readings", |asked| asked.paid.len() >= begin.paid.len() + 6)
        .await;
    let later = script.asked();
    assert!(
        later.singles.len() <= begin.singles.len() + 2,
        "{}",
        later.singles.len()
    );
    assert!(later.pages <= begin.pages + 9, "{}", later.pages);
    script.set("777", OrderState::Paid);
    shop.until(&status_of("777"), "paid").await;
    polling.end().await;
    let asked = script.asked();
    assert!(
        !asked.singles.contains(&"777".to_owned()),
        "reported by the list"
    );
    let others = "SELECT count(*) FROM invoices WHERE status = 'pending'";
    assert_eq!(shop.ask(others).await, "999");
}

/// A reading that shows nothing new writes no row.
#[tokio::test]
async fn readings_that_change_nothing_write_no_row() {
    let shop = shop().await;
    let script = Arc::default();
    fill(&shop, &script, 0..20).await;
    let polling = Polling::begin(&shop, &script).await;
    let all_polled = "SELECT count(*) FROM invoices WHERE last_polled_at IS NULL";
    shop.until(all_polled, "0").await;
    let rows = "SELECT group_concat(id || ' ' || updated_at || ' ' || next_poll_at || ' ' || last_polled_at) FROM invoices";
    let before = shop.ask(rows).await;
    let read = script.asked().paid.len();
    script
        .until("readings", |asked| asked.paid.len() >= read + 3)
        .await;
    polling.end().await;
    assert_eq!(shop.ask(rows).await, before);
}

/// An order paid after its place was read lies before the reading's end, by its time: the next
/// reading begins earlier.
#[tokio::test]
async fn a_payment_made_during_a_reading_is_shown_by_the_next_one() {
    let shop = shop().await;
    let script: Arc<Script> = Arc::default();
    fill(&shop, &script, 0..1).await;
    for other in 1000..1250 {
        script.add(&other.to_string(), OrderState::Paid);
    }
    // The newest order of all is on the first page.
    fill(&shop, &script, 9000..9001).await;
    let hook: Hook = Box::new(|orders| pay(orders, "9000", OrderState::Paid));
    *script.after_page.lock().unwrap() = Some(hook);
    let polling = Polling::begin(&shop, &script).await;
    shop.until(&status_of("9000"), "paid").await;
    polling.end().await;
    assert_eq!(shop.ask(&status_of("0")).await, "pending");
    assert!(
        script.after_page.lock().unwrap().is_none(),
        "the list moved"
    );
}

#[tokio::test]
async fn orders_are_polled_one_by_one_while_the_list_fails() {
    let shop = shop().await;
    let script: Arc<Script> = Arc::default();
    *script.lists_fail.lock().unwrap() = true;
    fill(&shop, &script, 0..5).await;
    let polling = Polling::begin(&shop, &script).await;
    shop.until("SELECT min(polls) >= 2 FROM invoices", "1")
        .await;
    script.set("3", OrderState::Paid);
    shop.until(&status_of("3"), "paid").await;
    polling.end().await;
}

/// Payments made while no daemon ran are shown by the first readings, which continue where the last
/// ones ended.
#[tokio::test]
async fn a_new_run_continues_where_the_last_one_ended() {
    let shop = shop().await;
    let script = Arc::default();
    fill(&shop, &script, 0..50).await;
    let polling = Polling::begin(&shop, &script).await;
    let is_recorded = "SELECT count(*) FROM accounts WHERE list_positions LIKE 'paid %'";
    shop.until(is_recorded, "1").await;
    let all_polled = "SELECT count(*) FROM invoices WHERE last_polled_at IS NULL";
    shop.until(all_polled, "0").await;
    polling.end().await;
    script.set("7", OrderState::Paid);
    let before = script.asked();
    let polling = Polling::begin(&shop, &script).await;
    shop.until(&status_of("7"), "paid").await;
    polling.end().await;
    let from = script.asked().paid[before.paid.len()].from;
    assert!(now().since(from) >= Duration::from_mins(59), "an hour back");
}

/// Its end is shown by requests for it, its late payment only by readings.
#[tokio::test]
async fn readings_of_payments_cover_ended_invoices() {
    let mut shop = shop().await;
    shop.settings += "checks_after_expiry = [\"1s\", \"3s\", \"5s\", \"1h\"]\n";
    let script: Arc<Script> = Arc::default();
    fill(&shop, &script, 0..3).await;
    for order in ["0", "1", "2"] {
        script.set(order, OrderState::Expired);
    }
    let polling = Polling::begin(&shop, &script).await;
    let ended = "SELECT count(*) FROM invoices WHERE status = 'expired'";
    shop.until(ended, "3").await;
    let begin = script.asked();
    let last_check = "SELECT min(next_poll_at - updated_at) > 3000000 FROM invoices";
    shop.until(last_check, "1").await;
    let later = script.asked();
    assert_eq!(later.singles.len(), begin.singles.len());
    assert_eq!(later.created.len(), begin.created.len());
    // An invoice must wait for money, or nothing is read.
    fill(&shop, &script, 10..11).await;
    script.set("1", OrderState::Paid);
    shop.until(&status_of("1"), "paid").await;
    polling.end().await;
    let late =
        "SELECT json_extract(payload, '$.data.late') FROM outbox WHERE type = 'payment.paid'";
    assert_eq!(shop.ask(late).await, "1");
}

#[tokio::test]
async fn a_nudge_is_answered_by_a_request_begun_after_it() {
    let shop = shop().await;
    let script = Arc::default();
    fill(&shop, &script, 0..40).await;
    let polling = Polling::begin(&shop, &script).await;
    let all_polled = "SELECT count(*) FROM invoices WHERE last_polled_at IS NULL";
    shop.until(all_polled, "0").await;
    let before = script.asked();
    shop.execute("UPDATE invoices SET next_poll_at = 0").await;
    let nudged = "SELECT count(*) FROM invoices WHERE next_poll_at = 0";
    shop.until(nudged, "0").await;
    polling.end().await;
    let after = script.asked();
    let requests = after.singles.len() - before.singles.len() + after.pages - before.pages;
    assert!(requests <= 15, "{requests}");
}

// ------------------------------------------------------------------------------- strategies

#[tokio::test]
async fn with_single_polls_only_the_list_of_refunds_is_read() {
    let shop = shop().await;
    let script: Arc<Script> = Arc::default();
    fill(&shop, &script, 0..5).await;
    let polling = Polling::begin_by(&shop, &script, Strategy::Single, UNLIMITED).await;
    shop.until("SELECT min(polls) >= 2 FROM invoices", "1")
        .await;
    polling.end().await;
    let asked = script.asked();
    assert_eq!(asked.pages, 0);
    assert!(asked.refunds >= 1);
}

#[tokio::test]
async fn with_lists_no_order_is_polled_that_they_show() {
    let shop = shop().await;
    let script: Arc<Script> = Arc::default();
    fill(&shop, &script, 0..1).await;
    let polling = Polling::begin_by(&shop, &script, Strategy::List, UNLIMITED).await;
    let polled = "SELECT last_polled_at IS NOT NULL FROM invoices";
    shop.until(polled, "1").await;
    let read = script.asked().paid.len();
    script
        .until("readings", |asked| asked.paid.len() >= read + 2)
        .await;
    script.set("0", OrderState::Paid);
    shop.until(&status_of("0"), "paid").await;
    polling.end().await;
    assert!(script.asked().singles.is_empty());
}

#[tokio::test]
async fn one_pass_polls_everything_due_with_few_requests() {
    let shop = shop().await;
    let script: Arc<Script> = Arc::default();
    fill(&shop, &script, 0..150).await;
    script.set("149", OrderState::Paid);
    shop.execute("INSERT INTO invoices (external_id, amount, currency, status) VALUES ('E-nobody', '1.00', 'RUB', 'pending')").await;
    let (poller, _wrote) = poller(&shop, &script, Strategy::Auto, UNLIMITED).await;
    let counts = poller.run_once().await;
    assert_eq!((counts.failed_requests, counts.left), (0, 0));
    assert_eq!(shop.ask(&status_of("149")).await, "paid");
    let asked = script.asked();
    assert!(
        asked.singles.len() + asked.pages <= 12,
        "{}",
        asked.singles.len()
    );
}

/// Payments are read with one request per second: half of the limit.
#[tokio::test]
async fn readings_beyond_due_entries_use_half_of_the_rate_limit() {
    let shop = shop().await;
    let script: Arc<Script> = Arc::default();
    fill(&shop, &script, 0..30).await;
    let limits = Limits {
        requests_per_second: 1.0,
        burst: 1,
        max_in_flight: 1,
    };
    let began = tokio::time::Instant::now();
    let polling = Polling::begin_by(&shop, &script, Strategy::Auto, limits).await;
    script
        .until("readings", |asked| asked.paid.len() >= 5)
        .await;
    let took = began.elapsed();
    polling.end().await;
    assert!(took >= Duration::from_secs(8), "{took:?}");
}

/// Five hundred invoices that are always due use up the rate limit, and yet payments and refunds
/// are read.
#[tokio::test]
async fn due_entries_do_not_starve_other_readings() {
    let shop = shop().await;
    let script: Arc<Script> = Arc::default();
    fill(&shop, &script, 0..500).await;
    let limits = Limits {
        requests_per_second: 4.0,
        burst: 1,
        max_in_flight: 2,
    };
    let polling = Polling::begin_by(&shop, &script, Strategy::Auto, limits).await;
    script
        .until("payments and refunds", |asked| {
            asked.paid.len() >= 3 && asked.refunds >= 1
        })
        .await;
    script.set("250", OrderState::Paid);
    shop.until(&status_of("250"), "paid").await;
    polling.end().await;
}

// ---------------------------------------------------------------------------------- refunds

#[tokio::test]
async fn each_refund_of_a_paid_invoice_is_recorded_once() {
    let shop = shop().await;
    let script: Arc<Script> = Arc::default();
    fill(&shop, &script, 0..1).await;
    script.set("0", OrderState::Paid);
    let polling = Polling::begin(&shop, &script).await;
    shop.until(&status_of("0"), "paid").await;
    polling.end().await;
    script.refund("0", "R-1", "10.00");
    script.refund("0", "R-2", "5.50");
    script.refund("unknown", "R-3", "7.00");
    let polling = Polling::begin(&shop, &script).await;
    shop.until("SELECT refunded_amount FROM invoices", "15.50")
        .await;
    polling.end().await;
    let events = "payment.paid -, payment.refunded R-1, payment.refunded R-2";
    assert_eq!(shop.ask(EVENTS).await, events);
    let before = script.asked().refunds;
    let polling = Polling::begin(&shop, &script).await;
    script
        .until("one more reading", |asked| asked.refunds > before)
        .await;
    fill(&shop, &script, 5..6).await;
    script.set("5", OrderState::Paid);
    shop.until(&status_of("5"), "paid").await;
    polling.end().await;
    let later = format!("{events}, payment.paid -");
    assert_eq!(shop.ask(EVENTS).await, later, "nothing is recorded again");
    let rows = "SELECT group_concat(transaction_id || ' ' || direction || ' ' || amount, ', ') FROM (SELECT * FROM transactions ORDER BY transaction_id)";
    assert_eq!(shop.ask(rows).await, "R-1 out 10.00, R-2 out 5.50");
}

/// A consumer that received a refund before its payment would credit money that was returned.
#[tokio::test]
async fn a_refund_seen_before_its_payment_is_recorded_after_it() {
    for strategy in [Strategy::Auto, Strategy::Single] {
        let shop = shop().await;
        let script: Arc<Script> = Arc::default();
        fill(&shop, &script, 0..1).await;
        script.set("0", OrderState::Paid);
        script.refund("0", "R-1", "1.00");
        let polling = Polling::begin_by(&shop, &script, strategy, UNLIMITED).await;
        shop.until("SELECT refunded_amount FROM invoices", "1.00")
            .await;
        polling.end().await;
        assert_eq!(
            shop.ask(EVENTS).await,
            "payment.paid -, payment.refunded R-1"
        );
    }
}

// ------------------------------------------------------------------------------ external ids

/// An order that the shop created itself is found by its external id, even if it is created after
/// the row.
#[tokio::test]
async fn an_order_is_found_by_its_external_id_in_the_list() {
    let shop = shop().await;
    let script: Arc<Script> = Arc::default();
    for id in ["A", "B", "NONE"] {
        let row = format!(
            "INSERT INTO invoices (external_id, amount, currency, status) VALUES ('E-{id}', '100.00', 'RUB', 'pending')"
        );
        shop.execute(&row).await;
    }
    script.add("A", OrderState::Open);
    let polling = Polling::begin(&shop, &script).await;
    let order = |id: &str| format!("SELECT order_id FROM invoices WHERE external_id = 'E-{id}'");
    shop.until(&order("A"), "A").await;
    script.add("B", OrderState::Open);
    shop.until(&order("B"), "B").await;
    script.set("B", OrderState::Paid);
    shop.until(&status_of("B"), "paid").await;
    let goes_on = |asked: &Asked| {
        let froms = asked.created.iter().map(|one| one.from.0);
        froms.collect::<BTreeSet<i64>>().len() > 1
    };
    script
        .until("a search that goes on where the last one began", goes_on)
        .await;
    polling.end().await;
    assert_eq!(shop.ask(&status_of("A")).await, "pending");
}
