//! Creation: the request, and the provider's answers.

use std::time::Duration;

use payrecond::domain::invoice::{Facts, Invoice, InvoiceId, PollPlan, Wish};
use payrecond::domain::state::Status;
use payrecond::provider::{CreateOrders, Creation, CreationAnswer};

use super::*;

fn invoice(amount: &str, currency: &str, options: Option<&str>) -> Invoice {
    Invoice {
        id: InvoiceId(1),
        account: "default".into(),
        external_id: "ORD-1".into(),
        wish: Wish {
            description: Some("VPN for 1 month".into()),
            timeout_s: 3600,
            options: options.map(str::to_owned),
        },
        metadata: None,
        transactions: Vec::new(),
        facts: Facts {
            amount: Some(money(amount, currency)),
            ..Facts::bare(Status::Requested)
        },
        version: 0,
        created_at: UnixMillis(0),
        updated_at: UnixMillis(0),
        schedule: PollPlan::default(),
    }
}

fn made(invoice: &Invoice) -> Result<String, String> {
    let creation = answering(200, "").creation(invoice)?;
    assert_eq!(creation.external_id.0, "ORD-1");
    Ok(creation.body)
}

fn creation() -> Creation {
    Creation {
        external_id: "ORD-1".into(),
        body: "{\"exact\":  1}".into(),
        idempotence_key: String::new(),
    }
}

#[test]
fn coins_and_fiat_currencies_are_sent_in_their_own_fields() {
    let body = made(&invoice("1.50", "USDT", None)).unwrap();
    assert_eq!(
        body,
        r#"{"currency_type":"crypto","asset":"USDT","amount":"1.50","description":"VPN for 1 month","payload":"ORD-1","expires_in":3600}"#
    );
    let options = r#"{"accepted_assets":["USDT","TON"],"swap_to":"USDT","hidden_message":"Thanks",
        "paid_btn_name":"callback","paid_btn_url":"https://shop.example","allow_comments":false,
        "allow_anonymous":null}"#;
    let body = made(&invoice("1990", "RUB", Some(options))).unwrap();
    assert_eq!(
        body,
        concat!(
            r#"{"currency_type":"fiat","fiat":"RUB","accepted_assets":"USDT,TON","amount":"1990","#,
            r#""swap_to":"USDT","description":"VPN for 1 month","hidden_message":"Thanks","#,
            r#""paid_btn_name":"callback","paid_btn_url":"https://shop.example","payload":"ORD-1","#,
            r#""allow_comments":false,"expires_in":3600}"#
        )
    );
    let as_text = Some(r#"{"accepted_assets":"USDT, TON"}"#);
    let body = made(&invoice("1", "USD", as_text)).unwrap();
    assert!(body.contains(r#""accepted_assets":"USDT,TON""#), "{body}");
    // Codes change, so the provider checks them.
    assert!(made(&invoice("1", "NEWCOIN", None)).is_ok());
    let mut bare = invoice("1", "TON", None);
    bare.wish.description = None;
    assert!(!made(&bare).unwrap().contains("description"));
}

#[test]
fn an_impossible_creation_is_refused_with_its_rule() {
    for (options, says) in [
        ("[]", "options: not a JSON object; keys: hidden_message"),
        (r#"{"color":1}"#, "color"),
        (
            r#"{"hidden_message":5}"#,
            "options.hidden_message: expected a text or null",
        ),
        (
            r#"{"paid_btn_name":"callback"}"#,
            "options.paid_btn_url: needed",
        ),
        (
            r#"{"paid_btn_url":"https://a.example"}"#,
            "options.paid_btn_name: needed",
        ),
        (
            r#"{"paid_btn_name":"buy","paid_btn_url":"https://a.example"}"#,
            "one of viewItem",
        ),
        (
            r#"{"accepted_assets":["USDT"]}"#,
            "options.accepted_assets: only for a price",
        ),
        (r#"{"swap_to":"usdt"}"#, "options.swap_to"),
        (r#"{"allow_comments":"yes"}"#, "options.allow_comments"),
    ] {
        let why = made(&invoice("1", "USDT", Some(options))).unwrap_err();
        assert!(why.contains(says), "{options}: {why}");
    }
    let why = made(&invoice("1", "RUB", Some(r#"{"accepted_assets":[]}"#))).unwrap_err();
    assert!(why.contains("expected codes of coins"), "{why}");
    let long = format!(r#"{{"hidden_message":"{}"}}"#, "я".repeat(2049));
    let why = made(&invoice("1", "USDT", Some(&long))).unwrap_err();
    assert!(
        why.contains("2049 characters, expected at most 2048"),
        "{why}"
    );
    let mut described = invoice("1", "USDT", None);
    described.wish.description = Some("я".repeat(1025));
    let why = made(&described).unwrap_err();
    assert!(why.contains("description: 1025 characters"), "{why}");
    for timeout_s in [0, 2_678_401] {
        let mut timed = invoice("1", "USDT", None);
        timed.wish.timeout_s = timeout_s;
        assert!(made(&timed).unwrap_err().contains("timeout_seconds"));
    }
    for (amount, currency) in [
        ("0", "USDT"),
        ("0.00", "RUB"),
        ("1", "usdt"),
        ("1e3", "TON"),
    ] {
        assert!(
            made(&invoice(amount, currency, None)).is_err(),
            "{amount} {currency}"
        );
    }
    let mut without = invoice("1", "USDT", None);
    without.facts.amount = None;
    assert_eq!(made(&without).unwrap_err(), "amount: missing");
}

#[tokio::test]
async fn captured_creations_give_an_open_order_with_its_links() {
    let (provider, script) = provider(vec![(200, fixture!("createinvoice-2025").into())]);
    let answer = provider.create(&creation()).await.unwrap();
    let CreationAnswer::Exists(order) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (order.order_id.0.as_str(), order.state),
        ("715877", OrderState::Open)
    );
    assert_eq!(order.amount, Some(money("3", "TRX")));
    assert!(
        order
            .pay_link
            .unwrap()
            .contains("startapp=invoice-IVwOgXfCUTnR")
    );
    assert_eq!(
        script.calls()[0],
        ("/api/createInvoice".to_owned(), json!({"exact": 1}))
    );
    let endless = answering(200, fixture!("createinvoice-rust-2025"));
    let CreationAnswer::Exists(order) = endless.create(&creation()).await.unwrap() else {
        panic!("no order")
    };
    assert_eq!(order.expires_at, None);
}

#[tokio::test]
async fn a_parameter_that_the_provider_refuses_ends_the_creation() {
    for (body, name) in [
        (fixture!("error-400-unsupported-asset"), "UNSUPPORTED_ASSET"),
        (fixture!("error-400-paid-btn-url"), "PAID_BTN_URL_REQUIRED"),
        (fixture!("error-400-expires-in"), "EXPIRES_IN_INVALID"),
    ] {
        let answer = answering(400, body).create(&creation()).await;
        assert_eq!(answer, Ok(CreationAnswer::Refused(name.into())));
    }
}

/// A gateway's page, a failure of the service, and a refused token or method prove nothing about
/// the order.
#[tokio::test]
async fn no_other_answer_ends_a_creation() {
    for (status, body, kind) in [
        (400, "<html>", "refused"),
        (400, "{}", "refused"),
        (401, fixture!("error-401"), "key_refused"),
        (403, fixture!("error-403-method-disabled"), "refused"),
        (500, fixture!("error-500-negative-count"), "unavailable"),
        (200, "{\"ok\":true,\"result\":true}", "malformed"),
    ] {
        let answer = answering(status, body).create(&creation()).await;
        assert_eq!(answer.unwrap_err().kind(), kind, "{status} {body}");
    }
}

#[test]
fn a_repeated_creation_makes_another_invoice() {
    assert_eq!(answering(200, "").idempotent_for(), Duration::ZERO);
}
