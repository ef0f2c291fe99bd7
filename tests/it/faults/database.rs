//! A database that belongs to another program, or is damaged, inaccessible, locked, full or
//! restored.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use payrecond::sandbox::{NewOrder, Operation, OrderBatch, SimulatedPayment};

use super::kill::{all_delivered, request};
use super::laws;
use super::program::{self, Program, Stdout};
use crate::shop::{Shop, drop_in_all, seed};

/// Starts on an unusable database: it must exit soon and report the cause.
async fn refused(shop: &Shop, why: &str) {
    let left = Program::start(shop, Stdout::Read).ended().await;
    assert_eq!(left.code, Some(1), "{}", left.stderr);
    assert!(left.stderr.contains(why), "{why:?}: {}", left.stderr);
    assert!(left.stderr.contains("payrecond.db"), "{}", left.stderr);
    assert!(left.stdout.is_empty());
}

fn sqlite(path: &Path, sql: &str) -> String {
    let done = Command::new("sqlite3").arg(path).arg(sql).output();
    let done = done.expect("the sqlite3 command line is needed");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

#[tokio::test]
async fn a_second_daemon_is_refused_and_the_first_goes_on() {
    let shop = Shop::open().await;
    let first = Program::ready(&shop).await;
    refused(&shop, "another daemon is running on this database").await;
    let id = shop.drop_in("ORD-1").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    shop.until("SELECT status FROM invoices", "paid").await;
    all_delivered(&shop).await;
    let left = first.stop().await;
    laws::hold(&shop, &[left]).await;
}

#[tokio::test]
async fn a_foreign_database_is_refused_and_left_unchanged() {
    let shop = Shop::open().await;
    let path = shop.database();
    for (sql, why) in [
        (
            "CREATE TABLE theirs (a); PRAGMA application_id = 7;",
            "it belongs to another program",
        ),
        (
            "CREATE TABLE invoices (a);",
            "it belongs to another program",
        ),
        (
            "PRAGMA application_id = 1346459986; PRAGMA user_version = 99;",
            "newer than this program",
        ),
    ] {
        for end in ["", "-wal", "-shm", ".high-water"] {
            let _ = std::fs::remove_file(format!("{}{end}", path.display()));
        }
        sqlite(&path, sql);
        let before = std::fs::read(&path).unwrap();
        refused(&shop, why).await;
        assert_eq!(std::fs::read(&path).unwrap(), before, "{sql}");
    }
    std::fs::write(
        &path,
        "no database, but more than a header's length of words. ".repeat(9),
    )
    .unwrap();
    let before = std::fs::read(&path).unwrap();
    refused(&shop, "damaged or not a database").await;
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

/// Whatever bit of the header flips, the database is refused with a cause, or the invoice is still
/// there.
#[tokio::test]
async fn no_flipped_bit_in_the_header_loses_the_invoices_silently() {
    let shop = Shop::open().await;
    shop.drop_in("ORD-1").await;
    let path = shop.database();
    sqlite(&path, "PRAGMA wal_checkpoint(TRUNCATE)");
    let whole = std::fs::read(&path).unwrap();
    let mut refusals = 0;
    for byte in 0..100 {
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", path.display()));
        }
        let mut flipped = whole.clone();
        flipped[byte] ^= 1 << (byte % 8);
        std::fs::write(&path, &flipped).unwrap();
        match payrecond::store::sqlite::migrate(&path, payrecond::domain::time::UnixMillis(1)).await
        {
            Ok(_) => {
                assert_eq!(
                    sqlite(&path, "SELECT external_id FROM invoices"),
                    "ORD-1",
                    "byte {byte}"
                );
            }
            Err(error) => {
                assert!(
                    error.to_string().contains("payrecond.db"),
                    "byte {byte}: {error}"
                );
                assert_eq!(std::fs::read(&path).unwrap(), flipped, "byte {byte}");
                refusals += 1;
            }
        }
    }
    // Our marks among these bytes do not identify the database.
    assert!(refusals >= 25, "{refusals} of 100");
}

#[tokio::test]
async fn an_unwritable_directory_is_refused() {
    let shop = Shop::open().await;
    let gone = shop.folder.path().join("absent");
    let text = shop
        .config_text()
        .replace("payrecond.db", "absent/payrecond.db");
    let mut command = program::command(&shop);
    std::fs::write(shop.folder.path().join("payrecond.toml"), text).unwrap();
    command.kill_on_drop(true);
    let left = Program::spawn(&shop, command, Stdout::Read, Stdio::piped())
        .ended()
        .await;
    assert_eq!(left.code, Some(1), "{}", left.stderr);
    assert!(
        left.stderr.contains("absent/payrecond.db"),
        "{}",
        left.stderr
    );
    assert!(!gone.exists());

    // Root may write in spite of the mode, but not in spite of the attribute.
    let change = |flag| {
        Command::new("chattr")
            .arg(flag)
            .arg(shop.database())
            .output()
    };
    if !change("+i").is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: files cannot be made immutable here");
        return;
    }
    let left = Program::start(&shop, Stdout::Read).ended().await;
    assert!(change("-i").unwrap().status.success());
    assert_eq!(left.code, Some(1), "{}", left.stderr);
    assert!(
        left.stderr.contains("payrecond.db") && left.stderr.contains("readonly"),
        "{}",
        left.stderr
    );
}

/// Another program holds the write lock for longer than the time-out of statements.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_locked_for_long_is_waited_for() {
    let shop = Shop::open().await;
    let program = Program::ready(&shop).await;
    let ids = [shop.drop_in("ORD-1").await, shop.drop_in("ORD-2").await];
    shop.until("SELECT min(polls) > 0 FROM invoices", "1").await;
    request(&shop, "NEW-0").await;
    shop.until(
        "SELECT count(*) FROM invoices WHERE status = 'pending'",
        "3",
    )
    .await;
    let mut holder = shop.connect().await;
    run(&mut holder, "BEGIN EXCLUSIVE").await;
    run(
        &mut holder,
        "INSERT INTO invoices (external_id, amount, currency, description, options)
         VALUES ('NEW-1', '1.50', 'USD', 'Six eggs', '{\"customerTelegramUserId\": 42}')",
    )
    .await;
    for id in &ids {
        shop.world.pay(id, &SimulatedPayment::default()).unwrap();
    }
    program.until_said("database unavailable; retrying").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    run(&mut holder, "COMMIT").await;
    shop.until("SELECT count(*) FROM invoices WHERE status = 'paid'", "2")
        .await;
    shop.until(
        "SELECT count(*) FROM invoices WHERE status = 'requested'",
        "0",
    )
    .await;
    program.until_said("database available again").await;
    all_delivered(&shop).await;
    let left = program.stop().await;
    let said = left
        .stderr
        .matches("database unavailable; retrying")
        .count();
    assert_eq!(said, 1, "{}", left.stderr);
    laws::hold(&shop, &[left]).await;
}

/// Decisions wait in memory, whose size is limited, however much is due.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_locked_requests_are_limited() {
    const DUE: usize = 9_000;
    // Memory holds 5,000 decisions; in addition, one batch is being written, and rows already read
    // from the queue are still polled.
    const ASKED_AT_MOST: u64 = 5_000 + 2_000;
    let shop = Shop::open().await;
    let mut holder = shop.connect().await;
    let batch = OrderBatch {
        count: DUE,
        ..OrderBatch::default()
    };
    let names = seed(&shop.world, &batch);
    drop_in_all(&shop.world, &mut holder, &names).await;
    let program = Program::ready(&shop).await;
    run(&mut holder, "BEGIN IMMEDIATE").await;
    let written: i64 = sqlx::query_scalar("SELECT sum(polls) FROM invoices")
        .fetch_one(&mut holder)
        .await
        .unwrap();
    program.until_said("database unavailable; retrying").await;
    let asked = shop.asked(Operation::Preview) - u64::try_from(written).unwrap();
    assert!(asked <= ASKED_AT_MOST, "{asked} asked beyond {written}");
    run(&mut holder, "COMMIT").await;
    shop.until("SELECT min(polls) > 0 FROM invoices", "1").await;
    let left = program.stop().await;
    laws::hold(&shop, &[left]).await;
}

/// Stopping does not wait for a lock either: unwritten observations are polled again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_does_not_delay_the_stop() {
    let shop = Shop::open().await;
    let first = Program::ready(&shop).await;
    let id = shop.drop_in("ORD-1").await;
    request(&shop, "NEW-1").await;
    shop.until("SELECT min(polls) > 0 FROM invoices", "1").await;
    let mut holder = shop.connect().await;
    run(&mut holder, "BEGIN IMMEDIATE").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    first.until_said("database unavailable; retrying").await;
    let first = first.stop().await;
    run(&mut holder, "COMMIT").await;
    let second = Program::ready(&shop).await;
    shop.until(
        "SELECT status FROM invoices WHERE external_id = 'ORD-1'",
        "paid",
    )
    .await;
    all_delivered(&shop).await;
    let second = second.stop().await;
    laws::hold(&shop, &[first, second]).await;
}

async fn run(connection: &mut sqlx::sqlite::SqliteConnection, sql: &'static str) {
    sqlx::query(sql).execute(connection).await.unwrap();
}

/// A separate file system, unmounted at the end.
pub struct SmallDisk(pub std::path::PathBuf);

impl SmallDisk {
    pub fn mount(at: &Path) -> Option<Self> {
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(at)
            .output();
        done.is_ok_and(|done| done.status.success())
            .then(|| Self(at.to_owned()))
    }
}

impl SmallDisk {
    pub fn make_read_only(&self) {
        let remounted = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(&self.0)
            .status();
        assert!(remounted.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_waited_for() {
    let mut shop = Shop::open().await;
    let Some(disk) = SmallDisk::mount(shop.folder.path()) else {
        eprintln!("skipped: no file system can be mounted here");
        return;
    };
    shop.settings += "[log]\nlevel = \"warn\"\n";
    payrecond::store::sqlite::migrate(&shop.database(), payrecond::domain::time::UnixMillis(1))
        .await
        .unwrap();
    let program = Program::ready(&shop).await;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(shop.drop_in(&format!("ORD-{n}")).await);
    }
    shop.until("SELECT min(polls) > 0 FROM invoices", "1").await;
    let filler = disk.0.join("filler");
    // Including the last page: less is left than any write of the daemon needs.
    let mut full = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut full, &[1; 4096]).is_ok() {}
    for id in &ids {
        shop.world.pay(id, &SimulatedPayment::default()).unwrap();
    }
    // The write-ahead log has some free space before it must grow.
    let waiting = program.until_said("database unavailable; retrying");
    tokio::select! {
        () = waiting => {}
        () = shop.until("SELECT count(*) FROM invoices WHERE status = 'paid'", "20") => {
            panic!("the disk was not full");
        }
    }
    std::fs::remove_file(&filler).unwrap();
    drop(full);
    shop.until("SELECT count(*) FROM invoices WHERE status = 'paid'", "20")
        .await;
    all_delivered(&shop).await;
    let left = program.stop().await;
    laws::hold(&shop, &[left]).await;
    drop(disk);
}

#[tokio::test]
async fn a_file_system_that_is_read_only_is_refused() {
    let shop = Shop::open().await;
    let place = shop.folder.path().join("still");
    std::fs::create_dir(&place).unwrap();
    let Some(disk) = SmallDisk::mount(&place) else {
        eprintln!("skipped: no file system can be mounted here");
        return;
    };
    let now = payrecond::domain::time::UnixMillis(1);
    payrecond::store::sqlite::migrate(&place.join("payrecond.db"), now)
        .await
        .unwrap();
    disk.make_read_only();
    let text = shop
        .config_text()
        .replace("payrecond.db", "still/payrecond.db");
    let command = program::command(&shop);
    std::fs::write(shop.folder.path().join("payrecond.toml"), text).unwrap();
    let program = Program::spawn(&shop, command, Stdout::Read, Stdio::piped());
    let left = program.ended().await;
    assert_eq!(left.code, Some(1), "{}", left.stderr);
    let cause = left.stderr.to_lowercase().replace('-', "");
    assert!(cause.contains("still/payrecond.db"), "{}", left.stderr);
    assert!(cause.contains("read") && cause.contains("only"), "{cause}");
}

/// Restored from an older copy while stopped: lost events are recorded again with the same ids, in
/// a new epoch, above every seq assigned before.
#[tokio::test]
async fn after_a_restore_lost_events_are_recorded_again_with_the_same_ids() {
    let shop = Shop::open().await;
    let id = shop.drop_in("ORD-1").await;
    sqlite(&shop.database(), "PRAGMA wal_checkpoint(TRUNCATE)");
    let copy = std::fs::read(shop.database()).unwrap();
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    let facts = "SELECT event_id || ' ' || (seq < 1000000000000) FROM outbox";
    let epoch = "SELECT value FROM meta WHERE key = 'epoch'";
    let first = Program::ready(&shop).await;
    all_paid_and_delivered(&shop).await;
    first.stop().await;
    let (before, old_epoch) = (shop.ask(facts).await, shop.ask(epoch).await);
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", shop.database().display()));
    }
    std::fs::write(shop.database(), copy).unwrap();
    let second = Program::ready(&shop).await;
    all_paid_and_delivered(&shop).await;
    let second = second.stop().await;
    let after = shop.ask(facts).await;
    assert_eq!(
        before.replace(" 1", " 0"),
        after,
        "the same id, a higher number"
    );
    assert_ne!(old_epoch, shop.ask(epoch).await);
    assert!(
        second.stderr.contains("starting a new epoch"),
        "{}",
        second.stderr
    );
    laws::hold(&shop, &[second]).await;
}

/// The file is missing but its side file is not: a new database begins, with a warning and above
/// all numbers.
#[tokio::test]
async fn a_vanished_database_is_not_silently_replaced() {
    let shop = Shop::open().await;
    let id = shop.drop_in("ORD-1").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    let first = Program::ready(&shop).await;
    all_paid_and_delivered(&shop).await;
    first.stop().await;
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", shop.database().display()));
    }
    let second = Program::ready(&shop).await;
    let order = shop
        .world
        .create(&NewOrder::simple("ORD-2", "1.00", "USD"))
        .unwrap();
    let id = order.order.id;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    shop.execute(&format!(
        "INSERT INTO invoices (external_id, order_id) VALUES ('ORD-2', '{id}')"
    ))
    .await;
    all_paid_and_delivered(&shop).await;
    assert_eq!(
        shop.ask("SELECT seq > 1000000000000 FROM outbox").await,
        "1"
    );
    let second = second.stop().await;
    assert!(
        second.stderr.contains("starting a new epoch"),
        "{}",
        second.stderr
    );
}

async fn all_paid_and_delivered(shop: &Shop) {
    shop.until("SELECT group_concat(DISTINCT status) FROM invoices", "paid")
        .await;
    all_delivered(shop).await;
}

/// A successful read meanwhile does not prove that the database can be written.
#[tokio::test]
async fn a_database_that_is_locked_for_long_is_reported_once() {
    let shop = Shop::open().await;
    let mut holder = shop.connect().await;
    let program = Program::ready(&shop).await;
    run(
        &mut holder,
        "INSERT INTO invoices (external_id, amount, currency, description, options)
         VALUES ('NEW', '1.00', 'USD', 'Six eggs', '{\"customerTelegramUserId\":7}')",
    )
    .await;
    run(&mut holder, "BEGIN IMMEDIATE").await;
    program.until_said("database unavailable; retrying").await;
    // Each attempt waits for 5 s.
    tokio::time::sleep(std::time::Duration::from_secs(12)).await;
    run(&mut holder, "COMMIT").await;
    let made = "SELECT order_id IS NOT NULL FROM invoices";
    shop.until(made, "1").await;
    let left = program.stop().await;
    let count = |text: &str| left.stderr.matches(text).count();
    assert_eq!(
        count("database unavailable; retrying"),
        1,
        "{}",
        left.stderr
    );
    assert_eq!(count("database available again"), 1, "{}", left.stderr);
    laws::hold(&shop, &[left]).await;
}
