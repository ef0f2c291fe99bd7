//! Polls by pages of the list: fewer requests, no unnecessary writes, nothing lost.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use payrecond::clock::{Clock, SystemClock};
use payrecond::config::Config;
use payrecond::daemon;
use payrecond::domain::observation::ObservedOrder;
use payrecond::jobs::poll::{PollSetup, Poller, Strategy};
use payrecond::limit::Limits;
use payrecond::provider::{
    ApiKey, CreateOrders, FetchOrders, ListItem, ListOrders, PageEnd, PageVisitor, Provider,
    ProviderError,
};
use payrecond::sandbox::{Fault, FaultKind, NewOrder, Operation, OrderBatch, SimulatedPayment};
use tokio::sync::watch::Sender;
use tokio_util::sync::CancellationToken;

use crate::shop::{Daemon, Shop, UNLIMITED, environment, execute, poll_setup};

const FAST: &str = "[polling]\nmin_interval = \"200ms\"\nmax_interval = \"400ms\"\nintake_interval = \"50ms\"\nage_factor = 0.0\njitter = 0.0\nnot_found_grace = \"300ms\"\n";
/// No invoice is polled twice within a test.
const SLOW: &str =
    "[polling]\nmin_interval = \"1h\"\nmax_interval = \"1h\"\nintake_interval = \"50ms\"\n";

async fn shop(strategy: &str, settings: &str) -> Shop {
    let mut shop = Shop::open().await;
    shop.settings = format!("strategy = \"{strategy}\"\n{settings}");
    shop
}

async fn without_watch(strategy: &str, settings: &str) -> Shop {
    let settings = format!("list_bytes_per_second = 0\n{settings}");
    shop(strategy, &settings).await
}

/// `count` orders at the provider and, in one transaction, an invoice for each `every`-th.
async fn fill(shop: &Shop, count: usize, every: usize) {
    let batch = OrderBatch {
        count,
        external_id_prefix: "E".into(),
        ..OrderBatch::default()
    };
    let places = shop.world.seed(&batch).unwrap();
    let orders = shop.world.orders();
    let mut sql = String::from("BEGIN IMMEDIATE;");
    for order in orders[places].iter().step_by(every) {
        write!(
            sql,
            "INSERT INTO invoices (external_id, order_id, amount, currency)
             VALUES ('{}', '{}', '1.0', 'USD');",
            order.external_id, order.id
        )
        .unwrap();
    }
    shop.execute(&(sql + "COMMIT;")).await;
}

/// All of `invoices`, every column.
async fn rows(shop: &Shop) -> String {
    let columns = "SELECT group_concat('quote(' || name || ')', ' || ')
                     FROM pragma_table_info('invoices')";
    let columns = shop.ask(columns).await;
    let all = format!(
        "SELECT group_concat({columns}, char(10)) FROM (SELECT * FROM invoices ORDER BY id)"
    );
    shop.ask(&all).await
}

/// A daemon that may make this many requests per second, one at a time.
fn start_slowly(shop: &Shop, requests_per_second: u32) -> Daemon {
    let budget = format!("requests_per_second = {requests_per_second}\nburst = 1");
    let config = shop.config_text();
    let config = config.replace("requests_per_second = 0", &budget);
    Daemon::start(Config::parse(&config, &environment()).unwrap())
}

/// Whatever was planned, only the probe goes out, and it is enough to recover.
#[tokio::test]
async fn an_account_stopped_during_page_polls_is_probed_and_recovers() {
    let shop = shop("auto", "").await;
    fill(&shop, 60, 1).await;
    let daemon = shop.start();
    shop.until("SELECT list_total FROM accounts", "60").await;
    shop.answer_nothing();
    shop.until("SELECT state FROM accounts", "paused").await;
    // Longer than any plan or pause of pages that was made before.
    let (lists, previews) = (shop.asked(Operation::List), shop.asked(Operation::Preview));
    let probes = shop.asked(Operation::Amount);
    shop.until_asked(Operation::Amount, probes + 2).await;
    assert_eq!(shop.asked(Operation::List), lists);
    assert_eq!(shop.asked(Operation::Preview), previews);
    shop.world.pay("E7", &SimulatedPayment::default()).unwrap();
    shop.answer_again();
    shop.until("SELECT state FROM accounts", "working").await;
    let paid = "SELECT status FROM invoices WHERE external_id = 'E7'";
    shop.until(paid, "paid").await;
    daemon.stop().await;
}

#[tokio::test]
async fn amounts_missing_at_a_stop_follow_after_the_next_start() {
    let mut shop = shop("preview", "").await;
    let order = shop.drop_in("PAID").await;
    shop.world
        .pay(&order, &SimulatedPayment::default())
        .unwrap();
    let daemon = shop.start();
    shop.until("SELECT status FROM invoices", "paid").await;
    daemon.stop().await;
    let amount = "SELECT paid_amount IS NULL FROM invoices";
    assert_eq!(shop.ask(amount).await, "1");
    shop.settings = "strategy = \"auto\"\n".into();
    let daemon = shop.start();
    shop.until(amount, "0").await;
    daemon.stop().await;
    let said = "SELECT group_concat(type) FROM outbox";
    assert_eq!(shop.ask(said).await, "payment.paid,payment.detailed");
}

/// A poll in the future does not make a page's report outdated.
#[tokio::test]
async fn pages_are_believed_after_the_clock_was_set_back() {
    let shop = without_watch("list", "").await;
    fill(&shop, 3, 1).await;
    shop.execute(
        "UPDATE invoices SET last_polled_at = created_at + 3600000, polls = 1, \
         daemon_writes = daemon_writes + 1",
    )
    .await;
    shop.world.cancel("E1", false).unwrap();
    let daemon = shop.start();
    let cancelled = "SELECT status FROM invoices WHERE external_id = 'E1'";
    shop.until(cancelled, "cancelled").await;
    daemon.stop().await;
}

#[tokio::test]
async fn many_due_invoices_are_covered_by_pages_that_write_no_row() {
    let shop = without_watch("auto", SLOW).await;
    fill(&shop, 300, 1).await;
    let before = rows(&shop).await;
    assert_eq!(before.lines().count(), 300);
    let daemon = shop.start();
    shop.until("SELECT list_total FROM accounts", "300").await;
    daemon.stop().await;
    assert_eq!(shop.asked(Operation::Preview), 0);
    assert!(shop.asked(Operation::List) + shop.asked(Operation::Amount) <= 3);
    assert_eq!(rows(&shop).await, before);
    assert_eq!(shop.ask("SELECT count(*) FROM outbox").await, "0");
}

#[tokio::test]
async fn reading_the_list_repeatedly_writes_no_row() {
    let shop = shop("list", FAST).await;
    fill(&shop, 300, 3).await;
    let before = rows(&shop).await;
    assert_eq!(before.lines().count(), 100);
    let daemon = shop.start();
    shop.until_asked(Operation::List, 4).await;
    shop.until("SELECT list_total FROM accounts", "300").await;
    daemon.stop().await;
    assert_eq!(rows(&shop).await, before);
    assert_eq!(shop.ask("SELECT count(*) FROM outbox").await, "0");
}

#[tokio::test]
async fn a_few_due_among_many_are_polled_one_by_one() {
    let shop = without_watch("auto", SLOW).await;
    fill(&shop, 5000, 1000).await;
    let daemon = shop.start();
    let polled = "SELECT count(*) FROM invoices WHERE polls = 1";
    shop.until(polled, "5").await;
    daemon.stop().await;
    assert_eq!(shop.asked(Operation::Preview), 5);
    assert_eq!(shop.asked(Operation::List), 0);
}

#[tokio::test]
async fn the_list_alone_finds_every_end_and_amount() {
    let shop = shop("list", FAST).await;
    fill(&shop, 40, 2).await;
    let daemon = shop.start();
    shop.until_asked(Operation::List, 2).await;
    shop.world.pay("E3", &SimulatedPayment::default()).unwrap();
    shop.world.expire("E5", false).unwrap();
    shop.world.cancel("E7", false).unwrap();
    shop.until("SELECT count(*) FROM outbox", "3").await;
    let paid = "SELECT count(*) FROM invoices WHERE status = 'paid' AND paid_amount IS NOT NULL AND paid_at IS NOT NULL";
    assert_eq!(shop.ask(paid).await, "1");
    shop.execute("UPDATE invoices SET next_poll_at = 0 WHERE external_id = 'E9'")
        .await;
    let nudged = "SELECT next_poll_at > 0 FROM invoices WHERE external_id = 'E9'";
    shop.until(nudged, "1").await;
    daemon.stop().await;
    assert_eq!(shop.asked(Operation::Preview), 0);
    let ends = "SELECT group_concat(status) FROM (SELECT status FROM invoices WHERE status <> 'pending' ORDER BY id)";
    assert_eq!(shop.ask(ends).await, "paid,expired,cancelled");
}

#[tokio::test]
async fn an_invoice_that_a_page_contradicts_goes_to_review() {
    let shop = without_watch("auto", SLOW).await;
    fill(&shop, 60, 1).await;
    let order = |external_id: &str, amount: &str| {
        let order = NewOrder::simple(external_id, amount, "USD");
        shop.world.create(&order).unwrap().order.id
    };
    let (other_id, other_sum) = (order("OTHER", "1.00"), order("SUM", "2.00"));
    shop.execute(&format!(
        "INSERT INTO invoices (external_id, order_id) VALUES ('MINE', '{other_id}');
         INSERT INTO invoices (external_id, order_id, amount, currency)
         VALUES ('SUM', '{other_sum}', '1.00', 'USD');"
    ))
    .await;
    let daemon = shop.start();
    let in_review = "SELECT count(*) FROM invoices WHERE status = 'review'";
    shop.until(in_review, "2").await;
    daemon.stop().await;
    let reasons = "SELECT group_concat(reason) FROM (SELECT reason FROM invoices WHERE status = 'review' ORDER BY id)";
    assert_eq!(
        shop.ask(reasons).await,
        "external_id_mismatch,amount_mismatch"
    );
}

#[tokio::test]
async fn amounts_follow_a_payment_found_by_a_preview() {
    for watches in [true, false] {
        let shop = if watches {
            shop("auto", FAST).await
        } else {
            without_watch("auto", FAST).await
        };
        let id = shop.drop_in("ORD-1").await;
        shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
        let daemon = shop.start();
        shop.until("SELECT count(*) FROM outbox", "2").await;
        daemon.stop().await;
        let types = "SELECT group_concat(type) FROM (SELECT type FROM outbox ORDER BY seq)";
        assert_eq!(shop.ask(types).await, "payment.paid,payment.detailed");
        let told = "SELECT paid_amount IS NOT NULL FROM invoices";
        assert_eq!(shop.ask(told).await, "1");
    }
}

#[tokio::test]
async fn the_watch_finds_payments_between_polls() {
    let settings = "[polling]\nmin_interval = \"100ms\"\nmax_interval = \"1h\"\nage_factor = 10.0\nintake_interval = \"50ms\"\n";
    let shop = shop("auto", settings).await;
    fill(&shop, 20, 1).await;
    let daemon = shop.start();
    shop.until_asked(Operation::List, 5).await;
    let previews = shop.asked(Operation::Preview);
    shop.world.pay("E7", &SimulatedPayment::default()).unwrap();
    let paid = "SELECT count(*) FROM invoices WHERE status = 'paid' AND paid_amount IS NOT NULL";
    shop.until(paid, "1").await;
    daemon.stop().await;
    assert_eq!(shop.asked(Operation::Preview), previews);
    assert_eq!(shop.ask("SELECT count(*) FROM outbox").await, "1");
}

#[tokio::test]
async fn a_nudge_gets_a_poll_that_is_written() {
    let shop = without_watch("auto", SLOW).await;
    fill(&shop, 100, 1).await;
    let daemon = shop.start();
    shop.until("SELECT list_total FROM accounts", "100").await;
    shop.execute("UPDATE invoices SET next_poll_at = 0 WHERE external_id = 'E42'")
        .await;
    let polls = "SELECT polls FROM invoices WHERE external_id = 'E42'";
    shop.until(polls, "1").await;
    daemon.stop().await;
    assert_eq!(shop.asked(Operation::Preview), 1);
}

#[tokio::test]
async fn an_order_missing_from_the_whole_list_is_not_found() {
    let shop = shop("list", FAST).await;
    fill(&shop, 30, 1).await;
    shop.execute("INSERT INTO invoices (external_id, order_id) VALUES ('GONE', '999')")
        .await;
    let daemon = shop.start();
    let reason = "SELECT reason FROM invoices WHERE external_id = 'GONE'";
    shop.until(reason, "order_not_found").await;
    daemon.stop().await;
    let others = "SELECT count(*) FROM invoices WHERE status = 'pending'";
    assert_eq!(shop.ask(others).await, "30");
}

/// Others created more orders than a page holds while no poll was made: the known end is long
/// outdated, and every page up to it is full.
async fn found_far_beyond_the_known_end(faults: Vec<Fault>) {
    let shop = without_watch("list", FAST).await;
    fill(&shop, 10_100, 20_000).await;
    let daemon = shop.start();
    let total = "SELECT list_total FROM accounts";
    shop.until(total, "10100").await;
    daemon.stop().await;
    fill(&shop, 25_000, 50_000).await;
    fill(&shop, 3, 1).await;
    for order in &shop.world.orders()[35_100..] {
        let payment = SimulatedPayment::default();
        shop.world.pay(&order.external_id, &payment).unwrap();
    }
    shop.world.set_faults(faults);
    let daemon = shop.start();
    let paid = "SELECT count(*) FROM invoices WHERE status = 'paid'";
    shop.until(paid, "3").await;
    daemon.stop().await;
    let said = shop.ask("SELECT group_concat(type) FROM outbox").await;
    assert_eq!(said, "payment.paid,payment.paid,payment.paid");
    assert_eq!(shop.asked(Operation::Preview), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_far_beyond_the_known_end_are_found() {
    found_far_beyond_the_known_end(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_far_beyond_the_known_end_are_found_without_a_count() {
    let fault = Fault::new(FaultKind::Status500).on(Operation::Amount);
    found_far_beyond_the_known_end(vec![fault]).await;
}

#[tokio::test]
async fn nothing_is_lost_by_a_restart() {
    let shop = without_watch("auto", FAST).await;
    fill(&shop, 50, 1).await;
    let daemon = shop.start();
    shop.until_asked(Operation::List, 2).await;
    daemon.stop().await;
    shop.world.pay("E11", &SimulatedPayment::default()).unwrap();
    let daemon = shop.start();
    let status = "SELECT status FROM invoices WHERE external_id = 'E11'";
    shop.until(status, "paid").await;
    daemon.stop().await;
    assert_eq!(shop.ask("SELECT count(*) FROM outbox").await, "1");
}

#[tokio::test]
async fn a_wrong_list_never_costs_a_payment() {
    for kind in [
        FaultKind::TruncatedBody,
        FaultKind::FlipBack,
        FaultKind::NullFields,
        FaultKind::NotFound,
        FaultKind::WrongTypeId,
        FaultKind::UnknownStatus,
        FaultKind::Status502Html,
    ] {
        let shop = shop("auto", FAST).await;
        let mut fault = Fault::new(kind);
        fault.on = Some(Operation::List.into());
        shop.world.set_faults(vec![fault]);
        fill(&shop, 20, 1).await;
        let daemon = shop.start();
        shop.until_asked(Operation::List, 2).await;
        for n in 1..=10 {
            let external_id = format!("E{n}");
            shop.world
                .pay(&external_id, &SimulatedPayment::default())
                .unwrap();
        }
        let paid = "SELECT count(*) FROM outbox WHERE type = 'payment.paid'";
        // A wrong list is believed until the order has expired.
        if kind != FaultKind::FlipBack {
            println!("{kind:?}");
            shop.until(paid, "10").await;
        }
        shop.answer_again();
        let detailed = "SELECT count(*) FROM invoices WHERE paid_amount IS NOT NULL";
        shop.until(detailed, "10").await;
        daemon.stop().await;
        assert_eq!(shop.ask(paid).await, "10", "{kind:?}");
    }
}

#[tokio::test]
async fn one_pass_polls_everything_due() {
    let shop = shop("auto", FAST).await;
    fill(&shop, 200, 1).await;
    shop.world.pay("E5", &SimulatedPayment::default()).unwrap();
    let (config, env) = (shop.config(), environment());
    let counts = payrecond::daemon::run_once(config, &env, tokio::io::sink())
        .await
        .unwrap();
    assert_eq!((counts.left, counts.failed_requests), (0, 0));
    let status = "SELECT status FROM invoices WHERE external_id = 'E5'";
    assert_eq!(shop.ask(status).await, "paid");
    assert_eq!(shop.asked(Operation::Preview), 0);
}

#[tokio::test]
async fn a_few_old_invoices_get_turns_although_newer_ones_are_always_due() {
    let shop = without_watch("auto", FAST).await;
    // Too far apart for pages, and three times as many as are polled before the next plan.
    fill(&shop, 3000, 50).await;
    let daemon = start_slowly(&shop, 20);
    let not_polled = "SELECT count(*) FROM invoices WHERE polls = 0";
    shop.until(not_polled, "0").await;
    daemon.stop().await;
    assert_eq!(shop.asked(Operation::List), 0);
    let often = "SELECT count(*) > 0 FROM invoices WHERE polls > 1";
    assert_eq!(shop.ask(often).await, "1", "new ones were polled again");
}

/// Its customer waits for the link.
#[tokio::test]
async fn an_order_to_be_created_goes_before_polls_that_are_due() {
    let shop = without_watch("single", SLOW).await;
    // Inserted first: by its age alone it would come last.
    shop.execute(
        "INSERT INTO invoices (external_id, amount, currency, description, options)
         VALUES ('NEW', '1.00', 'USD', 'Six eggs', '{\"customerTelegramUserId\":7}')",
    )
    .await;
    fill(&shop, 60, 1).await;
    let daemon = start_slowly(&shop, 4);
    let made = "SELECT order_id IS NOT NULL FROM invoices WHERE external_id = 'NEW'";
    shop.until(made, "1").await;
    let polls = shop.asked(Operation::Preview);
    daemon.stop().await;
    assert!(polls <= 8, "{polls} polls before it");
}

#[tokio::test]
async fn pages_for_many_and_single_polls_for_a_few_alternate() {
    let shop = without_watch("auto", FAST).await;
    fill(&shop, 300, 1).await;
    // A page is needed again before the next request is allowed.
    let daemon = start_slowly(&shop, 2);
    shop.until("SELECT list_total FROM accounts", "300").await;
    for name in ["NEW-1", "NEW-2", "NEW-3"] {
        shop.execute(&format!(
            "INSERT INTO invoices (external_id, amount, currency, description, options)
             VALUES ('{name}', '1.00', 'USD', 'Six eggs', '{{\"customerTelegramUserId\":7}}')"
        ))
        .await;
    }
    // No page creates an order.
    let made = "SELECT count(*) FROM invoices WHERE order_id IS NULL";
    shop.until(made, "0").await;
    let pages = shop.asked(Operation::List);
    shop.world.pay("E2", &SimulatedPayment::default()).unwrap();
    shop.world
        .pay("E298", &SimulatedPayment::default())
        .unwrap();
    let paid = "SELECT count(*) FROM invoices WHERE status = 'paid' AND polls = 0";
    shop.until(paid, "2").await;
    daemon.stop().await;
    assert!(shop.asked(Operation::List) > pages);
}

/// A provider that counts how many items of each page are built completely: each of those costs a
/// database query.
struct Watched {
    inner: Arc<dyn Provider>,
    /// For each page: its items, and those selected.
    pages: Pages,
    /// An action after a page was read and before the poller knows it.
    meanwhile: Meanwhile,
}

type Meanwhile = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

type Pages = Arc<Mutex<Vec<(u64, usize)>>>;

struct Counting<'a> {
    inner: &'a mut dyn PageVisitor,
    wanted: usize,
}

impl PageVisitor for Counting<'_> {
    fn wants(&mut self, item: &ListItem<'_>) -> bool {
        let wants = self.inner.wants(item);
        self.wanted += usize::from(wants);
        wants
    }

    fn take(&mut self, item_index: u64, observed: ObservedOrder) {
        self.inner.take(item_index, observed);
    }
}

#[async_trait]
impl Provider for Watched {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn set_key(&self, key: ApiKey) {
        self.inner.set_key(key);
    }

    async fn probe(&self) -> Result<(), ProviderError> {
        self.inner.probe().await
    }

    fn fetches(&self) -> Option<&dyn FetchOrders> {
        self.inner.fetches()
    }

    fn lists(&self) -> Option<&dyn ListOrders> {
        Some(self)
    }

    fn creates(&self) -> Option<&dyn CreateOrders> {
        self.inner.creates()
    }
}

#[async_trait]
impl ListOrders for Watched {
    fn page_limit(&self) -> u32 {
        self.inner.lists().unwrap().page_limit()
    }

    async fn page(
        &self,
        offset: u64,
        count: u32,
        visitor: &mut dyn PageVisitor,
    ) -> Result<PageEnd, ProviderError> {
        let mut counting = Counting {
            inner: visitor,
            wanted: 0,
        };
        let list = self.inner.lists().unwrap();
        let end = list.page(offset, count, &mut counting).await?;
        let page = (end.items, counting.wanted);
        self.pages.lock().unwrap().push(page);
        (self.meanwhile)().await;
        Ok(end)
    }

    async fn count(&self) -> Result<u64, ProviderError> {
        self.inner.lists().unwrap().count().await
    }
}

#[tokio::test]
async fn foreign_orders_cost_nothing_the_second_time() {
    let shop = shop("list", FAST).await;
    fill(&shop, 3000, 5).await;
    let pages = Arc::default();
    let nothing: Meanwhile = Box::new(|| Box::pin(async {}));
    let poller = Poller::new(watched(&shop, Arc::clone(&pages), nothing).await);
    let end = CancellationToken::new();
    let polling = tokio::spawn(poller.run(end.clone(), Arc::default()));
    shop.until_asked(Operation::List, 4).await;
    shop.world.pay("E2", &SimulatedPayment::default()).unwrap();
    let asked = shop.asked(Operation::List);
    shop.until_asked(Operation::List, asked + 4).await;
    end.cancel();
    polling.await.unwrap();
    let pages = pages.lock().unwrap();
    let shown: u64 = pages.iter().map(|(items, _)| items).sum();
    assert!(shown > 4 * 2400, "{pages:?}");
    let wanted: usize = pages.iter().map(|(_, wanted)| wanted).sum();
    assert_eq!(
        wanted,
        2400 + 1,
        "each once, and one that changed: {pages:?}"
    );
}

/// The page has shown the order as it was before: a nudge requires a poll begun after it.
#[tokio::test]
async fn a_nudge_during_a_page_is_not_lost() {
    // One page shows them all, or the next one shows it too, or it has expired.
    for (count, has_expired) in [(20, false), (60, false), (20, true)] {
        let settings = format!("{SLOW}checks_after_expiry = []\n");
        let shop = without_watch("auto", &settings).await;
        fill(&shop, count, 1).await;
        if has_expired {
            shop.world.expire("E7", false).unwrap();
        }
        let (somebody_wrote, changed) = tokio::sync::watch::channel(());
        let pages = Pages::default();
        let mut setup = watched(&shop, Arc::clone(&pages), nudge(&shop, somebody_wrote)).await;
        setup.settings.strategy = Strategy::Auto;
        setup.signals.changed = changed;
        let poller = Poller::new(setup);
        let end = CancellationToken::new();
        let polling = tokio::spawn(poller.run(end.clone(), Arc::default()));
        let was_reached = "SELECT polls > 0 FROM invoices WHERE external_id = 'E7'";
        shop.until(was_reached, "1").await;
        end.cancel();
        polling.await.unwrap();
        let polls = "SELECT polls FROM invoices WHERE external_id = 'E7'";
        assert_eq!(shop.ask(polls).await, "1", "{count} {has_expired}");
        let is_polled_alone = shop.asked(Operation::Preview) == 1;
        let is_on_a_later_page = pages.lock().unwrap().len() > 1;
        assert!(
            is_polled_alone || is_on_a_later_page,
            "{count} {has_expired}"
        );
    }
}

/// Nudges one invoice with each page until it has been polled.
fn nudge(shop: &Shop, somebody_wrote: Sender<()>) -> Meanwhile {
    let path = shop.database();
    Box::new(move || {
        let (path, somebody_wrote) = (path.clone(), somebody_wrote.clone());
        Box::pin(async move {
            let sql = "UPDATE invoices SET next_poll_at = 0 WHERE external_id = 'E7' AND polls = 0";
            execute(&path, sql).await;
            somebody_wrote.send(()).unwrap();
            // The poller has read that row again by then.
            tokio::time::sleep(Duration::from_millis(500)).await;
        })
    })
}

/// The daemon's setup of a poller, except for its provider.
async fn watched(shop: &Shop, pages: Pages, meanwhile: Meanwhile) -> PollSetup {
    let config = shop.config();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let inner = daemon::provider(&config.accounts[0], &config, &clock).unwrap();
    inner.set_key(ApiKey::from_bytes(b"canary-key-0123456789").unwrap());
    let provider = Arc::new(Watched {
        inner,
        pages,
        meanwhile,
    });
    let limits = Limits {
        max_in_flight: 1,
        ..UNLIMITED
    };
    let (mut setup, _) = poll_setup(shop, provider, limits).await;
    setup.settings.strategy = Strategy::List;
    setup
}

/// The provider returns pages of 100 orders although 10,000 were requested.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_shorter_than_requested_hide_no_order() {
    for count_works in [true, false] {
        let shop = shop("list", FAST).await;
        fill(&shop, 250, 1).await;
        shop.execute("INSERT INTO invoices (external_id, order_id) VALUES ('GONE', '999')")
            .await;
        let mut faults = vec![Fault::new(FaultKind::ShortPage)];
        if !count_works {
            faults.push(Fault::new(FaultKind::Status500).on(Operation::Amount));
        }
        shop.world.set_faults(faults);
        let daemon = shop.start();
        let reason = "SELECT reason FROM invoices WHERE external_id = 'GONE'";
        shop.until(reason, "order_not_found").await;
        for name in ["E1", "E100", "E101", "E177", "E250"] {
            shop.world.pay(name, &SimulatedPayment::default()).unwrap();
        }
        shop.until("SELECT count(*) FROM invoices WHERE status = 'paid'", "5")
            .await;
        daemon.stop().await;
        let others = "SELECT count(*) FROM invoices WHERE status = 'pending'";
        assert_eq!(shop.ask(others).await, "245");
    }
}
