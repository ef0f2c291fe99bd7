//! An account whose provider has a ledger and no orders: one reading for all invoices, deadlines
//! that only the ledger ends, money that arrives before its invoice.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use payrecond::clock::{Clock as _, SystemClock};
use payrecond::domain::invoice::{ExternalId, Invoice};
use payrecond::domain::ledger::{LedgerCursor, LedgerStep};
use payrecond::domain::money::Money;
use payrecond::domain::observation::{OrderState, Payment};
use payrecond::domain::time::UnixMillis;
use payrecond::domain::transaction::{Direction, Transaction, TransactionStatus, moved_sum};
use payrecond::jobs::poll::Poller;
use payrecond::provider::{
    ApiKey, CreateOrders, Creation, CreationAnswer, LedgerJudgement, LedgerPage, Provider,
    ProviderError, ReadLedger, UnreadableEntry,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::shop::{Shop, UNLIMITED, poll_setup};

/// Entries on one page.
const PAGE: usize = 3;
const DAY: Duration = Duration::from_hours(24);
const STATES: &str = "SELECT group_concat(external_id || ' ' || status, ', ') FROM (SELECT * FROM invoices ORDER BY id)";
const EVENTS: &str = "SELECT group_concat(external_id || ' ' || type, ', ') FROM (SELECT * FROM outbox ORDER BY seq)";

/// A ledger, oldest entry first, paged by count.
#[derive(Default)]
struct Book {
    entries: Mutex<Vec<Transaction>>,
    /// How far the provider's clock is ahead of ours.
    ahead: Mutex<Duration>,
    /// Requests from this one on fail, counted within a reading.
    fails_from: Mutex<Option<usize>>,
    /// Requests from this one on are never answered.
    hangs_from: Mutex<Option<usize>>,
    requests: Mutex<usize>,
    /// Entries behind the others that cannot be read.
    unreadable: Mutex<Vec<UnreadableEntry>>,
}

impl Book {
    fn pay(&self, id: &str, label: Option<&str>, value: &str, direction: Direction) {
        self.entries.lock().unwrap().push(Transaction {
            id: id.into(),
            direction,
            external_id: label.map(ExternalId::from),
            amount: Money {
                value: value.into(),
                currency: "XTR".into(),
            },
            is_net: false,
            status: TransactionStatus::Succeeded,
            happened_at: self.now(),
        });
    }

    fn now(&self) -> UnixMillis {
        SystemClock::new().now().plus(*self.ahead.lock().unwrap())
    }

    fn requests(&self) -> usize {
        *self.requests.lock().unwrap()
    }
}

struct Scripted(Arc<Book>);

#[async_trait]
impl Provider for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn set_key(&self, _: ApiKey) {}

    async fn probe(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    fn ledger(&self) -> Option<&dyn ReadLedger> {
        Some(self)
    }

    fn creates(&self) -> Option<&dyn CreateOrders> {
        Some(self)
    }
}

/// Requested invoices wait.
#[async_trait]
impl CreateOrders for Scripted {
    fn idempotent_for(&self) -> Duration {
        Duration::MAX
    }

    fn missing_setting(&self) -> Option<String> {
        Some("nothing makes links here".into())
    }

    fn creation(&self, _: &Invoice) -> Result<Creation, String> {
        Err("nothing makes links here".into())
    }

    async fn create(&self, _: &Creation) -> Result<CreationAnswer, ProviderError> {
        Err(ProviderError::Refused("nothing makes links here".into()))
    }
}

#[async_trait]
impl ReadLedger for Scripted {
    async fn ledger_page(
        &self,
        cursor: Option<&LedgerCursor>,
        _: Option<UnixMillis>,
    ) -> Result<LedgerPage, ProviderError> {
        *self.0.requests.lock().unwrap() += 1;
        let read: usize = cursor.map_or(0, |cursor| cursor.0.parse().unwrap());
        let fails_from = *self.0.fails_from.lock().unwrap();
        if fails_from.is_some_and(|from| read >= from) {
            return Err(ProviderError::Unreachable("connection reset".into()));
        }
        let hangs_from = *self.0.hangs_from.lock().unwrap();
        if hangs_from.is_some_and(|from| read >= from) {
            std::future::pending::<()>().await;
        }
        let entries = self.0.entries.lock().unwrap();
        let page: Vec<Transaction> = entries.iter().skip(read).take(PAGE).cloned().collect();
        let now = self.0.now();
        let cursor = LedgerCursor((read + page.len()).to_string());
        let step = if page.is_empty() {
            LedgerStep::End {
                cursor,
                through: Some(now),
            }
        } else {
            LedgerStep::More(cursor)
        };
        Ok(LedgerPage {
            transactions: page,
            step,
            unreadable: self.0.unreadable.lock().unwrap().clone(),
            answered_at: Some(now),
        })
    }

    fn check_label(&self, external_id: &ExternalId) -> Result<(), String> {
        match external_id.0.len() {
            0..=20 => Ok(()),
            _ => Err("at most 20 characters".into()),
        }
    }

    fn judge(&self, invoice: &Invoice, transactions: &[Transaction]) -> LedgerJudgement {
        let came = moved_sum(transactions, Direction::In, invoice.facts.amount.as_ref());
        let asked = invoice.facts.amount.as_ref();
        let state = match (&came, asked) {
            (Some(came), Some(asked)) if asked.exceeds(came) => OrderState::Partial,
            (Some(_), _) => OrderState::Paid,
            (None, _) => OrderState::Open,
        };
        let is_paid = state == OrderState::Paid;
        LedgerJudgement {
            state,
            provider_status: "succeeded".into(),
            paid_at: transactions
                .last()
                .map(|one| one.happened_at)
                .filter(|_| is_paid),
            payment: came.filter(|_| is_paid).map(|came| Payment {
                value: Some(came.value),
                currency: Some(came.currency),
                ..Payment::default()
            }),
        }
    }
}

/// A running poller on the shop's database.
struct Polling {
    end: CancellationToken,
    task: JoinHandle<()>,
    somebody_wrote: watch::Sender<()>,
}

impl Polling {
    async fn begin(shop: &Shop, book: &Arc<Book>) -> Self {
        let provider = Arc::new(Scripted(Arc::clone(book)));
        let (mut setup, somebody_wrote) = poll_setup(shop, provider, UNLIMITED).await;
        setup.settings.rules.deadline_grace = Duration::from_secs(1);
        let end = CancellationToken::new();
        let polling = Poller::new(setup).run(end.clone(), Arc::default());
        Self {
            end,
            task: tokio::spawn(polling),
            somebody_wrote,
        }
    }

    async fn end(self) {
        self.end.cancel();
        self.task.await.unwrap();
    }
}

async fn quick_shop() -> Shop {
    let mut shop = Shop::open().await;
    shop.settings =
        "[polling]\nmin_interval = \"100ms\"\nage_factor = 0.0\nintake_interval = \"50ms\"\nchecks_after_expiry = [\"100ms\", \"1h\"]\n".into();
    shop
}

async fn expect(shop: &Shop, external_id: &str, amount: &str) {
    shop.execute(&format!(
        "INSERT INTO invoices (external_id, amount, currency, status, timeout_seconds)
         VALUES ('{external_id}', '{amount}', 'XTR', 'pending', 3600)"
    ))
    .await;
}

async fn until_requests(book: &Book, more: usize) {
    let before = book.requests();
    while book.requests() < before + more {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn one_reading_polls_every_open_invoice_and_writes_no_unpaid_row() {
    let shop = quick_shop().await;
    for number in 0..500 {
        expect(&shop, &format!("E-{number}"), "5").await;
    }
    let book = Arc::<Book>::default();
    let polling = Polling::begin(&shop, &book).await;
    until_requests(&book, 2).await;
    book.pay("t1", Some("E-7"), "5", Direction::In);
    book.pay("t2", Some("E-8"), "4", Direction::In);
    shop.until("SELECT count(*) FROM outbox", "2").await;
    polling.end().await;
    // What pays waits for the end of the reading.
    assert_eq!(
        shop.ask(EVENTS).await,
        "E-8 payment.partial, E-7 payment.paid"
    );
    let paid = "SELECT json_extract(payload, '$.data.transaction_id', '$.data.payment.value', '$.data.order_id') FROM outbox WHERE type = 'payment.paid'";
    assert_eq!(shop.ask(paid).await, r#"["t1","5",null]"#);
    let others =
        "SELECT count(*) FROM invoices WHERE polls > 0 AND external_id NOT IN ('E-7', 'E-8')";
    assert_eq!(shop.ask(others).await, "0");
}

#[tokio::test]
async fn money_seen_before_its_invoice_settles_it_at_once() {
    let shop = quick_shop().await;
    expect(&shop, "E-1", "5").await;
    let book = Arc::<Book>::default();
    book.pay("t1", Some("E-2"), "5", Direction::In);
    let polling = Polling::begin(&shop, &book).await;
    shop.until(
        "SELECT count(*) FROM transactions WHERE invoice_id IS NULL",
        "1",
    )
    .await;
    *book.fails_from.lock().unwrap() = Some(0);
    expect(&shop, "E-2", "5").await;
    polling.somebody_wrote.send(()).unwrap();
    shop.until(
        "SELECT status FROM invoices WHERE external_id = 'E-2'",
        "paid",
    )
    .await;
    polling.end().await;
    let owner = "SELECT external_id FROM invoices WHERE id = (SELECT invoice_id FROM transactions)";
    assert_eq!(shop.ask(owner).await, "E-2");
}

/// As after a restart of a sandbox, or with another wallet's token.
#[tokio::test]
async fn a_transaction_of_another_invoice_is_not_credited_again() {
    let shop = quick_shop().await;
    expect(&shop, "E-1", "5").await;
    let book = Arc::<Book>::default();
    book.pay("t1", Some("E-1"), "5", Direction::In);
    let polling = Polling::begin(&shop, &book).await;
    shop.until("SELECT status FROM invoices", "paid").await;
    expect(&shop, "E-2", "5").await;
    polling.somebody_wrote.send(()).unwrap();
    book.pay("t1", Some("E-2"), "7", Direction::In);
    // No invoice has this label.
    book.pay("t1", Some("E-3"), "8", Direction::In);
    let reason = "SELECT status || ' ' || reason FROM invoices WHERE external_id = 'E-2'";
    shop.until(reason, "review external_id_mismatch").await;
    book.pay("t1", Some("E-2"), "9", Direction::In);
    until_requests(&book, 4).await;
    polling.end().await;
    assert_eq!(
        shop.ask(EVENTS).await,
        "E-1 payment.paid, E-2 payment.review"
    );
    let kept = "SELECT group_concat(external_id || ' ' || amount) FROM transactions";
    assert_eq!(shop.ask(kept).await, "E-1 5");
}

#[tokio::test]
async fn a_transaction_of_another_invoice_is_not_changed_for_one_that_has_no_link_yet() {
    let shop = quick_shop().await;
    expect(&shop, "E-1", "5").await;
    let book = Arc::<Book>::default();
    book.pay("t1", Some("E-1"), "5", Direction::In);
    let polling = Polling::begin(&shop, &book).await;
    shop.until("SELECT status FROM invoices", "paid").await;
    // It never gets a link here.
    shop.execute(
        "INSERT INTO invoices (external_id, amount, currency, description)
         VALUES ('E-2', '5', 'XTR', 'eggs')",
    )
    .await;
    book.pay("t1", Some("E-2"), "7", Direction::In);
    let reason = "SELECT status || ' ' || reason FROM invoices WHERE external_id = 'E-2'";
    shop.until(reason, "review external_id_mismatch").await;
    polling.end().await;
    let kept = "SELECT group_concat(external_id || ' ' || amount) FROM transactions";
    assert_eq!(shop.ask(kept).await, "E-1 5");
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_holds_up_the_others_for_three_requests() {
    let shop = quick_shop().await;
    expect(&shop, "E-1", "5").await;
    let book = Arc::<Book>::default();
    book.pay("t1", Some("E-1"), "5", Direction::In);
    let entry = UnreadableEntry::new("offset 1".into(), "no id".into(), "{}");
    book.unreadable.lock().unwrap().push(entry);
    let polling = Polling::begin(&shop, &book).await;
    until_requests(&book, 2).await;
    assert_eq!(shop.ask(STATES).await, "E-1 pending");
    shop.until(STATES, "E-1 paid").await;
    assert!(book.requests() >= 3, "{}", book.requests());
    polling.end().await;
}

#[tokio::test]
async fn payments_on_different_pages_of_one_reading_are_one_sum() {
    let shop = quick_shop().await;
    let book = Arc::<Book>::default();
    for (name, amount) in [("E-1", "5"), ("E-2", "9"), ("E-3", "5"), ("OPEN", "5")] {
        expect(&shop, name, amount).await;
    }
    // Pages of three: paid twice, in two parts, paid and returned.
    for (id, label) in [
        ("t1", "E-1"),
        ("t2", "E-2"),
        ("t3", "E-3"),
        ("t4", "E-0"),
        ("t5", "E-1"),
        ("t6", "E-2"),
    ] {
        book.pay(id, Some(label), "5", Direction::In);
    }
    book.pay("t3", None, "5", Direction::Out);
    let polling = Polling::begin(&shop, &book).await;
    shop.until("SELECT count(*) FROM outbox", "5").await;
    until_requests(&book, 3).await;
    polling.end().await;
    let events = "SELECT group_concat(name, ', ') FROM (SELECT external_id || ' ' || type AS name FROM outbox ORDER BY external_id, seq)";
    let expected = "E-1 payment.paid, E-2 payment.partial, E-2 payment.paid, E-3 payment.paid, E-3 payment.refunded";
    assert_eq!(shop.ask(events).await, expected);
    let sums = "SELECT group_concat(received_amount) FROM (SELECT * FROM invoices WHERE external_id <> 'OPEN' ORDER BY id)";
    assert_eq!(shop.ask(sums).await, "10,10,5");
    let unmatched =
        "SELECT group_concat(transaction_id) FROM transactions WHERE invoice_id IS NULL";
    assert_eq!(shop.ask(unmatched).await, "t4");
}

#[tokio::test]
async fn a_payment_that_was_seen_does_not_wait_for_a_reading_that_fails() {
    let shop = quick_shop().await;
    expect(&shop, "E-1", "5").await;
    let book = Arc::<Book>::default();
    book.pay("t1", Some("E-1"), "5", Direction::In);
    *book.fails_from.lock().unwrap() = Some(1);
    let polling = Polling::begin(&shop, &book).await;
    shop.until("SELECT status FROM invoices", "paid").await;
    polling.end().await;
}

#[tokio::test]
async fn a_payment_that_waits_for_the_end_of_a_reading_is_found_after_a_restart() {
    let shop = quick_shop().await;
    expect(&shop, "E-1", "5").await;
    let book = Arc::<Book>::default();
    book.pay("t1", Some("E-1"), "5", Direction::In);
    *book.hangs_from.lock().unwrap() = Some(1);
    let polling = Polling::begin(&shop, &book).await;
    let kept = "SELECT count(*) FROM transactions WHERE invoice_id IS NULL";
    shop.until(kept, "1").await;
    assert_eq!(shop.ask(STATES).await, "E-1 pending");
    polling.end().await;
    *book.hangs_from.lock().unwrap() = None;
    let polling = Polling::begin(&shop, &book).await;
    shop.until(STATES, "E-1 paid").await;
    polling.end().await;
}

#[tokio::test]
async fn payments_and_refunds_are_recorded_once_across_restarts() {
    let shop = quick_shop().await;
    expect(&shop, "E-1", "5").await;
    let book = Arc::<Book>::default();
    book.pay("t1", Some("E-1"), "5", Direction::In);
    let polling = Polling::begin(&shop, &book).await;
    shop.until("SELECT status FROM invoices", "paid").await;
    polling.end().await;
    // Another start from the beginning of the ledger, because the position was lost.
    shop.execute("UPDATE accounts SET list_positions = NULL")
        .await;
    expect(&shop, "E-2", "1").await;
    book.pay("t2", Some("E-1"), "5", Direction::In);
    // A refund has the id of its payment, and no label.
    book.pay("t1", None, "5", Direction::Out);
    let polling = Polling::begin(&shop, &book).await;
    shop.until("SELECT count(*) FROM outbox", "3").await;
    until_requests(&book, 3).await;
    polling.end().await;
    let events = "E-1 payment.paid, E-1 payment.further, E-1 payment.refunded";
    assert_eq!(shop.ask(EVENTS).await, events);
}

#[tokio::test]
async fn only_a_complete_reading_begun_after_the_deadline_expires_an_invoice() {
    let shop = quick_shop().await;
    let book = Arc::<Book>::default();
    // Begun in time: the ledger is read from a day before.
    expect(&shop, "E-1", "5").await;
    let polling = Polling::begin(&shop, &book).await;
    until_requests(&book, 3).await;
    for number in 0..PAGE {
        book.pay(&format!("t{number}"), Some("E-0"), "1", Direction::In);
    }
    // The second page of each reading fails.
    *book.fails_from.lock().unwrap() = Some(PAGE);
    *book.ahead.lock().unwrap() = DAY;
    until_requests(&book, 2).await;
    assert_eq!(shop.ask(STATES).await, "E-1 pending");
    *book.fails_from.lock().unwrap() = None;
    // By our clock the time to pay is not over, so a program nudges it.
    shop.execute("UPDATE invoices SET next_poll_at = 0").await;
    polling.somebody_wrote.send(()).unwrap();
    shop.until(STATES, "E-1 expired").await;
    let reason = shop.ask("SELECT reason FROM invoices").await;
    book.pay("late", Some("E-1"), "5", Direction::In);
    shop.execute("UPDATE invoices SET next_poll_at = 0").await;
    polling.somebody_wrote.send(()).unwrap();
    shop.until(STATES, "E-1 paid").await;
    polling.end().await;
    assert_eq!(reason, "deadline");
    let late =
        "SELECT json_extract(payload, '$.data.late') FROM outbox WHERE type = 'payment.paid'";
    assert_eq!(shop.ask(late).await, "1");
}

#[tokio::test]
async fn a_label_that_no_payment_can_have_goes_to_review() {
    let shop = quick_shop().await;
    expect(&shop, "E-123456789-123456789-123456789", "5").await;
    let book = Arc::<Book>::default();
    let polling = Polling::begin(&shop, &book).await;
    shop.until(
        "SELECT status || ' ' || reason FROM invoices",
        "review external_id_invalid",
    )
    .await;
    polling.end().await;
}
