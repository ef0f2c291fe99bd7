//! A power failure: any part of the data that was not synced may be lost. A run is recorded once;
//! then the disk is rebuilt as of many moments, and the program started on the result.

mod disk;
mod tape;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures::FutureExt as _;
use payrecond::sandbox::{NewOrder, SimulatedPayment};

use self::disk::{Disk, Files};
use self::tape::{Act, Entry};
use super::kill::all_delivered;
use super::laws;
use super::program::{self, Left, Program, Stdout};
use super::shim;
use crate::shop::Shop;

/// Number of moments; overridden by `PAYRECOND_POWER_CUTS`.
const CUTS: usize = 100;
const INVOICES: usize = 12;

/// The recording of a shop's busy day.
struct Day {
    shop: Shop,
    /// The disk at the start, fully synced.
    before: Files,
    tape: Vec<Entry>,
    epoch: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_events_survive_a_power_failure() {
    let Some(day) = Day::take_down().await else {
        return;
    };
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    for n in 0..program::times("PAYRECOND_POWER_CUTS", CUTS) {
        let cut = rng.usize(..=day.tape.len());
        println!("seed {seed}, cut {n}: {cut} of {}", day.tape.len());
        day.survive(cut, &mut rng, |_| false).await;
    }
}

/// The control: as with `synchronous=NORMAL`, the write-ahead log is not synced with each commit.
/// Then events are lost, and the checker must notice it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_sync_per_commit_events_are_lost() {
    let Some(day) = Day::take_down().await else {
        return;
    };
    let mut rng = fastrand::Rng::new();
    for _ in 0..CUTS {
        let cut = rng.usize(..=day.tape.len());
        let attempt = day.survive(cut, &mut rng, |name| name.ends_with("-wal"));
        if AssertUnwindSafe(attempt).catch_unwind().await.is_err() {
            return;
        }
    }
    panic!("nothing was found in {CUTS} states");
}

impl Day {
    /// Orders are created, paid, and end; the daemon is killed once and stopped once.
    async fn take_down() -> Option<Self> {
        shim::library()?;
        let shop = Shop::open().await;
        let mut day = Self {
            epoch: shop.ask("SELECT value FROM meta WHERE key = 'epoch'").await,
            before: files(shop.folder.path()),
            tape: Vec::new(),
            shop,
        };
        let first = day.start().await;
        day.half(0).await;
        first.kill().await;
        let second = day.start().await;
        day.half(1).await;
        day.shop
            .until("SELECT count(*) FROM invoices WHERE status <> 'paid'", "0")
            .await;
        all_delivered(&day.shop).await;
        second.stop().await;
        day.tape = tape::read(&day.shop.folder.path().join("tape"));
        Some(day)
    }

    fn recorded(&self, mut command: tokio::process::Command) -> tokio::process::Command {
        let folder = self.shop.folder.path();
        command
            .env("SHIM_TAPE", folder.join("tape"))
            .env("SHIM_FOLDER", folder);
        shim::load(&mut command);
        command
    }

    async fn start(&self) -> Program {
        let command = self.recorded(program::command(&self.shop));
        Program::spawn(&self.shop, command, Stdout::Read, Stdio::piped())
            .until_ready()
            .await
    }

    async fn half(&self, half: usize) {
        let world = &self.shop.world;
        for n in 0..INVOICES / 2 {
            let external_id = format!("ORD-{half}-{n}");
            if n % 3 == 2 {
                self.add(&external_id, None).await;
            } else {
                let order = NewOrder::simple(&external_id, "1.50", "USD");
                let id = world.create(&order).unwrap().order.id;
                self.add(&external_id, Some(&id)).await;
            }
        }
        self.shop
            .until("SELECT count(*) FROM invoices WHERE order_id IS NULL", "0")
            .await;
        for order in world.orders() {
            let _ = world.pay(&order.id, &SimulatedPayment::default());
            // With pauses, so that not everything is in one commit.
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    async fn add(&self, external_id: &str, order_id: Option<&str>) {
        let mut command = program::program(self.shop.folder.path());
        command.args(["add", "--json", "--external-id", external_id]);
        command.args(["--amount", "1.50", "--currency", "USD"]);
        match order_id {
            Some(id) => command.args(["--order-id", id]),
            None => command.args([
                "--description",
                "Six eggs",
                "--options",
                "{\"customerTelegramUserId\":42}",
            ]),
        };
        let added = self.recorded(command).output().await.unwrap();
        assert!(added.status.success(), "{added:?}");
    }

    /// Simulates a power failure before entry `cut`, and starts the program on the result.
    async fn survive(&self, cut: usize, rng: &mut fastrand::Rng, deaf: impl Fn(&str) -> bool) {
        let mut disk = Disk::holding(&self.before);
        let mut said: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        for entry in &self.tape[..cut] {
            disk.play(entry, &deaf);
            if let Act::Said(bytes) = &entry.act {
                said.entry(entry.process).or_default().extend(bytes);
            }
        }
        self.put_back(&disk.after_power_loss(rng));
        let (added, runs): (Vec<_>, Vec<_>) = said
            .into_values()
            .partition(|stdout| stdout.starts_with(b"{"));
        let mut runs: Vec<Left> = runs.into_iter().map(Left::of_stdout).collect();
        self.has_every_recorded_event(&added, &runs).await;

        runs.push(self.once().await);
        // An order that had to be created is polled when its time comes.
        let open = "UPDATE invoices SET next_poll_at = 0 WHERE status <> 'paid'";
        if self
            .shop
            .ask("SELECT count(*) FROM invoices WHERE status <> 'paid'")
            .await
            != "0"
        {
            self.shop.execute(open).await;
            runs.push(self.once().await);
        }
        laws::hold(&self.shop, &runs).await;
        let epoch = self.shop.ask("SELECT value FROM meta WHERE key = 'epoch'");
        assert_eq!(epoch.await, self.epoch, "a new epoch without a reason");
    }

    async fn once(&self) -> Left {
        let mut command = program::command(&self.shop);
        command.arg("--once");
        let once = Program::spawn(&self.shop, command, Stdout::Read, Stdio::piped());
        let once = once.ended().await;
        assert_eq!(once.code, Some(0), "{}", once.stderr);
        assert!(!once.stderr.contains("epoch"), "{}", once.stderr);
        once
    }

    /// Before anything is polled again: each event that a reader has received exists, and so does
    /// each row that `add` has shown; nothing is acknowledged that was not received.
    async fn has_every_recorded_event(&self, added: &[Vec<u8>], runs: &[Left]) {
        let mut heard = 0;
        for run in runs {
            for (id, payload) in laws::nats_frames(&run.stdout) {
                let stored = self
                    .shop
                    .ask(&format!(
                        "SELECT payload FROM outbox WHERE event_id = '{id}'"
                    ))
                    .await;
                let payload = String::from_utf8(payload).unwrap();
                assert_eq!(stored, payload, "{id} was said");
                let event: serde_json::Value = serde_json::from_str(&payload).unwrap();
                heard = heard.max(event["sequence"].as_str().unwrap().parse::<i64>().unwrap());
            }
        }
        let acked = "SELECT coalesce(max(acked_seq), 0) FROM consumers WHERE name = 'stdout'";
        let acked: i64 = self.shop.ask(acked).await.parse().unwrap();
        assert!(acked <= heard, "{acked} acknowledged, {heard} heard");
        for shown in added {
            // Output that was cut short does not count.
            let Ok(row) = serde_json::from_slice::<serde_json::Value>(shown) else {
                continue;
            };
            let name = row["external_id"].as_str().unwrap();
            let there = format!("SELECT count(*) FROM invoices WHERE external_id = '{name}'");
            assert_eq!(self.shop.ask(&there).await, "1", "{name} was added");
        }
    }

    fn put_back(&self, found: &Files) {
        let folder = self.shop.folder.path();
        for name in files(folder).keys() {
            std::fs::remove_file(folder.join(name)).unwrap();
        }
        let _ = std::fs::remove_file(folder.join("payrecond.db-shm"));
        for (name, bytes) in found {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
}

/// The database's files that survive a crash of the machine.
fn files(folder: &Path) -> Files {
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let ends = [".lock", "-shm"];
        if name.starts_with("payrecond.db") && !ends.iter().any(|end| name.ends_with(end)) {
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
    files
}
