//! CryptoCloud over HTTP, with every quirk of its fact sheet.

use payrecond::clock::{Clock as _, SystemClock};
use payrecond::sandbox::{
    Fault, FaultKind, Operation, OrderBatch, SandboxOptions, SimulatedProvider, Variant,
};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{Bench, send};

impl Bench {
    fn cloud(&self, path: &str, body: &Value) -> RequestBuilder {
        let url = format!("{}/v2{path}", self.sandbox.url());
        let request = self.client.post(url).header("Authorization", "Token key");
        request.body(body.to_string())
    }

    async fn cloud_call(&self, path: &str, body: Value) -> Value {
        let (http, answer) = send(self.cloud(path, &body)).await;
        assert_eq!(
            (http, &answer["status"]),
            (200, &json!("success")),
            "{answer}"
        );
        answer["result"].clone()
    }

    async fn cloud_refusal(&self, path: &str, body: Value) -> (u16, Value) {
        let (http, answer) = send(self.cloud(path, &body)).await;
        assert_eq!(answer["status"], "error", "{answer}");
        (http, answer["result"].clone())
    }

    /// Creates an invoice; returns its uuid.
    async fn cloud_invoice(&self, order_id: &str) -> String {
        let body = json!({"shop_id": "shop", "amount": 100, "order_id": order_id});
        let made = self.cloud_call("/invoice/create", body).await;
        made["uuid"].as_str().unwrap().to_owned()
    }

    async fn info(&self, uuid: &str) -> Value {
        let items = self
            .cloud_call("/invoice/merchant/info", json!({"uuids": [uuid]}))
            .await;
        items[0].clone()
    }

    async fn cloud_list(&self, offset: usize, limit: usize) -> Vec<Value> {
        let body = json!({"start": today(), "end": "31.12.2099", "offset": offset, "limit": limit});
        let items = self.cloud_call("/invoice/merchant/list", body).await;
        items.as_array().unwrap().clone()
    }
}

/// The day before, so that midnight makes no difference.
fn today() -> String {
    let now = SystemClock::new().now();
    let day = jiff::Timestamp::from_millisecond(now.0 - 86_400_000).unwrap();
    day.strftime("%d.%m.%Y").to_string()
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
        provider: SimulatedProvider::CryptoCloud,
        count,
        external_id_prefix: "CC-".into(),
        ..OrderBatch::default()
    };
    bench.sandbox.world().seed(&batch).unwrap();
}

#[tokio::test]
async fn an_invoice_is_created_with_its_link() {
    let bench = Bench::plain().await;
    let body = json!({"shop_id": "shop", "amount": "100.5", "currency": "EUR"});
    let made = bench.cloud_call("/invoice/create", body).await;
    assert_eq!(
        (
            &made["status"],
            &made["amount_in_fiat"],
            &made["fiat_currency"],
            &made["invoice_id"],
            &made["address"]
        ),
        (
            &json!("created"),
            &json!(100.5),
            &json!("EUR"),
            &Value::Null,
            &json!("")
        )
    );
    let uuid = made["uuid"].as_str().unwrap();
    assert!(uuid.starts_with("INV-") && uuid.len() == 12, "{uuid}");
    assert_eq!(
        made["link"],
        format!("https://pay.trybit.com/{}", &uuid[4..])
    );
    let items = bench
        .cloud_call("/invoice/merchant/info", json!({"uuids": [&uuid[4..]]}))
        .await;
    assert_eq!(
        items.as_array().unwrap().len(),
        1,
        "an array for one id, without its prefix too"
    );
    assert_eq!(
        (&items[0]["order_id"], &items[0]["test_mode"]),
        (&Value::Null, &json!(false))
    );
    let pinned = json!({"shop_id": "s", "amount": 1, "add_fields": {"cryptocurrency": "LTC", "time_to_pay": {"hours": 0, "minutes": 5}}});
    let pinned = bench.cloud_call("/invoice/create", pinned).await;
    assert_eq!(pinned["currency"]["fullcode"], "LTC");
    assert!(
        pinned["fee"].to_string().contains("e-") && pinned["address"] != "",
        "{pinned}"
    );
}

#[tokio::test]
async fn unknown_ids_are_left_out() {
    let bench = Bench::plain().await;
    let uuid = bench.cloud_invoice("A").await;
    let ask = |uuids: Value| bench.cloud_call("/invoice/merchant/info", json!({"uuids": uuids}));
    assert_eq!(
        ask(json!(["INV-NOBODY00", uuid]))
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(ask(json!(["INV-NOBODY00"])).await, json!([]));
    let too_many = json!({"uuids": vec!["INV-A"; 101]});
    assert_eq!(
        bench
            .cloud_refusal("/invoice/merchant/info", too_many)
            .await
            .0,
        400
    );
    let fresh = with(&[
        Variant::CryptoCloudFreshMissing,
        Variant::CryptoCloudBareUuid,
    ])
    .await;
    let uuid = fresh.cloud_invoice("A").await;
    assert_eq!(uuid.len(), 8, "without its prefix");
    assert_eq!(fresh.info(&uuid).await, Value::Null);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story of three invoices")]
async fn partial_payments_and_overpayments_are_possible() {
    let bench = Bench::plain().await;
    let uuid = bench.cloud_invoice("A").await;
    let pay = async |body: &str| bench.control("POST", "/orders/A/pay", body).await;
    let (_, partial) = pay(r#"{"amount":"40"}"#).await;
    assert_eq!(
        (&partial["state"], &partial["status"]),
        (&json!("partial"), &json!("partial"))
    );
    let part = bench.info(&uuid).await;
    assert_eq!(
        (&part["status"], &part["received"]),
        (&json!("partial"), &json!(39.24)),
        "net of the service's fee"
    );
    assert_eq!(
        bench.cloud_list(0, 10).await[0]["to_surcharge"],
        json!(60.0)
    );
    pay("").await;
    let paid = bench.info(&uuid).await;
    assert_eq!(
        (&paid["status"], &paid["invoice_status"]),
        (&json!("paid"), &json!("success"))
    );
    assert!(
        paid["received"].as_f64() < paid["amount"].as_f64(),
        "{paid}"
    );
    assert_eq!(paid["tx_list"].as_array().unwrap().len(), 2);
    assert_eq!(pay("").await.0, 409);
    assert_eq!(
        pay(r#"{"amount":"5"}"#).await.1["status"],
        "overpaid",
        "a late surplus"
    );
    let listed = &bench.cloud_list(0, 10).await[0];
    assert_eq!(
        (&listed["amount_paid"], &listed["order_id"]),
        (&json!(106.4), &json!("A"))
    );
    assert!(listed["date_finished"].is_string());
    assert_eq!(bench.control("POST", "/orders/A/refund", "").await.0, 400);

    bench.cloud_invoice("B").await;
    bench
        .control("POST", "/orders/B/pay", r#"{"amount":"120"}"#)
        .await;
    bench.cloud_invoice("C").await;
    bench
        .control(
            "POST",
            "/orders/C/pay",
            r#"{"amount":"0.5","currency":"LTC"}"#,
        )
        .await;
    let (_, confirmed) = bench
        .control("POST", "/orders/C/pay", r#"{"confirm":true}"#)
        .await;
    assert_eq!(
        (
            &confirmed["status"],
            &confirmed["object"]["currency"]["code"]
        ),
        (&json!("paid"), &json!("LTC"))
    );
    let words: Vec<Value> = bench
        .cloud_list(0, 10)
        .await
        .iter()
        .map(|it| it["status"].clone())
        .collect();
    assert_eq!(words, ["paid", "overpaid", "overpaid"]);
}

#[tokio::test]
async fn canceled_is_expiry_once_its_date_has_passed() {
    let bench = Bench::plain().await;
    let (expired, cancelled) = (
        bench.cloud_invoice("E").await,
        bench.cloud_invoice("C").await,
    );
    let (_, end) = bench.control("POST", "/orders/E/expire", "").await;
    assert_eq!(
        (&end["status"], &end["state"]),
        (&json!("canceled"), &json!("expired"))
    );
    assert_eq!(
        bench
            .cloud_call("/invoice/merchant/canceled", json!({"uuid": cancelled}))
            .await,
        json!(["ok"])
    );
    let (one, other) = (bench.info(&expired).await, bench.info(&cancelled).await);
    assert_eq!(
        (&one["status"], &other["status"]),
        (&json!("canceled"), &json!("canceled"))
    );
    assert!(one["expiry_date"].as_str() < other["expiry_date"].as_str());
    assert_eq!(
        bench.control("GET", "/orders/C", "").await.1["state"],
        "cancelled"
    );
    let refused = bench
        .cloud_refusal("/invoice/merchant/canceled", json!({"uuid": cancelled}))
        .await;
    assert_eq!(
        refused,
        (400, json!({"validate_error": "Invoice is not created"}))
    );
    let refused = bench
        .cloud_refusal("/invoice/merchant/canceled", json!({}))
        .await;
    assert_eq!(refused.1, json!({"validate_error": "uuid is required"}));
    assert_eq!(bench.control("POST", "/orders/E/pay", "").await.0, 409);
    assert_eq!(
        bench.control("POST", "/orders/E/pay?late=true", "").await.1["status"],
        "paid"
    );
}

#[tokio::test]
async fn a_limit_is_the_number_of_the_last_record_or_a_size() {
    let bench = Bench::plain().await;
    seeded(&bench, 130);
    let body = json!({"start": today(), "end": "31.12.2099"});
    let (_, usual) = send(bench.cloud("/invoice/merchant/list", &body)).await;
    assert_eq!(
        (
            usual["result"].as_array().unwrap().len(),
            &usual["all_count"]
        ),
        (10, &json!(130))
    );
    assert_eq!(bench.cloud_list(10, 20).await.len(), 10);
    assert_eq!(bench.cloud_list(0, 130).await.len(), 100);
    assert_eq!(bench.cloud_list(130, 230).await.len(), 0);
    let size = with(&[Variant::CryptoCloudLimitSize]).await;
    seeded(&size, 130);
    assert_eq!(size.cloud_list(10, 20).await.len(), 20);
    assert_eq!(size.cloud_list(0, 130).await.len(), 100);
    let refusing = with(&[Variant::CryptoCloudLimitRefused]).await;
    let body = json!({"start": today(), "end": "31.12.2099", "offset": 0, "limit": 101});
    assert_eq!(
        refusing
            .cloud_refusal("/invoice/merchant/list", body)
            .await
            .0,
        400
    );
    for (field, body) in [
        ("start", json!({"end": "01.01.2026"})),
        ("end", json!({"start": "01.01.2026"})),
        ("start", json!({"start": "2026-01-01", "end": "01.01.2026"})),
        ("end", json!({"start": "02.01.2026", "end": "01.01.2026"})),
    ] {
        let (http, problems) = bench.cloud_refusal("/invoice/merchant/list", body).await;
        assert_eq!(
            (http, problems.get(field).is_some()),
            (400, true),
            "{problems}"
        );
    }
    let past = json!({"start": "01.01.2020", "end": "02.01.2020"});
    assert_eq!(
        bench.cloud_call("/invoice/merchant/list", past).await,
        json!([])
    );
}

#[tokio::test]
async fn times_come_with_and_without_a_fraction() {
    let bench = Bench::plain().await;
    seeded(&bench, 60);
    let items = bench.cloud_list(0, 60).await;
    let lengths: Vec<usize> = items
        .iter()
        .map(|it| it["created"].as_str().unwrap().len())
        .collect();
    assert!(
        lengths.contains(&19) && lengths.contains(&26),
        "{lengths:?}"
    );
}

#[tokio::test]
async fn refusals_are_a_map_of_fields() {
    let bench = Bench::plain().await;
    let create = |body: Value| bench.cloud_refusal("/invoice/create", body);
    assert_eq!(
        create(json!({})).await,
        (
            400,
            json!({"amount": "amount not passed.", "shop_id": "shop_id not passed."})
        )
    );
    let zero = create(json!({"shop_id": "s", "amount": 0})).await;
    assert_eq!(zero.1, json!({"amount": "Invalid value amount."}));
    let currency = create(json!({"shop_id": "s", "amount": 1, "currency": "XXX"})).await;
    assert!(
        currency.1["currency"]
            .as_str()
            .unwrap()
            .contains("'USD', 'UZS'"),
        "{currency:?}"
    );
    let key = Bench::with(SandboxOptions {
        api_key: Some("right".into()),
        ..SandboxOptions::default()
    })
    .await;
    let refused = key
        .cloud_refusal("/merchant/wallet/balance/all", json!({}))
        .await;
    assert_eq!(
        refused,
        (401, json!({"authorization": "Unauthorized request."}))
    );
    let detail = Bench::with(SandboxOptions {
        api_key: Some("right".into()),
        variants: vec![Variant::CryptoCloud401Detail],
        ..SandboxOptions::default()
    })
    .await;
    let (http, body) = send(detail.cloud("/merchant/wallet/balance/all", &json!({}))).await;
    assert_eq!((http, body["detail"].is_string()), (401, true));
    assert_eq!(
        send(bench.cloud("/invoice/nothing", &json!({}))).await.0,
        404
    );
}

#[tokio::test]
async fn a_project_in_test_mode_makes_tests_and_the_old_host_has_no_scheme() {
    let bench = with(&[Variant::CryptoCloudTestMode, Variant::CryptoCloudOldHost]).await;
    let uuid = bench.cloud_invoice("A").await;
    assert_eq!(bench.info(&uuid).await["test_mode"], true);
    let link = bench.cloud_list(0, 1).await[0]["pay_url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(link, format!("pay.cryptocloud.plus/{}", &uuid[4..]));
}

#[tokio::test]
async fn a_lost_answer_has_created_an_invoice_that_the_list_shows() {
    let lost = Fault::new(FaultKind::LostAnswer).on(Operation::CryptoCloudCreate);
    let bench = Bench::with_faults(vec![lost.times(1)]).await;
    let body = json!({"shop_id": "s", "amount": 1, "order_id": "A"});
    assert!(bench.cloud("/invoice/create", &body).send().await.is_err());
    assert_eq!(bench.cloud_list(0, 10).await[0]["order_id"], "A");
    let statistics = json!({"start": today(), "end": "31.12.2099"});
    let statistics = bench
        .cloud_call("/invoice/merchant/statistics", statistics)
        .await;
    assert_eq!(statistics["count"]["all"], 1);
    assert!(
        bench
            .cloud_call("/merchant/wallet/balance/all", json!({}))
            .await
            .is_array()
    );
}
