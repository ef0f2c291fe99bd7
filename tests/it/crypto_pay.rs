//! Crypto Pay over a scripted transport: the result of each documented or captured body.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use payrecond::clock::ManualClock;
use payrecond::domain::invoice::OrderId;
use payrecond::domain::money::Money;
use payrecond::domain::observation::{ObservedOrder, OrderState, Payment};
use payrecond::domain::time::UnixMillis;
use payrecond::provider::crypto_pay::CryptoPay;
use payrecond::provider::http::{Method, Request, Response, Transport};
use payrecond::provider::{ApiKey, FetchOrders, FetchedOrder, Provider, ProviderError};
use serde_json::{Value, json};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/crypto-pay/",
            $name,
            ".json"
        ))
    };
}

mod creations;
mod lists;

const NOW: UnixMillis = UnixMillis(1_771_430_000_000);

/// Returns prepared answers in turn and records the requests.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Response>>,
    asked: Mutex<Vec<Request>>,
}

impl Script {
    /// The methods called, with their parameters.
    fn calls(&self) -> Vec<(String, Value)> {
        let asked = self.asked.lock().unwrap();
        let call = |request: &Request| {
            assert_eq!(request.method, Method::Post);
            let body = serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
            (request.path_and_query.clone(), body)
        };
        asked.iter().map(call).collect()
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
}

fn provider(answers: Vec<(u16, String)>) -> (CryptoPay, Arc<Script>) {
    let script = Arc::new(Script::default());
    let answers = answers.into_iter();
    *script.answers.lock().unwrap() = answers.map(|(s, b)| Response::whole(s, b)).collect();
    let clock = Arc::new(ManualClock::at(NOW));
    let provider = CryptoPay::new(script.clone(), clock, false);
    provider.set_key(ApiKey::from_bytes(b"12345:AAsecret-token").unwrap());
    (provider, script)
}

fn answering(status: u16, body: &str) -> CryptoPay {
    provider(vec![(status, body.to_owned())]).0
}

async fn fetch_from(
    provider: &CryptoPay,
    ids: &[&str],
) -> Result<Vec<FetchedOrder>, ProviderError> {
    let ids: Vec<OrderId> = ids.iter().map(|id| OrderId::from(*id)).collect();
    provider.fetch(&ids).await
}

async fn fetch(body: &str, ids: &[&str]) -> Result<Vec<FetchedOrder>, ProviderError> {
    fetch_from(&answering(200, body), ids).await
}

async fn one(body: &str, id: &str) -> ObservedOrder {
    seen(&fetch(body, &[id]).await.unwrap()[0]).clone()
}

fn seen(fetched: &FetchedOrder) -> &ObservedOrder {
    match fetched {
        FetchedOrder::Seen(observed) => observed,
        FetchedOrder::NotFound => panic!("not found"),
    }
}

fn money(value: &str, currency: &str) -> Money {
    Money {
        value: value.into(),
        currency: currency.into(),
    }
}

/// An answer with these invoices.
fn items(invoices: &[Value]) -> String {
    json!({"ok": true, "result": {"items": invoices}}).to_string()
}

/// An answer with one invoice: paid with 2 USDT, except for these fields; null removes one.
fn invoice_with(changes: &Value) -> Value {
    let mut invoice = json!({
        "invoice_id": 7, "currency_type": "crypto", "asset": "USDT", "amount": "2", "status": "paid",
        "paid_asset": "USDT", "paid_amount": "2", "fee_asset": "USDT", "fee_amount": "0.06",
        "created_at": "2026-02-18T15:12:54.682Z", "paid_at": "2026-02-18T15:17:22.514Z",
    });
    let fields = invoice.as_object_mut().unwrap();
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            fields.remove(key);
        } else {
            fields.insert(key.clone(), value.clone());
        }
    }
    invoice
}

async fn told_with(changes: &Value) -> Result<ObservedOrder, ProviderError> {
    let fetched = fetch(&items(&[invoice_with(changes)]), &["7"]).await?;
    Ok(seen(&fetched[0]).clone())
}

#[tokio::test]
async fn a_captured_open_invoice_is_parsed_completely() {
    let read = one(fixture!("getinvoices-active-2026"), "828733").await;
    assert_eq!(
        (read.state, read.provider_status.as_str()),
        (OrderState::Open, "active")
    );
    assert_eq!(read.external_id.as_ref().unwrap().0, "ORD-1");
    assert_eq!(read.amount, Some(money("2", "USDT")));
    assert_eq!(
        read.created_at,
        UnixMillis::parse("2026-02-18T15:12:54.682Z")
    );
    assert_eq!(
        read.expires_at,
        UnixMillis::parse("2026-02-18T16:12:54.679Z")
    );
    assert_eq!(
        (read.paid_at, read.payment, read.money.is_test),
        (None, None, false)
    );
    assert_eq!(
        read.pay_link.unwrap(),
        "https://t.me/CryptoTestnetBot/app?startapp=invoice-IVHuvcfIGkOl&mode=compact"
    );
    assert_eq!(
        read.direct_pay_link.unwrap(),
        "https://t.me/CryptoTestnetBot?start=IVHuvcfIGkOl"
    );
}

#[tokio::test]
async fn captured_payments_have_fee_and_net() {
    let read = one(fixture!("getinvoices-paid-2026"), "828733").await;
    assert_eq!(read.state, OrderState::Paid);
    assert_eq!(read.paid_at, UnixMillis::parse("2026-02-18T15:17:22.514Z"));
    let payment = |value: &str, currency: &str, fee: &str, net: &str| Payment {
        value: Some(value.into()),
        currency: Some(currency.into()),
        fee: Some(fee.into()),
        net: Some(net.into()),
        exchange_rate: None,
    };
    assert_eq!(read.payment, Some(payment("2", "USDT", "0.06", "1.94")));
    let read = one(fixture!("getinvoices-paid-2025"), "711707").await;
    assert_eq!(read.payment, Some(payment("3", "TRX", "0.09", "2.91")));
    assert_eq!(
        (read.external_id, read.amount),
        (None, Some(money("3", "TRX")))
    );
}

#[tokio::test]
async fn a_price_in_rubles_is_paid_in_a_coin() {
    let read = one(fixture!("constructed-getinvoices-fiat-paid"), "77").await;
    assert_eq!(read.amount, Some(money("1990.00", "RUB")));
    let payment = read.payment.unwrap();
    let shown = [
        payment.value,
        payment.currency,
        payment.fee,
        payment.net,
        payment.exchange_rate,
    ];
    let shown = shown.map(Option::unwrap);
    assert_eq!(shown, ["21.12", "USDT", "0.6336", "20.4864", "94.223484"]);
}

#[tokio::test]
async fn each_state_is_parsed_and_missing_ids_are_not_found() {
    let body = fixture!("constructed-getinvoices-mixed");
    let ids = ["828737", "828736", "828735", "828734", "828733"];
    let fetched = fetch(body, &ids).await.unwrap();
    assert_eq!(fetched[0], FetchedOrder::NotFound);
    let states: Vec<_> = fetched[1..].iter().map(|one| seen(one).state).collect();
    assert_eq!(
        states,
        [
            OrderState::Unknown,
            OrderState::Paid,
            OrderState::Expired,
            OrderState::Paid
        ]
    );
    assert_eq!(seen(&fetched[1]).provider_status, "cancelled");
    // A fee as a number keeps every digit.
    let payment = seen(&fetched[2]).payment.clone().unwrap();
    assert_eq!(payment.fee.as_deref(), Some("0.06"));
    assert_eq!(payment.net.as_deref(), Some("1.94"));
}

#[tokio::test]
async fn a_batch_is_requested_as_text_with_its_count() {
    let (provider, script) = provider(vec![(200, items(&[]))]);
    let ids: Vec<String> = (1..=1000).map(|id| id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let fetched = fetch_from(&provider, &ids).await.unwrap();
    assert!(fetched.iter().all(|one| *one == FetchedOrder::NotFound));
    let body = json!({"invoice_ids": ids.join(","), "count": 1000});
    assert_eq!(script.calls(), [("/api/getInvoices".to_owned(), body)]);
    assert_eq!(provider.fetches().unwrap().batch_limit(), 1000);
}

#[tokio::test]
async fn an_impossible_id_is_not_found_and_not_sent() {
    let (provider, script) = provider(vec![(200, items(&[invoice_with(&json!({}))]))]);
    let ids = ["abc", "7", "-5", "007", "12345678901234567890"];
    let fetched = fetch_from(&provider, &ids).await.unwrap();
    let found: Vec<bool> = fetched
        .iter()
        .map(|one| *one != FetchedOrder::NotFound)
        .collect();
    assert_eq!(found, [false, true, false, false, false]);
    assert_eq!(script.calls()[0].1, json!({"invoice_ids": "7", "count": 1}));
    let only = fetch_from(&provider, &["abc"]).await.unwrap();
    assert_eq!(only, [FetchedOrder::NotFound]);
    assert_eq!(script.calls().len(), 1, "nothing to ask for");
}

/// A service that does not understand the ids returns the newest invoices, which proves nothing
/// about ours.
#[tokio::test]
async fn an_answer_about_other_invoices_proves_nothing() {
    let other = items(&[invoice_with(&json!({"invoice_id": 8}))]);
    let error = fetch(&other, &["7"]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "unusable answer: answer has the unrequested invoice 8"
    );
    let twice = items(&[
        invoice_with(&json!({})),
        invoice_with(&json!({"status": "active"})),
    ]);
    assert_eq!(fetch(&twice, &["7"]).await.unwrap_err().kind(), "malformed");
}

#[tokio::test]
async fn a_bare_array_and_an_id_as_text_are_read() {
    let invoice = invoice_with(&json!({"invoice_id": "7"}));
    let bare = json!({"ok": true, "result": [invoice]}).to_string();
    assert_eq!(one(&bare, "7").await.state, OrderState::Paid);
}

#[tokio::test]
async fn an_invoice_without_an_expiry_has_none() {
    let open = told_with(&json!({"status": "active"})).await.unwrap();
    assert_eq!(open.expires_at, None);
}

#[tokio::test]
async fn money_is_kept_digit_by_digit_and_coins_by_their_codes() {
    let fields = json!({"asset": "GRAM", "amount": "0.100000000000000005", "paid_asset": "TON"});
    let shown = told_with(&fields).await.unwrap();
    assert_eq!(shown.amount, Some(money("0.100000000000000005", "GRAM")));
    assert_eq!(shown.payment.unwrap().currency.as_deref(), Some("TON"));
}

#[tokio::test]
async fn a_payment_without_its_amounts_was_the_price() {
    let fields = json!({"paid_asset": null, "paid_amount": null, "fee_amount": null});
    let payment = told_with(&fields).await.unwrap().payment.unwrap();
    assert_eq!(payment.value.as_deref(), Some("2"));
    assert_eq!(payment.currency.as_deref(), Some("USDT"));
    assert_eq!((payment.fee, payment.net), (None, None));
}

#[tokio::test]
async fn a_fee_in_another_coin_is_left_out() {
    let payment = told_with(&json!({"fee_asset": "TON"}))
        .await
        .unwrap()
        .payment
        .unwrap();
    assert_eq!((payment.fee, payment.net), (None, None));
    assert_eq!(payment.value.as_deref(), Some("2"));
}

#[tokio::test]
async fn an_invalid_invoice_is_an_unusable_answer() {
    for (fields, names) in [
        (json!({"invoice_id": 7.5}), "id"),
        (json!({"status": 5}), "status"),
        (json!({"amount": "2,00"}), "amount"),
        (json!({"amount": true}), "amount"),
    ] {
        let error = told_with(&fields).await.unwrap_err();
        assert_eq!(error.kind(), "malformed", "{fields}");
        assert!(error.to_string().contains(names), "{error}");
    }
    for body in [
        "",
        "[]",
        "{}",
        "<html>",
        "{\"ok\":true}",
        "{\"ok\":true,\"result\":{}}",
        "{\"ok\":true",
    ] {
        let error = fetch(body, &["7"]).await.unwrap_err();
        assert_eq!(error.kind(), "malformed", "{body}: {error}");
    }
}

#[tokio::test]
async fn each_failure_has_its_kind() {
    for (status, body, kind) in [
        (401, fixture!("error-401"), "key_refused"),
        (400, fixture!("error-400-unsupported-asset"), "refused"),
        (400, fixture!("error-400-interval"), "refused"),
        (403, fixture!("error-403-method-disabled"), "refused"),
        (
            403,
            "{\"ok\":false,\"error\":{\"code\":403,\"name\":\"FORBIDDEN\"}}",
            "key_refused",
        ),
        (403, "<html>", "key_refused"),
        (500, fixture!("error-500-negative-offset"), "unavailable"),
        (500, fixture!("error-500-negative-count"), "unavailable"),
        (502, "<html>", "unavailable"),
        (429, "", "rate_limited"),
        (
            405,
            "{\"ok\":false,\"error\":{\"code\":405,\"name\":\"METHOD_NOT_FOUND\"}}",
            "refused",
        ),
        // The error's code is used if the HTTP status is a success.
        (200, fixture!("error-401"), "key_refused"),
        (200, fixture!("error-500-negative-count"), "unavailable"),
        (
            200,
            "{\"ok\":false,\"error\":\"UNAUTHORIZED\",\"error_code\":401}",
            "malformed",
        ),
        (200, "{\"ok\":false}", "malformed"),
    ] {
        let error = fetch_from(&answering(status, body), &["7"])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {body}: {error}");
    }
}

#[tokio::test]
async fn the_providers_message_is_reported_without_the_token() {
    let body = json!({"ok": false, "error": {"code": 400, "name": "AAsecret-token\nis bad"}});
    let error = fetch_from(&answering(400, &body.to_string()), &["7"])
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "request refused: (key) is bad");
}

#[tokio::test]
async fn the_probe_checks_the_token() {
    let (provider, script) = provider(vec![
        (200, fixture!("getme").into()),
        (401, fixture!("error-401").into()),
    ]);
    assert_eq!(provider.probe().await, Ok(()));
    assert_eq!(provider.probe().await.unwrap_err().kind(), "key_refused");
    assert_eq!(script.calls()[0], ("/api/getMe".to_owned(), json!({})));
}

#[tokio::test]
async fn a_payment_on_the_test_network_is_a_test_payment() {
    let script = Arc::new(Script::default());
    let answer = Response::whole(200, fixture!("getinvoices-paid-2026"));
    script.answers.lock().unwrap().push_back(answer);
    let clock = Arc::new(ManualClock::at(NOW));
    let provider = CryptoPay::new(script, clock, true);
    let fetched = fetch_from(&provider, &["828733"]).await.unwrap();
    assert!(seen(&fetched[0]).money.is_test);
}

/// All other successful answers of the API have the same envelope.
#[tokio::test]
async fn all_captured_successes_are_parsed_as_such() {
    for body in [
        fixture!("deleteinvoice"),
        fixture!("getbalance"),
        fixture!("getcurrencies"),
        fixture!("getstats"),
        fixture!("gettransfers"),
    ] {
        assert_eq!(answering(200, body).probe().await, Ok(()), "{body}");
    }
}
