//! Changes at the provider just before an audit, which a polling daemon is about to record.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use payrecond::clock::{Clock, ManualClock};
use payrecond::domain::decide::decide;
use payrecond::domain::observation::{Observation, ObservedOrder, OrderState};
use payrecond::domain::time::UnixMillis;
use payrecond::jobs::audit::{Audit, AuditError, AuditReport};
use payrecond::store::Store as _;
use tokio_util::sync::CancellationToken;

use super::meanwhile::{Scene, commit, kinds, order};
use crate::store::insert;

/// How long the audit waits for the daemon.
const MOMENT: Duration = Duration::from_secs(5);

type Deed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A clock that jumps ahead at every wait, and an action during the first wait.
struct Waiting {
    hands: Arc<ManualClock>,
    deed: Mutex<Option<Deed>>,
}

#[async_trait]
impl Clock for Waiting {
    fn now(&self) -> UnixMillis {
        self.hands.now()
    }

    fn monotonic(&self) -> Duration {
        self.hands.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.hands.sleep(duration).await;
        let deed = self.deed.lock().unwrap().take();
        if let Some(deed) = deed {
            deed.await;
        }
    }
}

/// The audit of a polling daemon, which does `deed` while the audit waits.
fn beside_a_daemon(
    scene: &Scene,
    orders: Vec<ObservedOrder>,
    deed: impl Future<Output = ()> + Send + 'static,
) -> Audit {
    let clock = Waiting {
        hands: Arc::clone(&scene.clock),
        deed: Mutex::new(Some(Box::pin(deed))),
    };
    Audit {
        clock: Arc::new(clock),
        polled_until: Some(CancellationToken::new()),
        ..scene.duty(scene.list(orders))
    }
}

/// The findings, and how long the audit waited.
fn outcome<'a>(scene: &Scene, report: &'a AuditReport) -> (Vec<&'a str>, Duration) {
    (kinds(report), scene.clock.monotonic())
}

/// Paid two seconds before it is observed.
async fn just_paid(scene: &Scene) -> ObservedOrder {
    let row = insert(&scene.path, "ORD-1").await;
    let order_id = row.facts.order_id.unwrap();
    order(&order_id.0, "ORD-1", OrderState::Paid)
}

/// The same order, observed long after.
fn seen_later(order: ObservedOrder) -> ObservedOrder {
    ObservedOrder {
        observed_at: order.observed_at.plus(Duration::from_hours(1)),
        ..order
    }
}

/// Created a second before it is observed.
fn just_made() -> ObservedOrder {
    let order = order("order-NEW", "NEW", OrderState::Open);
    ObservedOrder {
        created_at: Some(UnixMillis(order.observed_at.0 - 1000)),
        ..order
    }
}

#[tokio::test]
async fn a_payment_about_to_be_recorded_is_no_finding() {
    let scene = Scene::open().await;
    let order = just_paid(&scene).await;
    let decision = decide(
        &scene.row("ORD-1").await,
        "walletpay",
        Observation::Seen(order.clone()),
    );
    let (store, now) = (Arc::clone(&scene.store), scene.clock.now());
    let saying = async move { commit(&store, decision, now.plus(MOMENT)).await };
    let report = beside_a_daemon(&scene, vec![order], saying)
        .run_once()
        .await
        .unwrap();
    assert_eq!(outcome(&scene, &report), (vec![], MOMENT));
}

#[tokio::test]
async fn an_order_about_to_get_its_invoice_is_neither_found_nor_adopted() {
    let scene = Scene::open().await;
    let path = scene.path.clone();
    let dropping_in = async move {
        insert(&path, "NEW").await;
    };
    let audit = Audit {
        adopt: true,
        ..beside_a_daemon(&scene, vec![just_made()], dropping_in)
    };
    let report = audit.run_once().await.unwrap();
    assert_eq!(outcome(&scene, &report), (vec![], MOMENT));
    assert_eq!(report.adopted, 0);
}

#[tokio::test]
async fn an_order_that_just_expired_is_left_to_the_daemon() {
    let scene = Scene::open().await;
    insert(&scene.path, "ORD-1").await;
    let over = order("order-ORD-1", "ORD-1", OrderState::Expired);
    let over = ObservedOrder {
        observed_at: over.expires_at.unwrap().plus(Duration::from_secs(1)),
        ..over
    };
    beside_a_daemon(&scene, vec![over], async {})
        .run_once()
        .await
        .unwrap();
    assert_eq!(scene.clock.monotonic(), MOMENT);
}

#[tokio::test]
async fn an_unrecorded_difference_is_found_after_one_wait() {
    let scene = Scene::open().await;
    let orders = vec![just_paid(&scene).await, just_made()];
    let report = beside_a_daemon(&scene, orders, async {})
        .run_once()
        .await
        .unwrap();
    let both = vec!["status", "unknown_order"];
    assert_eq!(outcome(&scene, &report), (both, MOMENT));
    assert_eq!(report.said, 2);
}

#[tokio::test]
async fn only_fresh_differences_are_waited_for() {
    let scene = Scene::open().await;
    let orders = vec![
        seen_later(just_paid(&scene).await),
        seen_later(just_made()),
        order("order-FINE", "FINE", OrderState::Open),
    ];
    insert(&scene.path, "FINE").await;
    let report = beside_a_daemon(&scene, orders, async {})
        .run_once()
        .await
        .unwrap();
    let both = vec!["status", "unknown_order"];
    assert_eq!(outcome(&scene, &report), (both, Duration::ZERO));
}

#[tokio::test]
async fn without_a_daemon_the_audit_does_not_wait() {
    let scene = Scene::open().await;
    let orders = vec![just_paid(&scene).await, just_made()];
    let report = scene.duty(scene.list(orders)).run_once().await.unwrap();
    let both = vec!["status", "unknown_order"];
    assert_eq!(outcome(&scene, &report), (both, Duration::ZERO));
}

#[tokio::test]
async fn a_stopping_daemon_is_not_delayed_and_nothing_is_recorded() {
    let scene = Scene::open().await;
    let orders = vec![just_paid(&scene).await];
    let audit = beside_a_daemon(&scene, orders, std::future::pending());
    let stops = audit.polled_until.clone().unwrap();
    let stopping = async { stops.cancel() };
    let (ended, ()) = tokio::join!(audit.run_once(), stopping);
    assert!(matches!(ended, Err(AuditError::Stopped)), "{ended:?}");
    assert_eq!(scene.store.events_after(0, 9).await.unwrap(), []);
}
