//! Telegram Stars and YooMoney over HTTP: ledgers without orders.

use std::collections::HashSet;

use payrecond::sandbox::{Fault, FaultKind, SandboxOptions, SimulatedProvider, Variant};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{Bench, send};

impl Bench {
    /// Adds a movement through the control API; returns its id.
    async fn moved(&self, body: Value) -> String {
        let (http, made) = self
            .control("POST", "/transactions", &body.to_string())
            .await;
        assert_eq!(http, 200, "{made}");
        made["transactionId"].as_str().unwrap().to_owned()
    }

    fn bot(&self, method: &str, params: &Value) -> RequestBuilder {
        let url = format!("{}/bot123:secret/{method}", self.sandbox.url());
        self.client.post(url).body(params.to_string())
    }

    async fn stars(&self, params: Value) -> Vec<Value> {
        let (http, answer) = send(self.bot("getStarTransactions", &params)).await;
        assert_eq!((http, &answer["ok"]), (200, &json!(true)));
        answer["result"]["transactions"].as_array().unwrap().clone()
    }

    fn wallet(&self, method: &str, form: &str) -> RequestBuilder {
        let url = format!("{}/api/{method}", self.sandbox.url());
        let request = self
            .client
            .post(url)
            .header("Authorization", "Bearer token");
        request.body(form.to_owned())
    }

    async fn history(&self, form: &str) -> Value {
        let (http, body) = send(self.wallet("operation-history", form)).await;
        assert_eq!(http, 200, "{body}");
        body
    }
}

fn stars(external_id: &str, amount: u32) -> Value {
    json!({"provider": "telegram-stars", "external_id": external_id, "amount": amount, "direction": "in"})
}

fn roubles(external_id: &str, amount: &str, via: &str) -> Value {
    json!({"provider": "yoomoney", "external_id": external_id, "amount": amount, "via": via})
}

#[tokio::test]
async fn stars_come_oldest_first_and_a_refund_has_the_id_of_its_payment() {
    let bench = Bench::plain().await;
    let first = bench.moved(stars("ORD-1", 100)).await;
    bench.moved(stars("NOBODY", 5)).await;
    let back = json!({"provider": "telegram-stars", "direction": "out", "transaction_id": first});
    assert_eq!(bench.moved(back).await, first);
    let all = bench.stars(json!({})).await;
    assert_eq!(
        (&all[0]["id"], &all[0]["amount"]),
        (&json!(first), &json!(100))
    );
    assert_eq!(all[0]["source"]["invoice_payload"], "ORD-1");
    assert_eq!(all[1]["source"]["invoice_payload"], "NOBODY");
    assert_eq!(
        (&all[2]["id"], &all[2]["receiver"]["invoice_payload"]),
        (&json!(first), &json!("ORD-1"))
    );
    let (_, ours) = bench.control("GET", "/transactions", "").await;
    assert_eq!(ours["transactions"][2]["direction"], "out");
    let charge = |user: u64| json!({"user_id": user, "telegram_payment_charge_id": first});
    let (http, refused) = send(bench.bot("refundStarPayment", &charge(123_456_789))).await;
    assert_eq!(
        (http, &refused["description"]),
        (400, &json!("Bad Request: CHARGE_ALREADY_REFUNDED"))
    );
    let second = bench.moved(stars("ORD-2", 7)).await;
    let good = json!({"user_id": 123_456_789, "telegram_payment_charge_id": second});
    assert_eq!(
        send(bench.bot("refundstarpayment", &good)).await.1["result"],
        true
    );
    let (_, balance) = send(bench.bot("getMyStarBalance", &json!({}))).await;
    assert_eq!(balance["result"]["amount"], 5);
}

#[tokio::test]
async fn a_page_of_stars_is_clamped_and_may_be_short() {
    let bench = Bench::plain().await;
    for n in 0..105 {
        let mut one = stars(&format!("S-{n}"), 1);
        if n == 3 {
            one["kind"] = json!("hidden");
        }
        bench.moved(one).await;
    }
    assert_eq!(
        bench.stars(json!({"limit": 1000})).await.len(),
        99,
        "one of a hundred is left out, but counted"
    );
    assert_eq!(bench.stars(json!({"offset": 3, "limit": 1})).await.len(), 0);
    assert_eq!(bench.stars(json!({"offset": 100})).await.len(), 5);
    assert_eq!(
        bench.stars(json!({"offset": -5, "limit": 0})).await.len(),
        1
    );
    assert_eq!(bench.stars(json!({"offset": 500})).await.len(), 0);
    bench
        .sandbox
        .world()
        .set_faults(vec![Fault::new(FaultKind::ShortPage)]);
    assert_eq!(bench.stars(json!({})).await.len(), 10);
}

#[tokio::test]
async fn a_short_page_of_a_wallet_is_followed_by_what_it_lost() {
    let bench = Bench::plain().await;
    for n in 0..25 {
        let one = json!({"provider": "yoomoney", "external_id": format!("S-{n}"), "amount": "1"});
        bench.moved(one).await;
    }
    bench
        .sandbox
        .world()
        .set_faults(vec![Fault::new(FaultKind::ShortPage)]);
    let mut labels = HashSet::new();
    let mut start = Some("0".to_owned());
    while let Some(record) = start {
        let form = format!("records=100&start_record={record}");
        let (_, page) = send(bench.wallet("operation-history", &form)).await;
        let operations = page["operations"].as_array().unwrap();
        assert!(operations.len() <= 10, "{page}");
        labels.extend(operations.iter().map(|one| one["label"].to_string()));
        start = page["next_record"].as_str().map(str::to_owned);
    }
    assert_eq!(labels.len(), 25);
}

#[tokio::test]
async fn partners_of_every_kind_are_in_the_ledger() {
    let bench = Bench::plain().await;
    for kind in [
        "subscription",
        "affiliate",
        "paid_media_payment",
        "affiliate_program",
        "fragment",
        "telegram_ads",
        "telegram_api",
        "other",
        "unknown",
    ] {
        let mut one = stars("ORD-1", 100);
        one["kind"] = json!(kind);
        bench.moved(one).await;
    }
    let mut nothing = stars("ORD-1", 0);
    nothing["kind"] = json!("affiliate_program");
    bench.moved(nothing).await;
    bench
        .moved(json!({"provider": "telegram-stars", "amount": "1.5"}))
        .await;
    let all = bench.stars(json!({})).await;
    assert_eq!(all[0]["source"]["subscription_period"], 2_592_000);
    assert_eq!(
        (&all[1]["amount"], &all[1]["source"]["affiliate"]["amount"]),
        (&json!(90), &json!(10))
    );
    assert_eq!(all[2]["source"]["paid_media_payload"], "ORD-1");
    assert!(
        all[9].get("receiver").is_some() && all[9]["amount"] == 0,
        "nothing stands under receiver"
    );
    assert_eq!(
        (&all[10]["amount"], &all[10]["nanostar_amount"]),
        (&json!(1), &json!(500_000_000))
    );
    assert!(all[10]["source"].get("invoice_payload").is_none());
}

#[tokio::test]
async fn the_bot_api_has_its_own_error_format() {
    let bench = Bench::plain().await;
    let answer =
        async |path: &str| send(bench.client.get(format!("{}{path}", bench.sandbox.url()))).await;
    assert_eq!(answer("/bot1:a/getme").await.1["result"]["is_bot"], true);
    assert_eq!(
        answer("/botnothing/getMe").await.1["description"],
        "Unauthorized: invalid token specified"
    );
    assert_eq!(
        answer("/bot1:a/getNothing").await.1["description"],
        "Not Found: method not found"
    );
    assert_eq!(answer("/bot1:a/getUpdates").await.0, 409);
    let limited = Fault {
        retry_after: Some("7".into()),
        ..Fault::new(FaultKind::Status429)
            .on(SimulatedProvider::TelegramStars)
            .times(1)
    };
    bench.sandbox.world().set_faults(vec![limited]);
    let (http, body) = answer("/bot1:a/getMe").await;
    assert_eq!((http, &body["parameters"]["retry_after"]), (429, &json!(7)));
    let link = json!({"title": "Eggs", "description": "Six", "payload": "ORD-1", "currency": "XTR", "prices": [{"label": "x", "amount": 100}]});
    let (_, made) = send(bench.bot("createInvoiceLink", &link)).await;
    assert!(
        made["result"]
            .as_str()
            .unwrap()
            .starts_with("https://t.me/$"),
        "{made}"
    );
    for (field, value) in [
        ("title", json!("x".repeat(33))),
        ("payload", json!("ж".repeat(65))),
        ("currency", json!("RUB")),
        ("prices", json!([])),
        ("subscription_period", json!(60)),
    ] {
        let mut wrong = link.clone();
        wrong[field] = value;
        assert_eq!(
            send(bench.bot("createInvoiceLink", &wrong)).await.0,
            400,
            "{field}"
        );
    }
    let key = Bench::with(SandboxOptions {
        api_key: Some("1:right".into()),
        ..SandboxOptions::default()
    })
    .await;
    let (http, refused) = send(key.bot("getMe", &json!({}))).await;
    assert_eq!(
        (http, &refused["description"]),
        (401, &json!("Unauthorized"))
    );
}

#[tokio::test]
async fn the_wallet_shows_what_was_credited_newest_first() {
    let bench = Bench::plain().await;
    let card = bench.moved(roubles("ORD-1", "150.00", "card")).await;
    bench.moved(roubles("ORD-1", "1000", "wallet")).await;
    bench
        .moved(json!({"provider": "yoomoney", "amount": "0"}))
        .await;
    let body = bench.history("").await;
    let all = body["operations"].as_array().unwrap();
    assert_eq!((all.len(), body.get("next_record")), (3, None));
    assert_eq!((&all[0]["amount"], all[0].get("label")), (&json!(0), None));
    assert_eq!(
        (&all[1]["amount"], &all[1]["type"], &all[1]["pattern_id"]),
        (&json!(990.09), &json!("incoming-transfer"), &json!("p2p"))
    );
    assert_eq!(
        (&all[2]["amount"], &all[2]["type"], all[2].get("pattern_id")),
        (&json!(145.5), &json!("deposition"), None)
    );
    assert_eq!((&all[2]["operation_id"], card.len()), (&json!(card), 18));
    assert_eq!(
        bench.history("label=ORD-1").await["operations"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let (_, details) =
        send(bench.wallet("operation-details", &format!("operation_id={card}"))).await;
    assert_eq!(
        (&details["amount"], &details["label"], details.get("fee")),
        (&json!(145.5), &json!("ORD-1"), None)
    );
    let (http, account) = send(bench.wallet("account-info", "")).await;
    assert_eq!((http, &account["account"]), (200, &json!("4100123456789")));
}

#[tokio::test]
async fn pages_of_the_wallet_go_by_position() {
    let bench = Bench::plain().await;
    for n in 0..45 {
        bench.moved(roubles(&format!("Y-{n}"), "10", "card")).await;
    }
    let first = bench.history("type=deposition").await;
    assert_eq!(
        (
            first["operations"].as_array().unwrap().len(),
            &first["next_record"]
        ),
        (30, &json!("30"))
    );
    let second = bench.history("start_record=30").await;
    assert_eq!(
        (
            second["operations"].as_array().unwrap().len(),
            second.get("next_record")
        ),
        (15, None)
    );
    assert_eq!(bench.history("type=payment").await["operations"], json!([]));
    assert_eq!(
        bench.history("from=2100-01-01T00:00:00Z").await["operations"],
        json!([])
    );
    assert_eq!(
        bench.history("till=2020-01-01T00:00:00Z").await["operations"],
        json!([])
    );
    for (form, word) in [
        ("type=nothing", "illegal_param_type"),
        ("records=101", "illegal_param_records"),
        ("start_record=x", "illegal_param_start_record"),
        ("from=2026-4-5T3:7:9", "illegal_param_from"),
        ("till=2026-01-01T00:00:00", "illegal_param_till"),
    ] {
        assert_eq!(
            bench.history(form).await,
            json!({"error": word}),
            "inside HTTP 200"
        );
    }
    let times: Vec<usize> = bench.history("records=100").await["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["datetime"].as_str().unwrap().len())
        .collect();
    assert!(
        times.contains(&20) && times.contains(&24) && times.contains(&25),
        "{times:?}"
    );
}

#[tokio::test]
async fn an_operation_in_progress_ends() {
    let bench = Bench::plain().await;
    let mut started = roubles("ORD-1", "100", "card");
    started["status"] = json!("in_progress");
    let id = bench.moved(started).await;
    assert_eq!(
        bench.history("").await["operations"][0]["status"],
        "in_progress"
    );
    bench
        .moved(json!({"provider": "yoomoney", "transaction_id": id, "status": "success"}))
        .await;
    assert_eq!(
        bench.history("").await["operations"][0]["status"],
        "success"
    );
    bench
        .moved(json!({"provider": "yoomoney", "transaction_id": id, "direction": "out"}))
        .await;
    let out = &bench.history("type=payment").await["operations"][0];
    assert_eq!((&out["amount"], out.get("label")), (&json!(100), None));
    for body in [
        r#"{"provider":"yoomoney","amount":"1","via":"cash"}"#,
        r#"{"provider":"yoomoney","amount":"1","status":"late"}"#,
        r#"{"provider":"yoomoney","transaction_id":"1","status":"success"}"#,
        r#"{"provider":"walletpay","amount":"1"}"#,
        r#"{"provider":"telegram-stars","kind":"nothing"}"#,
        r#"{"provider":"nobody"}"#,
    ] {
        assert_eq!(
            bench.control("POST", "/transactions", body).await.0,
            400,
            "{body}"
        );
    }
}

#[tokio::test]
async fn an_invalid_token_is_reported_only_by_a_header() {
    let bench = Bench::with(SandboxOptions {
        variants: vec![Variant::YooMoneyDeadToken],
        ..SandboxOptions::default()
    })
    .await;
    let answer = bench.wallet("account-info", "").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(
        answer.headers()["www-authenticate"],
        r#"Bearer error="invalid_token""#
    );
    assert_eq!(answer.text().await.unwrap(), "");
    let form = format!(
        "{}/quickpay/confirm?receiver=41001&sum=2&label=%3Cb%3E",
        bench.sandbox.url()
    );
    let page = bench
        .client
        .get(form)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        page.contains("&lt;b&gt;") && page.contains("/sandbox/transactions"),
        "{page}"
    );
}

#[tokio::test]
async fn a_payment_can_be_given_its_id_once_and_is_returned_by_it() {
    let bench = Bench::plain().await;
    for (provider, id) in [
        ("telegram-stars", "charge-1"),
        ("yoomoney", "123456789012345678"),
    ] {
        let payment = json!({
            "provider": provider, "external_id": "ORD-1", "amount": "100", "direction": "in",
            "transaction_id": id,
        });
        assert_eq!(bench.moved(payment.clone()).await, id);
        let again = payment.to_string();
        let (http, _) = bench.control("POST", "/transactions", &again).await;
        assert_eq!(http, 400, "{provider}: the id is in the ledger");
        let back = json!({"provider": provider, "direction": "out", "transaction_id": id});
        bench.moved(back).await;
    }
    let ledger = bench.stars(json!({})).await;
    assert_eq!(
        (&ledger[0]["id"], &ledger[1]["id"]),
        (&json!("charge-1"), &json!("charge-1"))
    );
    let wallet = bench.history("label=ORD-1").await;
    assert_eq!(
        wallet["operations"][0]["operation_id"],
        "123456789012345678"
    );
    let letters = r#"{"provider":"yoomoney","amount":"1","transaction_id":"T-1"}"#;
    assert_eq!(bench.control("POST", "/transactions", letters).await.0, 400);
}

#[tokio::test]
async fn an_api_key_without_a_colon_is_the_secret_of_any_shop_and_bot() {
    let bench = Bench::with(SandboxOptions {
        api_key: Some("secret".into()),
        ..SandboxOptions::default()
    })
    .await;
    assert_eq!(send(bench.bot("getMe", &json!({}))).await.0, 200);
    let me = format!("{}/v3/me", bench.sandbox.url());
    for (secret, http) in [("secret", 200), ("other", 401)] {
        let request = bench.client.get(&me).basic_auth("100500", Some(secret));
        assert_eq!(send(request).await.0, http, "shop with {secret}");
        let bot = format!("{}/bot7:{secret}/getMe", bench.sandbox.url());
        assert_eq!(
            send(bench.client.get(bot)).await.0,
            http,
            "bot with {secret}"
        );
    }
    let bare = format!("{}/botsecret/getMe", bench.sandbox.url());
    assert_eq!(
        send(bench.client.get(bare)).await.0,
        200,
        "the key as it stands"
    );
}
