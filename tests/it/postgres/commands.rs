//! Commands of the binary beside a daemon, on a server.

use std::process::Stdio;

use payrecond::sandbox::NewOrder;
use payrecond::store::ServerLocation;
use payrecond::store::postgres::prepare;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::server::{As, PostgresServer};
use super::shop::{ServerShop, stopped};
use crate::PATIENCE;
use crate::faults::program::is_missing;

/// What a command prints, which must end with this code.
async fn output(shop: &ServerShop, arguments: &[&str], code: i32) -> String {
    let output = shop.command(arguments).output().await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// An invoice whose order has another amount.
async fn mismatched(shop: &ServerShop) {
    let order = NewOrder::simple("B", "1.00", "USD");
    let id = shop.world.create(&order).unwrap().order.id;
    let mut program = shop.database.connect(As::App).await;
    sqlx::query(
        "INSERT INTO invoices (account, external_id, order_id, amount, currency)
         VALUES ('a', 'B', $1, '2.00', 'USD')",
    )
    .bind(id)
    .execute(&mut program)
    .await
    .unwrap();
    program.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invoice_is_explained_audited_and_resolved() {
    let Some(shop) = ServerShop::open().await else {
        return;
    };
    let daemon = shop.daemon("only");
    mismatched(&shop).await;
    let status =
        "SELECT status || ' ' || coalesce(reason, '') FROM invoices WHERE external_id = 'B'";
    shop.until(status, "review amount_mismatch").await;

    let why = output(&shop, &["why", "B"], 0).await;
    assert!(why.contains("amount_mismatch"), "{why}");
    // The other accounts are the same store of the sandbox, so its orders would be unknown there.
    let file = shop.folder.path().join("payrecond.toml");
    let config = std::fs::read_to_string(file).unwrap();
    let accounts: Vec<&str> = config.split("[[account]]").take(2).collect();
    std::fs::write(
        shop.folder.path().join("one.toml"),
        accounts.join("[[account]]"),
    )
    .unwrap();
    let audit = ["--config", "one.toml", "audit", "--json"];
    let first: serde_json::Value = serde_json::from_str(&output(&shop, &audit, 3).await).unwrap();
    assert_eq!(first["discrepancies"][0]["kind"], "amount", "{first}");
    output(&shop, &audit, 3).await;
    let told = "SELECT count(*) FROM outbox WHERE type = 'audit.discrepancy'";
    assert_eq!(shop.ask(told).await, "1", "each finding once");

    output(
        &shop,
        &[
            "resolve",
            "B",
            "--as",
            "cancelled",
            "--note",
            "agreed with the customer",
        ],
        0,
    )
    .await;
    assert!(shop.ask(status).await.starts_with("cancelled"));
    let events = "SELECT string_agg(type, ' ' ORDER BY seq) FROM outbox";
    assert_eq!(
        shop.ask(events).await,
        "payment.review audit.discrepancy payment.cancelled"
    );
    let report: serde_json::Value =
        serde_json::from_str(&output(&shop, &["stats", "--json"], 0).await).unwrap();
    let leases = report["leases"]
        .as_array()
        .unwrap_or_else(|| panic!("{report}"));
    assert!(
        leases.iter().any(|lease| lease["owner"] == "only"),
        "{report}"
    );
    stopped(daemon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_is_followed_shows_what_is_committed_later() {
    let Some(shop) = ServerShop::open().await else {
        return;
    };
    let daemon = shop.daemon("only");
    shop.until("SELECT count(*) > 0 FROM leases", "true").await;
    let arguments = [
        "feed",
        "--follow",
        "--format",
        "jsonl",
        "--limit",
        "8",
        "--consumer",
        "bot",
    ];
    let following = shop
        .command(&arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    shop.until("SELECT count(*) FROM consumers WHERE name = 'bot'", "1")
        .await;
    for round in ["first", "second"] {
        shop.pay_in_each(round).await;
    }
    let ended = tokio::time::timeout(PATIENCE, following.wait_with_output()).await;
    let ended = ended.unwrap().unwrap();
    assert!(ended.status.success());
    let lines = String::from_utf8(ended.stdout).unwrap();
    let subjects = lines.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["subject"].as_str().unwrap().to_owned()
    });
    let mut subjects: Vec<String> = subjects.collect();
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), 8, "{lines}");
    let acknowledged =
        "SELECT acked_seq = (SELECT max(seq) FROM outbox) FROM consumers WHERE name = 'bot'";
    shop.until(acknowledged, "true").await;
    stopped(daemon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn top_draws_the_database_of_a_server() {
    if Command::new("script")
        .arg("--version")
        .output()
        .await
        .is_err()
    {
        return is_missing("script");
    }
    let Some(shop) = ServerShop::open().await else {
        return;
    };
    let daemon = shop.daemon("only");
    shop.pay_in_each("ORD").await;
    shop.until_paid(4).await;
    let program = env!("CARGO_BIN_EXE_payrecond");
    let shown = Command::new("script")
        .arg("-qec")
        .arg(format!("stty rows 40 cols 120; {program} top"))
        .arg("/dev/null")
        .current_dir(shop.folder.path())
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut shown = shown.unwrap();
    let (mut keys, mut screen) = (shown.stdin.take().unwrap(), shown.stdout.take().unwrap());
    let mut drawn = Vec::new();
    let reading = async {
        // Of the newest events.
        while !String::from_utf8_lossy(&drawn).contains("ORD-d") {
            assert_ne!(screen.read_buf(&mut drawn).await.unwrap(), 0, "it ended");
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, reading).await.is_ok();
    assert!(in_time, "{}", String::from_utf8_lossy(&drawn));
    keys.write_all(b"q").await.unwrap();
    let rest = async {
        let mut rest = Vec::new();
        screen.read_to_end(&mut rest).await.unwrap();
        shown.wait().await.unwrap()
    };
    let ended = tokio::time::timeout(PATIENCE, rest).await.unwrap();
    assert!(ended.success(), "{ended}");
    stopped(daemon).await;
}

/// The owner of the schema may not create roles, so somebody else runs what `migrate` prints.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrate_prints_the_sql_of_roles_that_are_missing() {
    let Some(server) = PostgresServer::start(&[]) else {
        return;
    };
    let mut admin = server.admin().await;
    let made =
        "CREATE ROLE shop_owner LOGIN; CREATE ROLE shop_daemon LOGIN; CREATE ROLE shop_app LOGIN;";
    sqlx::raw_sql(made).execute(&mut admin).await.unwrap();
    let made = "CREATE DATABASE shop OWNER shop_owner";
    sqlx::raw_sql(made).execute(&mut admin).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let migrate = async |arguments: &[&str]| {
        let mut command = crate::faults::program::program(folder.path());
        command
            .arg("migrate")
            .args(arguments)
            .env("PAYRECOND__DATABASE__URL", server.url(As::Owner, "shop"));
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let first = migrate(&[]).await;
    let is_sql = |line: &&str| line.ends_with(';');
    let printed: Vec<&str> = first.lines().filter(is_sql).collect();
    assert_eq!(printed.len(), 2, "{first}");
    let json: serde_json::Value = serde_json::from_str(&migrate(&["--json"]).await).unwrap();
    assert_eq!(json["missing_roles"], serde_json::json!(printed));
    let statements = printed.join("\n");
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(&mut admin)
        .await
        .unwrap();
    let again = migrate(&[]).await;
    assert!(!again.contains("CREATE ROLE"), "{again}");
    let given = "GRANT payrecond_daemon TO shop_daemon; GRANT payrecond_app TO shop_app";
    sqlx::raw_sql(given).execute(&mut admin).await.unwrap();
    let daemon = ServerLocation::new(server.url(As::Daemon, "shop"), None);
    prepare(&daemon).await.unwrap();
    let mut app = PgConnection::connect(&server.url(As::App, "shop"))
        .await
        .unwrap();
    let insert = "INSERT INTO payrecond.invoices (external_id, order_id) VALUES ('ORD-1', '1')";
    sqlx::raw_sql(insert).execute(&mut app).await.unwrap();
}
