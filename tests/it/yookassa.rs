//! YooKassa over a scripted transport: the result of each documented or captured body.

mod daemon;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use payrecond::clock::ManualClock;
use payrecond::domain::invoice::{Facts, Invoice, InvoiceId, OrderId, PollPlan, Wish};
use payrecond::domain::money::Money;
use payrecond::domain::observation::{ObservedOrder, OrderState};
use payrecond::domain::state::Status;
use payrecond::domain::time::UnixMillis;
use payrecond::domain::transaction::{Direction, TransactionStatus};
use payrecond::provider::http::{Method, Request, Response, Transport};
use payrecond::provider::kind::ProviderParts;
use payrecond::provider::registry::provider_kind;
use payrecond::provider::setting::Settings;
use payrecond::provider::{
    ApiKey, Creation, CreationAnswer, FetchedOrder, Provider, ProviderError, SpanCursor, SpanKind,
    SpanPage, TimeSpan,
};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/yookassa/", $name, ".json"))
    };
}

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
/// The longest wait that the transport obeys.
const LONGEST_WAIT: Duration = Duration::from_mins(2);
const SECRET: &str = "live_0123456789abcdef";

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

    fn cap_wait(&self, wait: Duration) -> Duration {
        wait.min(LONGEST_WAIT)
    }
}

impl Script {
    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|one| one.path_and_query.clone()).collect()
    }
}

/// The shop that will get exactly these answers, with the setting `return_url`.
fn shop(return_url: &str, answers: &[(u16, &str)]) -> (Arc<dyn Provider>, Arc<Script>) {
    let script = Arc::new(Script::default());
    for (status, body) in answers {
        let answer = Response::whole(*status, (*body).to_owned());
        script.answers.lock().unwrap().push_back(answer);
    }
    let kind = provider_kind("yookassa").unwrap();
    let provider = (kind.build)(ProviderParts {
        transport: script.clone(),
        clock: Arc::new(ManualClock::at(NOW)),
        base_url: kind.base_url.parse().unwrap(),
        settings: Settings::from_iter([("return_url", return_url.to_owned())]),
    });
    let key = format!("100500:{SECRET}");
    provider.set_key(ApiKey::from_bytes(key.as_bytes()).unwrap());
    (provider, script)
}

fn answering(answers: &[(u16, &str)]) -> (Arc<dyn Provider>, Arc<Script>) {
    shop("https://t.me/some_bot", answers)
}

async fn poll(status: u16, body: &str, id: &str) -> Result<FetchedOrder, ProviderError> {
    let (provider, _) = answering(&[(status, body)]);
    let mut fetched = provider.fetches().unwrap().fetch(&[id.into()]).await?;
    assert_eq!(fetched.len(), 1);
    Ok(fetched.remove(0))
}

async fn seen(body: &str) -> ObservedOrder {
    let id: serde_json::Value = serde_json::from_str(body).unwrap();
    match poll(200, body, id["id"].as_str().unwrap()).await.unwrap() {
        FetchedOrder::Seen(observed) => observed,
        FetchedOrder::NotFound => panic!("not found"),
    }
}

/// A payment of 100 roubles with these additional fields.
async fn with(status: &str, fields: &str) -> ObservedOrder {
    seen(&format!(
        r#"{{"id":"1-a","status":"{status}","amount":{{"value":"100.00","currency":"RUB"}}{fields}}}"#
    ))
    .await
}

fn rub(value: &str) -> Money {
    Money {
        value: value.into(),
        currency: "RUB".into(),
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "compared with fields that may be empty"
)]
fn at(text: &str) -> Option<UnixMillis> {
    Some(UnixMillis::parse(text).unwrap())
}

fn invoice(options: Option<&str>) -> Invoice {
    Invoice {
        id: InvoiceId(1),
        account: "default".into(),
        external_id: "ORD-1".into(),
        wish: Wish {
            description: Some("Заказ №1".into()),
            timeout_s: 3600,
            options: options.map(str::to_owned),
        },
        metadata: None,
        transactions: Vec::new(),
        facts: Facts {
            amount: Some(rub("100.00")),
            ..Facts::bare(Status::Requested)
        },
        version: 0,
        created_at: NOW,
        updated_at: NOW,
        schedule: PollPlan::default(),
    }
}

fn creation_of(invoice: &Invoice) -> Result<Creation, String> {
    let (provider, _) = answering(&[]);
    provider.creates().unwrap().creation(invoice)
}

fn refusal(invoice: &Invoice) -> String {
    creation_of(invoice).unwrap_err()
}

async fn create(status: u16, body: &str) -> Result<CreationAnswer, ProviderError> {
    let (provider, _) = answering(&[(status, body)]);
    let creation = creation_of(&invoice(None)).unwrap();
    provider.creates().unwrap().create(&creation).await
}

// ------------------------------------------------------------------------------- payments

#[tokio::test]
async fn a_pending_payment_is_open_for_an_hour() {
    let payment = seen(fixture!("payment-pending-2025")).await;
    assert_eq!(payment.state, OrderState::Open);
    assert_eq!(payment.provider_status, "pending");
    assert_eq!(payment.amount, Some(rub("200.00")));
    assert_eq!(payment.created_at, at("2025-02-10T00:14:05.555Z"));
    assert_eq!(payment.expires_at, at("2025-02-10T01:14:05.555Z"));
    assert_eq!(payment.external_id, None, "metadata is empty");
    assert!(payment.money.is_test && payment.payment.is_none());
    assert_eq!(
        payment.pay_link.unwrap(),
        "https://yoomoney.ru/checkout/payments/v2/contract?orderId=2f3b588d-000f-5000-8000-1d6e87c7fbde"
    );
    for other in [
        fixture!("payment-pending-2019"),
        fixture!("payment-pending-doc"),
    ] {
        let payment = seen(other).await;
        assert_eq!(payment.state, OrderState::Open);
        assert!(payment.pay_link.is_some() && payment.paid_at.is_none());
    }
}

#[tokio::test]
async fn a_succeeded_payment_is_paid_with_net_and_fee() {
    let payment = seen(fixture!("payment-succeeded")).await;
    assert_eq!(payment.state, OrderState::Paid);
    assert_eq!(payment.paid_at, at("2024-01-15T10:00:05Z"));
    assert_eq!(payment.expires_at, None);
    let paid = payment.payment.unwrap();
    assert_eq!(paid.value.as_deref(), Some("100.00"));
    assert_eq!(paid.currency.as_deref(), Some("RUB"));
    assert_eq!(paid.net.as_deref(), Some("96.50"));
    assert_eq!(paid.fee.as_deref(), Some("3.50"));
    assert_eq!(payment.money.sums.received, Some(rub("100.00")));
    assert_eq!(payment.money.sums.refunded, None);
    assert!(payment.money.is_test);
}

#[tokio::test]
async fn held_money_is_not_paid_despite_the_paid_flag() {
    let held = fixture!("payments-list-waiting-2018");
    let (provider, _) = answering(&[(200, held)]);
    let page = read(&provider, SpanKind::Created, None).await.unwrap();
    let payment = &page.orders[0];
    assert_eq!(payment.state, OrderState::Authorized);
    assert_eq!(payment.provider_status, "waiting_for_capture");
    assert_eq!(payment.expires_at, at("2018-07-25T10:52:00.233Z"));
    assert!(payment.paid_at.is_none() && payment.payment.is_none());
    assert_eq!(payment.money.sums.received, None);
}

#[tokio::test]
async fn the_cancellation_reason_distinguishes_expiry_from_refusal() {
    let expired = seen(fixture!("constructed/payment-canceled-expired")).await;
    assert_eq!(expired.state, OrderState::Expired);
    assert_eq!(
        expired.provider_status,
        "canceled:yoo_money:expired_on_confirmation"
    );
    assert_eq!(expired.external_id.unwrap().0, "ORD-1");
    let declined = seen(fixture!("payment-canceled-2018")).await;
    assert_eq!(declined.state, OrderState::Cancelled);
    assert_eq!(
        declined.provider_status,
        "canceled:yoo_money:general_decline"
    );
    for (reason, state) in [
        ("expired_on_capture", OrderState::Expired),
        ("invoice_expired", OrderState::Expired),
        ("canceled_by_merchant", OrderState::Cancelled),
        ("a_new_reason", OrderState::Cancelled),
    ] {
        let details =
            format!(r#","cancellation_details":{{"party":"merchant","reason":"{reason}"}}"#);
        assert_eq!(with("canceled", &details).await.state, state, "{reason}");
    }
    let bare = with("canceled", "").await;
    assert_eq!(bare.state, OrderState::Cancelled);
    assert_eq!(bare.provider_status, "canceled");
}

#[tokio::test]
async fn a_refund_leaves_a_payment_succeeded_with_the_sum_returned() {
    let payment = seen(fixture!("constructed/payment-succeeded-part-refunded")).await;
    assert_eq!(payment.state, OrderState::Paid);
    assert_eq!(payment.money.sums.refunded, Some(rub("50.00")));
    assert_eq!(payment.money.sums.received, Some(rub("200.00")));
    assert!(payment.money.transactions.is_empty());
    let none = with(
        "succeeded",
        r#","refunded_amount":{"value":"0.00","currency":"RUB"}"#,
    )
    .await;
    assert_eq!(none.money.sums.refunded, None);
}

#[tokio::test]
async fn an_unknown_status_changes_nothing() {
    let payment = with("frozen", "").await;
    assert_eq!(payment.state, OrderState::Unknown);
    assert_eq!(payment.provider_status, "frozen");
}

#[tokio::test]
async fn numbers_in_metadata_and_old_time_zones_are_parsed() {
    let payment = with(
        "succeeded",
        r#","metadata":{"external_id":42,"order":null},"captured_at":"2015-11-19T17:05:07+03:00",
           "income_amount":{"value":"97.20","currency":"USD"},"recipient":{"account_id":100500}"#,
    )
    .await;
    assert_eq!(payment.external_id.unwrap().0, "42");
    assert_eq!(payment.paid_at, at("2015-11-19T14:05:07Z"));
    let paid = payment.payment.unwrap();
    assert_eq!((paid.net, paid.fee), (None, None), "in another currency");
}

#[tokio::test]
async fn unusable_fields_are_left_out_except_id_and_amount() {
    let odd = with(
        "succeeded",
        r#","captured_at":5,"created_at":"soon","metadata":[1],"test":"yes","confirmation":7,
           "income_amount":"many","cancellation_details":[],"expires_at":{},"refunded_amount":null"#,
    )
    .await;
    assert_eq!(odd.state, OrderState::Paid);
    assert!(odd.paid_at.is_none() && odd.created_at.is_none() && !odd.money.is_test);
    for broken in [
        r#"{"status":"pending","amount":{"value":"1","currency":"RUB"}}"#,
        r#"{"id":"1-a","amount":{"value":"1","currency":"RUB"}}"#,
        r#"{"id":"1-a","status":7,"amount":{"value":"1","currency":"RUB"}}"#,
        r#"{"id":"1-a","status":"pending"}"#,
        r#"{"id":"1-a","status":"pending","amount":{"value":"1,00","currency":"RUB"}}"#,
        r#"{"id":"1-a","status":"pending","amount":{"value":"1.00"}}"#,
        r#"{"id":"1-a","id":"2-b","status":"pending","amount":{"value":"1","currency":"RUB"}}"#,
        r#"{"id":"2-b","status":"pending","amount":{"value":"1","currency":"RUB"}}"#,
        "[]",
        "<html>",
        "",
    ] {
        let error = poll(200, broken, "1-a").await.unwrap_err();
        assert_eq!(error.kind(), "malformed", "{broken}");
    }
}

#[tokio::test]
async fn an_unknown_payment_is_not_found_in_both_forms() {
    for (status, body) in [
        (404, fixture!("constructed/error-404")),
        (400, fixture!("error-payment-not-found")),
    ] {
        let answer = poll(status, body, "1-a").await.unwrap();
        assert_eq!(answer, FetchedOrder::NotFound, "{status}");
    }
}

#[tokio::test]
async fn each_failure_has_its_kind_and_the_services_message() {
    for (status, body, kind) in [
        (401, fixture!("constructed/error-401"), "key_refused"),
        (403, fixture!("constructed/error-403"), "refused"),
        (429, fixture!("constructed/error-429"), "rate_limited"),
        (500, fixture!("constructed/error-500"), "unavailable"),
        (502, "<html>Bad Gateway</html>", "unavailable"),
        (200, fixture!("constructed/error-500"), "unavailable"),
        (200, fixture!("constructed/error-404"), "malformed"),
        (400, fixture!("error-400-idempotence"), "refused"),
        (400, "<html>", "refused"),
        (405, "", "refused"),
        (301, "", "malformed"),
    ] {
        let error = poll(status, body, "1-a").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error}");
    }
    let error = poll(401, fixture!("constructed/error-401"), "1-a").await;
    let words = error.unwrap_err().to_string();
    assert!(words.contains("invalid_credentials: Basic"), "{words}");
}

#[tokio::test]
async fn a_wait_is_also_read_from_the_body_and_cut() {
    let body = r#"{"type":"error","code":"too_many_requests","retry_after":1800}"#;
    let error = poll(429, body, "1-a").await.unwrap_err();
    let wait = Some(Duration::from_millis(1800));
    assert_eq!(error, ProviderError::RateLimited { wait });
    let long = r#"{"type":"error","code":"too_many_requests","retry_after":99999999999}"#;
    let error = poll(429, long, "1-a").await.unwrap_err();
    let wait = Some(LONGEST_WAIT);
    assert_eq!(error, ProviderError::RateLimited { wait });
}

#[tokio::test]
async fn the_secret_is_removed_from_the_services_message() {
    let body = format!(
        r#"{{"type":"error","code":"invalid_credentials","description":"{SECRET} is\nwrong"}}"#
    );
    let error = poll(401, &body, "1-a").await.unwrap_err().to_string();
    assert!(!error.contains(SECRET) && !error.contains('\n'), "{error}");
}

// ------------------------------------------------------------------------------- the shop

#[tokio::test]
async fn a_disabled_shop_and_a_refused_key_fail_the_probe() {
    let me = r#"{"account_id":"100500","status":"enabled","test":false}"#;
    let (provider, script) = answering(&[(200, me)]);
    assert_eq!(provider.probe().await, Ok(()));
    assert_eq!(script.asked(), ["/v3/me"]);
    let disabled = r#"{"account_id":"100500","status":"disabled","test":false}"#;
    for (status, body, word) in [
        (200, disabled, "disabled"),
        (401, fixture!("constructed/error-401"), "Basic"),
        (403, fixture!("constructed/error-403"), "forbidden"),
    ] {
        let (provider, _) = answering(&[(status, body)]);
        let error = provider.probe().await.unwrap_err();
        assert_eq!(error.kind(), "key_refused");
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn a_key_is_the_shops_id_and_its_secret() {
    let kind = provider_kind("yookassa").unwrap();
    for (key, is_good) in [
        ("100500:live_abc", true),
        (
            "54401:test_Fh8hUAVVBGUGbjmlzba6TB0iyUbos_lueTHE-axOwM0",
            true,
        ),
        ("live_abc", false),
        (":live_abc", false),
        ("100500:", false),
        ("shop:live_abc", false),
        ("100500:live:abc", false),
    ] {
        assert_eq!((kind.check_key)(key).is_ok(), is_good, "{key}");
    }
}

// ------------------------------------------------------------------------------- creation

#[test]
fn the_bytes_and_the_key_of_a_creation_never_change() {
    let options = r#"{"receipt":{"customer": {"email":"a@b.example"},"items":[]},
        "payment_method_data":{"type":"sbp"},"return_url":"https://t.me/other",
        "metadata":{"order":"7","bot":"x"}}"#;
    let made = creation_of(&invoice(Some(options))).unwrap();
    let body = concat!(
        r#"{"amount":{"value":"100.00","currency":"RUB"},"capture":true,"#,
        r#""confirmation":{"type":"redirect","return_url":"https://t.me/other"},"#,
        r#""description":"Заказ №1","metadata":{"external_id":"ORD-1","bot":"x","order":"7"},"#,
        r#""payment_method_data":{"type":"sbp"},"#,
        r#""receipt":{"customer": {"email":"a@b.example"},"items":[]}}"#
    );
    assert_eq!(made.body, body);
    assert_eq!(made.idempotence_key, "7ddd6391-c74a-5a04-903b-df82c1cee5ab");
    assert!(made.idempotence_key.len() <= 64);
    let mut other = invoice(None);
    other.account = "second".into();
    let other = creation_of(&other).unwrap();
    assert_ne!(other.idempotence_key, made.idempotence_key);
}

#[test]
fn an_impossible_creation_is_refused_with_its_rule() {
    for (options, words) in [
        ("[]", "not a JSON object; keys: return_url"),
        (r#"{"save_payment_method":true}"#, "save_payment_method"),
        (
            r#"{"return_url":5}"#,
            "options.return_url: expected a text or null",
        ),
        (
            r#"{"return_url":"some where"}"#,
            "options.return_url: expected",
        ),
        (
            r#"{"receipt":[]}"#,
            "options.receipt: expected a JSON object",
        ),
        (
            r#"{"payment_method_data":"sbp"}"#,
            "options.payment_method_data",
        ),
        (
            r#"{"metadata":{"a":1}}"#,
            "options.metadata: expected an object of texts",
        ),
        (r#"{"metadata":{"external_id":"x"}}"#, "payrecond's own"),
    ] {
        let said = refusal(&invoice(Some(options)));
        assert!(said.contains(words), "{options}: {said}");
    }
    let entries: Vec<String> = (0..16).map(|n| format!("\"k{n}\":\"v\"")).collect();
    let full = |count: usize| format!("{{\"metadata\":{{{}}}}}", entries[..count].join(","));
    assert!(refusal(&invoice(Some(&full(16)))).contains("at most 15"));
    assert!(creation_of(&invoice(Some(&full(15)))).is_ok());
    let mut long = invoice(None);
    long.wish.description = Some("я".repeat(129));
    assert!(refusal(&long).contains("description: 129 characters"));
    long.wish.description = Some("я".repeat(128));
    assert!(creation_of(&long).is_ok());
    let mut sum = invoice(None);
    sum.facts.amount = Some(rub("1.001"));
    assert!(refusal(&sum).contains("at most 2"));
    sum.facts.amount = None;
    assert!(refusal(&sum).contains("amount: missing"));
}

#[test]
fn a_return_url_is_required() {
    let (provider, _) = shop("", &[]);
    let creates = provider.creates().unwrap();
    let said = creates.creation(&invoice(None)).unwrap_err();
    assert!(said.contains("account.settings.return_url"), "{said}");
    let options = r#"{"return_url":"https://t.me/some_bot"}"#;
    assert!(creates.creation(&invoice(Some(options))).is_ok());
}

#[tokio::test]
async fn a_creation_is_sent_with_its_key_and_answered_with_the_payment() {
    let body = fixture!("payment-pending-2025");
    let (provider, script) = answering(&[(200, body)]);
    let creation = creation_of(&invoice(None)).unwrap();
    let answer = provider.creates().unwrap().create(&creation).await.unwrap();
    assert!(matches!(answer, CreationAnswer::Exists(order) if order.pay_link.is_some()));
    let asked = script.asked.lock().unwrap();
    assert_eq!(asked[0].method, Method::Post);
    assert_eq!(asked[0].path_and_query, "/v3/payments");
    assert_eq!(asked[0].body.as_deref(), Some(creation.body.as_str()));
    let headers = [("idempotence-key", creation.idempotence_key.clone())];
    assert_eq!(asked[0].headers, headers);
}

#[tokio::test]
async fn only_the_services_own_400_ends_a_creation() {
    let receipt = r#"{"type":"error","code":"invalid_request",
        "description":"Receipt is missing or illegal","parameter":"receipt"}"#;
    let words = "invalid_request: Receipt is missing or illegal (parameter receipt)";
    let refused = CreationAnswer::Refused(words.into());
    assert_eq!(create(400, receipt).await, Ok(refused));
    let taken = create(400, fixture!("error-400-idempotence"))
        .await
        .unwrap();
    assert!(matches!(taken, CreationAnswer::Conflict(_)), "{taken:?}");
    for (status, body, kind) in [
        (400, "<html>", "refused"),
        (500, fixture!("constructed/error-500"), "unavailable"),
        (429, fixture!("constructed/error-429"), "rate_limited"),
        (401, fixture!("constructed/error-401"), "key_refused"),
        (403, fixture!("constructed/error-403"), "refused"),
        (200, "{}", "malformed"),
        (200, "<html>", "malformed"),
    ] {
        let error = create(status, body).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {body}");
    }
    let old = create(200, fixture!("payment-canceled-2018"))
        .await
        .unwrap();
    assert!(matches!(old, CreationAnswer::Exists(order) if order.state == OrderState::Cancelled));
}

// ---------------------------------------------------------------------------------- lists

async fn read(
    provider: &Arc<dyn Provider>,
    kind: SpanKind,
    cursor: Option<&SpanCursor>,
) -> Result<SpanPage, ProviderError> {
    let span = TimeSpan {
        kind,
        from: UnixMillis::parse("2024-01-15T09:00:00Z").unwrap(),
        until: (kind == SpanKind::Created)
            .then(|| UnixMillis::parse("2024-01-15T12:00:00.5Z").unwrap()),
    };
    let list = provider.lists_by_time().unwrap();
    assert!(list.lists_by(kind) && list.page_limit() == 100);
    list.span_page(&span, cursor).await
}

#[tokio::test]
async fn a_span_is_read_page_by_page_with_the_limit_and_the_same_filters() {
    let two = fixture!("payments-list-two");
    let last = fixture!("constructed/payments-last-page");
    let (provider, script) = answering(&[(200, two), (200, last), (200, last)]);
    let page = read(&provider, SpanKind::Created, None).await.unwrap();
    let states: Vec<OrderState> = page.orders.iter().map(|order| order.state).collect();
    assert_eq!(states, [OrderState::Paid, OrderState::Open]);
    assert_eq!(page.bytes, two.len() as u64);
    let cursor = page.next.unwrap();
    assert_eq!(cursor.0, "37a5c87d-3984-51e8-a7f3-8de646d39ec15");
    let end = read(&provider, SpanKind::Created, Some(&cursor)).await;
    let end = end.unwrap();
    assert!(end.orders.is_empty() && end.next.is_none());
    read(&provider, SpanKind::Paid, None).await.unwrap();
    let span = "/v3/payments?created_at.gte=2024-01-15T09%3A00%3A00.000Z&created_at.lt=2024-01-15T12%3A00%3A00.500Z&limit=100";
    let paid =
        "/v3/payments?captured_at.gte=2024-01-15T09%3A00%3A00.000Z&status=succeeded&limit=100";
    let next = format!("{span}&cursor=37a5c87d-3984-51e8-a7f3-8de646d39ec15");
    assert_eq!(script.asked(), [span, &next, paid]);
}

#[tokio::test]
async fn an_incomplete_list_shows_nothing() {
    for (status, body, kind) in [
        (200, r#"{"type":"list"}"#, "malformed"),
        (200, r#"{"type":"list","items":{}}"#, "malformed"),
        (
            200,
            r#"{"type":"list","items":[{"id":"1-a"}]}"#,
            "malformed",
        ),
        (200, "[]", "malformed"),
        (404, fixture!("constructed/error-404"), "refused"),
        (403, fixture!("constructed/error-403"), "key_refused"),
        (500, fixture!("constructed/error-500"), "unavailable"),
    ] {
        let (provider, _) = answering(&[(status, body)]);
        let error = read(&provider, SpanKind::Paid, None).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{body}");
    }
}

#[tokio::test]
async fn refunds_have_their_ids() {
    let last = r#"{"type":"list","items":[]}"#;
    let refunded = fixture!("refunds-list-2017");
    let (provider, script) = answering(&[(200, refunded), (200, last)]);
    let refunds = provider.lists_refunds().unwrap();
    let from = UnixMillis::parse("2017-10-04T19:00:00Z").unwrap();
    let page = refunds.refund_page(from, None).await.unwrap();
    let refund = &page.refunds[0];
    assert_eq!(refund.order_id.0, "216749da-000f-50be-b000-096747fad91e");
    let shown = &refund.transaction;
    assert_eq!(shown.id.0, "216749f7-0016-50be-b000-078d43a63ae4");
    assert_eq!(shown.direction, Direction::Out);
    assert_eq!(shown.status, TransactionStatus::Succeeded);
    assert_eq!(shown.amount, rub("1.00"));
    assert_eq!(Some(shown.happened_at), at("2017-10-04T19:27:51.407Z"));
    let end = refunds.refund_page(from, page.next.as_ref()).await.unwrap();
    assert!(end.next.is_none());
    let span = "/v3/refunds?created_at.gte=2017-10-04T19%3A00%3A00.000Z&limit=100";
    let next = format!("{span}&cursor=416746f8-0016-50be-b000-078d43a4578");
    assert_eq!(script.asked(), [span, &next]);
}

#[tokio::test]
async fn the_refunds_of_one_payment_are_read_to_the_last_page() {
    let one = fixture!("refund-2019");
    let page = |next: &str| format!(r#"{{"type":"list","items":[{one}]{next}}}"#);
    let (first, last) = (page(r#","next_cursor":"c""#), page(""));
    let (provider, script) = answering(&[(200, &first), (200, &last)]);
    let refunds = provider.lists_refunds().unwrap();
    let payment = OrderId::from("2491a6e2-000f-5000-9000-1480e820ae17");
    assert_eq!(refunds.refunds_of(&payment).await.unwrap().len(), 2);
    let first = "/v3/refunds?payment_id=2491a6e2-000f-5000-9000-1480e820ae17&limit=100";
    assert_eq!(script.asked(), [first, &format!("{first}&cursor=c")]);

    let (provider, _) = answering(&[(200, &last)]);
    let others = provider.lists_refunds().unwrap();
    let none = others.refunds_of(&"other".into()).await.unwrap();
    assert!(none.is_empty(), "those of another payment are not taken");
    for (status, shown) in [
        ("canceled", TransactionStatus::Refused),
        ("pending", TransactionStatus::InProgress),
        ("unheard_of", TransactionStatus::InProgress),
    ] {
        let body = last.replace("succeeded", status);
        let (provider, _) = answering(&[(200, &body)]);
        let refunds = provider.lists_refunds().unwrap();
        let read = refunds.refunds_of(&payment).await.unwrap();
        assert_eq!(read[0].status, shown, "{status}");
    }
}
