//! One database under several names: links to it, and links whose target changes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use payrecond::sandbox::SimulatedPayment;

use super::kill::all_delivered;
use super::laws;
use super::program::{self, Program, Stdout};
use crate::shop::Shop;

const EPOCH: &str = "SELECT value FROM meta WHERE key = 'epoch'";

/// Writes a configuration with another name of the database.
fn call_it(shop: &Shop, name: &Path) {
    let text = shop.config_text();
    let path = shop.database().display().to_string();
    let text = text.replace(&path, &name.display().to_string());
    fs::write(shop.folder.path().join("payrecond.toml"), text).unwrap();
}

/// The daemon, ready, on the database under that name.
async fn ready(shop: &Shop, name: &Path) -> Program {
    let command = program::command(shop);
    call_it(shop, name);
    let program = Program::spawn(shop, command, Stdout::Read, Stdio::piped());
    program.until_ready().await
}

async fn payrecond(shop: &Shop, name: &Path, arguments: &[&str]) -> Output {
    call_it(shop, name);
    let mut command = program::program(shop.folder.path());
    let running = command.args(arguments).output();
    tokio::time::timeout(program::PATIENCE, running)
        .await
        .unwrap_or_else(|_| panic!("{arguments:?} by {} goes on", name.display()))
        .unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The names in a directory.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    names
}

/// A link to the database in another directory, one to its directory, and a relative path.
fn other_names(shop: &Shop) -> Vec<PathBuf> {
    let root = shop.folder.path();
    fs::create_dir(root.join("etc")).unwrap();
    symlink("../payrecond.db", root.join("etc/shop.db")).unwrap();
    symlink("etc/shop.db", root.join("twice.db")).unwrap();
    symlink(root, root.join("etc/folder")).unwrap();
    vec![
        root.join("etc/shop.db"),
        root.join("twice.db"),
        root.join("etc/folder/payrecond.db"),
        root.join("etc/../payrecond.db"),
    ]
}

#[tokio::test]
async fn a_database_has_one_daemon_and_one_epoch_under_every_link() {
    let shop = Shop::open().await;
    let links = other_names(&shop);
    let epoch = shop.ask(EPOCH).await;
    let mut left = Vec::new();
    for (n, name) in [vec![shop.database()], links.clone()]
        .concat()
        .iter()
        .enumerate()
    {
        let id = shop.drop_in(&format!("ORD-{n}")).await;
        shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
        let program = ready(&shop, name).await;
        for other in [&links[..], &[shop.database()]].concat() {
            let refused = payrecond(&shop, &other, &["run"]).await;
            assert_eq!(refused.status.code(), Some(1));
            let why = errors(&refused);
            assert!(
                why.contains("another daemon is running on this database"),
                "{why}"
            );
        }
        shop.until("SELECT group_concat(DISTINCT status) FROM invoices", "paid")
            .await;
        all_delivered(&shop).await;
        let ended = program.stop().await;
        assert!(!ended.stderr.contains("new epoch"), "{}", ended.stderr);
        assert_eq!(shop.ask(EPOCH).await, epoch);
        left.push(ended);
    }
    assert_eq!(
        names_in(&shop.folder.path().join("etc")),
        ["folder", "shop.db"]
    );
    laws::hold(&shop, &left).await;
}

#[tokio::test]
async fn a_dangling_link_creates_the_database_at_its_target() {
    let shop = Shop::open().await;
    let root = shop.folder.path();
    fs::create_dir(root.join("etc")).unwrap();
    fs::create_dir(root.join("disk")).unwrap();
    let (name, file) = (root.join("etc/shop.db"), root.join("disk/shop.db"));
    symlink("../disk/shop.db", &name).unwrap();
    for arguments in [&["migrate"][..], &["list"], &["run", "--once"]] {
        let done = payrecond(&shop, &name, arguments).await;
        assert!(done.status.success(), "{}", errors(&done));
    }
    assert!(file.metadata().unwrap().is_file());
    assert_eq!(names_in(&root.join("etc")), ["shop.db"]);
    assert!(name.symlink_metadata().unwrap().is_symlink());
    let again = payrecond(&shop, &file, &["migrate"]).await;
    assert!(!errors(&again).contains("new epoch"), "{}", errors(&again));
}

/// Programs that use the original name must see the restored database.
#[tokio::test]
async fn backup_and_restore_work_through_links_which_stay() {
    let shop = Shop::open().await;
    let name = other_names(&shop).swap_remove(0);
    shop.drop_in("ORD-1").await;
    let root = shop.folder.path();
    fs::create_dir(root.join("disk")).unwrap();
    symlink("disk/copy.db", root.join("copy.db")).unwrap();
    let made = payrecond(&shop, &name, &["backup", "copy.db"]).await;
    assert!(made.status.success(), "{}", errors(&made));
    assert_eq!(names_in(&root.join("disk")), ["copy.db"]);
    shop.drop_in("ORD-2").await;
    let refused = payrecond(&shop, &name, &["restore", "copy.db"]).await;
    assert!(errors(&refused).contains("newer"), "{}", errors(&refused));
    let restored = payrecond(&shop, &name, &["restore", "copy.db", "--force"]).await;
    assert!(restored.status.success(), "{}", errors(&restored));
    for link in ["etc/shop.db", "copy.db"] {
        let link = root.join(link);
        assert!(link.symlink_metadata().unwrap().is_symlink(), "{link:?}");
    }
    let known = shop.ask("SELECT group_concat(external_id) FROM invoices");
    assert_eq!(known.await, "ORD-1");
    assert_eq!(names_in(&root.join("etc")), ["folder", "shop.db"]);
    let epoch = shop.ask(EPOCH).await;
    let migrated = payrecond(&shop, &shop.database(), &["migrate"]).await;
    assert!(migrated.status.success(), "{}", errors(&migrated));
    assert_eq!(shop.ask(EPOCH).await, epoch);
}

/// SQLite has a separate log and separate locks for each name of a file.
#[tokio::test]
async fn a_database_with_hard_links_is_refused_until_one_name_is_left() {
    let shop = Shop::open().await;
    let id = shop.drop_in("ORD-1").await;
    let second = shop.folder.path().join("second.db");
    let program = Program::ready(&shop).await;
    fs::hard_link(shop.database(), &second).unwrap();
    for name in [&second, &shop.database()] {
        for arguments in [&["run"][..], &["migrate"], &["list"], &["feed"]] {
            let refused = payrecond(&shop, name, arguments).await;
            assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        }
    }
    let refused = payrecond(&shop, &second, &["run"]).await;
    assert!(
        errors(&refused).contains("hard links"),
        "{}",
        errors(&refused)
    );
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    shop.until("SELECT status FROM invoices", "paid").await;
    all_delivered(&shop).await;
    let first = program.stop().await;
    let refused = payrecond(&shop, &shop.database(), &["run"]).await;
    assert!(
        errors(&refused).contains("hard links"),
        "{}",
        errors(&refused)
    );
    fs::remove_file(&second).unwrap();
    let again = Program::ready(&shop).await.stop().await;
    laws::hold(&shop, &[first, again]).await;
}
