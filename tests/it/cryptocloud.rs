//! CryptoCloud over a scripted transport: the result of each documented or captured body.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use payrecond::clock::ManualClock;
use payrecond::domain::invoice::OrderId;
use payrecond::domain::money::Money;
use payrecond::domain::observation::{ObservedOrder, OrderState};
use payrecond::domain::time::UnixMillis;
use payrecond::provider::cryptocloud::CryptoCloud;
use payrecond::provider::http::{Method, Request, Response, Transport};
use payrecond::provider::{
    ApiKey, ClockDifference, CreateOrders, Creation, CreationAnswer, FetchOrders, FetchedOrder,
    Provider, ProviderError,
};
use serde_json::{Value, json};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/cryptocloud/",
            $name,
            ".json"
        ))
    };
}

mod creations;
mod daemon;
mod lists;

/// 2026-01-01T18:00:00Z, before the expiry of the samples' invoices.
const NOW: UnixMillis = UnixMillis(1_767_290_400_000);
const HOUR: Duration = Duration::from_hours(1);

/// Returns prepared answers in turn and records the requests.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Response>>,
    asked: Mutex<Vec<Request>>,
    difference: Mutex<Option<ClockDifference>>,
}

impl Script {
    /// The request bodies, as JSON.
    fn bodies(&self) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        let body = |request: &Request| request.body.clone().unwrap();
        let read = |request| serde_json::from_str(&body(request)).unwrap();
        asked.iter().map(read).collect()
    }

    fn paths(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        assert!(asked.iter().all(|request| request.method == Method::Post));
        asked.iter().map(|r| r.path_and_query.clone()).collect()
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: Request) -> Result<Response, ProviderError> {
        self.asked.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front();
        answer.ok_or_else(|| ProviderError::Unreachable("no more script".into()))
    }

    fn set_key(&self, _key: ApiKey) {}

    fn clock_difference(&self) -> Option<ClockDifference> {
        *self.difference.lock().unwrap()
    }
}

fn provider(answers: Vec<(u16, String)>) -> (CryptoCloud, Arc<Script>) {
    let script = Arc::new(Script::default());
    let answers = answers.into_iter();
    *script.answers.lock().unwrap() = answers.map(|(s, b)| Response::whole(s, b)).collect();
    let clock = Arc::new(ManualClock::at(NOW));
    let provider = CryptoCloud::new(script.clone(), clock, "shop-1".into());
    provider.set_key(ApiKey::from_bytes(b"project-key-0123456789").unwrap());
    (provider, script)
}

fn answering(status: u16, body: &str) -> CryptoCloud {
    provider(vec![(status, body.to_owned())]).0
}

async fn fetch(body: &str, ids: &[&str]) -> Result<Vec<FetchedOrder>, ProviderError> {
    let ids: Vec<OrderId> = ids.iter().map(|id| OrderId::from(*id)).collect();
    answering(200, body).fetch(&ids).await
}

fn seen(fetched: &FetchedOrder) -> &ObservedOrder {
    match fetched {
        FetchedOrder::Seen(observed) => observed,
        FetchedOrder::NotFound => panic!("not found"),
    }
}

/// The observed invoice from an answer with these fields, added to those of a paid invoice for 100
/// dollars.
async fn told_with(changes: Value) -> Result<ObservedOrder, ProviderError> {
    let mut invoice = json!({
        "uuid": "INV-89UX09KC", "status": "paid", "order_id": "ORD-1",
        "created": "2026-01-01 12:00:00.000000", "expiry_date": "2026-01-02 12:00:00.000000",
        "amount": 0.033_366, "amount_usd": 100.0, "amount_in_fiat": 100.0, "fiat_currency": "USD",
        "received": 0.032_687, "received_usd": 97.97, "fee": 0.000_045, "service_fee": 0.000_634,
        "currency": {"code": "LTC"}, "test_mode": false,
    });
    for (field, value) in changes.as_object().unwrap() {
        invoice[field] = value.clone();
    }
    let body = json!({"status": "success", "result": [invoice]}).to_string();
    let fetched = fetch(&body, &["INV-89UX09KC"]).await?;
    Ok(seen(&fetched[0]).clone())
}

fn dollars(value: &str) -> Money {
    Money {
        value: value.into(),
        currency: "USD".into(),
    }
}

fn kind<T: std::fmt::Debug>(answer: &Result<T, ProviderError>) -> &'static str {
    answer.as_ref().unwrap_err().kind()
}

#[tokio::test]
async fn every_state_of_the_sample_is_mapped() {
    let letters = ["A", "B", "C", "D", "E", "F", "G"];
    let ids = letters.map(|letter| format!("INV-89UX09K{letter}"));
    let ids = ids.each_ref().map(String::as_str);
    let fetched = fetch(fixture!("constructed-info-all-states"), &ids)
        .await
        .unwrap();
    let states = fetched.iter().map(|one| seen(one).state);
    assert_eq!(
        states.collect::<Vec<_>>(),
        [
            OrderState::Open,
            OrderState::Partial,
            OrderState::Paid,
            OrderState::Paid,
            OrderState::Cancelled,
            OrderState::Paid,
            OrderState::Unknown,
        ]
    );
    let words = fetched.iter().map(|one| seen(one).provider_status.as_str());
    let words: Vec<&str> = words.collect();
    let shown = [
        "created", "partial", "paid", "overpaid", "canceled", "paid", "aml_hold",
    ];
    assert_eq!(words, shown);
    let received = fetched.iter().map(|one| {
        let received = seen(one).money.sums.received.as_ref();
        received.map(|sum| sum.value.as_str())
    });
    let part = seen(&fetched[1]).payment.as_ref().unwrap();
    assert!(part.value.is_some() && part.currency.is_some());
    let received: Vec<_> = received.collect();
    let expected = [None, Some("48.2"), Some("97.97"), Some("128.0"), None];
    assert_eq!(received[..5], expected);
    let tests = fetched.iter().map(|one| seen(one).money.is_test);
    let is_test = [false, false, false, false, false, true, false];
    assert_eq!(tests.collect::<Vec<_>>(), is_test);
    for one in &fetched {
        assert_eq!(seen(one).amount, Some(dollars("100.0")));
    }
    assert_eq!(seen(&fetched[5]).external_id, None);
    assert_eq!(seen(&fetched[0]).external_id, Some("ORD-1".into()));
}

#[tokio::test]
async fn a_payment_is_gross_and_net_in_its_coin_and_received_in_the_invoices_currency() {
    let paid = told_with(json!({"fee": 0})).await.unwrap();
    let payment = paid.payment.unwrap();
    assert_eq!(payment.net.as_deref(), Some("0.032687"));
    assert_eq!(payment.fee.as_deref(), Some("0.000634"));
    assert_eq!(payment.value.as_deref(), Some("0.033321"));
    assert_eq!(payment.currency.as_deref(), Some("LTC"));
    assert_eq!(paid.money.sums.received, Some(dollars("97.97")));
    assert_eq!(paid.paid_at, None, "a batch does not tell when");
    let listed = told_with(json!({
        "amount_paid": 0.0334, "date_finished": "2026-01-01 13:00:00.5",
    }));
    let listed = listed.await.unwrap();
    assert_eq!(listed.payment.unwrap().value.as_deref(), Some("0.0334"));
    assert_eq!(listed.paid_at, Some(UnixMillis(1_767_272_400_500)));
}

#[tokio::test]
async fn amounts_keep_every_digit() {
    let body = r#"{"status":"success","result":[{"uuid":"INV-89UX09KC","status":"paid",
        "amount_usd":0.1000000000000000055511151231257827,
        "amount_in_fiat":0.1000000000000000055511151231257827,"fiat_currency":"USD",
        "received":4.5e-05,"received_usd":1E-1,"fee":1e-9,"service_fee":0,
        "currency":{"code":"BTC"}}]}"#;
    let fetched = fetch(body, &["89ux09kc"]).await.unwrap();
    let order = seen(&fetched[0]);
    let amount = order.amount.as_ref().unwrap();
    assert_eq!(amount.value, "0.1000000000000000055511151231257827");
    let payment = order.payment.as_ref().unwrap();
    assert_eq!(payment.net.as_deref(), Some("4.5e-05"));
    assert_eq!(payment.value.as_deref(), Some("0.000045001"));
    let received = order.money.sums.received.as_ref().unwrap();
    assert_eq!(received.value, "1E-1");
}

#[tokio::test]
async fn nothing_credited_is_no_payment() {
    for state in ["created", "paid"] {
        let order = told_with(json!({"status": state, "received": 0, "received_usd": 0.0}));
        let order = order.await.unwrap();
        assert_eq!(order.payment, None, "{state}");
    }
    let zero = told_with(json!({"received": 0, "received_usd": 0})).await;
    let received = zero.unwrap().money.sums.received;
    assert_eq!(received, Some(dollars("0")), "confirmed by hand, or a test");
}

#[tokio::test]
async fn the_requested_amount_has_its_currency_or_is_left_out() {
    let amount = async |changes| told_with(changes).await.unwrap().amount;
    let rubles = json!({"fiat_currency": "RUB", "amount_in_fiat": 7900.5});
    let shown = amount(rubles.clone()).await.unwrap();
    assert_eq!(
        (shown.value.as_str(), shown.currency.as_str()),
        ("7900.5", "RUB")
    );
    let order = told_with(rubles).await.unwrap();
    assert_eq!(order.money.sums.received, None, "reported only in dollars");
    // The documented batch names no currency.
    let same = json!({"fiat_currency": null});
    assert_eq!(amount(same).await, Some(dollars("100.0")));
    let other = json!({"fiat_currency": null, "amount_in_fiat": 7900});
    let order = told_with(other).await.unwrap();
    assert_eq!(order.amount, None);
    assert_eq!(order.bare_amount.as_deref(), Some("7900"), "to be compared");
    let neither = json!({"fiat_currency": null, "amount_in_fiat": null});
    assert_eq!(amount(neither).await, None);
    // The documented notification has zero for unknown sums.
    let zero = json!({"amount_in_fiat": 0.0});
    assert_eq!(amount(zero).await, Some(dollars("100.0")));
    for bad in [json!("1,00"), json!(-1), json!({}), json!("")] {
        let answer = told_with(json!({"amount_in_fiat": bad})).await;
        assert_eq!(kind(&answer), "malformed", "{bad}");
    }
}

#[tokio::test]
async fn canceled_means_expired_once_the_providers_clock_passes_the_expiry() {
    let state = async |ours: UnixMillis, difference, changes: Value| {
        let mut invoice = json!({
            "uuid": "INV-1", "status": "canceled", "expiry_date": "2026-01-02 12:00:00",
        });
        for (field, value) in changes.as_object().unwrap() {
            invoice[field] = value.clone();
        }
        let body = json!({"status": "success", "result": [invoice]}).to_string();
        let script = Arc::new(Script::default());
        *script.difference.lock().unwrap() = difference;
        let answer = Response::whole(200, body);
        script.answers.lock().unwrap().push_back(answer);
        let clock = Arc::new(ManualClock::at(ours));
        let provider = CryptoCloud::new(script, clock, String::new());
        let fetched = provider.fetch(&["INV-1".into()]).await.unwrap();
        seen(&fetched[0]).state
    };
    let end = UnixMillis(1_767_355_200_000);
    let early = end.minus(Duration::from_millis(1));
    let none = json!({});
    assert_eq!(
        state(early, None, none.clone()).await,
        OrderState::Cancelled
    );
    assert_eq!(state(end, None, none.clone()).await, OrderState::Expired);
    let ahead = Some(ClockDifference::Ahead(HOUR));
    assert_eq!(state(early, ahead, none.clone()).await, OrderState::Expired);
    let behind = Some(ClockDifference::Behind(HOUR));
    assert_eq!(state(end, behind, none).await, OrderState::Cancelled);
    let without = json!({"expiry_date": null});
    assert_eq!(state(early, None, without).await, OrderState::Expired);
    // The list has the time at which it ended.
    let finished = json!({"date_finished": "2026-01-01 12:30:00"});
    let late = end.plus(HOUR * 48);
    assert_eq!(state(late, None, finished).await, OrderState::Cancelled);
}

#[tokio::test]
async fn ids_are_matched_with_and_without_prefix_in_any_case_and_order() {
    let body = json!({"status": "success", "result": [
        {"uuid": "AAAA1111", "status": "created"},
        {"uuid": "INV-cccc3333", "status": "paid"},
        {"uuid": "INV-ZZZZ9999", "status": "paid"},
    ]});
    let ids = ["inv-CCCC3333", "INV-BBBB2222", "INV-AAAA1111"];
    let (provider, script) = provider(vec![(200, body.to_string())]);
    let asked = ids.map(OrderId::from);
    let fetched = provider.fetch(&asked).await.unwrap();
    assert_eq!(seen(&fetched[0]).state, OrderState::Paid);
    assert_eq!(seen(&fetched[0]).order_id.0, "inv-CCCC3333", "as asked for");
    assert_eq!(fetched[1], FetchedOrder::NotFound);
    assert_eq!(seen(&fetched[2]).state, OrderState::Open);
    assert_eq!(script.bodies(), [json!({ "uuids": ids })]);
    assert_eq!(script.paths(), ["/v2/invoice/merchant/info"]);
}

#[tokio::test]
async fn unknown_ids_alone_are_an_empty_success() {
    let fetched = fetch(fixture!("constructed-info-unknown-id"), &["INV-1", "INV-2"]).await;
    assert_eq!(
        fetched.unwrap(),
        [FetchedOrder::NotFound, FetchedOrder::NotFound]
    );
}

#[tokio::test]
async fn the_documented_answers_are_read() {
    let fetched = fetch(fixture!("info-doc-2024"), &["INV-XXXXXXXX"])
        .await
        .unwrap();
    let order = seen(&fetched[0]);
    assert_eq!(order.state, OrderState::Paid);
    assert_eq!(order.external_id, Some("1111".into()));
    assert_eq!(order.amount, None, "neither currency nor sum in it");
    assert_eq!(
        order.payment.as_ref().unwrap().currency.as_deref(),
        Some("USDT")
    );

    // A notification's invoice has the fields of the list.
    for (body, is_test) in [
        (fixture!("postback-doc-2024"), false),
        (fixture!("postback-fixture-go"), true),
    ] {
        let shown: Value = serde_json::from_str(body).unwrap();
        let body = json!({"status": "success", "result": [shown["invoice_info"]]}).to_string();
        let id = shown["invoice_info"]["uuid"].as_str().unwrap();
        let order = seen(&fetch(&body, &[id]).await.unwrap()[0]).clone();
        assert_eq!(order.state, OrderState::Paid);
        assert_eq!(order.money.is_test, is_test);
        let payment = order.payment.unwrap();
        assert_eq!(payment.value.as_deref(), Some("102.0"));
        assert_eq!(payment.fee.as_deref(), Some("2.2048"));
        assert_eq!(payment.net.as_deref(), Some("99.7952"));
        assert_eq!(order.paid_at, Some(UnixMillis(1_724_327_513_753)));
    }
}

#[tokio::test]
async fn an_invalid_invoice_makes_the_answer_unusable() {
    for item in [
        json!({"status": "paid"}),
        json!({"uuid": "INV-1"}),
        json!({"uuid": "INV-1", "status": 5}),
        json!({"uuid": "INV 1", "status": "paid"}),
        json!({"uuid": 1.5, "status": "paid"}),
        json!([]),
        json!("INV-1"),
    ] {
        let body = json!({"status": "success", "result": [item]}).to_string();
        assert_eq!(kind(&fetch(&body, &["INV-1"]).await), "malformed", "{item}");
    }
    let twice = json!({"uuid": "INV-1", "status": "paid"});
    let body = json!({"status": "success", "result": [twice, twice]}).to_string();
    assert_eq!(kind(&fetch(&body, &["INV-1"]).await), "malformed");
    // A bot that expects an object here always fails; payrecond accepts one, should it ever come.
    let object = json!({"status": "success", "result": {"uuid": "INV-1"}}).to_string();
    assert_eq!(kind(&fetch(&object, &["INV-1"]).await), "malformed");
}

#[tokio::test]
async fn errors_are_distinguished_by_status_and_both_forms_of_body() {
    let key = fixture!("error-401-doc");
    let detail = r#"{"detail":"Invalid token."}"#;
    let fields = fixture!("create-error-400-missing");
    for (status, body, expected) in [
        (401, key, "key_refused"),
        (200, key, "key_refused"),
        (400, key, "key_refused"),
        (401, detail, "key_refused"),
        (403, detail, "key_refused"),
        (403, "<html>", "key_refused"),
        (200, detail, "refused"),
        (400, fields, "refused"),
        (200, fields, "refused"),
        (404, detail, "refused"),
        (429, detail, "rate_limited"),
        (500, fields, "unavailable"),
        (502, "<html>", "unavailable"),
        (200, "<html>", "malformed"),
        (200, "", "malformed"),
        (200, "[]", "malformed"),
        (200, r#"{"status":"maybe","result":[]}"#, "malformed"),
        (200, r#"{"result":[]}"#, "malformed"),
        (200, r#"{"status":"success"}"#, "malformed"),
        (200, r#"{"status":"success","result":null}"#, "malformed"),
    ] {
        let answer = answering(status, body).fetch(&["INV-1".into()]).await;
        assert_eq!(kind(&answer), expected, "{status} {body}");
        let probe = answering(status, body).probe().await;
        assert_eq!(kind(&probe), expected, "probe: {status} {body}");
    }
    let refused = answering(400, fields).probe().await.unwrap_err();
    let words = refused.to_string();
    assert!(words.contains("amount: amount not passed."), "{words}");
    assert!(words.contains("shop_id: shop_id not passed."), "{words}");
}

#[tokio::test]
async fn the_probe_requests_the_balances_and_accepts_any_result() {
    for result in [json!([]), json!({"all": 0}), json!([{"balance_crypto": 1}])] {
        let body = json!({"status": "success", "result": result}).to_string();
        let (provider, script) = provider(vec![(200, body)]);
        provider.probe().await.unwrap();
        assert_eq!(script.paths(), ["/v2/merchant/wallet/balance/all"]);
    }
}

#[tokio::test]
async fn the_key_is_removed_from_the_services_message() {
    let body = r#"{"status":"error","result":{"x":"bad project-key-0123456789!"}}"#;
    let error = answering(400, body).probe().await.unwrap_err().to_string();
    assert!(!error.contains("project-key"), "{error}");
    let body = r#"{"detail":"project-key-0123456789"}"#;
    let error = answering(401, body).probe().await.unwrap_err().to_string();
    assert!(!error.contains("project-key"), "{error}");
}

#[tokio::test]
async fn a_link_always_has_a_scheme() {
    for (shown, link) in [
        (
            "pay.trybit.com/ABCD1234",
            Some("https://pay.trybit.com/ABCD1234"),
        ),
        (
            "https://pay.cryptocloud.plus/X",
            Some("https://pay.cryptocloud.plus/X"),
        ),
        ("javascript://x", None),
        ("pay.trybit.com/ x", None),
        ("", None),
    ] {
        let order = told_with(json!({ "link": shown })).await.unwrap();
        assert_eq!(order.pay_link.as_deref(), link, "{shown}");
        let order = told_with(json!({ "pay_url": shown })).await.unwrap();
        assert_eq!(order.pay_link.as_deref(), link, "{shown}");
    }
}
