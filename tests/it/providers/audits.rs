//! The built `audit` command beside the sandbox: what differs at either side is found, and nothing else.

use std::collections::BTreeMap;

use payrecond::sandbox::OrderBatch;
use serde_json::Value;

use super::{SUBJECTS, Subject};
use crate::faults::program;
use crate::shop::{Shop, drop_in_all, seed};

/// What an audit said.
pub struct AuditSaid {
    pub code: i32,
    /// How many findings there are of each kind.
    pub counts: String,
    pub report: Value,
}

pub async fn run(shop: &Shop, key: &str, arguments: &[&str]) -> AuditSaid {
    program::write_config(shop);
    let mut command = program::program(shop.folder.path());
    command.env("PAYRECOND_API_KEY_DEFAULT", key);
    let output = command.args(["audit", "--json"]).args(arguments).output();
    let output = output.await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let mut counts = BTreeMap::new();
    for finding in report["discrepancies"].as_array().unwrap() {
        let kind = finding["kind"].as_str().unwrap().to_owned();
        *counts.entry(kind).or_insert(0) += 1;
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(kind, count)| format!("{kind}: {count}"))
        .collect();
    AuditSaid {
        code: output.status.code().unwrap(),
        counts: counts.join(", "),
        report,
    }
}

/// 130 orders are two pages at least where a page holds a hundred; the shop knows 120 of them.
async fn books(subject: &Subject) -> (Shop, Vec<String>) {
    let shop = subject.shop().await;
    let batch = OrderBatch {
        provider: subject.provider,
        count: 130,
        ..OrderBatch::default()
    };
    let names = seed(&shop.world, &batch);
    drop_in_all(&shop.world, &mut shop.connect().await, &names[..120]).await;
    (shop, names)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_finds_what_differs_on_either_side_and_adopts_what_is_unknown() {
    for subject in SUBJECTS {
        let (shop, names) = books(subject).await;
        let paid = shop.world.order(&names[5]).unwrap();
        subject.pay(&shop, &paid, false);
        let id = subject.unknown_id;
        let gone = format!("INSERT INTO invoices (external_id, order_id) VALUES ('GONE', '{id}')");
        shop.execute(&gone).await;
        let provider = subject.provider;
        let said = run(&shop, subject.key, &[]).await;
        assert_eq!(
            said.counts, "missing_order: 1, status: 1, unknown_order: 10",
            "{provider}"
        );
        assert_eq!(said.code, 3, "{provider}");
        run(&shop, subject.key, &["--adopt"]).await;
        let said = run(&shop, subject.key, &[]).await;
        assert_eq!(said.counts, "missing_order: 1, status: 1", "{provider}");
        // Each finding is said once as an event, however often the audit runs.
        let events = "SELECT count(*) FROM outbox WHERE type = 'audit.discrepancy'";
        assert_eq!(shop.ask(events).await, "12", "{provider}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_agrees_where_the_daemon_has_seen_everything() {
    for subject in SUBJECTS {
        let shop = subject.shop().await;
        let daemon = subject.start(&shop);
        for external_id in ["ORD-1", "ORD-2", "ORD-3"] {
            subject.create(&shop, external_id).await;
        }
        let paid = shop.world.order("ORD-1").unwrap();
        subject.pay(&shop, &paid, false);
        shop.until(&super::field("status", "ORD-1"), "paid").await;
        let expired = shop.world.order("ORD-2").unwrap();
        shop.world.expire(&expired.id, false).unwrap();
        shop.until(&super::field("status", "ORD-2"), "expired")
            .await;
        daemon.stop().await;
        let said = run(&shop, subject.key, &[]).await;
        assert_eq!(
            (said.code, said.counts.as_str()),
            (0, ""),
            "{}: {}",
            subject.provider,
            said.report
        );
    }
}
