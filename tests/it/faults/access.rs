//! Files shared by several users: their owner after creation, what a reader without permissions may
//! do, and the errors when something cannot be written.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use payrecond::sandbox::SimulatedPayment;

use super::database::SmallDisk;
use super::program::{self, Program, Stdout};
use crate::shop::Shop;

/// The service's user and group, and a bot of the group. They have no names on any machine.
const SERVICE: u32 = 61_234;
const GROUP: u32 = 61_235;
const BOT: u32 = 61_236;

/// A user and a umask. Only root can change users.
#[derive(Clone, Copy)]
struct Who {
    user: u32,
    group: u32,
    umask: &'static str,
}

const ROOT: Who = Who {
    user: 0,
    group: 0,
    umask: "0022",
};
const SERVICE_OF_UNIT: Who = Who {
    user: SERVICE,
    group: GROUP,
    umask: "0007",
};
const BOT_OF_GROUP: Who = Who {
    user: BOT,
    group: GROUP,
    umask: "0007",
};
const STRANGER: Who = Who {
    user: BOT,
    group: BOT,
    umask: "0022",
};

/// A shop in a directory of the service, without a database; None if users cannot be changed.
fn fresh(shop: &Shop, owner: (u32, u32), mode: u32) -> Option<PathBuf> {
    let folder = shop.folder.path().join("state");
    fs::create_dir(&folder).unwrap();
    if chown(&folder, Some(owner.0), Some(owner.1)).is_err() {
        program::is_missing("root, to become other users");
        return None;
    }
    fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
    fs::set_permissions(shop.folder.path(), Permissions::from_mode(0o755)).unwrap();
    let database = folder.join("payrecond.db");
    write_config(shop, &database);
    Some(database)
}

fn write_config(shop: &Shop, database: &Path) {
    let usual = shop.database().display().to_string();
    let text = shop.config_text();
    let text = text.replace(&usual, &database.display().to_string());
    let file = shop.folder.path().join("payrecond.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
}

/// The program under another user. It is opened beforehand, since its directory may not be
/// accessible to others.
fn command(shop: &Shop, who: Who) -> tokio::process::Command {
    let script = format!(
        "umask {}; exec 9<\"$0\"; exec setpriv --reuid={} --regid={} --clear-groups /proc/self/fd/9 --config \"$CONFIG\" \"$@\"",
        who.umask, who.user, who.group
    );
    let mut command = program::by_shell(shop, &script);
    command.env("CONFIG", shop.folder.path().join("payrecond.toml"));
    command
}

async fn payrecond(shop: &Shop, database: &Path, who: Who, arguments: &[&str]) -> Output {
    let mut command = command(shop, who);
    write_config(shop, database);
    command.args(arguments).output().await.unwrap()
}

async fn done(shop: &Shop, database: &Path, who: Who, arguments: &[&str]) -> String {
    let output = payrecond(shop, database, who, arguments).await;
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        errors(&output)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Owner, group and mode of a file.
fn rights(path: impl AsRef<Path>) -> (u32, u32, u32) {
    let file = fs::metadata(path.as_ref()).unwrap();
    (file.uid(), file.gid(), file.mode() & 0o777)
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", database.display()))
}

/// All existing files of the database.
fn files(database: &Path) -> Vec<String> {
    let entries = fs::read_dir(database.parent().unwrap()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    names
}

/// An insert by a program of the group, with its own SQLite.
async fn insert(database: &Path, who: Who, external_id: &str, order_id: &str) {
    let sql = format!(
        "INSERT INTO invoices (external_id, order_id) VALUES ('{external_id}', '{order_id}')"
    );
    let done = tokio::process::Command::new("setpriv")
        .arg(format!("--reuid={}", who.user))
        .arg(format!("--regid={}", who.group))
        .arg("--clear-groups")
        .arg("sqlite3")
        .arg(database)
        .arg(sql)
        .output()
        .await
        .unwrap();
    assert!(done.status.success(), "{}", errors(&done));
}

async fn run(shop: &Shop, database: &Path, who: Who) -> Program {
    let mut command = command(shop, who);
    write_config(shop, database);
    command.arg("run");
    let program = Program::spawn(shop, command, Stdout::Read, Stdio::piped());
    let socket = program.notified.path();
    fs::set_permissions(socket, Permissions::from_mode(0o777)).unwrap();
    program.until_ready().await
}

#[tokio::test]
async fn a_new_database_is_writable_for_all_that_the_umask_allows() {
    for (umask, mode) in [
        ("0007", 0o660),
        ("0022", 0o644),
        ("0002", 0o664),
        ("0077", 0o600),
    ] {
        let shop = Shop::open().await;
        let Some(database) = fresh(&shop, (SERVICE, GROUP), 0o2770) else {
            return;
        };
        let who = Who {
            umask,
            ..SERVICE_OF_UNIT
        };
        let program = run(&shop, &database, who).await;
        for suffix in ["", "-wal", "-shm", ".high-water", ".daemon.lock"] {
            let expected = (SERVICE, GROUP, mode);
            assert_eq!(rights(beside(&database, suffix)), expected, "{suffix}");
        }
        program.stop().await;
    }
}

/// The bot comes first and leaves its own -wal and -shm files; the daemon still starts.
#[tokio::test]
async fn a_bot_of_the_group_and_the_daemon_share_the_database() {
    let shop = Shop::open().await;
    let Some(database) = fresh(&shop, (SERVICE, GROUP), 0o2770) else {
        return;
    };
    done(&shop, &database, SERVICE_OF_UNIT, &["migrate"]).await;
    let ids = ["ORD-1", "ORD-2"].map(|name| {
        let order = payrecond::sandbox::NewOrder::simple(name, "1.00", "USD");
        let id = shop.world.create(&order).unwrap().order.id;
        shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
        (name, id)
    });
    for (name, id) in &ids {
        insert(&database, BOT_OF_GROUP, name, id).await;
        let listed = done(&shop, &database, BOT_OF_GROUP, &["list", "--json"]).await;
        assert!(listed.contains(name), "{listed}");
        done(&shop, &database, SERVICE_OF_UNIT, &["run", "--once"]).await;
    }
    let paid = done(
        &shop,
        &database,
        BOT_OF_GROUP,
        &["list", "--status", "paid", "--json"],
    )
    .await;
    assert!(paid.contains("ORD-1") && paid.contains("ORD-2"), "{paid}");
}

#[tokio::test]
async fn files_created_by_root_belong_to_the_owner_of_the_directory() {
    for (owner, mode, expected) in [
        ((SERVICE, GROUP), 0o750, (SERVICE, GROUP, 0o644)),
        ((SERVICE, GROUP), 0o2770, (SERVICE, GROUP, 0o664)),
        ((0, GROUP), 0o2770, (0, GROUP, 0o664)),
    ] {
        for by_restore in [false, true] {
            let shop = Shop::open().await;
            let Some(database) = fresh(&shop, owner, mode) else {
                return;
            };
            let copy = shop.folder.path().join("copy.db");
            let copy = copy.to_str().unwrap();
            done(&shop, &shop.database(), ROOT, &["backup", copy]).await;
            fs::set_permissions(copy, Permissions::from_mode(0o600)).unwrap();
            if by_restore {
                done(&shop, &database, ROOT, &["restore", copy]).await;
            } else {
                done(&shop, &database, ROOT, &["migrate"]).await;
            }
            assert_eq!(rights(&database), expected, "restore: {by_restore}");
            let side = rights(beside(&database, ".high-water"));
            assert_eq!((side.0, side.1), owner);
            run(&shop, &database, SERVICE_OF_UNIT).await.stop().await;
        }
    }
}

#[tokio::test]
async fn a_restore_keeps_owner_and_mode_of_the_replaced_file() {
    let shop = Shop::open().await;
    let Some(database) = fresh(&shop, (SERVICE, GROUP), 0o2770) else {
        return;
    };
    done(&shop, &shop.database(), ROOT, &["backup", "copy.db"]).await;
    let expected = (SERVICE, GROUP, 0o640);
    fs::write(&database, "").unwrap();
    chown(&database, Some(SERVICE), Some(GROUP)).unwrap();
    fs::set_permissions(&database, Permissions::from_mode(0o640)).unwrap();
    for (kept, restore) in [
        (0, &["restore", "copy.db"][..]),
        (1, &["restore", "copy.db", "--force"]),
    ] {
        let restored = done(&shop, &database, ROOT, restore).await;
        assert_eq!(rights(&database), expected, "{restored}");
        let is_kept = |name: &&String| name.contains(".replaced-");
        assert_eq!(files(&database).iter().filter(is_kept).count(), kept);
    }
}

/// A copy has the same secrets as the database, so no more users may read it.
#[tokio::test]
async fn a_backup_is_readable_only_for_readers_of_the_database() {
    let shop = Shop::open().await;
    let Some(database) = fresh(&shop, (SERVICE, GROUP), 0o2770) else {
        return;
    };
    done(&shop, &database, SERVICE_OF_UNIT, &["migrate"]).await;
    let copy = database.with_file_name("copy.db");
    let by = Who {
        umask: "0022",
        ..SERVICE_OF_UNIT
    };
    done(&shop, &database, by, &["backup", copy.to_str().unwrap()]).await;
    assert_eq!(rights(copy), (SERVICE, GROUP, 0o640));
}

#[tokio::test]
async fn an_unwritable_database_is_reported_with_owner_mode_and_user() {
    let shop = Shop::open().await;
    let Some(database) = fresh(&shop, (SERVICE, GROUP), 0o2770) else {
        return;
    };
    done(&shop, &database, ROOT, &["migrate"]).await;
    chown(&database, Some(0), Some(0)).unwrap();
    fs::set_permissions(&database, Permissions::from_mode(0o644)).unwrap();
    let add = ["add", "--external-id", "A", "--order-id", "1"];
    for arguments in [&["run"][..], &["migrate"], &add, &["check"]] {
        let refused = payrecond(&shop, &database, SERVICE_OF_UNIT, arguments).await;
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8_lossy(&refused.stdout).into_owned() + &errors(&refused);
        let who = format!("{SERVICE}:{GROUP}");
        for words in ["state/payrecond.db", "root:root", "0644", who.as_str()] {
            assert!(said.contains(words), "{arguments:?}: {words}: {said}");
        }
    }
    // The file beside the database and the directory are checked too.
    chown(&database, Some(SERVICE), Some(GROUP)).unwrap();
    run(&shop, &database, SERVICE_OF_UNIT).await.kill().await;
    let wal = beside(&database, "-wal");
    chown(&wal, Some(0), Some(0)).unwrap();
    fs::set_permissions(&wal, Permissions::from_mode(0o640)).unwrap();
    let refused = payrecond(&shop, &database, SERVICE_OF_UNIT, &["migrate"]).await;
    assert!(
        errors(&refused).contains("payrecond.db-wal: Permission denied"),
        "{}",
        errors(&refused)
    );
    fs::remove_file(wal).unwrap();
    chown(database.parent().unwrap(), Some(0), Some(0)).unwrap();
    let refused = payrecond(&shop, &database, SERVICE_OF_UNIT, &["run"]).await;
    let why = errors(&refused);
    assert!(
        why.contains("Permission denied") && why.contains("root:root"),
        "{why}"
    );
}

/// What a reader queries, and that it leaves no files behind.
async fn reads(shop: &Shop, database: &Path, who: Who, external_id: &str) {
    let before = files(database);
    for arguments in [
        &["list", "--json"][..],
        &["show", external_id, "--json"],
        &["why", external_id],
        &["feed", "--format", "jsonl"],
    ] {
        let said = done(shop, database, who, arguments).await;
        assert!(said.contains(external_id), "{arguments:?}: {said}");
    }
    let stats = done(shop, database, who, &["stats", "--json"]).await;
    assert!(
        stats.contains("\"paid\": 1") || stats.contains("\"paid\":1"),
        "{stats}"
    );
    assert_eq!(files(database), before);
}

/// One paid invoice. If the daemon was killed, the log is left; if it was stopped, it is not.
async fn paid(shop: &Shop, database: &Path, who: Who) -> Program {
    let order = payrecond::sandbox::NewOrder::simple("ORD-1", "1.00", "USD");
    let id = shop.world.create(&order).unwrap().order.id;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    let add = ["add", "--external-id", "ORD-1", "--order-id", &id];
    done(shop, database, who, &["migrate"]).await;
    done(shop, database, who, &add).await;
    let program = run(shop, database, who).await;
    let shown = async {
        while !String::from_utf8_lossy(&program.stdout()).contains("payment.paid") {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(program::PATIENCE, shown)
        .await
        .unwrap();
    program
}

#[tokio::test]
async fn a_read_only_user_can_read_during_a_run_after_a_kill_and_after_a_stop() {
    // Also in a directory where a reader could leave files that the daemon cannot write.
    for mode in [0o2775, 0o2777] {
        let shop = Shop::open().await;
        let Some(database) = fresh(&shop, (SERVICE, GROUP), mode) else {
            return;
        };
        let who = Who {
            umask: "0022",
            ..SERVICE_OF_UNIT
        };
        let program = paid(&shop, &database, who).await;
        reads(&shop, &database, STRANGER, "ORD-1").await;
        program.kill().await;
        reads(&shop, &database, STRANGER, "ORD-1").await;
        run(&shop, &database, who).await.stop().await;
        reads(&shop, &database, STRANGER, "ORD-1").await;
        let follow = payrecond(&shop, &database, STRANGER, &["feed", "--follow"]).await;
        assert!(errors(&follow).contains("--follow"), "{}", errors(&follow));
        run(&shop, &database, who).await.stop().await;
    }
}

#[tokio::test]
async fn a_read_only_mount_can_be_read() {
    for is_killed in [false, true] {
        let shop = Shop::open().await;
        let place = shop.folder.path().join("still");
        fs::create_dir(&place).unwrap();
        let Some(disk) = SmallDisk::mount(&place) else {
            eprintln!("skipped: no file system can be mounted here");
            return;
        };
        let database = place.join("payrecond.db");
        let program = paid(&shop, &database, ROOT).await;
        if is_killed {
            program.kill().await;
        } else {
            program.stop().await;
        }
        disk.make_read_only();
        reads(&shop, &database, ROOT, "ORD-1").await;
        let add = ["add", "--external-id", "A", "--order-id", "1"];
        let refused = payrecond(&shop, &database, ROOT, &add).await;
        let why = errors(&refused);
        assert_eq!(refused.status.code(), Some(1), "{why}");
        assert!(why.contains("Read-only file system"), "{why}");
    }
}

/// Without its index, the log cannot be read without write permission, and the content of the file
/// alone would be outdated.
#[tokio::test]
async fn an_unreadable_log_is_reported_instead_of_ignored() {
    let shop = Shop::open().await;
    let Some(database) = fresh(&shop, (SERVICE, GROUP), 0o2775) else {
        return;
    };
    let who = Who {
        umask: "0022",
        ..SERVICE_OF_UNIT
    };
    paid(&shop, &database, who).await.kill().await;
    fs::remove_file(beside(&database, "-shm")).unwrap();
    let refused = payrecond(&shop, &database, STRANGER, &["list"]).await;
    let why = errors(&refused);
    assert_eq!(refused.status.code(), Some(1), "{why}");
    assert!(why.contains("-wal") && why.contains("-shm"), "{why}");
}
