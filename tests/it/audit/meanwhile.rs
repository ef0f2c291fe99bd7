//! Writes by the daemon and the shop's programs while an audit reads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use payrecond::clock::{Clock as _, ManualClock};
use payrecond::domain::decide::{Decision, Rules, decide};
use payrecond::domain::invoice::Invoice;
use payrecond::domain::observation::{Observation, ObservedOrder, OrderState};
use payrecond::domain::state::Status;
use payrecond::domain::time::UnixMillis;
use payrecond::jobs::audit::{Audit, AuditReport};
use payrecond::limit::{Limits, SharedLimiter};
use payrecond::provider::{ApiKey, ListOrders, PageEnd, PageVisitor, Provider, ProviderError};
use payrecond::store::sqlite::{SqliteStore, migrate};
use payrecond::store::{Reference, Reports as _, Store, Written};
use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::rows;
use crate::store::{connect, insert, open};

/// Long after the rows here are inserted.
const NOW: UnixMillis = UnixMillis(4_000_000_000_000);

/// A provider with a given list, and a daemon that writes while the list is read.
pub struct List {
    store: Arc<SqliteStore>,
    clock: Arc<ManualClock>,
    orders: Vec<ObservedOrder>,
    /// Committed after the list was built and before it arrives.
    during_the_page: Mutex<Option<Decision>>,
    /// Committed when the provider's name is requested, that is between reading and writing a row.
    during_a_judgement: Mutex<Option<Decision>>,
}

#[async_trait]
impl ListOrders for List {
    fn page_limit(&self) -> u32 {
        10_000
    }

    async fn page(
        &self,
        offset: u64,
        _: u32,
        visitor: &mut dyn PageVisitor,
    ) -> Result<PageEnd, ProviderError> {
        let decided = self.during_the_page.lock().unwrap().take();
        if let Some(decision) = decided {
            commit(&self.store, decision, self.clock.now()).await;
        }
        let rest = self.orders.iter().skip(usize::try_from(offset).unwrap());
        let items = rest.len() as u64;
        for (index, order) in (0..).zip(rest) {
            visitor.take(index, order.clone());
        }
        Ok(PageEnd { items, bytes: 0 })
    }

    async fn count(&self) -> Result<u64, ProviderError> {
        Err(not_asked())
    }
}

#[async_trait]
impl Provider for List {
    fn name(&self) -> &'static str {
        let decided = self.during_a_judgement.lock().unwrap().take();
        if let Some(decision) = decided {
            let write = commit(&self.store, decision, self.clock.now());
            tokio::task::block_in_place(|| Handle::current().block_on(write));
        }
        "walletpay"
    }

    fn set_key(&self, _: ApiKey) {}

    async fn probe(&self) -> Result<(), ProviderError> {
        Err(not_asked())
    }

    fn lists(&self) -> Option<&dyn ListOrders> {
        Some(self)
    }
}

fn not_asked() -> ProviderError {
    ProviderError::Refused("an audit reads the list alone".into())
}

pub async fn commit(store: &SqliteStore, decision: Decision, now: UnixMillis) {
    let written = store.commit(&[decision], now).await.unwrap();
    assert!(matches!(written[0], Written::Yes { .. }), "{written:?}");
}

/// A database and the provider's list.
pub struct Scene {
    _folder: TempDir,
    pub path: PathBuf,
    pub store: Arc<SqliteStore>,
    pub clock: Arc<ManualClock>,
}

impl Scene {
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        migrate(&path, NOW).await.unwrap();
        Self {
            store: Arc::new(open(&path).await.unwrap()),
            clock: Arc::new(ManualClock::at(NOW)),
            path,
            _folder: folder,
        }
    }

    pub fn list(&self, orders: Vec<ObservedOrder>) -> List {
        List {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            orders,
            during_the_page: Mutex::default(),
            during_a_judgement: Mutex::default(),
        }
    }

    async fn audit(&self, list: List) -> AuditReport {
        self.audit_and(false, list).await
    }

    async fn audit_and(&self, adopt: bool, list: List) -> AuditReport {
        let audit = Audit {
            adopt,
            ..self.duty(list)
        };
        audit.run_once().await.unwrap()
    }

    /// An audit without a polling daemon.
    pub fn duty(&self, provider: impl Provider) -> Audit {
        let limits = Limits {
            requests_per_second: 0.0,
            burst: 1,
            max_in_flight: 1,
        };
        Audit {
            account: "default".into(),
            provider: Arc::new(provider),
            store: Arc::clone(&self.store) as Arc<dyn Store>,
            clock: Arc::clone(&self.clock) as Arc<_>,
            limiter: SharedLimiter::new(limits, self.clock.monotonic()),
            rules: Rules::default(),
            adopt: false,
            borrowed: None,
            polled_until: None,
        }
    }

    pub async fn row(&self, external_id: &str) -> Invoice {
        let reference = Reference::Text(external_id.into());
        let mut found = self.store.find(&reference, None).await.unwrap();
        found.pop().unwrap()
    }
}

/// The order of an invoice, under the provider's id.
pub fn order(order_id: &str, external_id: &str, state: OrderState) -> ObservedOrder {
    ObservedOrder {
        order_id: order_id.into(),
        external_id: Some(external_id.into()),
        ..rows::observed(state)
    }
}

pub fn kinds(report: &AuditReport) -> Vec<&str> {
    let each = report.discrepancies.iter();
    each.map(|finding| finding.kind.as_str()).collect()
}

#[tokio::test]
async fn an_order_made_while_the_list_is_read_is_missed_by_the_next_audit_only() {
    let scene = Scene::open().await;
    let mut program = connect(&scene.path).await;
    sqlx::query(
        "INSERT INTO invoices (external_id, amount, currency, description)
         VALUES ('ORD-1', '1.00', 'USD', 'Six eggs')",
    )
    .execute(&mut program)
    .await
    .unwrap();
    let made = Observation::Created(order("1", "ORD-1", OrderState::Open));
    let list = scene.list(Vec::new());
    *list.during_the_page.lock().unwrap() =
        Some(decide(&scene.row("ORD-1").await, "walletpay", made));
    let report = scene.audit(list).await;
    assert!(scene.row("ORD-1").await.facts.order_id.is_some());
    assert_eq!(report.discrepancies, []);
    scene.clock.advance(Duration::from_hours(24));
    let next = scene.audit(scene.list(Vec::new())).await;
    assert_eq!(kinds(&next), ["missing_order"]);
}

#[tokio::test]
async fn orders_that_cannot_be_adopted_are_reported_and_block_no_other() {
    let scene = Scene::open().await;
    insert(&scene.path, "MISSING").await;
    let orders = vec![
        order("1", "fine", OrderState::Open),
        order("2", "two\nlines", OrderState::Paid),
        order("3", "fine too", OrderState::Open),
    ];
    let report = scene.audit_and(true, scene.list(orders.clone())).await;
    assert_eq!((report.adopted, report.said), (2, 2));
    let all = [
        "unknown_order",
        "missing_order",
        "unknown_order",
        "unknown_order",
    ];
    assert_eq!(kinds(&report), all, "the report lists them all");
    let events = scene.store.events_after(0, 9).await.unwrap();
    let shown: Vec<bool> = ["MISSING", "two\\nlines"]
        .iter()
        .zip(&events)
        .map(|(name, event)| event.payload.contains(name))
        .collect();
    assert_eq!((shown, events.len()), (vec![true, true], 2));
    let again = scene.audit_and(true, scene.list(orders)).await;
    assert_eq!((again.adopted, again.said), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_written_during_the_audit_is_kept() {
    let scene = Scene::open().await;
    let row = insert(&scene.path, "OURS").await;
    let order_id = row.facts.order_id.clone().unwrap().0;
    let list = scene.list(vec![order(&order_id, "THEIRS", OrderState::Open)]);
    let mut polled = row.clone();
    polled.schedule.next_poll_at = Some(NOW.plus(Duration::from_secs(7)));
    polled.schedule.last_polled_at = Some(NOW);
    polled.schedule.polls = 1;
    *list.during_a_judgement.lock().unwrap() = Some(Decision {
        based_on_version: 0,
        based_on_next_poll_at: row.schedule.next_poll_at,
        row: Box::new(polled.clone()),
        facts_changed: false,
        order_learned: false,
        event: None,
        earlier: Vec::new(),
        transactions: Vec::new(),
    });
    scene.audit(list).await;
    let after = scene.row("OURS").await;
    assert_eq!(after.facts.status, Status::Review);
    assert_eq!(after.schedule, polled.schedule);
}

#[tokio::test]
async fn an_ended_invoice_with_anothers_order_goes_to_review_and_is_polled() {
    let scene = Scene::open().await;
    let row = insert(&scene.path, "OURS").await;
    let order_id = row.facts.order_id.clone().unwrap().0;
    let seen = order(&order_id, "OURS", OrderState::Expired);
    let mut expired = decide(&row, "walletpay", Observation::Seen(seen));
    expired.row.schedule.next_poll_at = None;
    commit(&scene.store, expired, NOW).await;
    let theirs = order(&order_id, "THEIRS", OrderState::Expired);
    scene.audit(scene.list(vec![theirs])).await;
    let after = scene.row("OURS").await;
    assert_eq!(after.facts.status, Status::Review);
    assert_eq!(after.schedule.next_poll_at, Some(NOW));
}
