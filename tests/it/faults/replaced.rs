//! Files that replace an open database, and older content written into it: `rm`, `mv`, `rsync` and
//! `.restore` by someone who did not stop the daemon first.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use payrecond::sandbox::{NewOrder, SimulatedPayment};
use serde_json::Value;

use super::kill::all_delivered;
use super::laws::{self, nats_frames};
use super::program::{self, Left, Program, Stdout};
use crate::shop::Shop;

const EPOCH: &str = "SELECT value FROM meta WHERE key = 'epoch'";
const PAID: &str = "SELECT group_concat(external_id) FROM (SELECT external_id FROM invoices WHERE status = 'paid' ORDER BY 1)";

/// A shop whose daemon has recorded one payment, with an older copy of the database, and another
/// invoice that the copy has too.
struct Scene {
    shop: Shop,
    program: Program,
    copy: PathBuf,
    later: String,
    epoch: String,
}

impl Scene {
    async fn set_up() -> Self {
        let shop = Shop::open().await;
        let early = shop.drop_in("EARLY").await;
        let later = shop.drop_in("LATER").await;
        let copy = shop.folder.path().join("copy.db");
        sqlite(&shop.database(), &format!(".backup {}", copy.display()));
        let program = Program::ready(&shop).await;
        shop.world
            .pay(&early, &SimulatedPayment::default())
            .unwrap();
        shop.until(PAID, "EARLY").await;
        all_delivered(&shop).await;
        let epoch = shop.ask(EPOCH).await;
        Self {
            shop,
            program,
            copy,
            later,
            epoch,
        }
    }

    fn file(&self, suffix: &str) -> PathBuf {
        PathBuf::from(format!("{}{suffix}", self.shop.database().display()))
    }

    fn remove(&self, suffixes: &[&str]) {
        for suffix in suffixes {
            fs::remove_file(self.file(suffix)).unwrap();
        }
    }

    /// The daemon exits with an error; then it is started again, and both payments are recorded.
    async fn exits_with_an_error_and_restarts(
        mut self,
        why: &str,
        new_epoch: bool,
    ) -> (Shop, Vec<Left>) {
        self.program.notified.until("STOPPING=1").await;
        let status = |line: &&String| line.starts_with("STATUS=") && line.contains(why);
        let shown = &self.program.notified.messages;
        assert!(shown.iter().any(|line| status(&line)), "{shown:?}");
        let first = self.program.ended().await;
        assert_eq!(first.code, Some(1), "{}", first.stderr);
        assert!(first.stderr.contains(why), "{why}: {}", first.stderr);
        assert!(first.stderr.contains("payrecond.db"), "{}", first.stderr);
        let shop = self.shop;
        shop.world
            .pay(&self.later, &SimulatedPayment::default())
            .unwrap();
        let second = Program::ready(&shop).await;
        shop.until(PAID, "EARLY,LATER").await;
        all_delivered(&shop).await;
        let is_new = shop.ask(EPOCH).await != self.epoch;
        let second = second.stop().await;
        assert_eq!(is_new, new_epoch, "{}", second.stderr);
        assert_eq!(second.stderr.contains("new epoch"), new_epoch);
        (shop, vec![first, second])
    }
}

fn sqlite(path: &Path, command: &str) {
    let done = Command::new("sqlite3").arg(path).arg(command).output();
    let done = done.expect("the sqlite3 command line is needed");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.is_empty(), "{said}");
}

/// The payments in the stdout of all runs, as `(external id, seq)`.
fn payments(left: &[Left]) -> Vec<(String, i64)> {
    let frames = left.iter().flat_map(|left| nats_frames(&left.stdout));
    let events = frames.map(|(_, payload)| serde_json::from_slice::<Value>(&payload).unwrap());
    let paid = events.filter(|event| event["type"] == "payment.paid");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    paid.map(|event| {
        let seq = text(&event["sequence"]).parse().unwrap();
        (text(&event["data"]["external_id"]), seq)
    })
    .collect()
}

/// Both payments were recorded, the first one again if it was lost, and no seq occurred twice.
fn both_were_told(left: &[Left], names: &[&str]) {
    let shown = payments(left);
    let told_of: Vec<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
    let mut told_of = told_of;
    told_of[1..].sort_unstable();
    assert_eq!(told_of, names);
    assert!(shown.is_sorted_by_key(|(_, seq)| *seq), "{shown:?}");
}

#[tokio::test]
async fn a_database_replaced_by_a_copy_is_noticed() {
    let scene = Scene::set_up().await;
    scene.remove(&["", "-wal", "-shm"]);
    fs::copy(&scene.copy, scene.file("")).unwrap();
    let (shop, left) = scene
        .exits_with_an_error_and_restarts("while it was open", true)
        .await;
    both_were_told(&left, &["EARLY", "EARLY", "LATER"]);
    laws::hold(&shop, &left[1..]).await;
}

/// Like rsync and mv: the old log stays, and SQLite would write it into the new file.
#[tokio::test]
async fn a_copy_moved_over_the_database_is_not_mixed_with_the_old_log() {
    let scene = Scene::set_up().await;
    fs::rename(&scene.copy, scene.file("")).unwrap();
    let (shop, left) = scene
        .exits_with_an_error_and_restarts("was replaced", true)
        .await;
    both_were_told(&left, &["EARLY", "EARLY", "LATER"]);
    laws::hold(&shop, &left[1..]).await;
}

/// A link whose target changes, such as `current`.
#[tokio::test]
async fn a_changed_link_is_noticed() {
    let shop = Shop::open().await;
    let link = shop.folder.path().join("link.db");
    symlink("payrecond.db", &link).unwrap();
    let other = shop.folder.path().join("other.db");
    sqlite(&shop.database(), &format!(".backup {}", other.display()));
    let command = program::command(&shop);
    let text = shop.config_text().replace("payrecond.db", "link.db");
    fs::write(shop.folder.path().join("payrecond.toml"), text).unwrap();
    let program = Program::spawn(&shop, command, Stdout::Read, Stdio::piped());
    let program = program.until_ready().await;
    let fresh = shop.folder.path().join("fresh");
    symlink("other.db", &fresh).unwrap();
    fs::rename(&fresh, &link).unwrap();
    let left = program.ended().await;
    assert_eq!(left.code, Some(1), "{}", left.stderr);
    assert!(left.stderr.contains("was replaced"), "{}", left.stderr);
}

#[tokio::test]
async fn a_removed_database_ends_the_daemon_and_the_next_start_creates_one() {
    for suffixes in [&["", "-wal", "-shm"][..], &[""]] {
        let mut scene = Scene::set_up().await;
        scene.remove(suffixes);
        scene.program.notified.until("STOPPING=1").await;
        let left = scene.program.ended().await;
        assert_eq!(left.code, Some(1), "{}", left.stderr);
        assert!(left.stderr.contains("was removed"), "{}", left.stderr);
        let second = Program::ready(&scene.shop).await.stop().await;
        assert!(
            second.stderr.contains("starting a new epoch"),
            "{}",
            second.stderr
        );
        let known = scene.shop.ask("SELECT count(*) FROM invoices").await;
        assert_eq!(known, "0");
    }
}

/// The last writes are only in the `-wal` file: they are saved into the database.
#[tokio::test]
async fn a_removed_log_is_noticed_and_its_content_saved() {
    for suffixes in [&["-wal", "-shm"][..], &["-wal"], &["-shm"]] {
        let scene = Scene::set_up().await;
        scene.remove(suffixes);
        let (shop, left) = scene
            .exits_with_an_error_and_restarts("was removed", false)
            .await;
        both_were_told(&left, &["EARLY", "LATER"]);
        laws::hold(&shop, &left).await;
    }
}

/// With SQLite's own means, through its locks: the file stays the same, its content is older.
#[tokio::test]
async fn older_content_in_the_open_database_is_noticed_and_no_seq_is_repeated() {
    let scene = Scene::set_up().await;
    let side = fs::read_to_string(scene.file(".high-water")).unwrap();
    let restore = format!(".restore {}", scene.copy.display());
    sqlite(&scene.shop.database(), &restore);
    let (shop, left) = scene
        .exits_with_an_error_and_restarts("an older copy was put back", true)
        .await;
    both_were_told(&left, &["EARLY", "EARLY", "LATER"]);
    assert_ne!(shop.ask("SELECT min(seq) FROM outbox").await, "1");
    assert!(!side.is_empty());
    laws::hold(&shop, &left[1..]).await;
}

/// No daemon runs: a command is the first to assign a seq.
#[tokio::test]
async fn a_command_assigns_no_seq_in_a_restored_database() {
    for loses_side_file in [false, true] {
        let shop = Shop::open().await;
        program::write_config(&shop);
        let order = NewOrder::simple("WRONG", "1.00", "USD");
        let id = shop.world.create(&order).unwrap().order.id;
        let wrong = format!(
            "INSERT INTO invoices (external_id, order_id, amount, currency)
             VALUES ('WRONG', '{id}', '2.00', 'USD')"
        );
        shop.execute(&wrong).await;
        let program = Program::ready(&shop).await;
        shop.until("SELECT status FROM invoices", "review").await;
        let copy = shop.folder.path().join("copy.db");
        sqlite(&shop.database(), &format!(".backup {}", copy.display()));
        let id = shop.drop_in("EARLY").await;
        shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
        shop.until(PAID, "EARLY").await;
        program.stop().await;
        let side = format!("{}.high-water", shop.database().display());
        if loses_side_file {
            fs::remove_file(&side).unwrap();
        } else {
            sqlite(&shop.database(), &format!(".restore {}", copy.display()));
        }
        let before = fs::read_to_string(&side).unwrap_or_default();
        let run = async |arguments: &[&str]| {
            let mut command = program::program(shop.folder.path());
            let done = command.args(arguments).output().await.unwrap();
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            (done.status.code(), said)
        };
        let resolve = ["resolve", "WRONG", "--as", "paid", "--note", "seen"];
        let (code, said) = run(&resolve).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("payrecond migrate"), "{said}");
        assert_eq!(fs::read_to_string(&side).unwrap_or_default(), before);
        assert_eq!(run(&["migrate"]).await.0, Some(0));
        assert_eq!(run(&resolve).await.0, Some(0));
        let above = "SELECT max(seq) > 1000000000000 FROM outbox";
        assert_eq!(shop.ask(above).await, "1");
    }
}

/// A long-running feed also has the old file open.
#[tokio::test]
async fn a_following_feed_ends_when_the_database_is_replaced() {
    let shop = Shop::open().await;
    program::write_config(&shop);
    let mut feed = program::program(shop.folder.path());
    feed.args(["feed", "--follow", "--format", "jsonl"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let copy = shop.folder.path().join("copy.db");
    sqlite(&shop.database(), &format!(".backup {}", copy.display()));
    let id = shop.drop_in("ORD-1").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    let program = Program::ready(&shop).await;
    all_delivered_of(&shop).await;
    let mut child = feed.spawn().unwrap();
    let mut line = String::new();
    let mut stdout = tokio::io::BufReader::new(child.stdout.take().unwrap());
    tokio::io::AsyncBufReadExt::read_line(&mut stdout, &mut line)
        .await
        .unwrap();
    assert!(line.contains("ORD-1"), "{line}");
    fs::rename(&copy, shop.database()).unwrap();
    let ended = tokio::time::timeout(program::PATIENCE, child.wait_with_output()).await;
    let ended = ended.expect("it goes on").unwrap();
    let why = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{why}");
    assert!(why.contains("was replaced"), "{why}");
    assert_eq!(program.ended().await.code, Some(1));
}

async fn all_delivered_of(shop: &Shop) {
    shop.until(PAID, "ORD-1").await;
    all_delivered(shop).await;
}
