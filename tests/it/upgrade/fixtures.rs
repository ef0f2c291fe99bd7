//! A database of every released schema is kept as text, with data in every status.
//!
//! A new schema gets its fixture by `RENEW=1 cargo test --test it upgrade::fixtures`. An existing
//! fixture is never replaced, since it was written by a program of its time.

use std::fs;
use std::path::Path;

use payrecond::store::sqlite::{MIGRATIONS, migrate};
use serde_json::Value;

use super::dump::{Dump, ask, cells, columns};
use super::{LATER, is_whole, lay_out, scene};
use crate::faults::laws::nats_frames;
use crate::faults::program::{self, Program};
use crate::faults::shim::{self, WallClock};
use crate::shop::Shop;
use crate::store::connect;

/// The side file that the fixture's program wrote.
pub fn side_file(version: usize) -> String {
    fs::read_to_string(side_path(version)).unwrap()
}

fn side_path(version: usize) -> std::path::PathBuf {
    Dump::path(version).with_extension("high-water")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_schema_has_a_fixture_and_the_scene_produces_one() {
    let shop = scene::play().await;
    let database = shop.database();
    let newest = MIGRATIONS.len();
    scene::is_complete(&mut connect(&database).await, newest).await;
    if std::env::var_os("RENEW").is_some() && !Dump::path(newest).exists() {
        fs::write(Dump::path(newest), Dump::of(&database).await.0).unwrap();
        fs::copy(beside(&database), side_path(newest)).unwrap();
    }
    for version in 1..=newest {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("a.db");
        let dump = lay_out(version, &copy).await;
        scene::is_complete(&mut connect(&copy).await, version).await;
        assert_eq!(Dump::of(&copy).await, dump, "nothing is left out");
    }
}

fn beside(database: &Path) -> String {
    format!("{}.high-water", database.display())
}

/// The data of a fixture, by table. An upgrade changes only the version.
async fn data(database: &Path, like: &Path) -> Vec<Vec<String>> {
    let mut old = connect(like).await;
    let mut connection = connect(database).await;
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
    let mut found = Vec::new();
    for table in ask(&mut old, tables).await {
        let columns = columns(&mut old, &table).await;
        let mut rows = cells(&mut connection, &table, &columns).await;
        rows.retain(|row| !row.starts_with("('schema_version'"));
        found.push(rows);
    }
    found
}

#[tokio::test]
async fn a_database_of_every_schema_is_upgraded_with_all_its_data() {
    for version in 1..=MIGRATIONS.len() {
        let folder = tempfile::tempdir().unwrap();
        let (old, path) = (folder.path().join("old.db"), folder.path().join("a.db"));
        lay_out(version, &old).await;
        lay_out(version, &path).await;
        let migrated = migrate(&path, LATER).await.unwrap();
        assert_eq!(
            (migrated.from_version, migrated.version, migrated.put_back),
            (version, MIGRATIONS.len(), false)
        );
        assert!(
            side_file(version).starts_with(&migrated.epoch),
            "the epoch stays"
        );
        assert_eq!(data(&path, &old).await, data(&old, &old).await);
        is_whole(&path).await;
        let fresh = folder.path().join("fresh.db");
        migrate(&fresh, LATER).await.unwrap();
        let (upgraded, fresh) = (Dump::of(&path).await, Dump::of(&fresh).await);
        assert_eq!(upgraded.schema(), fresh.schema(), "as if made today");
    }
}

/// A restored file comes without the side file, and so may an old one that was copied elsewhere:
/// events may have been assigned that it does not have.
#[tokio::test]
async fn without_its_side_file_an_old_database_begins_a_new_epoch_and_keeps_its_rows() {
    for version in 1..=MIGRATIONS.len() {
        let folder = tempfile::tempdir().unwrap();
        let (old, path) = (folder.path().join("old.db"), folder.path().join("a.db"));
        lay_out(version, &old).await;
        lay_out(version, &path).await;
        fs::remove_file(beside(&path)).unwrap();
        let migrated = migrate(&path, LATER).await.unwrap();
        assert!(migrated.put_back);
        assert!(!side_file(version).starts_with(&migrated.epoch));
        let but_the_marks = |mut tables: Vec<Vec<String>>| {
            tables.retain(|rows| {
                !rows
                    .iter()
                    .any(|row| row.contains("'epoch'") || row.contains("'outbox',"))
            });
            tables
        };
        let (is, was) = (data(&path, &old).await, data(&old, &old).await);
        assert_eq!(but_the_marks(is), but_the_marks(was));
        let highest = "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'";
        let highest = ask(&mut connect(&path).await, highest).await;
        assert_eq!(
            highest,
            [LATER.0.to_string()],
            "above every number given out"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_continues_a_database_of_every_schema() {
    if shim::library().is_none() {
        return;
    }
    for version in 1..=MIGRATIONS.len() {
        let mut shop = Shop::as_shipped().await;
        shop.configure("[feed]\nstdout = \"nats\"\n");
        for end in ["", "-wal", "-shm", ".high-water"] {
            let _ = fs::remove_file(format!("{}{end}", shop.database().display()));
        }
        scene::make_orders(&shop);
        scene::end_orders(&shop);
        lay_out(version, &shop.database()).await;
        let said_before = shop
            .ask("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")
            .await;
        for name in ["OPEN", "NEW", "UNSEEN", "EXPIRED", "WRONG-SUM"] {
            scene::pay(&shop, name);
        }
        // With a clock of that time; otherwise it would be too late today to create the order.
        let clock = WallClock::new(shop.folder.path());
        let behind = "SELECT max(updated_at) / 1000 - strftime('%s', 'now') FROM invoices";
        clock.set(shop.ask(behind).await.parse().unwrap());
        let program = Program::ready_by(&shop, &clock).await;
        let paid = "SELECT group_concat(external_id) FROM (SELECT * FROM invoices WHERE status = 'paid' ORDER BY external_id)";
        shop.until(paid, "EXPIRED,LATE,NEW,OPEN,PAID,UNREAD,UNSEEN")
            .await;
        for (name, is) in [
            ("WAITING", "pending 1"),
            ("WRONG-SUM", "review 3"),
            ("GHOST", "pending 0"),
            ("RESOLVED", "cancelled 3"),
        ] {
            let sql = format!(
                "SELECT status || ' ' || version FROM invoices WHERE external_id = '{name}'"
            );
            shop.until(&sql, is).await;
        }
        crate::faults::kill::all_delivered(&shop).await;
        let left = program.stop().await;
        assert!(!left.stderr.contains("older copy"), "{}", left.stderr);
        only_new_events_were_recorded(&shop, &left.stdout, said_before.parse().unwrap()).await;
        is_whole(&shop.database()).await;
    }
}

/// Six events followed, and earlier ones were not recorded again. Amounts may have come later.
async fn only_new_events_were_recorded(shop: &Shop, stdout: &[u8], before: i64) {
    let mut said = Vec::new();
    for (_, payload) in nats_frames(stdout) {
        let event: Value = serde_json::from_slice(&payload).unwrap();
        let seq: i64 = event["sequence"].as_str().unwrap().parse().unwrap();
        assert!(seq > before, "{event}");
        let word = |key: &str| event["data"][key].to_string();
        if event["type"] == "payment.detailed" {
            continue;
        }
        said.push(format!(
            "{} {} {}",
            event["type"],
            word("external_id"),
            word("late")
        ));
    }
    said.sort_unstable();
    let expected = [
        "payment.paid EXPIRED true",
        "payment.paid NEW false",
        "payment.paid OPEN false",
        "payment.paid UNSEEN false",
        "payment.pending WAITING false",
        "payment.review WRONG-SUM false",
    ];
    let plain: Vec<String> = said.iter().map(|line| line.replace('"', "")).collect();
    assert_eq!(plain, expected);
    let unread = "SELECT count(*) || ' ' || min(seq) FROM outbox_unread WHERE consumer = 'bot'";
    let kept = "SELECT count(*) || ' 3' FROM outbox";
    assert_eq!(
        shop.ask(unread).await,
        shop.ask(kept).await,
        "the bot reads on"
    );
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_every_command_with_both_versions() {
    let shop = Shop::open().await;
    let newer = MIGRATIONS.len() + 1;
    let version = "UPDATE meta SET value = value + 1 WHERE key = 'schema_version'";
    shop.execute(version).await;
    program::write_config(&shop);
    let known = MIGRATIONS.len();
    let why = format!(
        "payrecond.db: schema version {newer} is newer than this program, which knows versions up to {known}"
    );
    for arguments in [
        &["run", "--once"][..],
        &["migrate"],
        &["list"],
        &["feed"],
        &["backup", "copy.db"],
    ] {
        let mut command = program::program(shop.folder.path());
        let said = command.args(arguments).output().await.unwrap();
        let stderr = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(said.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert!(stderr.contains(&why), "{arguments:?}: {stderr}");
    }
}
