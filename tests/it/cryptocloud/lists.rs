//! The list: pages of whole days under both interpretations of `limit`.

use payrecond::provider::{ListByTime, SpanCursor, SpanKind, SpanPage, TimeSpan};

use super::*;

/// From 2025-12-30 on.
const SPAN: TimeSpan = TimeSpan {
    kind: SpanKind::Created,
    from: UnixMillis(1_767_052_800_000),
    until: None,
};

/// How a server interprets `offset` and `limit`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// The number of the last record.
    EndIndex,
    /// A size, cut to 100.
    Size,
    /// A size, refused above 100.
    StrictSize,
}

/// A server with this many invoices, newest first; one is added after each page.
struct Server {
    limit: Limit,
    invoices: Mutex<usize>,
    asked: Mutex<Vec<Value>>,
}

#[async_trait]
impl Transport for Server {
    async fn send(&self, request: Request) -> Result<Response, ProviderError> {
        assert_eq!(request.path_and_query, "/v2/invoice/merchant/list");
        let body: Value = serde_json::from_str(&request.body.unwrap()).unwrap();
        let number = |key: &str| usize::try_from(body[key].as_u64().unwrap()).unwrap();
        let (offset, limit) = (number("offset"), number("limit"));
        self.asked.lock().unwrap().push(body);
        if self.limit == Limit::StrictSize && limit > 100 {
            let complaint = r#"{"status":"error","result":{"limit":"Invalid value limit."}}"#;
            return Ok(Response::whole(400, complaint));
        }
        let mut invoices = self.invoices.lock().unwrap();
        let end = match self.limit {
            Limit::EndIndex => limit.min(offset + 100),
            Limit::Size | Limit::StrictSize => offset + limit.min(100),
        };
        let shown = offset.min(*invoices)..end.min(*invoices).max(offset.min(*invoices));
        let items: Vec<Value> = shown
            .map(|place| json!({"uuid": format!("INV-{:08}", *invoices - place), "status": "created"}))
            .collect();
        if !items.is_empty() {
            *invoices += 1;
        }
        let body = json!({"status": "success", "result": items, "all_count": *invoices});
        Ok(Response::whole(200, body.to_string()))
    }

    fn set_key(&self, _key: ApiKey) {}
}

/// Reads the whole span; returns each page's ids and the number of requests.
async fn read(limit: Limit, invoices: usize) -> (Vec<Vec<String>>, usize) {
    let server = Arc::new(Server {
        limit,
        invoices: Mutex::new(invoices),
        asked: Mutex::default(),
    });
    let clock = Arc::new(ManualClock::at(NOW));
    let provider = CryptoCloud::new(server.clone(), clock, String::new());
    let mut pages = Vec::new();
    let mut cursor = None;
    loop {
        let page = provider.span_page(&SPAN, cursor.as_ref()).await.unwrap();
        pages.push(
            page.orders
                .into_iter()
                .map(|order| order.order_id.0)
                .collect(),
        );
        let Some(next) = page.next else { break };
        cursor = Some(next);
        assert!(pages.len() < 100, "no end");
    }
    let requests = server.asked.lock().unwrap().len();
    (pages, requests)
}

#[tokio::test]
async fn every_invoice_is_shown_under_both_readings_of_limit() {
    for invoices in [0, 1, 99, 100, 101, 250, 1000] {
        for limit in [Limit::EndIndex, Limit::Size, Limit::StrictSize] {
            let (pages, requests) = read(limit, invoices).await;
            let shown: std::collections::HashSet<&String> = pages.iter().flatten().collect();
            for number in 1..=invoices {
                let id = format!("INV-{number:08}");
                assert!(shown.contains(&id), "{limit:?} of {invoices}: {id}");
            }
            let refused = usize::from(limit == Limit::StrictSize && invoices > 0);
            // Each page moves the list by one; the last one is empty.
            let full = invoices.div_ceil(99) + 1;
            assert!(requests <= full + 1 + refused, "{limit:?}: {requests}");
        }
    }
}

#[tokio::test]
async fn days_are_written_in_utc_by_the_providers_clock() {
    let empty = fixture!("constructed-list-with-all_count");
    let (asked, script) = provider(vec![(200, empty.into()), (200, empty.into())]);
    let page = asked.span_page(&SPAN, None).await.unwrap();
    assert_eq!((page.orders.len(), page.next), (0, None));
    // Seven hours later it is another day there.
    *script.difference.lock().unwrap() = Some(ClockDifference::Ahead(HOUR * 7));
    let span = TimeSpan {
        from: UnixMillis(0),
        ..SPAN
    };
    asked.span_page(&span, None).await.unwrap();
    assert_eq!(
        script.bodies(),
        [
            json!({"start": "30.12.2025", "end": "01.01.2026", "offset": 0, "limit": 100}),
            json!({"start": "01.01.2020", "end": "02.01.2026", "offset": 0, "limit": 100}),
        ]
    );
}

#[tokio::test]
async fn the_documented_list_is_read() {
    let (listed, _) = provider(vec![(200, fixture!("list-doc-2024").into())]);
    let SpanPage { orders, next, .. } = listed.span_page(&SPAN, None).await.unwrap();
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].state, OrderState::Open);
    assert_eq!(orders[0].external_id, None, "an empty text is none");
    let link = "https://pay.cryptocloud.plus/XXXXXXXX";
    assert_eq!(orders[0].pay_link.as_deref(), Some(link));
    assert_eq!(orders[0].expires_at, Some(UnixMillis(1_672_660_800_000)));
    assert_eq!(orders[0].payment, None);
    assert_eq!(next, Some(SpanCursor("1 0 INV-XXXXXXXX".into())));
}

#[tokio::test]
async fn a_list_that_ignores_the_offset_is_abandoned() {
    let page = |letter: &str| {
        let item = |number| json!({"uuid": format!("INV-{letter}{number}"), "status": "created"});
        let items: Vec<Value> = (0..100).map(item).collect();
        json!({"status": "success", "result": items}).to_string()
    };
    let (listed, _) = provider((0..20).map(|_| (200, page("A"))).collect());
    let mut cursor = None;
    let mut pages = 0;
    let error = loop {
        match listed.span_page(&SPAN, cursor.as_ref()).await {
            Ok(page) => cursor = page.next,
            Err(error) => break error,
        }
        assert!(cursor.is_some(), "it seems complete");
        pages += 1;
    };
    assert_eq!((error.kind(), pages), ("malformed", 6));
    // A short page repeated because new invoices shifted the list is the end.
    let same = fixture!("list-doc-2024");
    let (listed, _) = provider(vec![(200, same.into()), (200, same.into())]);
    let first = listed.span_page(&SPAN, None).await.unwrap();
    let second = listed.span_page(&SPAN, first.next.as_ref()).await.unwrap();
    assert_eq!(second.next, None);
}

#[tokio::test]
async fn a_refused_first_page_is_an_error() {
    let complaint = r#"{"status":"error","result":{"start":"Invalid value start."}}"#;
    let answer = answering(400, complaint).span_page(&SPAN, None).await;
    assert_eq!(kind(&answer), "refused");
}

#[test]
fn an_id_has_every_spelling_that_programs_may_have_inserted() {
    let (listed, _) = provider(Vec::new());
    let spellings = listed.spellings(&"INV-89UX09KA".into());
    let ids: Vec<&str> = spellings.iter().map(|id| id.0.as_str()).collect();
    assert_eq!(ids, ["89UX09KA", "89ux09ka", "inv-89ux09ka"]);
}
