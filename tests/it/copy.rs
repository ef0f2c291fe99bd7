//! Backup and restore by the commands.

use std::path::Path;
use std::process::Output;

use payrecond::clock::{Clock as _, SystemClock};
use payrecond::sandbox::SimulatedPayment;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::shop::Shop;

fn payrecond(shop: &Shop, arguments: &[&str]) -> Output {
    let config = shop.folder.path().join("payrecond.toml");
    std::fs::write(&config, shop.config_text()).unwrap();
    std::process::Command::new(env!("CARGO_BIN_EXE_payrecond"))
        .arg("--config")
        .arg(&config)
        .args(arguments)
        .output()
        .unwrap()
}

fn path(shop: &Shop, name: &str) -> String {
    shop.folder.path().join(name).display().to_string()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn highest_seq(shop: &Shop) -> i64 {
    let seq = shop.ask("SELECT max(seq) FROM outbox").await;
    seq.parse().unwrap()
}

const IDS: &str =
    "SELECT group_concat(event_id) FROM (SELECT event_id FROM outbox ORDER BY external_id)";

#[tokio::test]
async fn a_restore_says_before_and_after_what_is_lost() {
    let shop = Shop::open().await;
    shop.drop_in("ORD-1").await;
    let copy = path(&shop, "copy.db");
    assert!(payrecond(&shop, &["backup", &copy]).status.success());
    let again = errors(&payrecond(&shop, &["backup", &copy]));
    assert!(again.contains("name another file"), "{again}");
    shop.drop_in("ORD-2").await;
    let refused = errors(&payrecond(&shop, &["restore", &copy]));
    for part in [
        "(its newest row is of 20",
        "1 invoice and 0 events newer than the copy would be lost",
    ] {
        assert!(refused.contains(part), "{part} is missing in {refused}");
    }
    let restored = payrecond(&shop, &["restore", &copy, "--force", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&restored.stdout).unwrap();
    assert_eq!(told["lost"]["invoices"], 1, "{told}");
    assert!(told["newest_at"].is_i64(), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_lost_by_a_restore_are_recorded_again_with_the_same_ids() {
    let shop = Shop::open().await;
    let daemon = shop.start();
    let (one, two) = (shop.drop_in("ORD-1").await, shop.drop_in("ORD-2").await);
    shop.world.pay(&one, &SimulatedPayment::default()).unwrap();
    shop.until("SELECT count(*) FROM outbox", "1").await;
    let copy = path(&shop, "copy.db");
    let made = payrecond(&shop, &["backup", &copy]);
    assert!(made.status.success(), "a live database: {}", errors(&made));
    let again = payrecond(&shop, &["backup", &copy]);
    assert_eq!(again.status.code(), Some(1), "a copy is never overwritten");
    shop.world.pay(&two, &SimulatedPayment::default()).unwrap();
    shop.until("SELECT count(*) FROM outbox", "2").await;
    let refused = payrecond(&shop, &["restore", &copy]);
    assert_eq!(refused.status.code(), Some(1), "a daemon runs");
    daemon.stop().await;
    let (ids, epoch) = (
        shop.ask(IDS).await,
        shop.ask("SELECT value FROM meta WHERE key = 'epoch'").await,
    );
    let highest = highest_seq(&shop).await;

    let refused = payrecond(&shop, &["restore", &copy]);
    assert!(
        errors(&refused).contains("newer than the copy"),
        "{}",
        errors(&refused)
    );
    let mut reader = shop.connect().await;
    sqlx::query("SELECT count(*) FROM outbox")
        .fetch_one(&mut reader)
        .await
        .unwrap();
    let refused = payrecond(&shop, &["restore", &copy, "--force"]);
    assert!(
        errors(&refused).contains("a process has the database open"),
        "{}",
        errors(&refused)
    );
    sqlx::Connection::close(reader).await.unwrap();
    assert_eq!(
        shop.ask("SELECT count(*) FROM outbox").await,
        "2",
        "refusals change nothing"
    );

    let restored_at = SystemClock::new().now();
    let restored = payrecond(&shop, &["restore", &copy, "--force"]);
    assert!(restored.status.success(), "{restored:?}");
    assert_ne!(
        shop.ask("SELECT value FROM meta WHERE key = 'epoch'").await,
        epoch
    );
    assert_eq!(shop.ask("SELECT count(*) FROM outbox").await, "1");
    let daemon = shop.start();
    shop.until("SELECT count(*) FROM outbox", "2").await;
    daemon.stop().await;
    assert_eq!(shop.ask(IDS).await, ids, "the same fact has the same id");
    let seq = highest_seq(&shop).await;
    assert!(
        seq > highest && seq > restored_at.0,
        "above what a lost side file may have known too"
    );
    assert_eq!(
        shop.ask("SELECT integrity_check FROM pragma_integrity_check")
            .await,
        "ok"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_copy_is_refused_and_leaves_nothing_behind() {
    let shop = Shop::open().await;
    let before = std::fs::read(shop.database()).unwrap();
    let rubbish = path(&shop, "rubbish.db");
    std::fs::write(
        &rubbish,
        b"no database at all, but long enough to be checked completely",
    )
    .unwrap();
    let refused = payrecond(&shop, &["restore", &rubbish]);
    assert_eq!(refused.status.code(), Some(1), "{}", errors(&refused));
    assert!(
        errors(&refused).contains("rubbish.db"),
        "{}",
        errors(&refused)
    );
    for sql in ["CREATE TABLE theirs (a)", "PRAGMA user_version = 0"] {
        let theirs = path(&shop, "theirs.db");
        let _ = std::fs::remove_file(&theirs);
        let options = SqliteConnectOptions::new()
            .filename(&theirs)
            .create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let refused = payrecond(&shop, &["restore", &theirs]);
        assert_eq!(refused.status.code(), Some(1), "{sql}");
        let why = errors(&refused);
        assert!(why.contains("theirs.db: not a payrecond database"), "{why}");
    }
    let missing = payrecond(&shop, &["restore", &path(&shop, "nowhere.db")]);
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(std::fs::read(shop.database()).unwrap(), before);
    let leftovers = std::fs::read_dir(shop.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let leftovers: Vec<_> = leftovers.filter(|p| is_leftover(p)).collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}

fn is_leftover(path: &Path) -> bool {
    path.to_string_lossy().contains(".restoring")
}
