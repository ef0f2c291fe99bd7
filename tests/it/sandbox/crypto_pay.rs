//! Crypto Pay over HTTP, with every quirk of its fact sheet.

use payrecond::sandbox::{
    Fault, FaultKind, Operation, OrderBatch, SandboxOptions, SimulatedProvider, Variant,
};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{Bench, send};

impl Bench {
    fn crypto(&self, method: &str) -> RequestBuilder {
        self.client
            .post(format!("{}/api/{method}", self.sandbox.url()))
            .header("Crypto-Pay-API-Token", "28692:token")
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        let (http, answer) = send(self.crypto(method).body(params.to_string())).await;
        assert_eq!((http, &answer["ok"]), (200, &json!(true)), "{answer}");
        answer["result"].clone()
    }

    /// HTTP status and error, which have the same code.
    async fn refusal(&self, method: &str, params: Value) -> (u16, String) {
        let (http, answer) = send(self.crypto(method).body(params.to_string())).await;
        assert_eq!(
            (&answer["ok"], &answer["error"]["code"]),
            (&json!(false), &json!(http))
        );
        (http, answer["error"]["name"].as_str().unwrap().to_owned())
    }

    async fn invoices(&self, params: Value) -> Vec<Value> {
        let result = self.call("getInvoices", params).await;
        result["items"].as_array().unwrap().clone()
    }
}

async fn with(variants: &[Variant]) -> Bench {
    Bench::with(SandboxOptions {
        variants: variants.to_vec(),
        ..SandboxOptions::default()
    })
    .await
}

fn seeded(bench: &Bench, count: usize) {
    let batch = OrderBatch {
        provider: SimulatedProvider::CryptoPay,
        count,
        external_id_prefix: "C-".into(),
        ..OrderBatch::default()
    };
    bench.sandbox.world().seed(&batch).unwrap();
}

fn asset(payload: &str) -> Value {
    json!({"asset": "USDT", "amount": "2.00", "payload": payload, "expires_in": 3600})
}

#[tokio::test]
async fn an_active_invoice_has_no_empty_fields() {
    let bench = Bench::plain().await;
    let made = bench.call("createInvoice", asset("ORD-1")).await;
    assert_eq!(
        (
            &made["status"],
            &made["amount"],
            &made["payload"],
            &made["currency_type"]
        ),
        (
            &json!("active"),
            &json!("2"),
            &json!("ORD-1"),
            &json!("crypto")
        )
    );
    assert!(made["invoice_id"].is_u64());
    assert!(
        made["bot_invoice_url"]
            .as_str()
            .unwrap()
            .starts_with("https://t.me/CryptoBot?start=IV")
    );
    for absent in [
        "paid_at",
        "paid_asset",
        "fee_amount",
        "hidden_message",
        "swap_to",
        "paid_btn_name",
    ] {
        assert!(made.get(absent).is_none(), "{absent}");
    }
    let created = made["created_at"].as_str().unwrap();
    assert_eq!(
        (created.len(), &created[23..]),
        (24, "Z"),
        "milliseconds always"
    );
    let forever = bench
        .call("createInvoice", json!({"asset": "TON", "amount": 1}))
        .await;
    assert!(
        forever.get("expiration_date").is_none(),
        "no expiry unless asked for"
    );
    let newest_first = bench.invoices(json!({})).await;
    assert_eq!(newest_first, [forever, made]);
}

#[tokio::test]
async fn parameters_come_as_query_form_or_json() {
    let bench = Bench::plain().await;
    let query = bench.crypto("createInvoice?asset=BTC&amount=0.0001&payload=Q");
    assert_eq!(send(query).await.1["result"]["amount"], "0.0001");
    let form = bench
        .crypto("createInvoice")
        .body("asset=TON&amount=1.50&payload=F%20%26&allow_comments=false");
    let made = send(form).await.1;
    assert_eq!(
        (
            &made["result"]["payload"],
            &made["result"]["allow_comments"]
        ),
        (&json!("F &"), &json!(false))
    );
    let got = bench
        .client
        .get(format!("{}/api/getMe", bench.sandbox.url()));
    let got = got.header("crypto-pay-api-token", "x");
    assert!(send(got).await.1["result"]["app_id"].is_u64());
}

#[tokio::test]
async fn a_payment_has_asset_fee_and_rate_as_text() {
    let bench = Bench::plain().await;
    bench.call("createInvoice", asset("ORD-1")).await;
    let (http, paid) = bench.control("POST", "/orders/ORD-1/pay", "").await;
    assert_eq!(
        (http, &paid["provider"], &paid["state"]),
        (200, &json!("crypto-pay"), &json!("paid"))
    );
    let invoice = &bench.invoices(json!({"status": "paid"})).await[0];
    assert_eq!(
        (
            &invoice["paid_asset"],
            &invoice["paid_amount"],
            &invoice["fee_asset"],
            &invoice["fee_amount"]
        ),
        (&json!("USDT"), &json!("2"), &json!("USDT"), &json!("0.06"))
    );
    assert!(invoice["paid_usd_rate"].is_string() && invoice["fee_in_usd"].is_string());
    assert!(invoice["paid_anonymously"].is_boolean() && invoice.get("paid_fiat_rate").is_none());

    let numbers = with(&[Variant::CryptoPayNumberFees, Variant::CryptoPayTestnet]).await;
    numbers.call("createInvoice", asset("ORD-1")).await;
    numbers.control("POST", "/orders/ORD-1/pay", "").await;
    let invoice = &numbers.invoices(json!({})).await[0];
    assert_eq!(invoice["fee_amount"].to_string(), "0.06");
    assert!(
        invoice["pay_url"]
            .as_str()
            .unwrap()
            .contains("CryptoTestnetBot")
    );
}

#[tokio::test]
async fn a_fiat_invoice_is_paid_in_a_coin_at_a_rate() {
    let bench = Bench::plain().await;
    let terms = json!({"currency_type": "fiat", "fiat": "RUB", "amount": "1990.00", "accepted_assets": "USDT,TON", "payload": "F"});
    let made = bench.call("createInvoice", terms).await;
    assert_eq!(
        (&made["accepted_assets"], made.get("asset"), &made["amount"]),
        (&json!(["USDT", "TON"]), None, &json!("1990"))
    );
    let body = r#"{"currency":"TON","amount":"3.98"}"#;
    assert_eq!(bench.control("POST", "/orders/F/pay", body).await.0, 200);
    let paid = &bench.invoices(json!({"fiat": "RUB"})).await[0];
    assert_eq!(
        (
            &paid["paid_asset"],
            &paid["paid_amount"],
            &paid["paid_fiat_rate"],
            &paid["fee_amount"]
        ),
        (
            &json!("TON"),
            &json!("3.98"),
            &json!("500"),
            &json!("0.1194")
        )
    );
    assert!(bench.invoices(json!({"asset": "USDT"})).await.is_empty());
}

#[tokio::test]
async fn a_swap_is_shown_as_text() {
    let bench = Bench::plain().await;
    let terms = json!({"asset": "TON", "amount": "5", "swap_to": "USDT", "payload": "S"});
    let made = bench.call("createInvoice", terms).await;
    assert_eq!(
        (&made["swap_to"], made.get("is_swapped")),
        (&json!("USDT"), None)
    );
    bench.control("POST", "/orders/S/pay", "").await;
    let paid = &bench.invoices(json!({})).await[0];
    assert_eq!(
        (&paid["is_swapped"], &paid["swapped_to"]),
        (&json!("true"), &json!("USDT"))
    );
    assert!(paid["swapped_output"].is_string() && paid["swapped_rate"].is_string());
}

#[tokio::test]
async fn a_page_holds_100_invoices_also_when_more_ids_are_given() {
    let bench = Bench::plain().await;
    seeded(&bench, 150);
    let all = bench.invoices(json!({"count": 1000})).await;
    let ids: Vec<String> = all.iter().map(|it| it["invoice_id"].to_string()).collect();
    let ids = ids.join(",");
    assert_eq!(all.len(), 150);
    assert_eq!(bench.invoices(json!({"invoice_ids": ids})).await.len(), 100);
    assert_eq!(
        bench
            .invoices(json!({"invoice_ids": ids, "limit": 1000}))
            .await
            .len(),
        100,
        "`limit` is ignored"
    );
    assert_eq!(
        bench
            .invoices(json!({"invoice_ids": ids, "count": 1000}))
            .await
            .len(),
        150
    );
    let numbers: Vec<&Value> = all.iter().map(|it| &it["invoice_id"]).take(3).collect();
    assert_eq!(
        bench.invoices(json!({"invoice_ids": numbers})).await.len(),
        3,
        "an array works too"
    );
}

#[tokio::test]
async fn unknown_and_deleted_ids_are_missing_without_an_error() {
    let bench = Bench::plain().await;
    let made = bench.call("createInvoice", asset("ORD-1")).await;
    let ids = format!("0,11111,{}", made["invoice_id"]);
    assert_eq!(bench.invoices(json!({"invoice_ids": ids})).await.len(), 1);
    let delete = json!({"invoice_id": made["invoice_id"]});
    assert_eq!(
        bench.call("deleteInvoice", delete.clone()).await,
        json!(true)
    );
    assert!(bench.invoices(json!({"invoice_ids": ids})).await.is_empty());
    assert_eq!(bench.refusal("deleteInvoice", delete.clone()).await.0, 400);
    let (_, order) = bench.control("GET", "/orders/ORD-1", "").await;
    assert_eq!(order["state"], "deleted");
    let lenient = with(&[Variant::CryptoPayDeleteFalse]).await;
    assert_eq!(lenient.call("deleteInvoice", delete).await, json!(false));
}

#[tokio::test]
async fn pages_shift_while_invoices_are_made() {
    let bench = Bench::plain().await;
    seeded(&bench, 4);
    let first = bench.invoices(json!({"count": 2})).await;
    seeded(&bench, 1);
    let second = bench.invoices(json!({"count": 2, "offset": 2})).await;
    assert_eq!(first[1], second[0], "seen twice");
}

#[tokio::test]
async fn refusals_have_the_code_of_their_http_status() {
    let bench = Bench::plain().await;
    for (method, params, http, name) in [
        (
            "getInvoices",
            json!({"offset": -1}),
            500,
            "INTERNAL_SERVER_ERROR",
        ),
        ("getInvoices", json!({"count": -1}), 500, "APP_ERROR"),
        (
            "getInvoices",
            json!({"invoice_ids": "a,b"}),
            500,
            "APP_ERROR",
        ),
        ("getInvoices", json!({"count": 1001}), 400, "COUNT_INVALID"),
        (
            "getInvoices",
            json!({"status": "expired"}),
            400,
            "STATUS_INVALID",
        ),
        (
            "createInvoice",
            json!({"asset": "FFF", "amount": "1"}),
            400,
            "UNSUPPORTED_ASSET",
        ),
        (
            "createInvoice",
            json!({"asset": "TON", "amount": "0"}),
            400,
            "AMOUNT_INVALID",
        ),
        (
            "createInvoice",
            json!({"asset": "TON", "amount": "1", "expires_in": 2_678_401}),
            400,
            "EXPIRES_IN_INVALID",
        ),
        (
            "createInvoice",
            json!({"asset": "TON", "amount": "1", "paid_btn_name": "openBot"}),
            400,
            "PAID_BTN_URL_REQUIRED",
        ),
        (
            "createInvoice",
            json!({"asset": "TON", "amount": "1", "description": "x".repeat(1025)}),
            400,
            "DESCRIPTION_TOO_LONG",
        ),
        (
            "getStats",
            json!({"start_at": "2020-01-01T00:00:00Z", "end_at": "2023-01-01T00:00:00Z"}),
            400,
            "INTERVAL_TOO_BIG",
        ),
        ("transfer", json!({}), 403, "METHOD_DISABLED"),
        ("getNothing", json!({}), 405, "METHOD_NOT_FOUND"),
    ] {
        let refused = bench.refusal(method, params.clone()).await;
        assert_eq!(refused, (http, name.to_owned()), "{method} {params}");
    }
}

#[tokio::test]
async fn a_refusal_may_have_more_fields_than_code_and_name() {
    let bench = Bench::plain().await;
    let fiat =
        json!({"currency_type": "fiat", "fiat": "EUR", "amount": "1", "accepted_assets": "DOGE"});
    let (_, refused) = send(bench.crypto("createInvoice").body(fiat.to_string())).await;
    assert_eq!(refused["error"]["name"], "UNSUPPORTED_ACCEPTED_ASSET");
    assert!(refused["error"]["allowed_assets"].is_array());
}

#[tokio::test]
async fn the_token_of_another_network_is_refused() {
    let bench = with(&[Variant::CryptoPayWrongNetwork]).await;
    assert_eq!(
        bench.refusal("getMe", json!({})).await,
        (401, "UNAUTHORIZED".into())
    );
    let key = Bench::with(SandboxOptions {
        api_key: Some("1:right".into()),
        ..SandboxOptions::default()
    })
    .await;
    assert_eq!(key.refusal("getMe", json!({})).await.0, 401);
    let url = format!("{}/api/getMe", key.sandbox.url());
    let right = key
        .client
        .get(url)
        .header("Crypto-Pay-API-Token", "1:right");
    assert_eq!(send(right).await.0, 200);
}

#[tokio::test]
async fn control_expires_forces_and_takes_the_exact_sum_only() {
    let bench = Bench::plain().await;
    bench.call("createInvoice", asset("ORD-1")).await;
    let (http, refused) = bench
        .control("POST", "/orders/ORD-1/pay", r#"{"amount":"1"}"#)
        .await;
    assert_eq!(http, 400);
    assert!(
        refused["error"].as_str().unwrap().contains("exact sum"),
        "{refused}"
    );
    assert_eq!(
        bench.control("POST", "/orders/ORD-1/refund", "").await.0,
        400
    );
    assert_eq!(
        bench.control("POST", "/orders/ORD-1/expire", "").await.1["status"],
        "expired"
    );
    assert_eq!(bench.invoices(json!({})).await[0]["status"], "expired");
    assert_eq!(
        bench.control("POST", "/orders/ORD-1/pay", "").await.0,
        409,
        "the page is closed"
    );
    let late = bench
        .control("POST", "/orders/ORD-1/pay?late=true", "")
        .await;
    assert_eq!((late.0, &late.1["status"]), (200, &json!("paid")));
    assert_eq!(
        bench
            .control("POST", "/orders/ORD-1/pay?late=true", "")
            .await
            .0,
        409,
        "never twice"
    );
}

#[tokio::test]
async fn control_finds_the_order_at_the_named_provider() {
    let bench = Bench::plain().await;
    bench.order("ORD-1");
    bench.call("createInvoice", asset("ORD-1")).await;
    let (_, first) = bench.control("GET", "/orders/ORD-1", "").await;
    assert_eq!(first["provider"], "walletpay");
    let (http, paid) = bench
        .control("POST", "/orders/ORD-1/pay?provider=crypto-pay", "")
        .await;
    assert_eq!(
        (http, &paid["provider"], &paid["status"]),
        (200, &json!("crypto-pay"), &json!("paid"))
    );
    assert_eq!(
        bench.control("GET", "/orders?provider=nobody", "").await.0,
        400
    );
    let (_, one) = bench
        .control("GET", "/orders?provider=crypto-pay", "")
        .await;
    assert_eq!(one["orders"].as_array().unwrap().len(), 1);
    let (_, active) = bench.control("GET", "/orders?status=ACTIVE", "").await;
    assert_eq!(active["orders"][0]["provider"], "walletpay");
    let (_, made) = bench
        .control("POST", "/orders", r#"{"provider":"crypto-pay","count":2}"#)
        .await;
    assert_eq!(made["lastExternalId"], "LOAD-3");
}

#[tokio::test]
async fn stats_and_balance_follow_the_payments() {
    let bench = Bench::plain().await;
    bench.call("createInvoice", asset("A")).await;
    bench.call("createInvoice", asset("B")).await;
    bench.control("POST", "/orders/A/pay", "").await;
    let stats = bench.call("getStats", json!({})).await;
    assert_eq!(
        (
            &stats["created_invoice_count"],
            &stats["paid_invoice_count"],
            &stats["conversion"]
        ),
        (&json!(2), &json!(1), &json!(0.5))
    );
    assert!(stats["volume"].is_number());
    let balance = bench.call("getBalance", json!({})).await;
    let usdt = balance
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["currency_code"] == "USDT");
    assert_eq!(usdt.unwrap()["available"], "1.94");
    let currencies = bench.call("getCurrencies", json!({})).await;
    let codes: Vec<_> = currencies
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["code"].as_str().unwrap())
        .collect();
    assert!(
        codes.contains(&"TON") && codes.contains(&"GRAM"),
        "two codes here"
    );
    let counted = bench.sandbox.world().stats();
    assert_eq!(counted.requests[&Operation::CryptoPayCreateInvoice], 2);
    assert_eq!(counted.requests_to(SimulatedProvider::CryptoPay), 5);
    assert_eq!(counted.requests_to(SimulatedProvider::WalletPay), 0);
}

#[tokio::test]
async fn a_lost_answer_has_created_the_invoice() {
    let lost = Fault::new(FaultKind::LostAnswer).on(Operation::CryptoPayCreateInvoice);
    let bench = Bench::with_faults(vec![lost.times(1)]).await;
    let request = bench
        .crypto("createInvoice")
        .body(asset("ORD-1").to_string());
    assert!(request.send().await.is_err());
    assert_eq!(bench.invoices(json!({})).await[0]["payload"], "ORD-1");
    let stats = bench.sandbox.world().stats();
    assert_eq!(stats.faults[&FaultKind::LostAnswer], 1);
}

#[tokio::test]
async fn faults_apply_to_one_provider_in_its_own_format() {
    let bench = Bench::plain().await;
    bench.call("createInvoice", asset("ORD-1")).await;
    let world = bench.sandbox.world();
    world.set_faults(vec![
        Fault::new(FaultKind::Status429).on(SimulatedProvider::CryptoPay),
    ]);
    assert_eq!(
        send(bench.list(0, 1)).await.0,
        200,
        "another provider is left alone"
    );
    assert_eq!(
        bench.refusal("getMe", json!({})).await,
        (429, "TOO_MANY_REQUESTS".into())
    );
    for (kind, field, value) in [
        (FaultKind::UnknownStatus, "status", json!("frozen")),
        (FaultKind::NullFields, "amount", Value::Null),
    ] {
        world.set_faults(vec![Fault::new(kind)]);
        assert_eq!(bench.invoices(json!({})).await[0][field], value, "{kind}");
    }
    world.set_faults(vec![Fault::new(FaultKind::WrongTypeId)]);
    assert!(!bench.invoices(json!({})).await[0]["invoice_id"].is_u64());
    bench.control("POST", "/orders/ORD-1/pay", "").await;
    world.set_faults(vec![Fault::new(FaultKind::FlipBack)]);
    let flipped = &bench.invoices(json!({})).await[0];
    assert_eq!(
        (&flipped["status"], flipped.get("paid_at")),
        (&json!("active"), None)
    );
    world.set_faults(vec![Fault::new(FaultKind::ShortPage)]);
    seeded(&bench, 30);
    assert_eq!(bench.invoices(json!({})).await.len(), 10);
}
