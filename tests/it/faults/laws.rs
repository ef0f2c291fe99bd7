//! The checker that runs after every fault: do database, feed and provider agree?

use std::collections::{BTreeMap, BTreeSet};

use payrecond::domain::state::Status;
use payrecond::sandbox;
use serde_json::Value;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::program::{CANARY, Left};
use crate::shop::Shop;

/// The frames of a run's stdout in the format `nats`, as (event id, payload). A frame cut short by
/// a kill does not count.
pub fn nats_frames(stdout: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut rest = stdout;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let head = std::str::from_utf8(&rest[..end]).unwrap();
        let words: Vec<&str> = head.split(' ').collect();
        assert!(words.len() == 4 && words[0] == "MSG", "no frame: {head:?}");
        let length: usize = words[3].parse().unwrap();
        let body = &rest[end + 2..];
        if body.len() < length + 2 {
            break;
        }
        assert_eq!(&body[length..length + 2], b"\r\n");
        frames.push(frame(&body[..length]));
        rest = &body[length + 2..];
    }
    frames
}

/// The same for the format `jsonl`.
pub fn jsonl_frames(stdout: &[u8]) -> Vec<(String, Vec<u8>)> {
    let lines = stdout.split_inclusive(|byte| *byte == b'\n');
    let whole = lines.filter_map(|line| line.strip_suffix(b"\n"));
    whole.map(frame).collect()
}

/// The same for the format `hpub`; the id in the header is the one in the payload.
pub fn hpub_frames(stdout: &[u8]) -> Vec<(String, Vec<u8>)> {
    let text = std::str::from_utf8(stdout).unwrap();
    let mut parts = text.split("HPUB ");
    let preamble = parts.next().unwrap();
    assert!(preamble.starts_with("CONNECT {"), "{preamble}");
    let frames = parts.map(|part| {
        let lines: Vec<&str> = part.split("\r\n").collect();
        let [_, "NATS/1.0", id, content_type, "", payload, ""] = lines[..] else {
            panic!("no frame: {part}");
        };
        let frame = frame(payload.as_bytes());
        assert_eq!(id, format!("Nats-Msg-Id: {}", frame.0));
        assert_eq!(
            content_type,
            "Content-Type: application/cloudevents+json; charset=UTF-8"
        );
        frame
    });
    frames.collect()
}

fn frame(payload: &[u8]) -> (String, Vec<u8>) {
    let event: Value = serde_json::from_slice(payload).unwrap();
    (event["id"].as_str().unwrap().to_owned(), payload.to_vec())
}

/// Checks the laws for a stopped shop. `runs` has the output of each run of the program, in order.
pub async fn hold(shop: &Shop, runs: &[Left]) {
    let said = hold_in_the_database(shop).await;
    let frames = runs.iter().map(|run| nats_frames(&run.stdout)).collect();
    delivered(&said, frames);
    key_is_nowhere(shop, runs);
}

/// The laws that can be checked with the database and the provider's state alone. Returns the
/// payloads by event id, in the order of the outbox.
pub async fn hold_in_the_database(shop: &Shop) -> Vec<(String, Vec<u8>)> {
    let mut connection = shop.connect().await;
    intact(&mut connection).await;
    let said = dense(&mut connection).await;
    as_the_provider_says(shop, &mut connection).await;
    connection_closed(connection).await;
    said
}

async fn connection_closed(connection: SqliteConnection) {
    use sqlx::Connection as _;
    connection.close().await.unwrap();
}

async fn intact(connection: &mut SqliteConnection) {
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(connection)
        .await
        .unwrap();
    assert_eq!(verdict, "ok");
}

/// Versions run from 1 to n without a gap, and each event starts in the status where the previous
/// one ended, by a valid transition. Returns the payloads by event id, in the order of the outbox.
async fn dense(connection: &mut SqliteConnection) -> Vec<(String, Vec<u8>)> {
    let rows = sqlx::query(
        "SELECT event_id, payload, outbox.external_id, outbox.account, outbox.status,
                previous_status, outbox.version, invoices.version AS last
           FROM outbox JOIN invoices USING (account, external_id) ORDER BY seq",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let mut at: BTreeMap<(String, String), (i64, String, i64)> = BTreeMap::new();
    let mut said = Vec::new();
    for row in &rows {
        let key = (row.get("account"), row.get("external_id"));
        let (status, previous): (String, String) = (row.get("status"), row.get("previous_status"));
        let version: i64 = row.get("version");
        let before = at.get(&key);
        assert_eq!(version, before.map_or(1, |(v, _, _)| v + 1), "{key:?}");
        if let Some((_, before, _)) = before {
            assert_eq!(before, &previous, "{key:?}");
        }
        let parse = |word: &str| Status::parse(word).unwrap();
        let (from, to) = (parse(&previous), parse(&status));
        assert!(from == to || from.may_become(to), "{key:?}: {from} to {to}");
        at.insert(key, (version, status, row.get("last")));
        let payload: String = row.get("payload");
        said.push((row.get("event_id"), payload.into_bytes()));
    }
    for (key, (version, _, last)) in &at {
        assert_eq!(version, last, "{key:?}: the row is not at its last event");
    }
    let silent: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM invoices WHERE version > 0 AND NOT EXISTS (SELECT 1 FROM outbox
          WHERE outbox.account = invoices.account AND outbox.external_id = invoices.external_id)",
    )
    .fetch_one(connection)
    .await
    .unwrap();
    assert_eq!(silent, 0, "rows that moved without an event");
    said
}

/// Each paid order has a paid row and one `payment.paid`, and no other order has. The shop has
/// access to the provider of the account `default`.
async fn as_the_provider_says(shop: &Shop, connection: &mut SqliteConnection) {
    let rows = sqlx::query(
        "SELECT external_id, order_id, status,
                (SELECT count(*) FROM outbox WHERE outbox.account = invoices.account
                    AND outbox.external_id = invoices.external_id AND type = 'payment.paid') AS said
           FROM invoices WHERE order_id IS NOT NULL AND account = 'default'",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    for row in rows {
        let (external_id, order_id): (String, String) =
            (row.get("external_id"), row.get("order_id"));
        let (status, said): (String, i64) = (row.get("status"), row.get("said"));
        let truth = shop.world.order(&order_id).map(|order| order.state);
        let paid = truth == Some(sandbox::OrderTruth::Paid);
        let expected = i64::from(paid);
        assert_eq!(said, expected, "{external_id}: times said paid; {truth:?}");
        assert_eq!(status == "paid", paid, "{external_id}: {status}; {truth:?}");
    }
}

/// Every event was delivered at least once, in order within a run, and each time with the same
/// bytes.
pub fn delivered(said: &[(String, Vec<u8>)], runs: Vec<Vec<(String, Vec<u8>)>>) {
    let payloads: BTreeMap<&str, &[u8]> = said
        .iter()
        .map(|(id, payload)| (id.as_str(), payload.as_slice()))
        .collect();
    assert_eq!(
        payloads.len(),
        said.len(),
        "an event id stands twice in the outbox"
    );
    let mut heard = BTreeSet::new();
    for frames in runs {
        let mut last = 0;
        for (id, payload) in frames {
            let stored = payloads.get(id.as_str());
            let stored = stored.unwrap_or_else(|| panic!("{id} was said and is not in the outbox"));
            assert_eq!(*stored, payload, "{id}: said in other bytes");
            let event: Value = serde_json::from_slice(&payload).unwrap();
            let seq: i64 = event["sequence"].as_str().unwrap().parse().unwrap();
            assert!(last < seq, "{seq} after {last}");
            last = seq;
            heard.insert(id);
        }
    }
    let unheard: Vec<&str> = payloads
        .into_keys()
        .filter(|id| !heard.contains(*id))
        .collect();
    assert!(unheard.is_empty(), "never said: {unheard:?}");
}

/// The account's key is in no file beside the database and in no output.
pub fn key_is_nowhere(shop: &Shop, runs: &[Left]) {
    let holds = |bytes: &[u8]| {
        bytes
            .windows(CANARY.len())
            .any(|part| part == CANARY.as_bytes())
    };
    for run in runs {
        assert!(!holds(&run.stdout) && !run.stderr.contains(CANARY));
    }
    for entry in std::fs::read_dir(shop.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path.extension().is_none_or(|end| end != "key") {
            assert!(!holds(&std::fs::read(&path).unwrap()), "{}", path.display());
        }
    }
}
