//! The sandbox over HTTP, with an ordinary HTTP client.
#![expect(
    clippy::disallowed_methods,
    reason = "an independent client, not the daemon's own, is the witness here"
)]

mod crypto_pay;
mod cryptocloud;
mod ledgers;
mod yookassa;

use std::error::Error as _;
use std::time::Duration;

use payrecond::sandbox::{
    Fault, FaultKind, NewOrder, Operation, OrderBatch, Sandbox, SandboxOptions, SimulatedPayment,
    Variant,
};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const API: &str = "/wpay/store-api/v1";

/// A sandbox on a free port and a client with its key.
struct Bench {
    sandbox: Sandbox,
    client: Client,
}

impl Bench {
    async fn with(options: SandboxOptions) -> Bench {
        let listen = "127.0.0.1:0".parse().unwrap();
        let sandbox = Sandbox::start(SandboxOptions {
            listen,
            seed: 7,
            ..options
        })
        .await
        .unwrap();
        // reqwest requires one although nothing here is encrypted; a second installation is
        // refused, harmlessly.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .timeout(crate::PATIENCE)
            .build()
            .unwrap();
        Bench { sandbox, client }
    }

    async fn plain() -> Bench {
        Bench::with(SandboxOptions::default()).await
    }

    async fn with_faults(faults: Vec<Fault>) -> Bench {
        Bench::with(SandboxOptions {
            faults,
            ..SandboxOptions::default()
        })
        .await
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client
            .get(format!("{}{API}{path}", self.sandbox.url()))
            .header("Wpay-Store-Api-Key", "k")
    }

    fn create(&self, body: &Value) -> RequestBuilder {
        let url = format!("{}{API}/order", self.sandbox.url());
        self.client
            .post(url)
            .header("Wpay-Store-Api-Key", "k")
            .body(body.to_string())
    }

    fn preview(&self, id: &str) -> RequestBuilder {
        self.get(&format!("/order/preview?id={id}"))
    }

    fn list(&self, offset: i64, count: i64) -> RequestBuilder {
        self.get(&format!(
            "/reconciliation/order-list?offset={offset}&count={count}"
        ))
    }

    /// A request to the control API, without a key.
    async fn control(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let url = format!("{}/sandbox{path}", self.sandbox.url());
        let request = self
            .client
            .request(method.parse().unwrap(), url)
            .body(body.to_owned());
        read(request.send().await.unwrap()).await
    }

    /// An order created in-process; returns its id as text.
    fn order(&self, external_id: &str) -> String {
        self.order_of(external_id, "1.00")
    }

    fn order_of(&self, external_id: &str, usd: &str) -> String {
        let new = NewOrder::simple(external_id, usd, "USD");
        self.sandbox.world().create(&new).unwrap().order.id
    }
}

async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text:?}")),
    )
}

async fn send(request: RequestBuilder) -> (u16, Value) {
    read(request.send().await.unwrap()).await
}

fn creation() -> Value {
    json!({
        "amount": {"currencyCode": "USD", "amount": "1.5"},
        "description": "VPN for 1 month",
        "externalId": "ORD-5023-4E89",
        "timeoutSeconds": 10800,
        "customerTelegramUserId": 42,
    })
}

fn keys(object: &Value) -> Vec<&str> {
    object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[tokio::test]
async fn a_new_order_is_active_in_preview_and_list() {
    let bench = Bench::plain().await;
    let (http, made) = send(bench.create(&creation())).await;
    assert_eq!(
        (http, &made["status"], &made["message"]),
        (200, &json!("SUCCESS"), &json!(""))
    );
    let order = &made["data"];
    let id = order["id"].as_str().unwrap();
    assert!(id.parse::<u64>().unwrap() > 1 << 53);
    assert_eq!(
        order["amount"],
        json!({"currencyCode": "USD", "amount": "1.50"})
    );
    assert_eq!(
        order["payLink"],
        json!(format!("https://t.me/wallet?startattach=wpay_order_{id}"))
    );
    let mut fields = keys(order);
    fields.sort_unstable();
    let always = [
        "amount",
        "createdDateTime",
        "directPayLink",
        "expirationDateTime",
        "id",
        "number",
        "payLink",
        "status",
    ];
    assert_eq!(fields, always);
    assert_eq!(send(bench.preview(id)).await.1["data"], *order);

    let (_, page) = send(bench.list(0, 10)).await;
    let item = &page["data"]["items"][0];
    assert_eq!(
        (item["id"].to_string().as_str(), &item["externalId"]),
        (id, &json!("ORD-5023-4E89"))
    );
    for absent in [
        "number",
        "payLink",
        "paymentDateTime",
        "selectedPaymentOption",
        "completedDateTime",
    ] {
        assert!(item.get(absent).is_none(), "{absent}");
    }
}

#[tokio::test]
async fn a_payment_shows_in_the_preview_and_its_details_in_the_list() {
    let bench = Bench::plain().await;
    let id = &bench.order_of("A", "1.50");
    let (http, paid) = bench
        .control(
            "POST",
            &format!("/orders/{id}/pay"),
            r#"{"currency":"TON","amount":"0.277"}"#,
        )
        .await;
    assert_eq!((http, &paid["status"]), (200, &json!("PAID")));
    let (_, preview) = send(bench.preview(id)).await;
    assert_eq!(preview["data"]["status"], "PAID");
    assert!(preview["data"]["completedDateTime"].is_string());
    assert!(
        preview["data"].get("externalId").is_none()
            && preview["data"].get("selectedPaymentOption").is_none()
    );
    let (_, page) = send(bench.list(0, 10)).await;
    let item = &page["data"]["items"][0];
    assert!(item["paymentDateTime"].is_string());
    let option = &item["selectedPaymentOption"];
    assert_eq!(
        option["amount"],
        json!({"currencyCode": "TON", "amount": "0.277000000"})
    );
    assert_eq!(option["amountFee"]["amount"], "0.002770000");
    assert_eq!(option["amountNet"]["amount"], "0.274230000");
    assert_eq!(option["exchangeRate"], "0.1846666666666666667");
    let (_, total) = send(bench.get("/reconciliation/order-amount")).await;
    assert_eq!(
        total,
        json!({"status": "SUCCESS", "message": "", "data": {"totalAmount": 1}})
    );
}

#[tokio::test]
async fn repeats_answer_already_and_changes_conflict() {
    let bench = Bench::plain().await;
    let (_, first) = send(bench.create(&creation())).await;
    let (http, second) = send(bench.create(&creation())).await;
    assert_eq!(
        (http, &second["status"], &second["data"]),
        (200, &json!("ALREADY"), &first["data"])
    );
    let mut changed = creation();
    changed["timeoutSeconds"] = json!(10801);
    let (http, third) = send(bench.create(&changed)).await;
    assert_eq!(
        (http, &third["status"], third.get("data")),
        (200, &json!("CONFLICT"), None)
    );
}

#[tokio::test]
async fn broken_rules_are_envelopes_and_broken_requests_400() {
    let bench = Bench::plain().await;
    for (field, value) in [
        ("externalId", json!("x".repeat(256))),
        ("description", json!("four")),
        ("timeoutSeconds", json!(29)),
        ("amount", json!({"currencyCode": "USD", "amount": "0.001"})),
        ("customerTelegramUserId", Value::Null),
    ] {
        let mut body = creation();
        body[field] = value;
        let (http, refused) = send(bench.create(&body)).await;
        assert_eq!(
            (http, &refused["status"], refused.get("data")),
            (200, &json!("INVALID_REQUEST"), None)
        );
        assert!(
            refused["message"].as_str().unwrap().contains(field),
            "{refused}"
        );
    }
    assert_eq!(send(bench.create(&json!([]))).await.0, 400);
    for path in [
        "/order/preview",
        "/order/preview?id=",
        "/reconciliation/order-list",
        "/reconciliation/order-list?offset=0",
        "/reconciliation/order-list?offset=x&count=1",
    ] {
        assert_eq!(send(bench.get(path)).await.0, 400, "{path}");
    }
    assert_eq!(send(bench.list(0, 0)).await.1["data"], json!({"items": []}));
    assert_eq!(
        send(bench.list(5, 10_000)).await.1["data"],
        json!({"items": []})
    );
    for (offset, count) in [(0, 10_001), (0, -1), (-1, 5)] {
        let (http, refused) = send(bench.list(offset, count)).await;
        assert_eq!(
            (http, &refused["status"]),
            (200, &json!("INVALID_REQUEST")),
            "{offset} {count}"
        );
    }
    assert_eq!(send(bench.preview("2703383946854401")).await.0, 404);
    assert_eq!(send(bench.get("/order-preview/5")).await.0, 404);
}

#[tokio::test]
async fn the_key_decides_and_the_limit_holds() {
    let options = SandboxOptions {
        api_key: Some("right".into()),
        rate_limit: Some(2.0),
        rate_limit_retry_after: true,
        ..SandboxOptions::default()
    };
    let bench = Bench::with(options).await;
    let url = format!("{}{API}/reconciliation/order-amount", bench.sandbox.url());
    assert_eq!(send(bench.client.get(&url)).await.0, 401);
    assert_eq!(
        send(bench.client.get(&url).header("wpay-store-api-key", "wrong"))
            .await
            .0,
        401
    );
    let mut last = None;
    for _ in 0..8 {
        last = Some(
            bench
                .client
                .get(&url)
                .header("wpay-store-api-key", "right")
                .send()
                .await
                .unwrap(),
        );
    }
    let last = last.unwrap();
    assert_eq!(last.status(), 429);
    assert_eq!(last.headers()["retry-after"], "1");
    let stats = bench.sandbox.world().stats();
    assert_eq!(
        (
            stats.unauthorized,
            stats.requests[&Operation::Amount],
            stats.in_flight
        ),
        (2, 10, 0)
    );
}

#[tokio::test]
async fn the_list_ascends_in_pages_that_fit_together() {
    let bench = Bench::plain().await;
    let (http, made) = bench
        .control(
            "POST",
            "/orders",
            r#"{"count":25,"externalIdPrefix":"L-","currency":"TON","amount":"0.5"}"#,
        )
        .await;
    assert_eq!(
        (http, &made["firstExternalId"], &made["lastExternalId"]),
        (200, &json!("L-1"), &json!("L-25"))
    );
    let mut seen = Vec::new();
    for offset in [0, 10, 20, 30] {
        let (_, page) = send(bench.list(offset, 10)).await;
        let items = page["data"]["items"].as_array().unwrap();
        seen.extend(
            items
                .iter()
                .map(|item| item["externalId"].as_str().unwrap().to_owned()),
        );
    }
    let expected: Vec<String> = (1..=25).map(|n| format!("L-{n}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_preview_id_is_a_number_on_request() {
    let bench = Bench::with(SandboxOptions {
        variants: vec![Variant::WalletPayNumberId],
        ..SandboxOptions::default()
    })
    .await;
    let id = bench.order("A");
    assert_eq!(
        send(bench.preview(&id)).await.1["data"]["id"].to_string(),
        id
    );
}

#[tokio::test]
async fn gzip_only_for_clients_that_accept_it() {
    for (gzip, asks, compressed) in [
        (true, true, true),
        (true, false, false),
        (false, true, false),
    ] {
        let bench = Bench::with(SandboxOptions {
            gzip,
            ..SandboxOptions::default()
        })
        .await;
        bench.order("A");
        let raw = Client::builder().no_proxy().gzip(false).build().unwrap();
        let url = format!(
            "{}{API}/reconciliation/order-list?offset=0&count=9",
            bench.sandbox.url()
        );
        let request = raw.get(url).header("Wpay-Store-Api-Key", "k");
        let request = if asks {
            request.header("Accept-Encoding", "gzip")
        } else {
            request
        };
        let response = request.send().await.unwrap();
        assert_eq!(
            response.headers().contains_key("content-encoding"),
            compressed
        );
        assert_eq!(
            send(bench.list(0, 9)).await.1["data"]["items"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
    }
}

#[tokio::test]
async fn control_pays_late_and_never_twice() {
    let bench = Bench::plain().await;
    let id = bench.order("A B/ü");
    let by_name = "/orders/A%20B%2F%C3%BC/expire";
    assert_eq!(
        bench.control("POST", by_name, "").await.1["status"],
        "EXPIRED"
    );
    assert_eq!(
        bench
            .control("POST", &format!("/orders/{id}/cancel"), "{}")
            .await
            .0,
        409
    );
    let (http, paid) = bench
        .control("POST", &format!("/orders/{id}/pay"), "")
        .await;
    assert_eq!((http, &paid["status"]), (200, &json!("PAID")));
    assert_eq!(
        bench
            .control("POST", &format!("/orders/{id}/pay?late=true"), "")
            .await
            .0,
        409
    );

    assert_eq!(bench.control("POST", "/orders/nobody/pay", "").await.0, 404);
    let (http, refused) = bench
        .control(
            "POST",
            &format!("/orders/{}/pay", bench.order("OPEN")),
            r#"{"currency":"ABC"}"#,
        )
        .await;
    assert_eq!(http, 400);
    assert!(
        refused["error"].as_str().unwrap().contains("expected: TON"),
        "{refused}"
    );
    assert_eq!(
        bench
            .control("POST", &format!("/orders/{id}/pay"), r#"{"when":1}"#)
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn control_shows_orders_counters_and_its_paths() {
    let bench = Bench::plain().await;
    let id = bench.order("A");
    bench
        .sandbox
        .world()
        .pay(&id, &SimulatedPayment::default())
        .unwrap();
    bench
        .sandbox
        .world()
        .seed(&OrderBatch {
            count: 3,
            ..OrderBatch::default()
        })
        .unwrap();
    let (_, all) = bench.control("GET", "/orders", "").await;
    let orders = all["orders"].as_array().unwrap();
    assert_eq!(orders.len(), 4);
    assert_eq!(
        (
            &orders[0]["id"],
            &orders[0]["externalId"],
            &orders[0]["status"]
        ),
        (&json!(id), &json!("A"), &json!("PAID"))
    );
    let (_, some) = bench.control("GET", "/orders?offset=1&limit=2", "").await;
    assert_eq!(some["orders"].as_array().unwrap().len(), 2);
    let (_, paid) = bench.control("GET", "/orders?status=PAID", "").await;
    assert_eq!(paid["orders"].as_array().unwrap().len(), 1);

    let (http, refused) = bench.control("GET", "/orders?status=nothing", "").await;
    assert_eq!(http, 400);
    let accepted = "status: \"nothing\"; expected: ACTIVE, CANCELLED, EXPIRED, PAID, active, ";
    assert!(
        refused["error"].as_str().unwrap().starts_with(accepted),
        "{refused}"
    );
    assert_eq!(bench.control("GET", "/orders?limit=x", "").await.0, 400);
    assert_eq!(
        bench.control("GET", "/orders?offset=9", "").await.1,
        json!({"orders": []})
    );

    send(bench.preview(&id)).await;
    let (_, stats) = bench.control("GET", "/stats", "").await;
    assert_eq!(
        stats["requests"]["walletpay"],
        json!({"create": 0, "preview": 1, "list": 0, "amount": 0})
    );
    assert_eq!(
        stats["orders"]["walletpay"],
        json!({"ACTIVE": 3, "PAID": 1, "EXPIRED": 0, "CANCELLED": 0})
    );
    assert_eq!(stats["answers"], json!({"200": 1}));
    let (http, help) = bench.control("GET", "/nothing", "").await;
    assert_eq!(http, 404);
    assert!(
        help["paths"]
            .as_array()
            .unwrap()
            .contains(&json!("PUT /sandbox/faults"))
    );
    assert_eq!(bench.control("DELETE", "/stats", "").await.0, 405);
}

#[tokio::test]
async fn all_orders_are_returned_however_many() {
    let bench = Bench::plain().await;
    let world = bench.sandbox.world();
    world
        .seed(&OrderBatch {
            count: 5_001,
            ..OrderBatch::default()
        })
        .unwrap();
    for last in ["LOAD-5000", "LOAD-5001"] {
        world.pay(last, &SimulatedPayment::default()).unwrap();
    }
    let count = |orders: &Value| orders["orders"].as_array().unwrap().len();
    assert_eq!(count(&bench.control("GET", "/orders", "").await.1), 5_001);
    assert_eq!(
        count(&bench.control("GET", "/orders?status=PAID", "").await.1),
        2
    );
    assert_eq!(
        count(
            &bench
                .control("GET", "/orders?offset=10&limit=4500", "")
                .await
                .1
        ),
        4_500
    );
}

#[tokio::test]
async fn faults_are_set_read_and_used_up() {
    let bench = Bench::plain().await;
    let id = bench.order("A");
    let faults = r#"[{"kind":"status_429","on":"preview","count":2,"retry_after":"3"}]"#;
    assert_eq!(bench.control("PUT", "/faults", faults).await.0, 200);
    assert_eq!(
        send(bench.list(0, 1)).await.0,
        200,
        "another operation is left alone"
    );
    let limited = bench.preview(&id).send().await.unwrap();
    assert_eq!(
        (
            limited.status().as_u16(),
            limited.headers()["retry-after"].to_str().unwrap()
        ),
        (429, "3")
    );
    let (_, left) = bench.control("GET", "/faults", "").await;
    assert_eq!(
        left,
        json!([{"kind": "status_429", "on": "preview", "probability": 1.0, "count": 1, "retry_after": "3"}])
    );
    assert_eq!(send(bench.preview(&id)).await.0, 429);
    assert_eq!(send(bench.preview(&id)).await.0, 200);
    let (http, refused) = bench
        .control("PUT", "/faults", r#"[{"kind":"nothing"}]"#)
        .await;
    assert_eq!(http, 400);
    assert!(
        refused["error"]
            .as_str()
            .unwrap()
            .starts_with("faults[0].kind: \"nothing\"; expected: status_429, ")
    );
    assert_eq!(
        bench.control("GET", "/stats", "").await.1["faults"],
        json!({"status_429": 2})
    );
}

#[tokio::test]
async fn wrong_answers_are_wrong_in_their_own_way() {
    let bench = Bench::plain().await;
    let id = bench.order("A");
    let world = bench.sandbox.world();
    let play = async |fault: Fault| {
        world.set_faults(vec![fault.times(1)]);
        bench.preview(&id).send().await.unwrap()
    };
    let (http, body) = read(play(Fault::new(FaultKind::Status500)).await).await;
    assert_eq!((http, &body["status"]), (500, &json!("ERROR")));
    let html = play(Fault::new(FaultKind::Status502Html)).await;
    assert_eq!(
        (
            html.status().as_u16(),
            html.headers()["content-type"].to_str().unwrap()
        ),
        (502, "text/html")
    );
    assert!(html.text().await.unwrap().contains("<html>"));
    let (http, body) = read(play(Fault::new(FaultKind::EnvelopeError)).await).await;
    assert_eq!(
        (http, &body["status"], body.get("data")),
        (200, &json!("INTERNAL_ERROR"), None)
    );
    let mut denied = Fault::new(FaultKind::EnvelopeError);
    denied.status = Some("ACCESS_DENIED".into());
    assert_eq!(read(play(denied).await).await.1["status"], "ACCESS_DENIED");
    assert_eq!(play(Fault::new(FaultKind::NotFound)).await.status(), 404);
    let (http, body) = read(play(Fault::new(FaultKind::WrongTypeId)).await).await;
    assert_eq!(http, 200);
    assert!(
        !body["data"]["id"].is_string() && !body["data"]["id"].is_u64(),
        "{body}"
    );
    let (_, body) = read(play(Fault::new(FaultKind::UnknownStatus)).await).await;
    assert_eq!(body["data"]["status"], "ON_HOLD");
    let (_, body) = read(play(Fault::new(FaultKind::NullFields)).await).await;
    assert_eq!(
        (
            &body["data"]["id"],
            &body["data"]["amount"],
            &body["message"]
        ),
        (&json!(id), &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn an_ended_order_flips_back_and_the_fault_waits_for_one() {
    let bench = Bench::with_faults(vec![Fault::new(FaultKind::FlipBack).times(1)]).await;
    let id = bench.order("A");
    assert_eq!(send(bench.preview(&id)).await.1["data"]["status"], "ACTIVE");
    assert_eq!(
        bench.sandbox.world().faults()[0].count,
        Some(1),
        "nothing to flip yet"
    );
    bench
        .sandbox
        .world()
        .pay(&id, &SimulatedPayment::default())
        .unwrap();
    let (_, flipped) = send(bench.list(0, 5)).await;
    assert_eq!(flipped["data"]["items"][0]["status"], "ACTIVE");
    assert!(
        flipped["data"]["items"][0]
            .get("selectedPaymentOption")
            .is_none()
    );
    assert_eq!(send(bench.preview(&id)).await.1["data"]["status"], "PAID");
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let bench = Bench::with_faults(vec![Fault::new(FaultKind::Reset)]).await;
    let address = bench.sandbox.url().replace("http://", "");
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let request = format!(
        "GET {API}/order/preview?id=5 HTTP/1.1\r\nHost: {address}\r\nWpay-Store-Api-Key: k\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let error = stream.read(&mut [0; 100]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(bench.preview("5").send().await.is_err());
}

#[tokio::test]
async fn a_time_out_never_answers_and_stop_ends_it() {
    let bench = Bench::with_faults(vec![Fault::new(FaultKind::Timeout)]).await;
    let error = bench
        .preview("5")
        .timeout(Duration::from_millis(150))
        .send()
        .await
        .unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    while bench.sandbox.world().stats().in_flight > 0 {
        tokio::task::yield_now().await; // until the sandbox has noticed that the client went away
    }
    let before = bench.sandbox.world().stats().requests[&Operation::Preview];
    let hanging = tokio::spawn(bench.preview("5").send());
    while bench.sandbox.world().stats().requests[&Operation::Preview] == before {
        tokio::task::yield_now().await;
    }
    let stopped = tokio::time::timeout(crate::PATIENCE, bench.sandbox.stop()).await;
    assert!(stopped.is_ok());
    assert!(
        hanging
            .await
            .unwrap()
            .is_ok_and(|response| response.status() == 503)
    );
}

#[tokio::test]
async fn a_truncated_body_breaks_off() {
    let bench = Bench::with_faults(vec![Fault::new(FaultKind::TruncatedBody)]).await;
    let id = bench.order("A");
    let response = bench.preview(&id).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let announced = response.content_length().unwrap();
    let error = response.bytes().await.unwrap_err();
    assert!(
        announced > 100 && (error.is_body() || error.is_decode()),
        "{error:?} {:?}",
        error.source()
    );
}

#[tokio::test]
async fn a_huge_body_goes_on_and_on() {
    for gzip in [false, true] {
        let bench = Bench::with_faults(vec![Fault {
            gzip,
            ..Fault::new(FaultKind::HugeBody)
        }])
        .await;
        let id = bench.order("A");
        let mut response = bench.preview(&id).send().await.unwrap();
        let mut length = 0;
        while length < 3_000_000 {
            length += response.chunk().await.unwrap().expect("more to come").len();
        }
    }
}

#[tokio::test]
async fn a_slow_body_outlasts_the_client() {
    let bench = Bench::with_faults(vec![Fault::new(FaultKind::SlowBody)]).await;
    let id = bench.order("A");
    let mut response = bench
        .preview(&id)
        .timeout(Duration::from_secs(5))
        .send()
        .await
        .unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "{");
    let error = loop {
        match response.chunk().await {
            Ok(part) => assert_eq!(part.unwrap().len(), 1),
            Err(error) => break error,
        }
    };
    assert!(error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn a_lost_answer_may_have_made_the_order() {
    for (after, status) in [(true, "ALREADY"), (false, "SUCCESS")] {
        let lost = Fault {
            after: Some(after),
            ..Fault::new(FaultKind::Reset).on(Operation::Create).times(1)
        };
        let bench = Bench::with_faults(vec![lost]).await;
        // A separate connection each: the client would retry on a pooled one that breaks.
        assert!(bench.create(&creation()).send().await.is_err());
        assert_eq!(send(bench.create(&creation())).await.1["status"], status);
    }
    let bench = Bench::with_faults(vec![Fault::new(FaultKind::TruncatedBody).times(1)]).await;
    assert!(
        bench
            .create(&creation())
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .is_err()
    );
    assert_eq!(send(bench.create(&creation())).await.1["status"], "ALREADY");
}

#[tokio::test]
async fn a_non_loopback_address_is_refused() {
    for (listen, rate_limit) in [
        ("0.0.0.0:0", None),
        ("[::]:0", None),
        ("127.0.0.1:0", Some(0.0)),
    ] {
        let listen = listen.parse().unwrap();
        let options = SandboxOptions {
            listen,
            rate_limit,
            ..SandboxOptions::default()
        };
        let error = Sandbox::start(options).await.err().unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
    }
}
