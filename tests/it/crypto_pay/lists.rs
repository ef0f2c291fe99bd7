//! The list of all invoices, newest first, read page by page while it grows.

use payrecond::provider::{ListByTime, SpanCursor, SpanKind, TimeSpan};

use super::*;

const SECOND: i64 = 1000;

fn span(from: UnixMillis) -> TimeSpan {
    TimeSpan {
        kind: SpanKind::Created,
        from,
        until: None,
    }
}

/// Invoice `id`, created `id` seconds after the start.
fn numbered(id: i64) -> Value {
    let created_at = UnixMillis(id * SECOND).to_string();
    invoice_with(&json!({"invoice_id": id, "created_at": created_at, "status": "active"}))
}

/// Reads a span from an account with these invoices, in this order. Returns the ids and the
/// requested offsets.
async fn read(span: TimeSpan, mut page: impl FnMut(usize) -> Vec<i64>) -> (Vec<i64>, Vec<i64>) {
    let (mut ids, mut offsets) = (Vec::new(), Vec::new());
    let mut cursor: Option<SpanCursor> = None;
    loop {
        let shown = page(offsets.len());
        let invoices: Vec<Value> = shown.into_iter().map(numbered).collect();
        let (provider, script) = provider(vec![(200, items(&invoices))]);
        let page = provider.span_page(&span, cursor.as_ref()).await.unwrap();
        let (method, body) = &script.calls()[0];
        assert_eq!(
            (method.as_str(), &body["count"]),
            ("/api/getInvoices", &json!(1000))
        );
        offsets.push(body["offset"].as_i64().unwrap());
        ids.extend(
            page.orders
                .iter()
                .map(|o| o.order_id.0.parse::<i64>().unwrap()),
        );
        match page.next {
            Some(next) => cursor = Some(next),
            None => return (ids, offsets),
        }
        assert!(offsets.len() < 100);
    }
}

#[tokio::test]
async fn pages_overlap_and_a_page_without_new_orders_ends_the_list() {
    let all: Vec<i64> = (1..=2500).rev().collect();
    let mut offset = 0;
    let (mut ids, offsets) = read(span(UnixMillis(0)), |_| {
        let page: Vec<i64> = all.iter().skip(offset).take(1000).copied().collect();
        offset += page.len().saturating_sub(50).max(1);
        page
    })
    .await;
    assert_eq!(offsets[..3], [0, 950, 1900]);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2500);
}

#[tokio::test]
async fn invoices_from_before_the_span_are_not_read() {
    let from = UnixMillis(5000 * SECOND);
    let pages = |n: usize| -> Vec<i64> {
        let newest = 6000 - 950 * i64::try_from(n).unwrap();
        (newest - 999..=newest).rev().collect()
    };
    let (_, offsets) = read(span(from), pages).await;
    assert_eq!(
        offsets,
        [0, 950],
        "the second page goes beyond a minute before the span"
    );
}

/// The order is not documented: a list in another order is read to its end.
#[tokio::test]
async fn a_list_in_another_order_is_read_completely() {
    let from = UnixMillis(2400 * SECOND);
    let all: Vec<i64> = (1..=2500).collect();
    let mut offset = 0;
    let (ids, _) = read(span(from), |_| {
        let page: Vec<i64> = all.iter().skip(offset).take(1000).copied().collect();
        offset += page.len().saturating_sub(50).max(1);
        page
    })
    .await;
    assert!(ids.contains(&2500));
}

#[tokio::test]
async fn an_empty_account_has_an_empty_list() {
    let (ids, offsets) = read(span(UnixMillis(0)), |_| Vec::new()).await;
    assert_eq!((ids, offsets), (vec![], vec![0]));
    let cursor = SpanCursor("nonsense".into());
    let refused = answering(200, "")
        .span_page(&span(UnixMillis(0)), Some(&cursor))
        .await;
    assert_eq!(refused.unwrap_err().kind(), "malformed");
}
