//! The text that a scraper reads, checked by the rules below, and by Prometheus' own tool if it is
//! installed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use payrecond::sandbox::SimulatedPayment;

use super::http::{self, Place, ask, ask_until};
use super::open_with_socket;

/// One metric with its samples.
#[derive(Debug, Default)]
pub struct Metric {
    pub kind: String,
    pub samples: Vec<Sample>,
}

#[derive(Debug)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// Parses Prometheus' text format; any violation fails the test.
pub fn parsed(text: &str) -> BTreeMap<String, Metric> {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    let mut current = String::new();
    let mut helped = BTreeSet::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.len() > 5 && helped.insert(name.to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(helped.contains(name), "{line}: TYPE after HELP");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            name.clone_into(&mut current);
            let metric = Metric {
                kind: kind.to_owned(),
                samples: Vec::new(),
            };
            assert!(
                metrics.insert(current.clone(), metric).is_none(),
                "{line}: twice"
            );
        } else {
            assert!(!line.starts_with('#'), "{line}");
            let sample = sample(line);
            let metric = metrics.get_mut(&current).unwrap();
            let base = match metric.kind.as_str() {
                "histogram" => ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| sample.name.strip_suffix(end))
                    .unwrap_or_default(),
                _ => &sample.name,
            };
            assert_eq!(base, current, "{line}");
            metric.samples.push(sample);
        }
    }
    metrics
}

fn sample(line: &str) -> Sample {
    let (left, value) = line.rsplit_once(' ').unwrap();
    let value = match value {
        "+Inf" | "inf" => f64::INFINITY,
        value => value.parse().unwrap_or_else(|_| panic!("{line}")),
    };
    let (name, labels) = match left.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
        None => (left, ""),
    };
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    assert!(name.chars().all(word), "{line}");
    let mut read = BTreeMap::new();
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").unwrap();
        assert!(label.chars().all(word), "{line}");
        let end = closing_quote(after);
        assert!(
            read.insert(label.to_owned(), after[..end].to_owned())
                .is_none(),
            "{line}"
        );
        rest = after[end + 1..].trim_start_matches(',');
    }
    Sample {
        name: name.to_owned(),
        labels: read,
        value,
    }
}

fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return at,
            '\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    panic!("no closing quote: {text}");
}

/// Rules beyond the format: names end in their unit, counters in `_total`, buckets rise.
fn conventions(metrics: &BTreeMap<String, Metric>) {
    for (name, metric) in metrics {
        assert!(name.starts_with("payrecond_"), "{name}");
        assert_eq!(metric.kind == "counter", name.ends_with("_total"), "{name}");
        assert!(!metric.samples.is_empty(), "{name} has no samples");
        for unit in ["_ms", "_millis", "_kb", "_minutes"] {
            assert!(!name.contains(unit), "{name}");
        }
        for sample in &metric.samples {
            assert!(!sample.value.is_nan(), "{name}");
            for label in sample.labels.keys() {
                let bounded = [
                    "account", "kind", "outcome", "type", "reason", "status", "state", "consumer",
                    "version", "le",
                ];
                assert!(bounded.contains(&label.as_str()), "{name}: {label}");
            }
        }
        if metric.kind == "histogram" {
            buckets_rise(name, metric);
        }
    }
}

fn buckets_rise(name: &str, metric: &Metric) {
    let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    for sample in &metric.samples {
        let account = sample.labels.get("account").cloned().unwrap_or_default();
        if let Some(le) = sample.labels.get("le") {
            let le = if le == "+Inf" {
                f64::INFINITY
            } else {
                le.parse().unwrap()
            };
            series.entry(account).or_default().push((le, sample.value));
        } else if sample.name.ends_with("_count") {
            counts.insert(account, sample.value);
        }
    }
    assert!(!series.is_empty(), "{name}");
    for (account, buckets) in series {
        assert!(buckets.is_sorted(), "{name}: {buckets:?}");
        let (le, all) = *buckets.last().unwrap();
        let is_whole = (counts[&account] - all).abs() < 0.5;
        assert!(le.is_infinite() && is_whole, "{name}");
    }
}

/// The result of Prometheus' own tool, if it is installed.
fn promtool(text: &str) {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("not run: promtool is missing");
        return;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// The value of the one sample that has these labels.
pub fn value(metrics: &BTreeMap<String, Metric>, sample: &str, labels: &[(&str, &str)]) -> f64 {
    let samples = metrics.values().flat_map(|metric| &metric.samples);
    let found: Vec<f64> = samples
        .filter(|s| s.name == sample)
        .filter(|s| {
            labels
                .iter()
                .all(|(k, v)| s.labels.get(*k).is_some_and(|l| l == v))
        })
        .map(|s| s.value)
        .collect();
    assert_eq!(found.len(), 1, "{sample} {labels:?}");
    found[0]
}

pub async fn scraped(place: &Place) -> BTreeMap<String, Metric> {
    let answer = ask(place, "/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    parsed(&answer.body)
}

#[tokio::test]
async fn metrics_are_well_formed_from_the_first_scrape_on() {
    let (shop, place) = open_with_socket().await;
    let daemon = shop.start();
    let text = ask(&place, "/metrics").await.body;
    conventions(&parsed(&text));
    promtool(&text);
    let accept = [(
        "Accept",
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    )];
    let open = http::send(&place, "GET", "/metrics", &accept).await;
    assert!(
        open.header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    assert!(open.body.ends_with("# EOF\n"));
    daemon.stop().await;
}

#[tokio::test]
async fn the_daemons_work_is_counted() {
    let (shop, place) = open_with_socket().await;
    let daemon = shop.start();
    let id = shop.drop_in("ORD-1").await;
    shop.execute(
        r#"INSERT INTO invoices (external_id, amount, currency, description, options)
           VALUES ('ORD-2', '1.50', 'USD', 'Six eggs', '{"customerTelegramUserId": 42}')"#,
    )
    .await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    shop.until("SELECT acked_seq FROM consumers WHERE name = 'stdout'", "2")
        .await;
    let answer = ask_until(&place, "/metrics", &[], |answer| {
        answer
            .body
            .contains("payrecond_feed_delay_seconds_count{consumer=\"stdout\"} 2\n")
    })
    .await;
    promtool(&answer.body);
    let metrics = parsed(&answer.body);
    conventions(&metrics);
    let of = |sample: &str, labels: &[(&str, &str)]| value(&metrics, sample, labels);
    assert!(
        of(
            "payrecond_requests_total",
            &[("kind", "poll"), ("outcome", "answered")]
        ) >= 1.0
    );
    assert!(
        of(
            "payrecond_requests_total",
            &[("kind", "creation"), ("outcome", "answered")]
        ) >= 1.0
    );
    for (kind, outcome) in [("poll", "seen"), ("creation", "created")] {
        let labels = [("kind", kind), ("outcome", outcome)];
        let observed = of("payrecond_observations_total", &labels);
        assert!(observed >= 1.0, "{kind} {outcome}");
    }
    assert!(
        of(
            "payrecond_rate_limit_requests_total",
            &[("account", "default")]
        ) >= 2.0
    );
    assert!(of("payrecond_events_total", &[("type", "payment.paid")]) >= 1.0);
    assert!(of("payrecond_events_total", &[("type", "payment.pending")]) >= 1.0);
    assert!(of("payrecond_time_to_detect_seconds_count", &[]) >= 1.0);
    assert!(of("payrecond_account_last_answer_timestamp_seconds", &[]) > 1.7e9);
    assert!(of("payrecond_account_state", &[("state", "working")]) >= 1.0);
    assert!(of("payrecond_database_up", &[]) >= 1.0);
    assert!(of("payrecond_database_size_bytes", &[]) >= 4096.0);
    assert!(!answer.body.contains("ORD-"), "an id is no label");
    daemon.stop().await;
}

#[tokio::test]
async fn invoices_lags_and_failures_are_exported() {
    let (shop, place) = open_with_socket().await;
    shop.execute("INSERT INTO consumers (name) VALUES ('bo\"t')")
        .await;
    let id = shop.drop_in("ORD-1").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    let daemon = shop.start();
    shop.until("SELECT status FROM invoices", "paid").await;
    daemon.stop().await;
    shop.answer_nothing();
    shop.drop_in("ORD-2").await;
    // A new daemon has counted nothing before.
    let daemon = shop.start();
    let answer = ask_until(&place, "/metrics", &[], |answer| {
        answer.body.contains("state=\"paused\"} 1\n")
            || !answer.body.contains("reason=\"unreachable\"} 0\n")
    })
    .await;
    promtool(&answer.body);
    let metrics = parsed(&answer.body);
    conventions(&metrics);
    let of = |sample: &str, labels: &[(&str, &str)]| value(&metrics, sample, labels).to_string();
    assert_eq!(of("payrecond_invoices", &[("status", "paid")]), "1");
    assert_eq!(of("payrecond_invoices", &[("status", "pending")]), "1");
    assert_eq!(of("payrecond_invoices", &[("status", "review")]), "0");
    assert_eq!(
        of(
            "payrecond_consumer_unread_events",
            &[("consumer", "bo\\\"t")]
        ),
        "1"
    );
    assert_eq!(
        of(
            "payrecond_consumer_unread_events",
            &[("consumer", "stdout")]
        ),
        "0"
    );
    assert_eq!(
        of("payrecond_events_total", &[("type", "payment.paid")]),
        "0"
    );
    assert_ne!(
        of(
            "payrecond_request_failures_total",
            &[("reason", "unreachable")]
        ),
        "0"
    );
    assert_ne!(
        of(
            "payrecond_requests_total",
            &[("kind", "poll"), ("outcome", "failed")]
        ),
        "0"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn pages_of_the_list_are_measured() {
    let mut shop = crate::shop::Shop::as_shipped().await;
    shop.settings = shop
        .settings
        .replacen("[polling]", "strategy = \"list\"\n[polling]", 1);
    let place = Place::Unix(super::with_socket(&mut shop));
    for n in 0..5 {
        shop.drop_in(&format!("ORD-{n}")).await;
    }
    let daemon = shop.start();
    let read =
        "payrecond_requests_total{account=\"default\",kind=\"page\",outcome=\"answered\"} 0\n";
    ask_until(&place, "/metrics", &[], |answer| {
        !answer.body.contains(read)
    })
    .await;
    let metrics = scraped(&place).await;
    assert!(value(&metrics, "payrecond_list_page_size_bytes_sum", &[]) > 100.0);
    assert!(value(&metrics, "payrecond_list_page_orders_sum", &[]) >= 5.0);
    assert!(
        value(
            &metrics,
            "payrecond_observations_total",
            &[("kind", "page")]
        ) >= 5.0
    );
    daemon.stop().await;
}

/// At most a hundred consumers are shown; the one that lags is among them, and its lag is a
/// separate metric.
#[tokio::test]
async fn the_consumer_furthest_behind_is_exported_however_many_there_are() {
    let (shop, place) = open_with_socket().await;
    let id = shop.drop_in("ORD-1").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    let daemon = shop.start();
    shop.until("SELECT status FROM invoices", "paid").await;
    daemon.stop().await;
    shop.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)
         INSERT INTO consumers (name, acked_seq) SELECT 'bot-' || i, 1 FROM n;
         INSERT INTO consumers (name, acked_seq) VALUES ('zz-lags', 0);
         DROP TRIGGER outbox_before_update;
         UPDATE outbox SET created_at = created_at - 3600000",
    )
    .await;
    let daemon = shop.start();
    let metrics = scraped(&place).await;
    let lags = &[("consumer", "zz-lags")];
    assert!(value(&metrics, "payrecond_consumer_lag_seconds", lags) >= 3600.0);
    assert!(value(&metrics, "payrecond_consumer_lag_max_seconds", &[]) >= 3600.0);
    let page = ask(&place, "/").await.body;
    assert!(page.contains("zz-lags"), "{page}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_disabled_feed_has_no_lag() {
    let (mut shop, place) = open_with_socket().await;
    let daemon = shop.start();
    shop.until("SELECT count(*) FROM consumers WHERE name = 'stdout'", "1")
        .await;
    daemon.stop().await;
    shop.settings += "[feed]\nstdout = \"off\"\n";
    let id = shop.drop_in("ORD-1").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    let daemon = shop.start();
    shop.until("SELECT status FROM invoices", "paid").await;
    shop.execute("DROP TRIGGER outbox_before_update").await;
    shop.execute("UPDATE outbox SET created_at = created_at - 8 * 86400000")
        .await;
    let metrics = scraped(&place).await;
    let lag = metrics["payrecond_consumer_lag_max_seconds"].samples[0].value;
    assert!(lag == 0.0, "{lag}");
    let ready = ask(&place, "/readyz").await;
    assert!(!ready.body.contains("consumer stdout"), "{}", ready.body);
    daemon.stop().await;
}
