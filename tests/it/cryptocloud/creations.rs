//! Creations: the request's bytes, and the result of each answer.

use payrecond::domain::invoice::Invoice;
use payrecond::domain::state::Status;

use super::*;
use crate::rows;

const TIMEOUT_S: i64 = 5430;

fn invoice(amount: &str, currency: &str, options: Option<&str>) -> Invoice {
    let mut row = rows::invoice(Status::Requested);
    row.wish.timeout_s = TIMEOUT_S;
    row.wish.options = options.map(str::to_owned);
    row.facts.amount = Some(rows::money(amount, currency));
    row
}

fn creation(invoice: &Invoice) -> Result<Creation, String> {
    provider(Vec::new()).0.creation(invoice)
}

async fn create(status: u16, body: &str) -> Result<CreationAnswer, ProviderError> {
    let creation = creation(&invoice("1", "USD", None)).unwrap();
    answering(status, body).create(&creation).await
}

#[test]
fn the_bytes_of_a_creation_are_fixed() {
    let options = r#"{"email":"a@b.example","add_fields":{"period": "month",
        "cryptocurrency":"USDT_TRC20","available_currencies":["TON", "BTC"],
        "email_to_send":"c@d.example"}}"#;
    let made = creation(&invoice("0100.50", "RUB", Some(options))).unwrap();
    let body = concat!(
        r#"{"shop_id":"shop-1","amount":100.50,"currency":"RUB","order_id":"ORD-1","#,
        r#""email":"a@b.example","add_fields":{"time_to_pay":{"hours":1,"minutes":31},"#,
        r#""email_to_send":"c@d.example","available_currencies":["TON", "BTC"],"#,
        r#""cryptocurrency":"USDT_TRC20","period":"month"}}"#
    );
    assert_eq!(made.body, body);
    let bare = creation(&invoice("0.00000001", "USD", None)).unwrap();
    let body = concat!(
        r#"{"shop_id":"shop-1","amount":0.00000001,"currency":"USD","order_id":"ORD-1","#,
        r#""add_fields":{"time_to_pay":{"hours":1,"minutes":31}}}"#
    );
    assert_eq!(bare.body, body);
}

#[test]
fn an_impossible_creation_names_the_field() {
    for (amount, currency, options, named) in [
        ("0", "USD", None, "amount:"),
        ("0.00", "USD", None, "amount:"),
        ("1e3", "USD", None, "amount:"),
        ("1", "usd", None, "currency:"),
        ("1", "USDT", None, "currency:"),
        ("1", "USD", Some("[]"), "options: not a JSON object"),
        ("1", "USD", Some(r#"{"shop_id":"x"}"#), "shop_id"),
        ("1", "USD", Some(r#"{"email":5}"#), "options.email:"),
        (
            "1",
            "USD",
            Some(r#"{"add_fields":[1]}"#),
            "options.add_fields:",
        ),
        (
            "1",
            "USD",
            Some(r#"{"add_fields":{"time_to_pay":{"hours":1}}}"#),
            "timeout_seconds",
        ),
        (
            "1",
            "USD",
            Some(r#"{"add_fields":{"cryptocurrency":["BTC"]}}"#),
            "add_fields.cryptocurrency",
        ),
    ] {
        let why = creation(&invoice(amount, currency, options)).unwrap_err();
        assert!(why.contains(named), "{named}: {why}");
    }
    let script = Arc::new(Script::default());
    let clock = Arc::new(ManualClock::at(NOW));
    let without_shop = CryptoCloud::new(script, clock, String::new());
    let what = without_shop.missing_setting().unwrap();
    assert!(what.contains("account.settings.shop_id"), "{what}");
}

#[tokio::test]
async fn a_created_invoice_has_its_link() {
    let made = create(200, fixture!("create-success-doc")).await.unwrap();
    let CreationAnswer::Exists(order) = made else {
        panic!("{made:?}");
    };
    assert_eq!(order.order_id.0, "INV-XXXXXXXX");
    assert_eq!(order.state, OrderState::Open);
    assert_eq!(order.amount, Some(dollars("100.0")));
    let link = "https://pay.cryptocloud.plus/XXXXXXXX";
    assert_eq!(order.pay_link.as_deref(), Some(link));
    assert_eq!(order.expires_at, Some(UnixMillis(1_672_660_800_000)));
    assert_eq!((order.payment, order.external_id), (None, None));
}

#[tokio::test]
async fn an_error_about_the_invoice_ends_its_creation() {
    for (body, words) in [
        (
            fixture!("create-error-400-amount"),
            "amount: Invalid value amount.",
        ),
        (
            fixture!("create-error-400-currency"),
            "currency: Invalid account currency",
        ),
    ] {
        for status in [400, 200] {
            match create(status, body).await.unwrap() {
                CreationAnswer::Refused(why) => assert!(why.starts_with(words), "{why}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn any_other_error_leaves_the_creation_open() {
    for (status, body, expected) in [
        // The project's id is for the operator to correct.
        (400, fixture!("create-error-400-missing"), "refused"),
        (401, fixture!("error-401-doc"), "key_refused"),
        (400, "<html>", "refused"),
        (400, r#"{"detail":"Method not allowed."}"#, "refused"),
        (200, r#"{"status":"error","result":"try later"}"#, "refused"),
        (200, r#"{"status":"error"}"#, "refused"),
        (
            200,
            r#"{"status":"error","result":{"error":"Something went wrong."}}"#,
            "refused",
        ),
        (500, fixture!("create-error-400-amount"), "unavailable"),
        (429, fixture!("create-error-400-amount"), "rate_limited"),
        (200, r#"{"status":"success","result":["ok"]}"#, "malformed"),
        (200, "", "malformed"),
    ] {
        assert_eq!(
            kind(&create(status, body).await),
            expected,
            "{status} {body}"
        );
    }
}
