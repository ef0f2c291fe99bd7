//! Wallet Pay over a scripted transport: the result of each documented or captured body.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use payrecond::clock::ManualClock;
use payrecond::domain::invoice::OrderId;
use payrecond::domain::observation::{ObservedOrder, OrderState};
use payrecond::domain::time::UnixMillis;
use payrecond::provider::http::{Method, Request, Response, Transport};
use payrecond::provider::walletpay::WalletPay;
use payrecond::provider::{
    ApiKey, CreateOrders, Creation, CreationAnswer, FetchOrders, FetchedOrder, ListItem,
    ListOrders, PageEnd, PageVisitor, Provider, ProviderError,
};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/walletpay/", $name, ".json"))
    };
}

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// Returns prepared answers in turn and records the requests.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Response>>,
    asked: Mutex<Vec<Request>>,
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: Request) -> Result<Response, ProviderError> {
        self.asked.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front();
        answer.ok_or_else(|| ProviderError::Unreachable("no more script".into()))
    }

    fn set_key(&self, _key: ApiKey) {}
}

/// The provider that will get exactly this answer.
fn answering_with(response: Response) -> (WalletPay, Arc<Script>) {
    let script = Arc::new(Script::default());
    script.answers.lock().unwrap().push_back(response);
    let provider = WalletPay::new(script.clone(), Arc::new(ManualClock::at(NOW)));
    provider.set_key(ApiKey::from_bytes(b"store-key-0123456789").unwrap());
    (provider, script)
}

fn answering(status: u16, body: &str) -> WalletPay {
    answering_with(Response::whole(status, body.to_owned())).0
}

async fn fetch_one(status: u16, body: &str, id: &str) -> Result<FetchedOrder, ProviderError> {
    fetch(&answering(status, body), id).await
}

async fn fetch(provider: &WalletPay, id: &str) -> Result<FetchedOrder, ProviderError> {
    let fetched = provider.fetch(&[OrderId::from(id)]).await?;
    assert_eq!(fetched.len(), 1);
    Ok(fetched.into_iter().next().unwrap())
}

async fn seen(body: &str, id: &str) -> ObservedOrder {
    match fetch_one(200, body, id).await.unwrap() {
        FetchedOrder::Seen(observed) => observed,
        FetchedOrder::NotFound => panic!("not found"),
    }
}

fn creation() -> Creation {
    Creation {
        external_id: "ORD-1".into(),
        body: "{\"exact\":  1}".into(),
        idempotence_key: String::new(),
    }
}

async fn create(status: u16, body: &str) -> Result<CreationAnswer, ProviderError> {
    answering(status, body).create(&creation()).await
}

fn kind<T: std::fmt::Debug>(answer: &Result<T, ProviderError>) -> &'static str {
    answer.as_ref().unwrap_err().kind()
}

/// Selects the items whose id `picks` accepts; keeps everything it receives.
struct Picker {
    picks: fn(&ListItem<'_>) -> bool,
    /// Places, ids and times of creation.
    listed: Vec<(u64, String, Option<String>)>,
    taken: Vec<(u64, ObservedOrder)>,
}

impl Picker {
    fn new(picks: fn(&ListItem<'_>) -> bool) -> Self {
        Self {
            picks,
            listed: Vec::new(),
            taken: Vec::new(),
        }
    }
}

impl PageVisitor for Picker {
    fn wants(&mut self, item: &ListItem<'_>) -> bool {
        let created_at = item.created_at.map(str::to_owned);
        let id = item.order_id.to_owned();
        self.listed.push((item.index, id, created_at));
        (self.picks)(item)
    }

    fn take(&mut self, item_index: u64, observed: ObservedOrder) {
        self.taken.push((item_index, observed));
    }
}

async fn read(body: &str, picker: &mut Picker) -> Result<PageEnd, ProviderError> {
    let pieces: VecDeque<Bytes> = body
        .as_bytes()
        .chunks(7)
        .map(Bytes::copy_from_slice)
        .collect();
    let (provider, _) = answering_with(Response::new(200, None, pieces));
    provider.page(0, 100, picker).await
}

/// A page with every item selected.
async fn page(body: &str) -> Result<Vec<ObservedOrder>, ProviderError> {
    let mut picker = Picker::new(|_| true);
    let end = read(body, &mut picker).await?;
    assert_eq!(end.items, picker.listed.len() as u64);
    assert_eq!(end.bytes, body.len() as u64);
    Ok(picker.taken.into_iter().map(|(_, seen)| seen).collect())
}

#[tokio::test]
async fn a_poll_requests_the_preview() {
    let body = fixture!("preview-success-doc");
    let (provider, script) = answering_with(Response::whole(200, body));
    fetch(&provider, "2703383946854401").await.unwrap();
    let asked = script.asked.lock().unwrap().remove(0);
    assert_eq!(
        asked,
        Request::get("/wpay/store-api/v1/order/preview?id=2703383946854401")
    );
    let (provider, script) = answering_with(Response::whole(404, ""));
    let _ = fetch(&provider, "a b&c=d#e").await;
    let asked = script.asked.lock().unwrap().remove(0);
    assert!(asked.path_and_query.ends_with("?id=a+b%26c%3Dd%23e"));
}

#[tokio::test]
async fn previews_are_parsed() {
    let open = seen(fixture!("preview-success-doc"), "2703383946854401").await;
    assert_eq!(open.state, OrderState::Open);
    assert_eq!(open.provider_status, "ACTIVE");
    assert_eq!(open.observed_at, NOW);
    assert_eq!(open.number.as_deref(), Some("9aeb581c"));
    assert_eq!(open.amount.unwrap().value, "1.00");
    assert_eq!(open.expires_at, Some(UnixMillis(1_566_656_122_000)));
    assert_eq!(open.paid_at, None, "completed, but not paid");
    assert!(open.pay_link.unwrap().starts_with("https://t.me/wallet?"));
    assert!(open.direct_pay_link.unwrap().contains("orderId__27033"));
    assert_eq!((open.external_id, open.payment), (None, None));

    let paid = seen(fixture!("preview-paid"), "2703383946854401").await;
    assert_eq!(paid.state, OrderState::Paid);
    assert_eq!(paid.paid_at, Some(UnixMillis(1_776_249_000_123)));
    assert_eq!(paid.pay_link, None);

    let text_id = seen(fixture!("preview-string-id"), "2703383946").await;
    assert_eq!(text_id.amount.unwrap().value, "123.78");

    let body = fixture!("constructed/preview-unknown-status");
    let unknown = seen(body, "10030467668508673").await;
    assert_eq!(unknown.state, OrderState::Unknown);
    assert_eq!(unknown.provider_status, "SOMETHING_NEW");
}

#[tokio::test]
async fn an_answer_about_another_order_is_malformed() {
    let body = fixture!("preview-paid");
    for other in ["2703383946854400", "02703383946854401", "27033839468544010"] {
        assert_eq!(kind(&fetch_one(200, body, other).await), "malformed");
    }
}

#[tokio::test]
async fn the_http_status_takes_precedence() {
    for (status, body, expected) in [
        (400, fixture!("error-400"), "refused"),
        (401, fixture!("error-401"), "key_refused"),
        (401, fixture!("error-401-alternative"), "key_refused"),
        (403, "", "key_refused"),
        (418, "teapot", "refused"),
        (429, fixture!("error-429"), "rate_limited"),
        (500, fixture!("error-500"), "unavailable"),
        (502, "<html>bad gateway</html>", "unavailable"),
        (302, "", "malformed"),
        (500, fixture!("preview-paid"), "unavailable"),
        (400, fixture!("preview-paid"), "refused"),
        (
            400,
            fixture!("constructed/create-access-denied"),
            "key_refused",
        ),
        (400, r#"{"status":"INTERNAL_ERROR"}"#, "unavailable"),
    ] {
        let answer = fetch_one(status, body, "2703383946854401").await;
        assert_eq!(kind(&answer), expected, "{status} {body}");
    }
    let error = fetch_one(401, fixture!("error-401-alternative"), "1").await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "API key refused: HTTP 401: Invalid token"
    );
}

#[tokio::test]
async fn only_http_404_is_not_found() {
    for body in [
        fixture!("error-404"),
        "",
        "<html>",
        fixture!("preview-paid"),
    ] {
        assert_eq!(fetch_one(404, body, "1").await, Ok(FetchedOrder::NotFound));
    }
    let body = r#"{"status":"NOT_FOUND","message":"Order not found"}"#;
    assert_eq!(kind(&fetch_one(200, body, "1").await), "malformed");
    assert_eq!(kind(&answering(404, "").count().await), "refused");
    assert_eq!(kind(&create(404, "").await), "refused");
}

#[tokio::test]
async fn a_200_can_carry_a_failure() {
    for (body, expected) in [
        (fixture!("constructed/preview-invalid-request"), "refused"),
        (fixture!("constructed/create-access-denied"), "key_refused"),
        (r#"{"status":"INTERNAL_ERROR","data":null}"#, "unavailable"),
        (fixture!("error-400"), "malformed"),
        (fixture!("error-401-alternative"), "malformed"),
        (r#"{"status":"SUCCESS"}"#, "malformed"),
        (r#"{"status":"SUCCESS","data":null}"#, "malformed"),
        (r#"{"status":"SUCCESS","data":[]}"#, "malformed"),
        (r#"{"status":"SUCCESS","status":"SUCCESS"}"#, "malformed"),
        (r#"{"data":{"id":1,"status":"PAID"}}"#, "malformed"),
        (
            r#"{"status":"success","data":{"id":1,"status":"PAID"}}"#,
            "malformed",
        ),
        (
            r#"["SUCCESS","",null,{"id":1,"status":"PAID"}]"#,
            "malformed",
        ),
        (
            r#"{"status":"SUCCESS","data":{"id":1,"status":"PAID"}"#,
            "malformed",
        ),
        ("<html>maintenance</html>", "malformed"),
        ("", "malformed"),
        ("null", "malformed"),
    ] {
        assert_eq!(kind(&fetch_one(200, body, "1").await), expected, "{body}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_and_white_space_are_ignored() {
    let body = format!("\u{feff}\r\n {} \n", fixture!("preview-paid"));
    let paid = seen(&body, "2703383946854401").await;
    assert_eq!(paid.state, OrderState::Paid);
}

#[tokio::test]
async fn requested_waits_are_passed_on() {
    let wait = Some(Duration::from_secs(3));
    for status in [429, 503] {
        let (provider, _) = answering_with(Response::new(status, wait, VecDeque::new()));
        match provider.count().await.unwrap_err() {
            ProviderError::RateLimited { wait: shown }
            | ProviderError::Unavailable { wait: shown, .. } => assert_eq!(shown, wait),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn provider_text_is_sanitized_and_has_no_key() {
    let body = r#"{"status":"INTERNAL_ERROR","message":"a\u001b[2J\nkey store-key-0123456789"}"#;
    let error = fetch_one(200, body, "1").await.unwrap_err().to_string();
    assert_eq!(
        error,
        "provider unavailable: INTERNAL_ERROR: a [2J key (key)"
    );
}

#[tokio::test]
async fn an_order_created_now_or_before_exists() {
    for (status, body, id) in [
        (200, fixture!("create-success-doc"), "2703383946854401"),
        (200, fixture!("create-success-short-id"), "28283729191"),
        (
            200,
            fixture!("create-success-empty-amount"),
            "2703383946854401",
        ),
        (201, fixture!("create-success-doc"), "2703383946854401"),
        (
            200,
            fixture!("constructed/create-already"),
            "10829787081217",
        ),
        (
            400,
            fixture!("constructed/create-already"),
            "10829787081217",
        ),
        (
            409,
            fixture!("constructed/create-already"),
            "10829787081217",
        ),
    ] {
        let CreationAnswer::Exists(made) = create(status, body).await.unwrap() else {
            panic!("{body}")
        };
        assert_eq!(made.order_id.0, id);
        assert!(made.pay_link.is_some());
    }
    let body = fixture!("create-success-doc");
    let (provider, script) = answering_with(Response::whole(200, body));
    provider.create(&creation()).await.unwrap();
    let asked = script.asked.lock().unwrap().remove(0);
    assert_eq!(asked.method, Method::Post);
    assert_eq!(asked.path_and_query, "/wpay/store-api/v1/order");
    assert_eq!(asked.body.as_deref(), Some("{\"exact\":  1}"));
}

#[tokio::test]
async fn refusals_and_conflicts_are_answers() {
    let refused = |words: &str| Ok(CreationAnswer::Refused(words.into()));
    assert_eq!(
        create(400, fixture!("error-400")).await,
        refused("Invalid request")
    );
    assert_eq!(
        create(200, fixture!("constructed/preview-invalid-request")).await,
        refused("INVALID_REQUEST")
    );
    assert_eq!(create(400, "").await, refused("HTTP 400"));
    let words = "order with other parameters exists for this externalId";
    for status in [200, 400, 409] {
        let answer = create(status, fixture!("constructed/create-conflict")).await;
        assert_eq!(answer, Ok(CreationAnswer::Conflict(words.into())));
    }
}

#[tokio::test]
async fn an_inconclusive_answer_ends_no_creation() {
    for (status, body, expected) in [
        (
            200,
            fixture!("constructed/create-access-denied"),
            "key_refused",
        ),
        (401, fixture!("error-400"), "key_refused"),
        (
            401,
            fixture!("constructed/preview-invalid-request"),
            "key_refused",
        ),
        (429, fixture!("error-429"), "rate_limited"),
        (
            500,
            fixture!("constructed/preview-invalid-request"),
            "unavailable",
        ),
        (500, fixture!("constructed/create-conflict"), "unavailable"),
        (200, r#"{"status":"SUCCESS"}"#, "malformed"),
        (200, r#"{"status":"ALREADY","data":{}}"#, "malformed"),
        (
            200,
            r#"{"status":"SUCCESS","data":{"status":"ACTIVE"}}"#,
            "malformed",
        ),
        (200, fixture!("error-400"), "malformed"),
        (400, fixture!("create-success-doc"), "malformed"),
        (400, r#"{"status":"INTERNAL_ERROR"}"#, "unavailable"),
        (400, "<html>400 Bad Request</html>", "refused"),
        (302, "", "malformed"),
        (422, "", "refused"),
    ] {
        let answer = create(status, body).await;
        assert_eq!(kind(&answer), expected, "{status} {body}");
    }
}

#[tokio::test]
async fn orders_are_counted() {
    let asked = "/wpay/store-api/v1/reconciliation/order-amount";
    let body = fixture!("order-amount-5422");
    let (provider, script) = answering_with(Response::whole(200, body));
    assert_eq!(provider.count().await, Ok(5422));
    assert_eq!(script.asked.lock().unwrap()[0], Request::get(asked));
    let count = answering(200, fixture!("order-amount-42")).count().await;
    assert_eq!(count, Ok(42));
    for bad in [
        "-1",
        "4.2",
        "1e3",
        "null",
        "[]",
        "\"many\"",
        "99999999999999999999",
    ] {
        let body = format!(r#"{{"status":"SUCCESS","data":{{"totalAmount":{bad}}}}}"#);
        assert_eq!(kind(&answering(200, &body).count().await), "malformed");
    }
}

#[tokio::test]
async fn lists_are_parsed() {
    let all = page(fixture!("constructed/order-list-all-statuses")).await;
    let all = all.unwrap();
    let states: Vec<_> = all.iter().map(|seen| seen.state).collect();
    let expected = [
        OrderState::Paid,
        OrderState::Expired,
        OrderState::Cancelled,
        OrderState::Open,
        OrderState::Open,
    ];
    assert_eq!(states, expected);
    let paid = &all[0];
    assert_eq!(paid.external_id, Some("order-1".into()));
    assert_eq!(paid.paid_at, Some(UnixMillis(1_713_711_864_092)));
    let payment = paid.payment.clone().unwrap();
    assert_eq!(payment.value.as_deref(), Some("0.069848094"));
    assert_eq!(payment.currency.as_deref(), Some("TON"));
    assert_eq!(payment.fee.as_deref(), Some("0.000698481"));
    assert_eq!(payment.net.as_deref(), Some("0.069149613"));
    assert_eq!(all[3].order_id.0, "10030467668508673");
    assert_eq!(all[4].order_id.0, "9906750163000781");

    let documented = page(fixture!("order-list-doc")).await.unwrap().remove(0);
    assert_eq!(documented.external_id, Some("ORD-5023-4E89".into()));
    assert_eq!((documented.paid_at, documented.payment), (None, None));
    let expired = page(fixture!("order-list-expired-item")).await.unwrap();
    assert_eq!(expired[0].external_id, None, "an empty text means nothing");
    let text_id = page(fixture!("order-list-string-id")).await.unwrap();
    assert_eq!(text_id[0].order_id.0, "1233242342342");
    let previews = page(fixture!("order-list-two-preview-shaped-items")).await;
    assert_eq!(previews.unwrap()[1].number.as_deref(), Some("DEF456"));
    let empty = page(fixture!("order-list-empty-null-message")).await;
    assert_eq!(empty, Ok(Vec::new()));
}

#[tokio::test]
async fn only_wanted_items_are_taken() {
    let body = fixture!("constructed/order-list-all-statuses");
    let mut picker = Picker::new(|item| item.external_id == Some("order-3"));
    let end = read(body, &mut picker).await.unwrap();
    assert_eq!(end.items, 5);
    assert_eq!(picker.taken.len(), 1);
    assert_eq!(picker.taken[0].0, 2);
    assert_eq!(picker.taken[0].1.state, OrderState::Cancelled);
    let (index, id, created) = &picker.listed[3];
    assert_eq!((*index, id.as_str()), (3, "10030467668508673"));
    assert_eq!(created.as_deref(), Some("2024-05-01T06:53:57.000991Z"));
}

#[tokio::test]
async fn a_page_requests_only_its_part() {
    let body = r#"{"status":"SUCCESS","data":{"items":[{"id":1,"status":"PAID"},{"id":2,"status":"PAID"}]}}"#;
    let (provider, script) = answering_with(Response::whole(200, body));
    let mut picker = Picker::new(|_| true);
    let answer = provider.page(20_000, 1, &mut picker).await;
    assert_eq!(kind(&answer), "malformed");
    assert_eq!(picker.taken.len(), 1, "the first was truly said");
    assert_eq!(
        script.asked.lock().unwrap()[0],
        Request::get_long("/wpay/store-api/v1/reconciliation/order-list?offset=20000&count=1")
    );
    let (provider, script) = answering_with(Response::whole(200, body));
    let answer = provider.page(0, 10_001, &mut picker).await;
    assert_eq!(kind(&answer), "refused");
    assert!(script.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_list_under_a_failing_status_is_never_visited() {
    for (body, expected) in [
        (
            r#"{"status":"INTERNAL_ERROR","message":"x","data":{"items":[{"id":1,"status":"PAID"}]}}"#,
            "unavailable",
        ),
        (
            r#"{"data":{"items":[{"id":1,"status":"PAID"}]},"status":"INVALID_REQUEST"}"#,
            "refused",
        ),
        (
            r#"{"data":{"items":[{"id":1,"status":"PAID"}]},"status":"HMM"}"#,
            "malformed",
        ),
        (
            r#"{"data":{"items":[{"id":1,"status":"PAID"}]}}"#,
            "malformed",
        ),
        (
            r#"{"status":null,"data":{"items":[{"id":1,"status":"PAID"}]}}"#,
            "malformed",
        ),
        (r#"{"status":"ACCESS_DENIED"}"#, "key_refused"),
    ] {
        let mut picker = Picker::new(|_| true);
        assert_eq!(kind(&read(body, &mut picker).await), expected, "{body}");
        assert!(picker.listed.is_empty(), "{body}");
    }
    let late = r#"{"data":{"items":[{"id":1,"status":"PAID"}]},"message":null,"status":"SUCCESS"}"#;
    assert_eq!(page(late).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_invalid_list_is_malformed() {
    for body in [
        "",
        "[]",
        "<html></html>",
        r#"{"status":"SUCCESS"}"#,
        r#"{"status":"SUCCESS","data":null}"#,
        r#"{"status":"SUCCESS","data":[]}"#,
        r#"{"status":"SUCCESS","data":{}}"#,
        r#"{"status":"SUCCESS","data":{"items":null}}"#,
        r#"{"status":"SUCCESS","data":{"items":{}}}"#,
        r#"{"status":"SUCCESS","data":{"items":[]}"#,
        r#"{"status":"SUCCESS","data":{"items":[]}}}"#,
        r#"{"status":"SUCCESS","data":{"items":[{"id":1,"status":"PAID"},]}}"#,
        r#"{"status":"SUCCESS","data":{"items":[{"id":1 "status":"PAID"}]}}"#,
    ] {
        let mut picker = Picker::new(|_| false);
        assert_eq!(kind(&read(body, &mut picker).await), "malformed", "{body}");
    }
}

#[tokio::test]
async fn an_invalid_item_fails_the_page_and_hides_no_other() {
    for bad in [
        r#"{"id":1.5,"status":"PAID"}"#,
        r#"{"status":"PAID"}"#,
        r#"{"id":1,"id":2,"status":"PAID"}"#,
        r#"{"id":1,"status":"PAID","amount":{"amount":"1,0","currencyCode":"USD"}}"#,
        "null",
        "[1]",
        "7",
    ] {
        let body = format!(
            r#"{{"status":"SUCCESS","data":{{"items":[{{"id":8,"status":"PAID"}},{bad},{{"id":9,"status":"PAID"}}]}}}}"#
        );
        let mut picker = Picker::new(|_| true);
        let answer = read(&body, &mut picker).await;
        let said = answer.unwrap_err().to_string();
        assert!(said.starts_with("unusable answer: item 1: "), "{said}");
        let ids: Vec<_> = picker
            .taken
            .iter()
            .map(|(_, s)| s.order_id.0.as_str())
            .collect();
        assert_eq!(ids, ["8", "9"], "{bad}");
    }
}

#[tokio::test]
async fn a_failed_page_gives_the_same_error_as_a_failed_poll() {
    for (status, body, expected) in [
        (401, "", "key_refused"),
        (404, "", "refused"),
        (429, "", "rate_limited"),
        (500, fixture!("order-list-doc"), "unavailable"),
        (304, fixture!("order-list-doc"), "malformed"),
    ] {
        let mut picker = Picker::new(|_| true);
        let answer = answering(status, body).page(0, 10, &mut picker).await;
        assert_eq!(kind(&answer), expected);
        assert!(picker.listed.is_empty());
    }
}
