//! The consumers in `examples/nats` credit each payment once, also when they are killed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::server::NatsServer;
use crate::shop::{Shop, ask};
use crate::until::eventually;

const RECIPES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/nats");
/// Where Debian's packages of Go modules are.
const DEBIAN_GO_PATH: &str = "/usr/share/gocode";
const GO_MODULES: [&str; 2] = ["github.com/nats-io/nats.go", "github.com/mattn/go-sqlite3"];

/// Reports a recipe that is not run, since its runtime or its packages are not on this machine.
fn skipped(what: &str) {
    eprintln!("skipped: no {what} here");
}

/// Whether a command succeeds, run in a folder.
async fn works(command: &[&str], folder: &Path) -> bool {
    let status = Command::new(command[0])
        .args(&command[1..])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    status.is_ok_and(|status| status.success())
}

/// Starts a consumer in a folder, where its packages may be. Its credits are in the file `bank`.
fn start(command: &[&str], folder: &Path, server: &NatsServer, bank: &Path) -> Child {
    Command::new(command[0])
        .args(&command[1..])
        .arg(server.url())
        .arg(bank)
        .current_dir(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn until_credited(bank: &Path, count: u32) {
    eventually(async || {
        if !bank.exists() {
            return None;
        }
        let sql = "SELECT (SELECT count(*) FROM sqlite_master WHERE name = 'credits')";
        if ask(bank, sql).await == "0" {
            return None;
        }
        let credits = ask(bank, "SELECT count(*) FROM credits").await;
        (credits.parse::<u32>().unwrap() >= count).then_some(())
    })
    .await;
}

/// Kills the consumer while it credits, starts it again, and counts the credits.
async fn credits_once(command: &[&str], folder: &Path) {
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream().await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("A-", 300).await;
    let publisher = shop.start_publisher();
    let bank = shop.folder.path().join("shop.db");
    let mut consumer = start(command, folder, &server, &bank);
    until_credited(&bank, 20).await;
    consumer.kill().await.unwrap();
    shop.record_payments("B-", 50).await;
    let _consumer = start(command, folder, &server, &bank);
    until_credited(&bank, 350).await;
    publisher.stop().await;
    assert_eq!(ask(&bank, "SELECT count(*) FROM credits").await, "350");
    let amounts = "SELECT group_concat(DISTINCT typeof(amount) || ' ' || amount) FROM credits";
    assert_eq!(ask(&bank, amounts).await, "text 1.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_recipe_credits_each_payment_once() {
    let here = Path::new(".");
    if works(&["python3", "-c", "import nats, sqlite3"], here).await {
        let recipe = format!("{RECIPES}/credit.py");
        credits_once(&["python3", &recipe], here).await;
    } else {
        skipped("Python with nats-py");
    }
}

/// `PAYRECOND_TEST_NODE` names the folder of the packages, and `PAYRECOND_TEST_NODE_PROGRAM` a newer Node
/// than the usual one.
#[tokio::test(flavor = "multi_thread")]
async fn the_node_recipe_credits_each_payment_once() {
    let folder = std::env::var_os("PAYRECOND_TEST_NODE").unwrap_or_else(|| ".".into());
    let folder = PathBuf::from(folder);
    let node = std::env::var_os("PAYRECOND_TEST_NODE_PROGRAM");
    let node = node.map_or("node".into(), |path| path.to_string_lossy().into_owned());
    let probe = "const require = (await import('node:module')).createRequire(process.cwd() + '/');
                 for (const name of ['node:sqlite', '@nats-io/transport-node', '@nats-io/jetstream']) require(name)";
    let recipe = format!("{RECIPES}/credit.mjs");
    for flags in [&[][..], &["--experimental-sqlite"]] {
        let program = [&[node.as_str()], flags].concat();
        let probe = [program.as_slice(), &["--input-type=module", "-e", probe]].concat();
        if works(&probe, &folder).await {
            return credits_once(&[program.as_slice(), &[&recipe]].concat(), &folder).await;
        }
    }
    skipped("Node with node:sqlite and the packages of NATS");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_go_recipe_credits_each_payment_once() {
    let folder = tempfile::tempdir().unwrap();
    match build_go(folder.path()).await {
        Some(program) => credits_once(&[program.to_str().unwrap()], folder.path()).await,
        None => skipped("Go with Debian's packages of nats.go and go-sqlite3"),
    }
}

/// Builds the Go recipe, if Debian's packages of its modules are on this machine.
async fn build_go(folder: &Path) -> Option<PathBuf> {
    let sources = Path::new(DEBIAN_GO_PATH).join("src");
    let has_modules = GO_MODULES
        .iter()
        .all(|module| sources.join(module).exists());
    if !has_modules || !works(&["go", "version"], folder).await {
        return None;
    }
    let program = folder.join("credit");
    let built = Command::new("go")
        .current_dir(format!("{RECIPES}/go"))
        .env("GO111MODULE", "off")
        .env("GOPATH", DEBIAN_GO_PATH)
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .status();
    assert!(built.await.unwrap().success());
    Some(program)
}
