//! The marks that identify a database and its version: lost by a text dump, or changed by programs
//! that share the file.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use payrecond::sandbox::SimulatedPayment;
use payrecond::store::sqlite::{MIGRATIONS, SqliteOptions, SqliteStore, migrate};
use payrecond::store::{Database as _, StoreError};

use super::dump::Dump;
use super::{LATER, is_whole, lay_out, scene};
use crate::faults::program;
use crate::shop::{self, Shop};
use crate::store::connect;

const EPOCH: &str = "SELECT value FROM meta WHERE key = 'epoch'";
const VERSION: &str = "SELECT value FROM meta WHERE key = 'schema_version'";

/// A program uses it for the version of its own tables.
#[tokio::test]
async fn another_programs_user_version_is_kept_and_ignored() {
    let shop = Shop::open().await;
    program::write_config(&shop);
    shop.drop_in("ORD-1").await;
    shop.execute("CREATE TABLE of_the_shop (id INTEGER PRIMARY KEY)")
        .await;
    for theirs in ["0", "1", "2", "3", "17", "2147483647", "-1"] {
        shop.execute(&format!("PRAGMA user_version = {theirs}"))
            .await;
        let copy = format!("copy-{theirs}.db");
        for arguments in [
            &["migrate"][..],
            &["run", "--once"],
            &["list"],
            &["feed"],
            &["backup", &copy],
            &["restore", &copy],
        ] {
            let mut command = program::program(shop.folder.path());
            let said = command.args(arguments).output().await.unwrap();
            let stderr = String::from_utf8_lossy(&said.stderr).into_owned();
            assert!(said.status.success(), "{theirs} {arguments:?}: {stderr}");
        }
        assert_eq!(
            shop.ask("SELECT user_version FROM pragma_user_version")
                .await,
            theirs
        );
        assert_eq!(shop.ask(VERSION).await, MIGRATIONS.len().to_string());
        assert_eq!(shop.ask("SELECT count(*) FROM invoices").await, "1");
    }
}

/// The first schema was identified by `user_version` alone: a number written by another program is
/// not its version.
#[tokio::test]
async fn an_old_database_is_upgraded_with_any_user_version() {
    for theirs in ["2", "5", "99", "-1"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        lay_out(1, &path).await;
        shop::execute(&path, &format!("PRAGMA user_version = {theirs}")).await;
        let migrated = migrate(&path, LATER).await.unwrap();
        assert_eq!(
            (migrated.from_version, migrated.version, migrated.put_back),
            (1, MIGRATIONS.len(), false),
            "{theirs}"
        );
        assert_eq!(
            shop::ask(&path, "SELECT user_version FROM pragma_user_version").await,
            theirs
        );
        assert_eq!(
            shop::ask(&path, VERSION).await,
            MIGRATIONS.len().to_string()
        );
        scene::is_complete(&mut connect(&path).await, 1).await;
    }
}

/// `sqlite3 from .dump | sqlite3 to`
fn dump_and_read_back(from: &Path, to: &Path) {
    let mut dump = Command::new("sqlite3")
        .arg(from)
        .arg(".dump")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the sqlite3 command line is needed");
    let text = dump.stdout.take().unwrap();
    let read = Command::new("sqlite3")
        .arg(to)
        .stdin(text)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success() && said.is_empty(), "{said}");
    assert!(dump.wait().unwrap().success());
}

#[tokio::test]
async fn a_restored_text_dump_of_every_schema_begins_a_new_epoch() {
    for version in 1..=MIGRATIONS.len() {
        let folder = tempfile::tempdir().unwrap();
        let (old, path) = (folder.path().join("old.db"), folder.path().join("a.db"));
        lay_out(version, &old).await;
        dump_and_read_back(&old, &path);
        // With the same side file, as when a damaged file is repaired in place.
        let side = |path: &Path| format!("{}.high-water", path.display());
        fs::copy(side(&old), side(&path)).unwrap();
        let options = SqliteOptions::new(&path, "payments");
        let refused = SqliteStore::open(options).await.err().unwrap();
        assert!(
            matches!(&refused, StoreError::Unusable(why) if why.contains("payrecond migrate")),
            "{refused}"
        );
        let before = shop::ask(&path, EPOCH).await;
        let migrated = migrate(&path, LATER).await.unwrap();
        assert_eq!(migrated.from_version, version);
        assert!(migrated.put_back);
        assert_ne!(migrated.epoch, before);
        scene::is_complete(&mut connect(&path).await, version).await;
        is_whole(&path).await;
        let fresh = folder.path().join("fresh.db");
        migrate(&fresh, LATER).await.unwrap();
        let marks = |dump: Dump| dump.schema()[..2].join("\n");
        assert_eq!(marks(Dump::of(&path).await), marks(Dump::of(&fresh).await));
        let again = migrate(&path, LATER).await.unwrap();
        assert!(!again.put_back, "once");
        let options = SqliteOptions::new(&path, "payments");
        SqliteStore::open(options).await.unwrap().close().await;
    }
}

/// With the commands: later events are delivered above every seq assigned before.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_dump_is_accepted_by_restore_and_by_the_daemon() {
    for by_restore in [true, false] {
        let shop = Shop::open().await;
        let (one, two) = (shop.drop_in("ORD-1").await, shop.drop_in("ORD-2").await);
        shop.world.pay(&one, &SimulatedPayment::default()).unwrap();
        let daemon = shop.start();
        shop.until("SELECT count(*) FROM outbox", "1").await;
        daemon.stop().await;
        let (epoch, seq) = (
            shop.ask(EPOCH).await,
            shop.ask("SELECT max(seq) FROM outbox").await,
        );
        let dumped = shop.folder.path().join("dumped.db");
        dump_and_read_back(&shop.database(), &dumped);
        if by_restore {
            program::write_config(&shop);
            let mut command = program::program(shop.folder.path());
            let said = command
                .args(["restore", "dumped.db"])
                .output()
                .await
                .unwrap();
            let stderr = String::from_utf8_lossy(&said.stderr).into_owned();
            assert!(said.status.success(), "{stderr}");
        } else {
            fs::rename(&dumped, shop.database()).unwrap();
        }
        shop.world.pay(&two, &SimulatedPayment::default()).unwrap();
        let daemon = shop.start();
        shop.until("SELECT count(*) FROM outbox", "2").await;
        let said = daemon.stop().await;
        assert!(said.contains("ORD-2"), "{said}");
        assert_ne!(shop.ask(EPOCH).await, epoch);
        let above = format!("SELECT max(seq) > {seq} FROM outbox");
        assert_eq!(shop.ask(&above).await, "1");
        is_whole(&shop.database()).await;
    }
}

/// Tables with the same names do not make it ours, nor does our mark without them.
#[tokio::test]
async fn a_database_that_resembles_ours_is_refused() {
    for (sql, why) in [
        (
            "CREATE TABLE invoices (a); CREATE TABLE meta (key, value)",
            "it belongs to another program",
        ),
        (
            "PRAGMA application_id = 1346459986; CREATE TABLE theirs (a)",
            "without its tables",
        ),
        (
            "PRAGMA application_id = 1346459986; PRAGMA user_version = 99",
            "newer than this program",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        fs::write(&path, "").unwrap();
        shop::execute(&path, sql).await;
        let error = migrate(&path, LATER).await.unwrap_err();
        assert!(error.to_string().contains(why), "{sql}: {error}");
    }
}
