//! SIGKILL at the nth write, sync, truncation, rename or removal of a file of the database, while
//! it is created or upgraded. The result is consistent, at the version before or after, and the
//! next start completes it.

use std::fs;
use std::path::Path;

use payrecond::store::sqlite::{MIGRATIONS, migrate, migrate_by};
use tokio::process::Command;

use super::dump::{Dump, ask};
use super::{LATER, is_whole, lay_out, with_coming_ones};
use crate::faults::program;
use crate::faults::shim::{self, Rule};
use crate::store::{connect, pay};

/// Names the database that the process to be killed upgrades.
const DATABASE: &str = "PAYRECOND_TEST_UPGRADES";
const CALLS: &[(&str, &str)] = &[
    ("write", "kill-half"),
    ("sync", "kill-before"),
    ("truncate", "kill-before"),
    ("rename", "kill-before"),
    ("unlink", "kill-before"),
];
/// Rows that make the upgrade larger than SQLite's cache: much is written before the end.
const MANY: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
    INSERT INTO invoices (external_id, order_id, metadata)
    SELECT 'MANY-' || i, 'many-' || i, '{\"words\": \"' || hex(zeroblob(400)) || '\"}' FROM n";

/// Number of kills of a kind that are tried concurrently.
const LANES: u32 = 3;

/// Tries the first call, the second and so on, until one is not reached. Returns how many were.
async fn kill_at_each<F>(killed_at: impl Fn(u32) -> F) -> u32
where
    F: Future<Output = bool>,
{
    let lanes = (1..=LANES).map(async |first| {
        let mut kills = 0;
        while killed_at(first + kills * LANES).await {
            kills += 1;
        }
        kills
    });
    futures::future::join_all(lanes).await.into_iter().sum()
}

fn rule(call: &'static str, then: &'static str, nth: u32) -> Rule {
    Rule {
        call,
        file: "*",
        then,
        nth,
        times: 1,
    }
}

/// Runs a command under a rule. Returns whether it was killed; otherwise it succeeded.
async fn is_killed(mut command: Command, rule: Rule, folder: &Path) -> bool {
    rule.onto(&mut command, &folder.join("healed"));
    let left = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&left.stderr);
    assert!(
        matches!(left.status.code(), None | Some(0)),
        "{rule:?}: {said}"
    );
    left.status.code().is_none()
}

/// The files after the kill, read in another place, because reading recovers them.
async fn seen(database: &Path) -> (usize, Dump) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("a.db");
    for end in ["", "-wal"] {
        let _ = fs::copy(
            format!("{}{end}", database.display()),
            format!("{}{end}", copy.display()),
        );
    }
    let version = ask(&mut connect(&copy).await, "PRAGMA user_version").await;
    is_whole(&copy).await;
    (version[0].parse().unwrap(), Dump::of(&copy).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_killed_at_any_call_is_completed_by_the_next_start() {
    if shim::library().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made.db");
    migrate(&made, LATER).await.unwrap();
    let made = Dump::of(&made).await;
    let each = CALLS.iter().map(async |&(call, then)| {
        let kills = kill_at_each(|nth| creation_killed_at(rule(call, then, nth), &made)).await;
        println!("{call} {then}: {kills} kills");
        kills
    });
    let kills: u32 = futures::future::join_all(each).await.into_iter().sum();
    assert!(kills > 100, "{kills} kills");
}

/// Whether the call was reached.
async fn creation_killed_at(rule: Rule, made: &Dump) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payrecond.db");
    let mut command = program::program(folder.path());
    command.arg("migrate");
    let was_killed = is_killed(command, rule, folder.path()).await;
    let from = if path.exists() {
        seen(&path).await.0
    } else {
        0
    };
    let migrated = migrate(&path, LATER).await.unwrap();
    assert_eq!((migrated.from_version, migrated.put_back), (from, false));
    assert_eq!(Dump::of(&path).await.schema(), made.schema(), "{rule:?}");
    pay(&path, "ORD-1").await;
    is_whole(&path).await;
    was_killed
}

/// A database to be upgraded, and its content at each version on the way.
struct Ladder {
    folder: tempfile::TempDir,
    steps: Vec<Dump>,
}

impl Ladder {
    async fn set_up(more: Option<&'static str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("start.db");
        lay_out(MIGRATIONS.len(), &path).await;
        if let Some(sql) = more {
            let mut program = connect(&path).await;
            sqlx::raw_sql(sql).execute(&mut program).await.unwrap();
            sqlx::Connection::close(program).await.unwrap();
        }
        let ladder = Self {
            folder,
            steps: Vec::new(),
        };
        let climbed = ladder.begin().await;
        let path = climbed.path().join("payrecond.db");
        let coming = with_coming_ones();
        let mut steps = vec![Dump::of(&path).await];
        for version in MIGRATIONS.len() + 1..=coming.len() {
            migrate_by(&path, &coming[..version], LATER).await.unwrap();
            steps.push(Dump::of(&path).await);
        }
        Self { steps, ..ladder }
    }

    /// A directory with a copy of the original database.
    async fn begin(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for end in ["", ".high-water"] {
            let start = self.folder.path().join(format!("start.db{end}"));
            let copy = folder.path().join(format!("payrecond.db{end}"));
            tokio::fs::copy(start, copy).await.unwrap();
        }
        folder
    }

    /// Whether the call was reached.
    async fn killed_at(&self, rule: Rule) -> bool {
        let folder = self.begin().await;
        let path = folder.path().join("payrecond.db");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([
                "--exact",
                "upgrade::killed::a_process_that_upgrades",
                "--ignored",
            ])
            .env(DATABASE, &path);
        let was_killed = is_killed(command, rule, folder.path()).await;
        let (version, found) = seen(&path).await;
        let on_the_way = &self.steps[version - MIGRATIONS.len()];
        assert!(&found == on_the_way, "{rule:?}: {}", found.0);
        let migrated = migrate_by(&path, &with_coming_ones(), LATER).await.unwrap();
        assert_eq!((migrated.from_version, migrated.put_back), (version, false));
        assert!(Dump::of(&path).await == self.steps[self.steps.len() - 1]);
        is_whole(&path).await;
        was_killed
    }
}

#[tokio::test]
#[ignore = "the process that the tests beside it kill"]
async fn a_process_that_upgrades() {
    if let Some(path) = std::env::var_os(DATABASE) {
        migrate_by(Path::new(&path), &with_coming_ones(), LATER)
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_killed_at_any_call_is_completed_by_the_next_start() {
    if shim::library().is_none() {
        return;
    }
    let ladder = Ladder::set_up(None).await;
    let each = CALLS.iter().map(async |&(call, then)| {
        let kills = kill_at_each(|nth| ladder.killed_at(rule(call, then, nth))).await;
        println!("{call} {then}: {kills} kills");
        kills
    });
    let kills: u32 = futures::future::join_all(each).await.into_iter().sum();
    assert!(kills > 50, "{kills} kills");
}

/// Enough data that pages are written before the transaction ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_long_upgrade_is_completed_by_the_next_start() {
    if shim::library().is_none() {
        return;
    }
    let ladder = Ladder::set_up(Some(MANY)).await;
    let mut nth = 64;
    while ladder.killed_at(rule("write", "kill-half", nth)).await {
        nth *= 2;
    }
    assert!(nth >= 4096, "it wrote but {nth} times");
}
