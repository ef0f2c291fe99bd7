//! The poller with a scripted provider: batches, orders that make requests for others fail,
//! failures of most orders, nudges by the thousand.

mod creations;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use payrecond::clock::{Clock as _, SystemClock};
use payrecond::config::Config;
use payrecond::domain::invoice::{ExternalId, Invoice, OrderId};
use payrecond::domain::observation::{ObservedMoney, ObservedOrder, OrderState};
use payrecond::domain::time::UnixMillis;
use payrecond::jobs::poll::Poller;
use payrecond::limit::{Limits, SharedLimiter};
use payrecond::metrics::AccountMeter;
use payrecond::provider::{ApiKey, FetchOrders, FetchedOrder, FindOrders, Provider, ProviderError};
use payrecond::sandbox::{Operation, OrderBatch};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::PATIENCE;
use crate::shop::{Daemon, Shop, environment, poll_setup};

/// No invoice is polled twice within a test.
const SLOW: &str =
    "[polling]\nmin_interval = \"1h\"\nmax_interval = \"1h\"\nintake_interval = \"50ms\"\n";
const UNLIMITED: Limits = Limits {
    requests_per_second: 0.0,
    burst: 1,
    max_in_flight: 4,
};

/// The state of the provider, and the requests made.
#[derive(Default)]
struct Script {
    states: Mutex<BTreeMap<String, OrderState>>,
    /// A request for one of these orders fails.
    spoils: Mutex<BTreeMap<String, ProviderError>>,
    asked: Mutex<Vec<Vec<String>>>,
    probes: Mutex<u64>,
    searches: Mutex<u64>,
}

struct Scripted {
    script: Arc<Script>,
    batch_limit: u32,
}

impl Script {
    fn set(&self, order: &str, state: OrderState) {
        self.states.lock().unwrap().insert(order.to_owned(), state);
    }

    fn spoil(&self, order: &str, error: &ProviderError) {
        let spoils = &mut self.spoils.lock().unwrap();
        spoils.insert(order.to_owned(), error.clone());
    }

    fn requests(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn sizes(&self) -> Vec<usize> {
        self.asked.lock().unwrap().iter().map(Vec::len).collect()
    }

    fn orders_asked(&self) -> BTreeSet<String> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .flatten()
            .cloned()
            .collect()
    }

    fn answer_for(&self, order: &str) -> FetchedOrder {
        match self.states.lock().unwrap().get(order) {
            Some(state) => FetchedOrder::Seen(observed(order, *state)),
            None => FetchedOrder::NotFound,
        }
    }
}

fn observed(order: &str, state: OrderState) -> ObservedOrder {
    ObservedOrder {
        order_id: OrderId(order.into()),
        state,
        provider_status: format!("{state:?}"),
        observed_at: UnixMillis(1_800_000_000_000),
        told_at: None,
        bare_amount: None,
        external_id: Some(ExternalId(format!("E-{order}"))),
        number: None,
        amount: None,
        created_at: None,
        expires_at: None,
        paid_at: None,
        pay_link: None,
        direct_pay_link: None,
        payment: None,
        money: ObservedMoney::default(),
    }
}

#[async_trait]
impl Provider for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn set_key(&self, _: ApiKey) {}

    async fn probe(&self) -> Result<(), ProviderError> {
        *self.script.probes.lock().unwrap() += 1;
        Ok(())
    }

    fn fetches(&self) -> Option<&dyn FetchOrders> {
        Some(self)
    }

    fn finds(&self) -> Option<&dyn FindOrders> {
        Some(self)
    }
}

#[async_trait]
impl FetchOrders for Scripted {
    fn batch_limit(&self) -> u32 {
        self.batch_limit
    }

    async fn fetch(&self, orders: &[OrderId]) -> Result<Vec<FetchedOrder>, ProviderError> {
        let ids: Vec<String> = orders.iter().map(|order| order.0.clone()).collect();
        self.script.asked.lock().unwrap().push(ids.clone());
        tokio::task::yield_now().await;
        let spoils = self.script.spoils.lock().unwrap();
        if let Some(error) = ids.iter().find_map(|id| spoils.get(id)) {
            return Err(error.clone());
        }
        Ok(ids.iter().map(|id| self.script.answer_for(id)).collect())
    }
}

#[async_trait]
impl FindOrders for Scripted {
    async fn find(&self, external_id: &ExternalId) -> Result<Option<ObservedOrder>, ProviderError> {
        *self.script.searches.lock().unwrap() += 1;
        let order = external_id.0.trim_start_matches("E-");
        Ok(match self.script.answer_for(order) {
            FetchedOrder::Seen(observed) => Some(observed),
            FetchedOrder::NotFound => None,
        })
    }
}

/// A running poller on the shop's database.
struct Polling {
    end: CancellationToken,
    task: JoinHandle<()>,
    somebody_wrote: watch::Sender<()>,
    limiter: SharedLimiter,
    meter: AccountMeter,
}

impl Polling {
    async fn begin(shop: &Shop, script: &Arc<Script>, batch_limit: u32, limits: Limits) -> Self {
        let scripted = Scripted {
            script: Arc::clone(script),
            batch_limit,
        };
        Self::begin_with(shop, Arc::new(scripted), limits).await
    }

    async fn begin_with(shop: &Shop, provider: Arc<dyn Provider>, limits: Limits) -> Self {
        let (setup, somebody_wrote) = poll_setup(shop, provider, limits).await;
        let (limiter, meter) = (setup.limiter.clone(), setup.signals.meter.clone());
        let end = CancellationToken::new();
        let polling = Poller::new(setup).run(end.clone(), Arc::default());
        Self {
            end,
            task: tokio::spawn(polling),
            somebody_wrote,
            limiter,
            meter,
        }
    }

    async fn until_database_fails(&self, fails: bool) {
        let wait = async {
            while self.meter.gauges().database_fails != fails {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let patience = Duration::from_mins(1);
        tokio::time::timeout(patience, wait).await.unwrap();
    }

    async fn end(self) {
        self.end.cancel();
        self.task.await.unwrap();
    }
}

/// Invoices for orders `from` on, open at the provider.
async fn fill(shop: &Shop, script: &Script, orders: std::ops::Range<u32>) {
    let mut sql = String::from("BEGIN IMMEDIATE;");
    for order in orders {
        script.set(&order.to_string(), OrderState::Open);
        write!(
            sql,
            "INSERT INTO invoices (external_id, order_id) VALUES ('E-{order}', '{order}');"
        )
        .unwrap();
    }
    shop.execute(&(sql + "COMMIT;")).await;
}

async fn slow_shop() -> Shop {
    let mut shop = Shop::open().await;
    shop.settings = SLOW.into();
    shop
}

#[tokio::test]
async fn batches_cover_due_invoices_with_the_fewest_requests() {
    let shop = slow_shop().await;
    let script = Arc::default();
    fill(&shop, &script, 0..2500).await;
    script.set("7", OrderState::Paid);
    script.set("2499", OrderState::Expired);
    let polling = Polling::begin(&shop, &script, 1000, UNLIMITED).await;
    shop.until("SELECT min(polls) FROM invoices", "1").await;
    polling.end().await;
    let mut sizes = script.sizes();
    sizes.sort_unstable();
    assert_eq!(sizes.iter().sum::<usize>(), 2500);
    // The first rows may be read before the last ones are inserted.
    assert!(sizes.len() <= 4, "{sizes:?}");
    let ends = "SELECT group_concat(external_id || ' ' || status, ', ') FROM (SELECT * FROM invoices WHERE status <> 'pending' ORDER BY id)";
    assert_eq!(shop.ask(ends).await, "E-7 paid, E-2499 expired");
}

/// Rows that were read ahead do not keep a single pass waiting for an account that is held or stopped.
#[tokio::test]
async fn a_single_pass_ends_when_the_account_may_not_be_asked_for_long() {
    let wait = Some(Duration::from_mins(10));
    for error in [
        ProviderError::RateLimited { wait },
        ProviderError::KeyRefused("HTTP 401".into()),
    ] {
        let shop = slow_shop().await;
        let script: Arc<Script> = Arc::default();
        fill(&shop, &script, 0..20).await;
        (0..20).for_each(|order| script.spoil(&order.to_string(), &error));
        let scripted = Scripted {
            script: Arc::clone(&script),
            batch_limit: 1,
        };
        let limits = Limits {
            max_in_flight: 1,
            ..UNLIMITED
        };
        let (setup, _somebody_wrote) = poll_setup(&shop, Arc::new(scripted), limits).await;
        let pass = Poller::new(setup).run_once();
        let counts = tokio::time::timeout(PATIENCE, pass).await.unwrap();
        assert_eq!(script.requests(), 1, "{error}");
        assert_eq!(counts.left, 19, "{error}");
    }
}

#[tokio::test]
async fn an_order_that_breaks_a_batch_is_found_by_bisection_without_delay() {
    let shop = slow_shop().await;
    let script = Arc::default();
    fill(&shop, &script, 0..100).await;
    let refused = ProviderError::Refused("HTTP 400: bad id".into());
    script.spoil("42", &refused);
    let polling = Polling::begin(&shop, &script, 100, UNLIMITED).await;
    shop.until("SELECT count(*) FROM invoices WHERE polls = 1", "99")
        .await;
    shop.until(
        "SELECT failures FROM invoices WHERE external_id = 'E-42'",
        "1",
    )
    .await;
    polling.end().await;
    let requests = script.requests();
    assert!(requests <= 2 * 7 + 2, "{requests}: {:?}", script.sizes());
    let others = "SELECT sum(failures) FROM invoices WHERE external_id <> 'E-42'";
    assert_eq!(shop.ask(others).await, "0");
}

#[tokio::test]
async fn an_order_missing_from_a_batch_is_not_found_after_the_grace() {
    let mut shop = Shop::open().await;
    shop.settings = "[polling]\nmin_interval = \"100ms\"\nintake_interval = \"50ms\"\nnot_found_grace = \"300ms\"\n".into();
    let script = Arc::<Script>::default();
    fill(&shop, &script, 0..10).await;
    script.states.lock().unwrap().remove("5");
    let polling = Polling::begin(&shop, &script, 100, UNLIMITED).await;
    let reason = "SELECT reason FROM invoices WHERE external_id = 'E-5'";
    shop.until(reason, "order_not_found").await;
    polling.end().await;
    let others = "SELECT count(*) FROM invoices WHERE status = 'pending'";
    assert_eq!(shop.ask(others).await, "9");
    assert_eq!(*script.probes.lock().unwrap(), 0, "the others prove enough");
}

/// In a batch of a hundred, a new invoice is polled with the next request, and so is the one that
/// waited longest, however many are due.
#[tokio::test]
async fn batches_starve_neither_new_nor_old_invoices() {
    let mut shop = Shop::open().await;
    shop.settings = "[polling]\nmin_interval = \"100ms\"\nmax_interval = \"100ms\"\nintake_interval = \"50ms\"\nage_factor = 0.0\n".into();
    let script = Arc::default();
    fill(&shop, &script, 0..3000).await;
    let slowly = Limits {
        requests_per_second: 20.0,
        burst: 1,
        max_in_flight: 1,
    };
    let polling = Polling::begin(&shop, &script, 100, slowly).await;
    shop.until("SELECT min(polls) > 0 FROM invoices WHERE id > 2900", "1")
        .await;
    let before = script.requests();
    fill(&shop, &script, 9000..9001).await;
    polling.somebody_wrote.send(()).unwrap();
    let fresh = "SELECT polls > 0 FROM invoices WHERE external_id = 'E-9000'";
    shop.until(fresh, "1").await;
    let requests = script.requests() - before;
    assert!(requests <= 20, "{requests} requests before the fresh one");
    // A quarter of all turns: 3,000 waiting orders take at most 4 times 30 requests, and a few more
    // while the first are read.
    shop.until("SELECT min(polls) > 0 FROM invoices", "1").await;
    let requests = script.requests();
    polling.end().await;
    assert!(requests <= 4 * 30 + 60, "{requests}");
}

/// Two hundred orders that always fail and twenty good ones: the account is not at fault.
async fn most_orders_fail(error: ProviderError) {
    let mut shop = Shop::open().await;
    shop.settings = "[polling]\nmin_interval = \"1s\"\nintake_interval = \"50ms\"\n".into();
    let script = Arc::default();
    fill(&shop, &script, 0..220).await;
    for order in (0..220).filter(|order| order % 11 != 0) {
        script.spoil(&order.to_string(), &error);
    }
    let limits = Limits {
        requests_per_second: 40.0,
        burst: 10,
        max_in_flight: 16,
    };
    let polling = Polling::begin(&shop, &script, 1, limits).await;
    shop.until("SELECT max(polls) > 0 FROM invoices", "1").await;
    fill(&shop, &script, 900..901).await;
    script.set("900", OrderState::Paid);
    let before = script.requests();
    polling.somebody_wrote.send(()).unwrap();
    let paid = "SELECT status FROM invoices WHERE external_id = 'E-900'";
    shop.until(paid, "paid").await;
    let until_paid = script.requests() - before;
    // Three seconds at forty requests per second.
    assert!(
        until_paid <= 120,
        "{error}: {until_paid} requests before it"
    );
    let all_asked = async {
        while script.orders_asked().len() < 221 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), all_asked)
        .await
        .unwrap_or_else(|_| panic!("{error}: {} asked", script.orders_asked().len()));
    let requests = script.requests();
    // Ten seconds at that rate.
    assert!(
        requests <= 400,
        "{error}: {requests} requests before all were asked"
    );
    let good = "SELECT count(*) FROM invoices WHERE polls > 0";
    shop.until(good, "21").await;
    polling.end().await;
    assert!(
        *script.probes.lock().unwrap() > 0,
        "{error}: doubt was settled"
    );
    let state = shop.ask("SELECT state FROM accounts").await;
    assert_eq!(state, "working", "{error}");
}

#[tokio::test]
async fn when_most_orders_fail_each_is_polled_and_the_account_never_pauses() {
    let kinds = [
        ProviderError::Unreachable("connection reset".into()),
        ProviderError::Unavailable {
            what: "HTTP 500".into(),
            wait: None,
        },
        ProviderError::Malformed("no JSON".into()),
        ProviderError::Refused("INVALID_REQUEST".into()),
    ];
    futures::future::join_all(kinds.into_iter().map(most_orders_fail)).await;
}

#[tokio::test]
async fn an_invoice_without_order_id_is_found_by_its_external_id() {
    let mut shop = Shop::open().await;
    shop.settings = "[polling]\nmin_interval = \"100ms\"\nintake_interval = \"50ms\"\nnot_found_grace = \"1h\"\n".into();
    // The daemon's own row of an invoice whose order it has to find.
    shop.execute("INSERT INTO invoices (external_id, status) VALUES ('E-1', 'pending')")
        .await;
    let script = Arc::<Script>::default();
    let polling = Polling::begin(&shop, &script, 1, UNLIMITED).await;
    let searched = async {
        while *script.searches.lock().unwrap() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), searched)
        .await
        .unwrap();
    script.set("1", OrderState::Paid);
    let row = "SELECT status || ' ' || order_id FROM invoices";
    shop.until(row, "paid 1").await;
    polling.end().await;
    assert_eq!(script.requests(), 0, "no id was known to ask by");
}

/// Each page that begins after a nudge answers it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nudges_by_the_thousand_cost_a_few_pages() {
    let mut shop = Shop::open().await;
    shop.settings = format!("strategy = \"auto\"\nlist_bytes_per_second = 0\n{SLOW}");
    let batch = OrderBatch {
        count: 30_000,
        external_id_prefix: "E".into(),
        ..OrderBatch::default()
    };
    shop.world.seed(&batch).unwrap();
    let mut sql = String::from("BEGIN IMMEDIATE;");
    for order in &shop.world.orders()[..20_000] {
        write!(
            sql,
            "INSERT INTO invoices (external_id, order_id, amount, currency) VALUES ('{}', '{}', '1.00', 'USD');",
            order.external_id, order.id
        )
        .unwrap();
    }
    shop.execute(&(sql + "COMMIT;")).await;
    let daemon = shop.start();
    shop.until("SELECT list_total FROM accounts", "30000").await;
    let before = shop.world.stats().requests.values().sum::<u64>();
    shop.execute("UPDATE invoices SET next_poll_at = 0").await;
    shop.until("SELECT min(polls) > 0 FROM invoices", "1").await;
    let requests = shop.world.stats().requests.values().sum::<u64>() - before;
    daemon.stop().await;
    assert!(requests <= 8, "{requests} requests");
    assert_eq!(shop.asked(Operation::Preview), 0);
    let left = "SELECT count(*) FROM invoices WHERE next_poll_at = 0";
    assert_eq!(shop.ask(left).await, "0");
}

/// A writer that waited for the lock commits an earlier plan, which lies before the position
/// already read.
#[tokio::test]
async fn a_plan_committed_late_is_not_skipped() {
    let shop = slow_shop().await;
    let script = Arc::default();
    fill(&shop, &script, 0..2).await;
    let polling = Polling::begin(&shop, &script, 1, UNLIMITED).await;
    shop.until("SELECT min(polls) FROM invoices", "1").await;
    shop.execute(
        "UPDATE invoices SET next_poll_at = (SELECT max(last_polled_at) FROM invoices) - 8000, \
         daemon_writes = daemon_writes + 1 WHERE external_id = 'E-1'",
    )
    .await;
    polling.somebody_wrote.send(()).unwrap();
    let polls = "SELECT polls FROM invoices WHERE external_id = 'E-1'";
    shop.until(polls, "2").await;
    polling.end().await;
}

/// However many orders are to be created, the newest customer waits for the next request or two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn among_very_many_creations_the_newest_gets_a_turn() {
    let mut shop = Shop::open().await;
    shop.settings = format!("strategy = \"auto\"\nlist_bytes_per_second = 0\n{SLOW}");
    let requested = |name: &str| {
        format!(
            "INSERT INTO invoices (external_id, amount, currency, description, options)
             VALUES ('{name}', '1.00', 'USD', 'Six eggs', '{{\"customerTelegramUserId\":7}}');"
        )
    };
    let many: String = (0..20_500).map(|n| requested(&format!("R{n}"))).collect();
    shop.execute(&format!("BEGIN IMMEDIATE;{many}COMMIT;"))
        .await;
    let budget = "requests_per_second = 20\nburst = 1";
    let config = shop
        .config_text()
        .replace("requests_per_second = 0", budget);
    let config = Config::parse(&config, &environment()).unwrap();
    let daemon = Daemon::start(config);
    shop.until_asked(Operation::Create, 5).await;
    let before = shop.asked(Operation::Create);
    shop.execute(&requested("FRESH")).await;
    let made = "SELECT order_id IS NOT NULL FROM invoices WHERE external_id = 'FRESH'";
    shop.until(made, "1").await;
    let requests = shop.asked(Operation::Create) - before;
    daemon.stop().await;
    // Three seconds at that rate, in a debug build.
    assert!(requests <= 60, "{requests} creations before it");
}

/// A load of rows to be created writes. If it fails and no request is allowed any more, it is still
/// retried, since nothing else shows that the database works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_load_is_retried_even_if_no_request_is_allowed() {
    let shop = slow_shop().await;
    let one_request = Limits {
        requests_per_second: 0.0001,
        ..UNLIMITED
    };
    let polling = Polling::begin(&shop, &Arc::default(), 1, one_request).await;
    // From here on the poller writes only what follows from the new row.
    shop.until("SELECT count(*) FROM accounts", "1").await;
    shop.execute(
        "INSERT INTO invoices (external_id, amount, currency, description, options)
         VALUES ('NEW', '1.00', 'USD', 'Six eggs', '{\"customerTelegramUserId\":7}')",
    )
    .await;
    let mut holder = shop.connect().await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut holder)
        .await
        .unwrap();
    polling.somebody_wrote.send(()).unwrap();
    polling.until_database_fails(true).await;
    let permit = {
        let now = SystemClock::new().monotonic();
        polling.limiter.lock().take(now).unwrap()
    };
    sqlx::query("COMMIT").execute(&mut holder).await.unwrap();
    let sent = "SELECT create_sent_at IS NOT NULL FROM invoices";
    shop.until(sent, "1").await;
    polling.until_database_fails(false).await;
    polling.limiter.lock().give_back(&permit);
    polling.end().await;
}
