//! Creation at a provider where a repeated request creates another order.

use payrecond::provider::{
    CreateOrders, Creation, CreationAnswer, ListByTime, SpanCursor, SpanKind, SpanPage, TimeSpan,
};

use super::*;
use crate::until::eventually;

const HOUR: Duration = Duration::from_hours(1);

/// The fate of the next creations, in turn; later ones succeed.
enum Fate {
    /// The order is created, but the answer is lost.
    AnswerLost,
    /// Nothing is created.
    RequestLost,
}

/// Creates an order at each request. Its list has one order per page.
#[derive(Default)]
struct Maker {
    made: Mutex<Vec<ObservedOrder>>,
    fates: Mutex<Vec<Fate>>,
    log: Mutex<Vec<&'static str>>,
}

impl Maker {
    fn make(&self, external_id: &str, created_at: UnixMillis, state: OrderState) -> ObservedOrder {
        let mut made = self.made.lock().unwrap();
        let order = ObservedOrder {
            external_id: Some(external_id.into()),
            created_at: Some(created_at),
            ..observed(&format!("{}", made.len() + 1), state)
        };
        made.push(order.clone());
        order
    }

    fn log(&self) -> Vec<&'static str> {
        self.log.lock().unwrap().clone()
    }

    fn count_made(&self) -> usize {
        self.made.lock().unwrap().len()
    }
}

#[async_trait]
impl Provider for Maker {
    fn name(&self) -> &'static str {
        "maker"
    }

    fn set_key(&self, _: ApiKey) {}

    async fn probe(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    fn lists_by_time(&self) -> Option<&dyn ListByTime> {
        Some(self)
    }

    fn creates(&self) -> Option<&dyn CreateOrders> {
        Some(self)
    }
}

#[async_trait]
impl CreateOrders for Maker {
    fn idempotent_for(&self) -> Duration {
        Duration::ZERO
    }

    fn creation(&self, invoice: &Invoice) -> Result<Creation, String> {
        Ok(Creation {
            external_id: invoice.external_id.clone(),
            body: String::new(),
            idempotence_key: String::new(),
        })
    }

    async fn create(&self, creation: &Creation) -> Result<CreationAnswer, ProviderError> {
        self.log.lock().unwrap().push("create");
        let lost = || Err(ProviderError::Unreachable("connection reset".into()));
        let fate = self.fates.lock().unwrap().pop();
        if matches!(fate, Some(Fate::RequestLost)) {
            return lost();
        }
        let now = SystemClock::new().now();
        let order = self.make(&creation.external_id.0, now, OrderState::Open);
        match fate {
            Some(Fate::AnswerLost) => lost(),
            Some(Fate::RequestLost) | None => Ok(CreationAnswer::Exists(order)),
        }
    }
}

#[async_trait]
impl ListByTime for Maker {
    fn lists_by(&self, kind: SpanKind) -> bool {
        kind == SpanKind::Created
    }

    async fn span_page(
        &self,
        span: &TimeSpan,
        cursor: Option<&SpanCursor>,
    ) -> Result<SpanPage, ProviderError> {
        self.log.lock().unwrap().push("list");
        assert_eq!((span.kind, span.until), (SpanKind::Created, None));
        let newest = self
            .made
            .lock()
            .unwrap()
            .iter()
            .rev()
            .cloned()
            .collect::<Vec<_>>();
        let offset: usize = cursor.map_or(0, |cursor| cursor.0.parse().unwrap());
        Ok(SpanPage {
            orders: newest.get(offset).cloned().into_iter().collect(),
            next: (offset + 1 < newest.len()).then(|| SpanCursor((offset + 1).to_string())),
            bytes: 1,
        })
    }
}

async fn shop() -> Shop {
    let mut shop = Shop::open().await;
    shop.settings = "[polling]\nmin_interval = \"100ms\"\nintake_interval = \"50ms\"\n".into();
    shop
}

const REQUEST: &str = "INSERT INTO invoices (external_id, amount, currency, description) VALUES ('R', '1', 'USD', 'Six eggs')";
const ORDER: &str = "SELECT coalesce(order_id, '-') FROM invoices WHERE external_id = 'R'";

#[tokio::test]
async fn a_creation_whose_answer_was_lost_is_found_and_not_repeated() {
    let shop = shop().await;
    let maker = Arc::new(Maker::default());
    maker.make("OLD", UnixMillis(0), OrderState::Open);
    maker.fates.lock().unwrap().push(Fate::AnswerLost);
    shop.execute(REQUEST).await;
    let polling = Polling::begin_with(&shop, maker.clone(), UNLIMITED).await;
    shop.until(ORDER, "2").await;
    polling.end().await;
    assert_eq!(maker.log()[..2], ["create", "list"]);
    assert_eq!(
        maker.log().iter().filter(|one| **one == "create").count(),
        1
    );
    assert_eq!(maker.count_made(), 2);
    let events = "SELECT group_concat(type) FROM outbox";
    assert_eq!(shop.ask(events).await, "payment.pending");
}

/// The next run of the daemon knows of the creation only from its row.
#[tokio::test]
async fn a_creation_sent_before_a_restart_is_searched_for_first() {
    let shop = shop().await;
    let maker = Arc::new(Maker::default());
    maker.fates.lock().unwrap().push(Fate::AnswerLost);
    shop.execute(REQUEST).await;
    let polling = Polling::begin_with(&shop, maker.clone(), UNLIMITED).await;
    // The row says so before the request goes out.
    eventually(async || (maker.count_made() == 1).then_some(())).await;
    polling.end().await;
    maker.log.lock().unwrap().clear();
    let polling = Polling::begin_with(&shop, maker.clone(), UNLIMITED).await;
    shop.until(ORDER, "1").await;
    polling.end().await;
    assert!(!maker.log().contains(&"create"), "{:?}", maker.log());
    assert_eq!(maker.count_made(), 1);
}

#[tokio::test]
async fn an_order_from_before_the_creation_was_first_sent_is_not_adopted() {
    let shop = shop().await;
    let maker = Arc::new(Maker::default());
    let before = SystemClock::new().now().minus(HOUR);
    maker.make("R", before, OrderState::Paid);
    maker.fates.lock().unwrap().push(Fate::RequestLost);
    shop.execute(REQUEST).await;
    let polling = Polling::begin_with(&shop, maker.clone(), UNLIMITED).await;
    shop.until(ORDER, "2").await;
    polling.end().await;
    assert_eq!(maker.log()[..3], ["create", "list", "create"]);
    assert_eq!(maker.count_made(), 2);
}

/// Of several orders with the label, the paid one counts.
#[tokio::test]
async fn an_order_created_by_the_shop_is_found_in_the_list() {
    let shop = shop().await;
    let maker = Arc::new(Maker::default());
    let now = SystemClock::new().now();
    for (external_id, state) in [
        ("R", OrderState::Open),
        ("R", OrderState::Paid),
        ("R", OrderState::Expired),
        ("X", OrderState::Paid),
    ] {
        maker.make(external_id, now.minus(HOUR), state);
    }
    shop.execute("INSERT INTO invoices (external_id, status) VALUES ('R', 'pending')")
        .await;
    let polling = Polling::begin_with(&shop, maker.clone(), UNLIMITED).await;
    shop.until("SELECT status FROM invoices", "paid").await;
    polling.end().await;
    assert_eq!(shop.ask(ORDER).await, "2");
    assert!(maker.log().len() >= 3 && !maker.log().contains(&"create"));
}

/// The list need not be sorted by what can be paid: the whole search decides.
#[tokio::test]
async fn of_several_orders_on_several_pages_the_one_that_can_be_paid_is_followed() {
    let shop = shop().await;
    let maker = Arc::new(Maker::default());
    let now = SystemClock::new().now();
    for state in [OrderState::Expired, OrderState::Open, OrderState::Cancelled] {
        maker.make("R", now.minus(HOUR), state);
    }
    shop.execute("INSERT INTO invoices (external_id, status) VALUES ('R', 'pending')")
        .await;
    let polling = Polling::begin_with(&shop, maker.clone(), UNLIMITED).await;
    shop.until("SELECT count(order_id) FROM invoices", "1")
        .await;
    polling.end().await;
    assert_eq!(shop.ask(ORDER).await, "2");
    assert_eq!(shop.ask("SELECT status FROM invoices").await, "pending");
}

/// Each page of a search is charged to the account's rate limit.
#[tokio::test]
async fn every_page_of_a_search_is_charged() {
    let shop = shop().await;
    let maker = Arc::new(Maker::default());
    let now = SystemClock::new().now();
    for _ in 0..20 {
        maker.make("X", now, OrderState::Open);
    }
    shop.execute("INSERT INTO invoices (external_id, status) VALUES ('R', 'pending')")
        .await;
    let limits = Limits {
        requests_per_second: 500.0,
        burst: 1,
        max_in_flight: 1,
    };
    let polling = Polling::begin_with(&shop, maker.clone(), limits).await;
    eventually(async || (maker.log().len() >= 20).then_some(())).await;
    let limiter = polling.limiter.clone();
    polling.end().await;
    let pages = maker.log().len() as u64;
    assert!(pages >= 20, "{pages}");
    assert!(limiter.lock().begun() >= pages, "{pages}");
}
