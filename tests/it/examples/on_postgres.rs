//! The recipes for PostgreSQL, each against a server of the tests. Here the test writes what the daemon would.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::{EXAMPLES, skipped, works};
use crate::PATIENCE;
use crate::postgres::server::{self, As, TestDatabase};
use crate::until::eventually;

const DEBIAN_GO_PATH: &str = "/usr/share/gocode";

/// An order that is made and paid, in one statement and two events.
const PAY: &str = "
    WITH moved AS (
        UPDATE payrecond.invoices
           SET pay_link = 'https://pay.example/1', order_id = 'O-' || external_id, status = 'paid',
               version = version + 2, next_poll_at = NULL, daemon_writes = daemon_writes + 1
         WHERE external_id = $1 AND version = 0 RETURNING *),
    turn AS MATERIALIZED (
        SELECT payrecond.take_outbox_turn() FROM (SELECT count(*) FROM moved) AS all_moved)
    INSERT INTO payrecond.outbox (seq, event_id, epoch, subject, type, account, external_id, status,
                                  previous_status, version, payload, created_at)
    SELECT nextval('payrecond.outbox_seq'), external_id || step, 'e', 's', 'payment.' || became, account,
           external_id, became, was, step,
           json_build_object('data', json_build_object('metadata', metadata::json)), 1
      FROM moved CROSS JOIN turn
     CROSS JOIN (VALUES (1, 'requested', 'pending'), (2, 'pending', 'paid')) AS steps (step, was, became)";

/// Where a shop has tables of its own beside payrecond's.
async fn open_shop() -> Option<TestDatabase> {
    let database = server::database().await?;
    let mut admin = database.connect(As::Admin).await;
    let name = &database.name;
    let set_up = format!(
        "CREATE SCHEMA shop AUTHORIZATION shop_app;
         ALTER ROLE shop_app IN DATABASE {name} SET search_path = shop, payrecond"
    );
    sqlx::raw_sql(AssertSqlSafe(set_up))
        .execute(&mut admin)
        .await
        .unwrap();
    Some(database)
}

/// Starts the recipe, pays its order once it is there, and returns what it has said.
async fn sell(
    database: &TestDatabase,
    command: &[&str],
    url: &str,
    external_id: &str,
) -> Vec<String> {
    let mut bot = Command::new(command[0])
        .args(&command[1..])
        .args([url, external_id])
        .current_dir(std::env::var_os("PAYRECOND_TEST_NODE").unwrap_or_else(|| ".".into()))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut daemon = database.connect(As::Daemon).await;
    eventually(async || {
        let done = daemon
            .execute(sqlx::query(PAY).bind(external_id))
            .await
            .unwrap();
        (done.rows_affected() > 0).then_some(())
    })
    .await;
    let mut output = BufReader::new(bot.stdout.take().unwrap()).lines();
    let waiting = async {
        let mut lines = Vec::new();
        while let Some(line) = output.next_line().await.unwrap() {
            lines.push(line);
        }
        (lines, bot.wait().await.unwrap())
    };
    let (lines, status) = timeout(PATIENCE, waiting).await.expect("the bot ends");
    assert!(status.success(), "{lines:?}");
    lines
}

/// What every recipe keeps. `scheme` is how its library calls the database.
async fn credits_once(command: &[&str], scheme: &str) {
    let Some(database) = open_shop().await else {
        return;
    };
    let url = database.url(As::App).replacen("postgres", scheme, 1);
    let lines = sell(&database, command, &url, "ORD-1").await;
    let expected = [
        "payment.pending ORD-1",
        "payment.paid ORD-1",
        "pay here: https://pay.example/1",
        "credited ORD-1",
    ];
    for line in expected {
        assert!(lines.iter().any(|told| told == line), "{line} in {lines:?}");
    }
    let mut app = database.connect(As::App).await;
    assert_eq!(
        answer(&mut app, "SELECT eggs FROM shop_customers").await,
        "6"
    );
    let unread = "SELECT count(*) FROM outbox_unread";
    assert_eq!(answer(&mut app, unread).await, "0");
    // As from the beginning: every event comes once more.
    app.execute("DELETE FROM consumers").await.unwrap();
    sell(&database, command, &url, "ORD-2").await;
    assert_eq!(
        answer(&mut app, "SELECT eggs FROM shop_customers").await,
        "12"
    );
    assert_eq!(answer(&mut app, unread).await, "0");
}

async fn answer(app: &mut PgConnection, question: &str) -> String {
    let text = format!("SELECT ({question})::text");
    sqlx::query_scalar(AssertSqlSafe(text))
        .fetch_one(app)
        .await
        .unwrap()
}

fn recipe(name: &str) -> String {
    format!("{EXAMPLES}/postgres/{name}")
}

/// A Python that has the packages, if there is one: named, or the usual one.
pub(super) fn python() -> String {
    let named = std::env::var_os("PAYRECOND_TEST_POSTGRES_PYTHON");
    named.map_or("python3".into(), |path| path.to_string_lossy().into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_psycopg_recipe_credits_once() {
    let python = python();
    if works(&[&python, "-c", "import psycopg"]).await {
        credits_once(&[&python, &recipe("bot.py")], "postgresql").await;
    } else {
        skipped("psycopg");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sqlalchemy_recipe_credits_once() {
    let python = python();
    if works(&[&python, "-c", "import psycopg, sqlalchemy"]).await {
        credits_once(
            &[&python, &recipe("bot_sqlalchemy.py")],
            "postgresql+psycopg",
        )
        .await;
    } else {
        skipped("SQLAlchemy with psycopg");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_recipe_credits_once() {
    let packages = std::env::var_os("PAYRECOND_TEST_NODE").unwrap_or_else(|| ".".into());
    let probe = "require('node:module').createRequire(process.argv[1] + '/')('pg')";
    if works(&["node", "-e", probe, &packages.to_string_lossy()]).await {
        credits_once(&["node", &recipe("bot.mjs")], "postgresql").await;
    } else {
        skipped("node with the package pg");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_go_recipe_credits_once() {
    let folder = tempfile::tempdir().unwrap();
    match build_go(folder.path()).await {
        Some(program) => credits_once(&[program.to_str().unwrap()], "postgresql").await,
        None => skipped("go with github.com/jackc/pgx/v4"),
    }
}

/// The Go recipe as a program, if Debian's package of its module is on this machine.
async fn build_go(folder: &Path) -> Option<PathBuf> {
    let program = folder.join("bot");
    let module = Path::new(DEBIAN_GO_PATH).join("src/github.com/jackc/pgx/v4");
    if !module.exists() || !works(&["go", "version"]).await {
        return None;
    }
    let built = Command::new("go")
        .current_dir(recipe("go"))
        .env("GO111MODULE", "off")
        .env("GOPATH", DEBIAN_GO_PATH)
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .status();
    assert!(built.await.unwrap().success());
    Some(program)
}
