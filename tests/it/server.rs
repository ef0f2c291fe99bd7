//! The daemon's HTTP server, tested from outside over its sockets.

mod deploy;
pub mod http;
mod metrics;
mod page;
mod token;

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use futures::FutureExt as _;
use payrecond::sandbox::{Fault, FaultKind, SimulatedPayment};
use serde_json::Value;

use self::http::{Answer, Place, ask, ask_until};
use crate::faults::program::{Program, Stdout};
use crate::shop::Shop;

/// Listens on a unix socket in the shop's directory.
fn with_socket(shop: &mut Shop) -> PathBuf {
    let path = shop.folder.path().join("http.sock");
    shop.configure(&format!("[server]\nlisten = \"unix:{}\"\n", path.display()));
    path
}

async fn open_with_socket() -> (Shop, Place) {
    let mut shop = Shop::open().await;
    let place = Place::Unix(with_socket(&mut shop));
    (shop, place)
}

/// The program on a free port of loopback.
async fn on_loopback(shop: &mut Shop, settings: &str) -> (Program, Place) {
    shop.configure(&format!("[server]\nlisten = \"127.0.0.1:0\"\n{settings}"));
    let program = Program::ready(shop).await;
    // It was logged before, but may be read later.
    program.until_said("http://").await;
    let said = program.said();
    let address = said.split("http://").nth(1).unwrap();
    let address = address.split('/').next().unwrap().parse().unwrap();
    (program, Place::Tcp(address))
}

fn failing(answer: &Answer) -> Vec<String> {
    let report: Value = serde_json::from_str(&answer.body).unwrap();
    let checks = report["checks"].as_array().unwrap().iter();
    let bad = checks.filter(|check| check["ok"] == false);
    bad.map(|check| {
        format!(
            "{}: {}",
            check["check"].as_str().unwrap(),
            check["message"].as_str().unwrap()
        )
    })
    .collect()
}

/// It is about to exit: any answer that is still sent is the right one.
#[tokio::test]
async fn a_database_that_was_replaced_makes_it_unready_at_once() {
    let mut shop = Shop::open().await;
    let copy = shop.folder.path().join("copy.db");
    let backup = format!("VACUUM INTO '{}'", copy.display());
    shop.execute(&backup).await;
    let (program, place) = on_loopback(&mut shop, "").await;
    assert_eq!(ask(&place, "/readyz").await.code, 200);
    std::fs::rename(&copy, shop.database()).unwrap();
    // The exit may cut the answer short.
    let asked = AssertUnwindSafe(ask(&place, "/readyz")).catch_unwind();
    tokio::select! {
        biased;
        left = program.ended() => assert_eq!(left.code, Some(1), "{}", left.stderr),
        Ok(answer) = asked => {
            assert_eq!(answer.code, 503, "{}", answer.body);
            assert!(answer.body.contains("was replaced"), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_healthy_daemon_reports_it_as_text_and_json() {
    let (shop, place) = open_with_socket().await;
    let daemon = shop.start();
    shop.drop_in("ORD-1").await;
    shop.until("SELECT polls > 0 FROM invoices", "1").await;
    let alive = ask(&place, "/livez").await;
    assert_eq!(
        (alive.code, alive.body.as_str()),
        (200, "ok\nok      tasks              all running\n")
    );
    let ready = ask(&place, "/readyz").await;
    assert_eq!(ready.code, 200, "{}", ready.body);
    assert!(ready.body.starts_with("ok\n"), "{}", ready.body);
    assert!(
        ready
            .body
            .contains("account default    working; last answer"),
        "{}",
        ready.body
    );
    let json = http::send(&place, "GET", "/readyz", &[("Accept", "application/json")]).await;
    assert_eq!(json.header("content-type"), Some("application/json"));
    let report: Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(report["status"], "ok");
    assert_eq!(failing(&json), [""; 0]);
    daemon.stop().await;
}

#[tokio::test]
async fn a_refused_key_is_reported_with_the_account() {
    let mut shop = Shop::refusing_the_key().await;
    let place = Place::Unix(with_socket(&mut shop));
    let daemon = shop.start();
    shop.drop_in("ORD-1").await;
    let json = &[("Accept", "application/json")];
    let ready = ask_until(&place, "/readyz", json, |answer| answer.code == 503).await;
    let bad = failing(&ready);
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert!(
        bad[0].starts_with("account default: key_refused: the provider refuses the API key"),
        "{bad:?}"
    );
    let words = ask(&place, "/readyz").await;
    assert!(
        words.body.contains("FAILED  account default"),
        "{}",
        words.body
    );
    assert_eq!(
        ask(&place, "/livez").await.code,
        200,
        "another start would not help"
    );
    let metrics = ask(&place, "/metrics").await.body;
    assert!(
        metrics.contains("payrecond_account_state{account=\"default\",state=\"key_refused\"} 1\n")
    );
    assert!(!metrics.contains("canary-key"), "a key in the metrics");
    daemon.stop().await;
}

#[tokio::test]
async fn an_unreachable_provider_is_reported_with_the_last_error() {
    let (shop, place) = open_with_socket().await;
    let daemon = shop.start();
    shop.answer_nothing();
    for n in 0..10 {
        shop.drop_in(&format!("ORD-{n}")).await;
    }
    let json = &[("Accept", "application/json")];
    let ready = ask_until(&place, "/readyz", json, |answer| answer.code == 503).await;
    let bad = failing(&ready);
    assert!(
        bad[0].starts_with("account default: paused: every request fails, so only probes go out; "),
        "{bad:?}"
    );
    assert!(bad[0].contains("unreachable"), "{bad:?}");
    shop.answer_again();
    ask_until(&place, "/readyz", json, |answer| answer.code == 200).await;
    daemon.stop().await;
}

/// The account pauses only after more failures than one invoice meets in the time of this test.
#[tokio::test]
async fn an_outage_is_shown_from_its_first_failures_on() {
    let (shop, place) = open_with_socket().await;
    shop.drop_in("ORD-1").await;
    shop.answer_nothing();
    let daemon = shop.start();
    let warned = |answer: &Answer| answer.body.contains("hero warn");
    let page = ask_until(&place, "/", &[], warned).await;
    assert!(
        page.body.contains("Requests to the provider are failing"),
        "{}",
        page.body
    );
    assert!(page.body.contains("in a row failed since"), "{}", page.body);
    let ready = ask(&place, "/readyz").await;
    assert!(
        ready.body.contains("account default    working: "),
        "{}",
        ready.body
    );
    let metrics = metrics::scraped(&place).await;
    assert!(metrics::value(&metrics, "payrecond_account_failures_in_a_row", &[]) >= 2.0);
    shop.until(
        "SELECT json_extract(value, '$.requests') >= 1 FROM meta
          WHERE key = 'account_failures:default' AND value <> ''",
        "1",
    )
    .await;
    let state = "SELECT state FROM accounts";
    assert_eq!(shop.ask(state).await, "working");
    shop.answer_again();
    shop.until(
        "SELECT value FROM meta WHERE key = 'account_failures:default'",
        "",
    )
    .await;
    ask_until(&place, "/", &[], |answer| answer.body.contains("hero good")).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_locked_database_is_reported_and_other_requests_are_answered() {
    let (shop, place) = open_with_socket().await;
    let daemon = shop.start();
    ask_until(&place, "/readyz", &[], |answer| answer.code == 200).await;
    let mut other = shop.connect().await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let json = &[("Accept", "application/json")];
    let ready = ask_until(&place, "/readyz", json, |answer| answer.code == 503).await;
    let bad = failing(&ready);
    assert!(bad[0].starts_with("database: not writable"), "{bad:?}");
    assert_eq!(ask(&place, "/livez").await.code, 200);
    assert_eq!(ask(&place, "/metrics").await.code, 200);
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    ask_until(&place, "/readyz", json, |answer| answer.code == 200).await;
    daemon.stop().await;
}

#[tokio::test]
async fn long_overdue_polls_are_reported() {
    let (shop, place) = open_with_socket().await;
    shop.drop_in("ORD-1").await;
    // Its plan is an hour old, and its poll gets no answer for a while.
    shop.execute("UPDATE invoices SET next_poll_at = created_at - 3600000, daemon_writes = daemon_writes + 1")
        .await;
    shop.world.set_faults(vec![Fault::new(FaultKind::Timeout)]);
    let daemon = shop.start();
    let json = &[("Accept", "application/json")];
    let ready = ask_until(&place, "/readyz", json, |answer| answer.code == 503).await;
    let bad = failing(&ready);
    assert_eq!(bad, ["polls default: 1 poll overdue, the oldest by 60 min"]);
    let metrics = metrics::scraped(&place).await;
    assert!(metrics::value(&metrics, "payrecond_oldest_overdue_poll_seconds", &[]) >= 3600.0);
    assert!(metrics::value(&metrics, "payrecond_overdue_polls", &[]) >= 1.0);
    daemon.stop().await;
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let (shop, place) = open_with_socket().await;
    let daemon = shop.start();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        for path in ["/readyz", "/metrics", "/nothing-here"] {
            let answer = http::send(&place, method, path, &[]).await;
            assert_eq!(answer.code, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"));
        }
    }
    let head = http::send(&place, "HEAD", "/livez", &[]).await;
    assert_eq!((head.code, head.body.as_str()), (200, ""));
    assert_eq!(ask(&place, "/nothing-here").await.code, 404);
    daemon.stop().await;
}

#[tokio::test]
async fn every_answer_forbids_the_browser_to_do_more_than_show_it() {
    let (shop, place) = open_with_socket().await;
    let daemon = shop.start();
    for path in ["/livez", "/readyz", "/metrics", "/nothing-here"] {
        let answer = ask(&place, path).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_request_that_names_another_host_is_refused() {
    let mut shop = Shop::open().await;
    let (program, place) = on_loopback(&mut shop, "").await;
    for host in [
        "evil.example",
        "evil.example:9464",
        "127.0.0.1.evil.example",
        "",
    ] {
        let answer = http::send(&place, "GET", "/readyz", &[("Host", host)]).await;
        assert_eq!(answer.code, 421, "{host}");
    }
    for host in ["localhost", "127.0.0.1:1", "[::1]:9464"] {
        let answer = http::send(&place, "GET", "/livez", &[("Host", host)]).await;
        assert_eq!(answer.code, 200, "{host}");
    }
    let doubled = [("Host", "localhost"), ("Host", "evil.example")];
    assert_ne!(
        http::send(&place, "GET", "/livez", &doubled).await.code,
        200
    );
    let absolute = http::send(
        &place,
        "GET",
        "http://evil.example/livez",
        &[("Host", "localhost")],
    );
    assert_eq!(absolute.await.code, 421);
    program.stop().await;
}

#[tokio::test]
async fn allow_remote_accepts_any_host_name() {
    let mut shop = Shop::open().await;
    let (program, place) = on_loopback(&mut shop, "allow_remote = true\n").await;
    let answer = http::send(&place, "GET", "/livez", &[("Host", "shop.example")]).await;
    assert_eq!(answer.code, 200);
    program.stop().await;
}

#[tokio::test]
async fn a_port_in_use_ends_the_start_and_names_the_setting() {
    let mut shop = Shop::open().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    shop.configure(&format!("[server]\nlisten = \"{address}\"\n"));
    let left = Program::start(&shop, Stdout::Read).ended().await;
    assert_eq!(left.code, Some(1));
    assert!(
        left.stderr.contains(&format!(
            "server.listen = \"{address}\": address in use by another program"
        )),
        "{}",
        left.stderr
    );
}

#[tokio::test]
async fn the_socket_is_for_the_group_and_a_stale_one_is_replaced() {
    let (shop, place) = open_with_socket().await;
    let path = shop.folder.path().join("http.sock");
    // Left over by a daemon that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let program = Program::ready(&shop).await;
    let file = std::fs::metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o660);
    assert_eq!(ask(&place, "/livez").await.code, 200);
    program.stop().await;
    assert!(!path.exists(), "removed at the end");
}

#[tokio::test]
async fn a_file_other_than_a_stale_socket_is_left_alone() {
    let (shop, _) = open_with_socket().await;
    let path = shop.folder.path().join("http.sock");
    std::fs::write(&path, "somebody's file").unwrap();
    let left = Program::start(&shop, Stdout::Read).ended().await;
    assert_eq!(left.code, Some(1));
    assert!(left.stderr.contains("not a socket"), "{}", left.stderr);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's file");
    std::fs::remove_file(&path).unwrap();
    let _live = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let left = Program::start(&shop, Stdout::Read).ended().await;
    assert_eq!(left.code, Some(1));
    assert!(
        left.stderr.contains("socket in use by another program"),
        "{}",
        left.stderr
    );
}

/// A visitor that neither sends nor disconnects must not delay the stop or block others.
#[tokio::test]
async fn a_silent_visitor_delays_nothing() {
    let (shop, place) = open_with_socket().await;
    let daemon = shop.start();
    ask_until(&place, "/livez", &[], |answer| answer.code == 200).await;
    let silent = http::connect(&place).await;
    let id = shop.drop_in("ORD-1").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    shop.until("SELECT status FROM invoices", "paid").await;
    assert_eq!(ask(&place, "/readyz").await.code, 200);
    daemon.stop().await;
    drop(silent);
}
