//! YooKassa over HTTP, with every quirk of its fact sheet.

use payrecond::sandbox::{
    Fault, FaultKind, Operation, OrderBatch, SandboxOptions, SimulatedProvider, Variant,
};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{Bench, send};

impl Bench {
    fn kassa(&self, method: &str, path: &str) -> RequestBuilder {
        let url = format!("{}/v3{path}", self.sandbox.url());
        let request = self.client.request(method.parse().unwrap(), url);
        request.basic_auth("100500", Some("test_key"))
    }

    fn kassa_post(&self, path: &str, key: &str, body: &Value) -> RequestBuilder {
        let request = self.kassa("POST", path).header("Idempotence-Key", key);
        request.body(body.to_string())
    }

    async fn kassa_get(&self, path: &str) -> Value {
        let (http, body) = send(self.kassa("GET", path)).await;
        assert_eq!(http, 200, "{body}");
        body
    }

    /// Creates a payment; returns its id.
    async fn payment(&self, external_id: &str, capture: bool) -> String {
        let mut body = creation(external_id);
        body["capture"] = json!(capture);
        let (http, made) = send(self.kassa_post("/payments", external_id, &body)).await;
        assert_eq!(http, 200, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    async fn kassa_refusal(&self, request: RequestBuilder) -> (u16, String, String) {
        let (http, body) = send(request).await;
        assert_eq!(body["type"], "error", "{body}");
        let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        (http, text("code"), text("parameter"))
    }
}

async fn with(variant: Variant) -> Bench {
    Bench::with(SandboxOptions {
        variants: vec![variant],
        ..SandboxOptions::default()
    })
    .await
}

fn creation(external_id: &str) -> Value {
    json!({
        "amount": {"value": "200", "currency": "RUB"},
        "capture": true,
        "confirmation": {"type": "redirect", "return_url": "https://example.com/"},
        "description": "Six eggs",
        "metadata": {"external_id": external_id, "chat": 42},
    })
}

fn seeded(bench: &Bench, count: usize) {
    let batch = OrderBatch {
        provider: SimulatedProvider::YooKassa,
        count,
        external_id_prefix: "Y-".into(),
        ..OrderBatch::default()
    };
    bench.sandbox.world().seed(&batch).unwrap();
}

#[tokio::test]
async fn a_payment_waits_with_its_link_and_metadata_as_text() {
    let bench = Bench::plain().await;
    let id = bench.payment("ORD-1", true).await;
    assert_eq!((&id[8..24], id.len()), ("-000f-5000-8000-", 36));
    let payment = bench.kassa_get(&format!("/payments/{id}")).await;
    assert_eq!(
        (
            &payment["status"],
            &payment["paid"],
            &payment["test"],
            &payment["amount"]["value"]
        ),
        (
            &json!("pending"),
            &json!(false),
            &json!(true),
            &json!("200.00")
        )
    );
    assert_eq!(
        payment["metadata"],
        json!({"external_id": "ORD-1", "chat": "42"})
    );
    assert_eq!(payment["recipient"]["account_id"], "100500");
    let link = payment["confirmation"]["confirmation_url"]
        .as_str()
        .unwrap();
    assert!(link.ends_with(&id), "{link}");
    for absent in [
        "income_amount",
        "captured_at",
        "expires_at",
        "payment_method",
        "refunded_amount",
    ] {
        assert!(payment.get(absent).is_none(), "{absent}");
    }
    let me = bench.kassa_get("/me").await;
    assert_eq!(
        (&me["account_id"], &me["test"]),
        (&json!("100500"), &json!(true))
    );
}

#[tokio::test]
async fn a_key_repeats_its_answer_for_one_request() {
    let bench = Bench::plain().await;
    let (_, first) = send(bench.kassa_post("/payments", "k1", &creation("A"))).await;
    bench.control("POST", "/orders/A/pay", "").await;
    let (http, again) = send(bench.kassa_post("/payments", "k1", &creation("A"))).await;
    assert_eq!(
        (http, &again),
        (200, &first),
        "the first answer, whatever came since"
    );
    let other = bench.kassa_post("/payments", "k1", &creation("B"));
    let duplicate = bench.kassa_refusal(other).await;
    assert_eq!(
        duplicate,
        (400, "invalid_request".into(), "Idempotence-Key".into())
    );
    let without = bench
        .kassa("POST", "/payments")
        .body(creation("C").to_string());
    assert_eq!(bench.kassa_refusal(without).await.2, "Idempotence-Key");
    assert_eq!(
        bench.kassa_get("/payments").await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let present = with(Variant::YooKassaRepeatPresent).await;
    present.payment("A", true).await;
    present.control("POST", "/orders/A/pay", "").await;
    let (_, again) = send(present.kassa_post("/payments", "A", &creation("A"))).await;
    assert_eq!(again["status"], "succeeded");
}

#[tokio::test]
async fn a_failure_may_have_made_the_payment() {
    for kind in [FaultKind::Status500, FaultKind::LostAnswer] {
        let fault = Fault {
            after: (kind == FaultKind::Status500).then_some(true),
            ..Fault::new(kind)
                .on(Operation::YooKassaCreatePayment)
                .times(1)
        };
        let bench = Bench::with_faults(vec![fault]).await;
        match bench
            .kassa_post("/payments", "k", &creation("A"))
            .send()
            .await
        {
            Ok(answer) => assert_eq!(
                (kind, answer.status().as_u16()),
                (FaultKind::Status500, 500)
            ),
            Err(_) => assert_eq!(kind, FaultKind::LostAnswer),
        }
        let (http, made) = send(bench.kassa_post("/payments", "k", &creation("A"))).await;
        assert_eq!((http, &made["status"]), (200, &json!("pending")));
        assert_eq!(bench.sandbox.world().orders().len(), 1, "{kind}");
    }
}

#[tokio::test]
async fn held_money_is_paid_but_not_captured() {
    let bench = Bench::plain().await;
    let id = bench.payment("ORD-1", false).await;
    let (_, held) = bench.control("POST", "/orders/ORD-1/pay", "").await;
    assert_eq!(
        (&held["state"], &held["status"]),
        (&json!("held"), &json!("waiting_for_capture"))
    );
    let path = format!("/payments/{id}");
    let payment = bench.kassa_get(&path).await;
    assert_eq!(
        (&payment["paid"], payment.get("captured_at")),
        (&json!(true), None)
    );
    assert!(payment["expires_at"].is_string() && payment["income_amount"]["value"] == "193.00");
    let part = json!({"amount": {"value": "150.00", "currency": "RUB"}});
    let (http, captured) = send(bench.kassa_post(&format!("{path}/capture"), "c", &part)).await;
    assert_eq!(
        (http, &captured["status"], &captured["amount"]["value"]),
        (200, &json!("succeeded"), &json!("150.00"))
    );

    let second = bench.payment("ORD-2", true).await;
    bench
        .control("POST", "/orders/ORD-2/pay", r#"{"capture":false}"#)
        .await;
    let cancel = bench.kassa_post(&format!("/payments/{second}/cancel"), "x", &json!({}));
    let (_, canceled) = send(cancel).await;
    assert_eq!(
        canceled["cancellation_details"],
        json!({"party": "merchant", "reason": "canceled_by_merchant"})
    );
    let third = bench.payment("ORD-3", true).await;
    let pending = bench.kassa_post(&format!("/payments/{third}/cancel"), "y", &json!({}));
    assert_eq!(
        bench.kassa_refusal(pending).await.0,
        400,
        "a pending payment cannot be canceled by the shop"
    );
}

#[tokio::test]
async fn ends_differ_only_by_their_reason() {
    let bench = Bench::plain().await;
    for name in ["EXPIRED", "DECLINED", "HELD"] {
        bench.payment(name, name != "HELD").await;
    }
    bench.control("POST", "/orders/HELD/pay", "").await;
    let end = async |name: &str, what: &str, body: &str| {
        let (http, order) = bench
            .control("POST", &format!("/orders/{name}/{what}"), body)
            .await;
        assert_eq!(
            (http, &order["status"]),
            (200, &json!("canceled")),
            "{order}"
        );
        (
            order["state"].clone(),
            order["object"]["cancellation_details"]["reason"].clone(),
        )
    };
    assert_eq!(
        end("EXPIRED", "expire", "").await,
        (json!("expired"), json!("expired_on_confirmation"))
    );
    assert_eq!(
        end("HELD", "expire", "").await,
        (json!("expired"), json!("expired_on_capture"))
    );
    let declined = r#"{"reason":"insufficient_funds","party":"payment_network"}"#;
    assert_eq!(
        end("DECLINED", "cancel", declined).await,
        (json!("cancelled"), json!("insufficient_funds"))
    );
    assert_eq!(
        bench.control("POST", "/orders/EXPIRED/pay", "").await.0,
        409
    );
}

#[tokio::test]
async fn a_refund_keeps_succeeded_and_is_a_separate_object() {
    let bench = Bench::plain().await;
    let id = bench.payment("ORD-1", true).await;
    assert_eq!(
        bench.control("POST", "/orders/ORD-1/refund", "").await.0,
        409
    );
    assert_eq!(
        bench
            .control("POST", "/orders/ORD-1/pay", r#"{"amount":"100"}"#)
            .await
            .0,
        400,
        "the exact sum"
    );
    bench.control("POST", "/orders/ORD-1/pay", "").await;
    let paid = bench.kassa_get(&format!("/payments/{id}")).await;
    assert_eq!(
        (&paid["refunded_amount"]["value"], &paid["refundable"]),
        (&json!("0.00"), &json!(true))
    );
    let part = bench
        .control("POST", "/orders/ORD-1/refund", r#"{"amount":"50"}"#)
        .await;
    assert_eq!((part.0, &part.1["status"]), (200, &json!("succeeded")));
    let body = json!({"payment_id": id, "amount": {"value": "150.00", "currency": "RUB"}});
    let (http, refund) = send(bench.kassa_post("/refunds", "r", &body)).await;
    assert_eq!(
        (http, &refund["status"], &refund["payment_id"]),
        (200, &json!("succeeded"), &json!(id))
    );
    assert!(refund["id"].as_str().unwrap().contains("-0015-5000-9000-"));
    let paid = bench.kassa_get(&format!("/payments/{id}")).await;
    assert_eq!(
        (
            &paid["status"],
            &paid["refunded_amount"]["value"],
            &paid["refundable"]
        ),
        (&json!("succeeded"), &json!("200.00"), &json!(false))
    );
    let list = bench.kassa_get(&format!("/refunds?payment_id={id}")).await;
    let sums: Vec<&Value> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["amount"]["value"])
        .collect();
    assert_eq!(sums, ["150.00", "50.00"], "newest first");
    let one = bench
        .kassa_get(&format!("/refunds/{}", refund["id"].as_str().unwrap()))
        .await;
    assert_eq!(one, refund);
    assert_eq!(
        bench.control("POST", "/orders/ORD-1/refund", "").await.0,
        400,
        "nothing is left"
    );
    assert!(
        bench
            .kassa_get("/refunds?created_at.gte=2100-01-01T00:00:00Z")
            .await["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn the_list_holds_ten_newest_first_and_goes_on_by_cursor() {
    let bench = Bench::plain().await;
    seeded(&bench, 25);
    let mut seen = Vec::new();
    let mut path = "/payments?status=pending".to_owned();
    loop {
        let page = bench.kassa_get(&path).await;
        let items = page["items"].as_array().unwrap();
        seen.extend(
            items
                .iter()
                .map(|it| it["metadata"]["external_id"].as_str().unwrap().to_owned()),
        );
        // A payment created meanwhile comes before the first page.
        seeded(&bench, 1);
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/payments?status=pending&cursor={cursor}"),
            None => break,
        }
        assert_eq!(items.len(), 10);
    }
    let expected: Vec<String> = (1..=25).rev().map(|n| format!("Y-{n}")).collect();
    assert_eq!(seen, expected);
    let cursor = path.split("cursor=").last().unwrap();
    for (query, parameter) in [
        (format!("cursor={cursor}"), "cursor"),
        ("cursor=x".into(), "cursor"),
        ("limit=101".into(), "limit"),
        ("limit=0".into(), "limit"),
        ("created_at.gte=yesterday".into(), "created_at.gte"),
    ] {
        let refused = bench
            .kassa_refusal(bench.kassa("GET", &format!("/payments?{query}")))
            .await;
        assert_eq!((refused.0, refused.2.as_str()), (400, parameter), "{query}");
    }
}

#[tokio::test]
async fn payments_are_found_by_their_capture_time() {
    let bench = Bench::plain().await;
    seeded(&bench, 30);
    for name in ["Y-3", "Y-20"] {
        bench
            .control("POST", &format!("/orders/{name}/pay"), "")
            .await;
    }
    let all = "/payments?captured_at.gte=2020-01-01T00:00:00.000Z&status=succeeded&limit=100";
    let page = bench.kassa_get(all).await;
    let names: Vec<&Value> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["metadata"]["external_id"])
        .collect();
    assert_eq!(
        (names, page.get("next_cursor")),
        (vec![&json!("Y-20"), &json!("Y-3")], None)
    );
    let captured = page["items"][0]["captured_at"].as_str().unwrap();
    // Both may be within one millisecond.
    let same = usize::from(page["items"][1]["captured_at"] == captured);
    let count = async |query: String| {
        let page = bench
            .kassa_get(&format!("/payments?limit=100&{query}"))
            .await;
        page["items"].as_array().unwrap().len()
    };
    assert_eq!(count(format!("captured_at.gte={captured}")).await, 1 + same);
    assert_eq!(count(format!("captured_at.gt={captured}")).await, 0);
    assert_eq!(count(format!("captured_at.lt={captured}")).await, 1 - same);
    assert_eq!(count("created_at.lte=2020-01-01T00:00:00Z".into()).await, 0);
    assert_eq!(
        count("created_at.gte=2020-01-01T03:00:00%2B03:00".into()).await,
        30
    );
}

#[tokio::test]
async fn refusals_name_code_and_parameter() {
    let bench = Bench::plain().await;
    let changed = |field: &str, value: Value| {
        let mut body = creation("A");
        body[field] = value;
        body
    };
    for (field, value, parameter) in [
        ("amount", Value::Null, "amount"),
        (
            "amount",
            json!({"value": "0", "currency": "RUB"}),
            "amount.value",
        ),
        (
            "amount",
            json!({"value": "1.001", "currency": "RUB"}),
            "amount.value",
        ),
        (
            "amount",
            json!({"value": "1", "currency": "USD"}),
            "amount.currency",
        ),
        ("description", json!("x".repeat(129)), "description"),
        ("metadata", json!({"x".repeat(33): "1"}), "metadata"),
        ("metadata", json!({"deep": {}}), "metadata"),
        ("confirmation", Value::Null, "confirmation"),
        (
            "confirmation",
            json!({"type": "redirect"}),
            "confirmation.return_url",
        ),
    ] {
        let request = bench.kassa_post("/payments", "k", &changed(field, value));
        let refused = bench.kassa_refusal(request).await;
        assert_eq!(refused, (400, "invalid_request".into(), parameter.into()));
    }
    let nobody = "/payments/2f3b588d-000f-5000-8000-1d6e87c7fbde";
    assert_eq!(
        bench.kassa_refusal(bench.kassa("GET", nobody)).await.1,
        "not_found"
    );
    let old = with(Variant::YooKassaNotFound400).await;
    let refused = old.kassa_refusal(old.kassa("GET", nobody)).await;
    assert_eq!((refused.0, refused.2.as_str()), (400, "payment_id"));
    let fiscal = with(Variant::YooKassaReceiptRequired).await;
    let request = fiscal.kassa_post("/payments", "k", &creation("A"));
    assert_eq!(fiscal.kassa_refusal(request).await.2, "receipt");
}

#[tokio::test]
async fn the_shop_and_its_secret_are_the_key() {
    let bench = Bench::with(SandboxOptions {
        api_key: Some("100500:test_key".into()),
        rate_limit: Some(1.0),
        ..SandboxOptions::default()
    })
    .await;
    let url = format!("{}/v3/me", bench.sandbox.url());
    let wrong = bench
        .client
        .get(&url)
        .basic_auth("100500", Some("live_key"));
    assert_eq!(
        bench.kassa_refusal(wrong).await,
        (401, "invalid_credentials".into(), String::new())
    );
    assert_eq!(bench.kassa_refusal(bench.client.get(&url)).await.0, 401);
    assert_eq!(send(bench.kassa("GET", "/me")).await.0, 200);
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(send(bench.kassa("GET", "/me")).await);
    }
    let limited = codes.iter().find(|(http, _)| *http == 429).unwrap();
    assert_eq!(limited.1["code"], "too_many_requests");
}
