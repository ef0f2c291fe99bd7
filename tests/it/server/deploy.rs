//! The alerts and the dashboard use existing metrics, and the documentation explains each metric
//! and each alert.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::http::ask;
use super::metrics::parsed;
use super::open_with_socket;

const ALERTS: &str = include_str!("../../../deploy/prometheus-alerts.yml");
const DASHBOARD: &str = include_str!("../../../deploy/grafana-dashboard.json");
const METRICS: &str = include_str!("../../../docs/metrics.md");
const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// Every word of a text that is the name of one of our metrics.
fn names(text: &str) -> BTreeSet<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !word(c));
    words
        // `payrecond_*.deb` is the name of a file.
        .filter(|word| word.starts_with("payrecond_") && !word.ends_with('_'))
        .collect()
}

#[tokio::test]
async fn every_mentioned_metric_exists_and_every_metric_is_shown() {
    let (shop, place) = open_with_socket().await;
    shop.execute("INSERT INTO consumers (name) VALUES ('bot')")
        .await;
    let daemon = shop.start();
    let metrics = parsed(&ask(&place, "/metrics").await.body);
    let samples = metrics.values().flat_map(|metric| &metric.samples);
    let offered: BTreeSet<&str> = samples.map(|sample| sample.name.as_str()).collect();
    for text in [ALERTS, DASHBOARD] {
        let spoken_of = names(text);
        assert!(spoken_of.len() >= 5, "{spoken_of:?}");
        let missing: Vec<_> = spoken_of.difference(&offered).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
    let shown = format!("{ALERTS}{DASHBOARD}");
    for name in metrics.keys() {
        assert!(shown.contains(name.as_str()), "{name} is shown nowhere");
    }
    for name in metrics.keys() {
        assert!(
            METRICS.contains(&format!("`{name}`")),
            "{name} is not in docs/metrics.md"
        );
    }
    for name in names(METRICS) {
        let known = offered.contains(name) || metrics.contains_key(name);
        assert!(known, "{name}");
    }
    daemon.stop().await;
}

/// Every value is exported from the start, so a scrape of an idle daemon has them all.
#[tokio::test]
async fn the_documentation_lists_every_value_of_every_label() {
    let (shop, place) = open_with_socket().await;
    let daemon = shop.start();
    let metrics = parsed(&ask(&place, "/metrics").await.body);
    let samples = metrics.values().flat_map(|metric| &metric.samples);
    let mut exported: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (label, value) in samples.flat_map(|sample| &sample.labels) {
        exported.entry(label).or_default().insert(value);
    }
    for (label, values) in exported {
        let row = METRICS
            .lines()
            .find(|line| line.starts_with(&format!("| `{label}` | ")));
        if label == "le" {
            continue;
        }
        let row = row.unwrap_or_else(|| panic!("label {label} is not in docs/metrics.md"));
        if ["account", "consumer", "version"].contains(&label) {
            continue;
        }
        let listed: BTreeSet<&str> = row.split('`').skip(3).step_by(2).collect();
        assert_eq!(listed, values, "{label}");
    }
    daemon.stop().await;
}

#[test]
fn the_dashboard_is_valid() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(!panel["title"].as_str().unwrap().is_empty());
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            assert_eq!(
                query.matches('(').count(),
                query.matches(')').count(),
                "{query}"
            );
        }
    }
}

#[test]
fn the_alerts_can_be_loaded_and_each_is_explained() {
    let alerts: Vec<&str> = ALERTS
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() >= 8, "{alerts:?}");
    for alert in &alerts {
        assert!(
            OPERATIONS.contains(&format!("**`{alert}`**")),
            "{alert} is not in docs/operations.md"
        );
    }
    let told = OPERATIONS.matches("**`Payrecond").count();
    assert_eq!(told, alerts.len(), "docs/operations.md explains others");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus-alerts.yml");
    match Command::new("promtool")
        .args(["check", "rules", file])
        .output()
    {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
        }
        Err(_) => eprintln!("not run: promtool is missing"),
    }
}
