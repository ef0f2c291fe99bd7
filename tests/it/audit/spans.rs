//! Audits of providers that list orders by time, where pages shift and ids have several spellings.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use payrecond::clock::Clock as _;
use payrecond::domain::invoice::OrderId;
use payrecond::domain::observation::{ObservedOrder, OrderState};
use payrecond::domain::time::UnixMillis;
use payrecond::jobs::audit::AuditReport;
use payrecond::provider::{
    ApiKey, FetchOrders, FetchedOrder, ListByTime, Provider, ProviderError, SpanCursor, SpanKind,
    SpanPage, TimeSpan,
};

use super::meanwhile::{Scene, kinds, order};
use crate::store::insert;

const YEAR: Duration = Duration::from_hours(24 * 365);

/// A provider with given pages, some of whose orders are found only by id.
#[derive(Clone, Default)]
struct Spans {
    pages: Vec<Vec<ObservedOrder>>,
    by_id: Vec<ObservedOrder>,
    reach: Option<Duration>,
    asked: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Provider for Spans {
    fn name(&self) -> &'static str {
        "spans"
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
}

#[async_trait]
impl FetchOrders for Spans {
    fn batch_limit(&self) -> u32 {
        2
    }

    async fn fetch(&self, orders: &[OrderId]) -> Result<Vec<FetchedOrder>, ProviderError> {
        let ids = orders.iter().map(|order| order.0.as_str());
        let ids = ids.collect::<Vec<_>>().join(" ");
        self.asked.lock().unwrap().push(ids);
        let fetch = |id: &OrderId| {
            let known = self.by_id.iter().find(|order| order.order_id == *id);
            known.map_or(FetchedOrder::NotFound, |order| {
                FetchedOrder::Seen(order.clone())
            })
        };
        Ok(orders.iter().map(fetch).collect())
    }
}

#[async_trait]
impl ListByTime for Spans {
    fn lists_by(&self, kind: SpanKind) -> bool {
        kind == SpanKind::Created
    }

    fn reach(&self) -> Option<Duration> {
        self.reach
    }

    fn spellings(&self, order_id: &OrderId) -> Vec<OrderId> {
        vec![OrderId(order_id.0.to_lowercase())]
    }

    async fn span_page(
        &self,
        span: &TimeSpan,
        cursor: Option<&SpanCursor>,
    ) -> Result<SpanPage, ProviderError> {
        assert_eq!((span.kind, span.until), (SpanKind::Created, None));
        let index: usize = cursor.map_or(0, |cursor| cursor.0.parse().unwrap());
        self.asked.lock().unwrap().push(format!("page {index}"));
        let next = (index + 1 < self.pages.len()).then(|| SpanCursor((index + 1).to_string()));
        Ok(SpanPage {
            orders: self.pages.get(index).cloned().unwrap_or_default(),
            next,
            bytes: 0,
        })
    }
}

async fn audit(scene: &Scene, provider: &Spans) -> AuditReport {
    scene.duty(provider.clone()).run_once().await.unwrap()
}

fn open(order_id: &str, external_id: &str) -> ObservedOrder {
    order(order_id, external_id, OrderState::Open)
}

#[tokio::test]
async fn an_order_shown_twice_by_shifting_pages_counts_once() {
    let scene = Scene::open().await;
    for name in ["A", "B", "C"] {
        insert(&scene.path, name).await;
    }
    let of = |name: &str| open(&format!("order-{name}"), name);
    let provider = Spans {
        pages: vec![vec![of("C"), of("B")], vec![of("B"), of("A")], vec![]],
        ..Spans::default()
    };
    let report = audit(&scene, &provider).await;
    assert_eq!((report.checked, report.discrepancies.len()), (3, 0));
    let asked = provider.asked.lock().unwrap();
    assert_eq!(*asked, ["page 0", "page 1", "page 2"]);
}

#[tokio::test]
async fn an_order_not_in_the_list_is_requested_before_it_counts_as_missing() {
    let scene = Scene::open().await;
    for name in ["A", "B", "C"] {
        insert(&scene.path, name).await;
    }
    let unshown = order("order-B", "B", OrderState::Paid);
    let provider = Spans {
        pages: vec![vec![open("order-A", "A")]],
        by_id: vec![unshown],
        ..Spans::default()
    };
    let report = audit(&scene, &provider).await;
    assert_eq!(kinds(&report), ["status", "missing_order"]);
    let names: Vec<_> = report
        .discrepancies
        .iter()
        .map(|d| &d.external_id)
        .collect();
    assert_eq!(names, [&Some("B".to_owned()), &Some("C".to_owned())]);
    assert!(report.discrepancies[0].is_paid);
    let asked = provider.asked.lock().unwrap();
    assert_eq!(*asked, ["page 0", "order-B order-C"]);
}

#[tokio::test]
async fn a_bounded_list_proves_nothing_about_older_invoices() {
    let scene = Scene::open().await;
    let old = insert(&scene.path, "A").await;
    let age = scene.clock.now().since(old.created_at);
    let mut provider = Spans {
        pages: vec![Vec::new()],
        reach: Some(age.saturating_sub(Duration::from_secs(1))),
        ..Spans::default()
    };
    let report = audit(&scene, &provider).await;
    assert_eq!(report.discrepancies, []);
    assert_eq!(*provider.asked.lock().unwrap(), ["page 0"]);
    provider.reach = Some(age + YEAR);
    let report = audit(&scene, &provider).await;
    assert_eq!(kinds(&report), ["missing_order"]);
}

#[tokio::test]
async fn an_invoice_matches_its_order_under_another_spelling_of_the_id() {
    let scene = Scene::open().await;
    // Its order id is order-a.
    insert(&scene.path, "a").await;
    let provider = Spans {
        pages: vec![vec![
            order("ORDER-A", "a", OrderState::Paid),
            open("ORDER-B", "B"),
        ]],
        ..Spans::default()
    };
    let report = audit(&scene, &provider).await;
    assert_eq!(kinds(&report), ["status", "unknown_order"]);
    let ids: BTreeSet<_> = report
        .discrepancies
        .iter()
        .map(|d| d.order_id.clone())
        .collect();
    let expected = ["ORDER-B", "order-a"].map(|id| Some(id.to_owned()));
    assert_eq!(ids, BTreeSet::from(expected));
    // An adopted order is found again under either spelling.
    let audit = payrecond::jobs::audit::Audit {
        adopt: true,
        ..scene.duty(provider.clone())
    };
    assert_eq!(audit.run_once().await.unwrap().adopted, 1);
    let again = audit.run_once().await.unwrap();
    assert_eq!((again.adopted, kinds(&again)), (0, vec!["status"]));
}

#[tokio::test]
async fn an_invoice_learns_its_order_under_another_name() {
    let scene = Scene::open().await;
    insert(&scene.path, "a").await;
    let provider = Spans {
        pages: vec![vec![open("ORDER-A", "OTHER")]],
        ..Spans::default()
    };
    let report = audit(&scene, &provider).await;
    assert_eq!(kinds(&report), ["external_id"]);
    let reason = scene.row("a").await.facts.reason;
    assert_eq!(reason.as_deref(), Some("external_id_mismatch"));
}

/// One status covers both ends: a cancellation looks like an expiry after the order has expired.
#[tokio::test]
async fn an_end_with_the_same_status_as_before_agrees() {
    use payrecond::domain::decide::decide;
    use payrecond::domain::observation::Observation;
    let scene = Scene::open().await;
    insert(&scene.path, "A").await;
    let ended = |state| ObservedOrder {
        provider_status: "canceled".into(),
        ..order("order-A", "A", state)
    };
    let cancelled = Observation::Seen(ended(OrderState::Cancelled));
    let decision = decide(&scene.row("A").await, "spans", cancelled);
    super::meanwhile::commit(&scene.store, decision, UnixMillis(1)).await;
    let mut provider = Spans {
        pages: vec![vec![ended(OrderState::Expired)]],
        ..Spans::default()
    };
    assert_eq!(audit(&scene, &provider).await.discrepancies, []);
    provider.pages = vec![vec![order("order-A", "A", OrderState::Expired)]];
    assert_eq!(kinds(&audit(&scene, &provider).await), ["status"]);
}
