//! A provider whose answers are about other orders, contradict each other, forge log lines, or are
//! far too large.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use payrecond::sandbox::Operation;
use serde_json::json;

use super::kill::all_delivered;
use super::program::{self, Program, Stdout};
use crate::shop::Shop;

/// Maximum memory, whatever is sent: the largest accepted body has 32 MiB.
const MEMORY_KIB: u64 = 128 << 10;
const MIB: usize = 1 << 20;

/// Serves requests for single orders by `answer`, which gets the order's id. Returns its address.
async fn serve(answer: impl Fn(&str) -> String + Clone + Send + Sync + 'static) -> String {
    let preview = move |Query(query): Query<HashMap<String, String>>| {
        let body = answer(&query["id"]);
        async move { body }
    };
    listen(axum::Router::new().route("/wpay/store-api/v1/order/preview", get(preview))).await
}

async fn listen(routes: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}")
}

fn order(id: &str, status: &str) -> String {
    json!({"status": "SUCCESS", "message": "", "data": {"id": id, "status": status}}).to_string()
}

#[tokio::test]
async fn answers_about_each_other_change_neither_order() {
    let mut shop = Shop::open().await;
    let (paid, open) = (shop.drop_in("PAID").await, shop.drop_in("OPEN").await);
    let is_swapped = Arc::new(AtomicUsize::new(1));
    let swapped = Arc::clone(&is_swapped);
    shop.base_url = serve(move |id| {
        let of_paid = (id == paid) == (swapped.load(Ordering::Relaxed) == 0);
        if of_paid {
            order(&paid, "PAID")
        } else {
            order(&open, "ACTIVE")
        }
    })
    .await;
    let program = Program::ready(&shop).await;
    let noticed = "SELECT count(*) FROM invoices WHERE last_error LIKE '%another order%'";
    shop.until(noticed, "2").await;
    let untouched = "SELECT group_concat(DISTINCT status || version) FROM invoices";
    assert_eq!(shop.ask(untouched).await, "pending0");
    is_swapped.store(0, Ordering::Relaxed);
    let statuses = "SELECT group_concat(status) FROM (SELECT * FROM invoices ORDER BY id)";
    shop.until(statuses, "paid,pending").await;
    program.stop().await;
}

#[tokio::test]
async fn a_payment_that_comes_and_goes_is_recorded_once() {
    let mut shop = Shop::open().await;
    let turns = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&turns);
    shop.base_url = serve(move |id| {
        let turn = asked.fetch_add(1, Ordering::Relaxed);
        order(id, ["ACTIVE", "PAID"][turn % 2])
    })
    .await;
    for n in 0..10 {
        shop.drop_in(&format!("ORD-{n}")).await;
    }
    let program = Program::ready(&shop).await;
    let paid = "SELECT count(*) FROM invoices WHERE status = 'paid'";
    shop.until(paid, "10").await;
    shop.execute("UPDATE invoices SET next_poll_at = 0").await;
    // An open order was polled again, so the others would have been polled too.
    shop.drop_in("LAST").await;
    shop.until(paid, "11").await;
    all_delivered(&shop).await;
    let said = "SELECT count(*) || ' ' || group_concat(DISTINCT type) FROM outbox";
    assert_eq!(shop.ask(said).await, "11 payment.paid");
    program.stop().await;
}

#[tokio::test]
async fn line_breaks_in_provider_text_forge_no_log_line() {
    for (format, begins) in [("text", "20"), ("json", "{")] {
        let mut shop = Shop::open().await;
        shop.configure(&format!("[log]\nlevel = \"debug\"\nformat = {format:?}\n"));
        let odd = shop.drop_in("ODD").await;
        shop.drop_in("REFUSED").await;
        shop.base_url = serve(move |id| {
            let forged = "x\r\nFORGED 1\nFORGED 2\rFORGED 3\u{2028}FORGED 4\u{85}\u{1b}[31m";
            if id == odd {
                order(id, forged)
            } else {
                json!({"status": forged, "message": forged, "data": null}).to_string()
            }
        })
        .await;
        let mut command = program::command(&shop);
        command.env("NO_COLOR", "1");
        let program = Program::spawn(&shop, command, Stdout::Read, Stdio::piped());
        program.until_said("FORGED").await;
        let noticed =
            "SELECT count(*) FROM invoices WHERE last_error IS NOT NULL OR reason IS NOT NULL";
        shop.until(noticed, "2").await;
        let left = program.stop().await;
        let is_break = |c: char| "\r\n\u{85}\u{2028}\u{2029}".contains(c);
        for line in left.stderr.trim_end().split(is_break) {
            assert!(line.starts_with(begins), "{line:?}");
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
    }
}

#[tokio::test]
async fn a_body_of_a_gibibyte_takes_no_memory_compressed_or_not() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let piece = vec![b' '; MIB];
    for _ in 0..256 {
        packed.write_all(&piece).unwrap();
    }
    let bomb = Bytes::from(packed.finish().unwrap());
    assert!(bomb.len() < 4 * MIB);
    let huge = move |headers: HeaderMap| {
        let takes = headers.get(ACCEPT_ENCODING).map(HeaderValue::as_bytes);
        let answer: Response = if takes == Some(b"gzip") {
            ([(CONTENT_ENCODING, "gzip")], bomb.clone()).into_response()
        } else {
            let piece = Bytes::from(vec![b' '; MIB]);
            let pieces = (0..1024).map(move |_| Ok::<_, std::io::Error>(piece.clone()));
            Body::from_stream(futures::stream::iter(pieces)).into_response()
        };
        async move { answer }
    };
    for strategy in ["preview", "list"] {
        let mut shop = Shop::open().await;
        shop.settings = shop.settings.replace("preview", strategy);
        shop.drop_in("ORD-1").await;
        shop.base_url = listen(axum::Router::new().fallback(huge.clone())).await;
        let program = Program::ready(&shop).await;
        shop.until("SELECT last_error LIKE '%larger%' FROM accounts", "1")
            .await;
        let memory = program.peak_memory_kib();
        assert!((1..=MEMORY_KIB).contains(&memory), "{strategy}: {memory}");
        assert_eq!(shop.asked(Operation::Preview), 0);
        let untouched = "SELECT status || version FROM invoices";
        assert_eq!(shop.ask(untouched).await, "pending0");
        program.stop().await;
    }
}
