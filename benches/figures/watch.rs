//! A thousand open orders with the settings as shipped: how soon a payment is known, and for how many
//! requests.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::process::{ChildStdout, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::time::sleep;

use crate::Scale;
use crate::bed::{Database, Rows, Sandbox, daemon_with, folder};
use crate::process::Process;
use crate::table::{Row, Table};

const SECTION: &str = "watch";
const OPEN: usize = 1000;
/// Until everything new has been looked at once.
const SETTLES: Duration = Duration::from_secs(20);
/// Payers pay one after the other, not in step with anything of the daemon's.
const BETWEEN_PAYMENTS: Duration = Duration::from_millis(1130);
/// After the last payment.
const PATIENCE: Duration = Duration::from_secs(30);
const OPERATIONS: [&str; 4] = ["preview", "list", "amount", "create"];

/// When each payment was heard of, by external id.
type Heard = Arc<Mutex<HashMap<String, Instant>>>;

pub async fn measure(scale: Scale, table: &mut Table) -> Result<()> {
    let sandbox = Sandbox::start().await?;
    let orders = sandbox.seed(OPEN).await?;
    let folder = folder()?;
    let database = Database::create(folder.path(), "watch.db").await?;
    database.fill(&orders, Rows::Fresh).await?;
    let mut command = daemon_with("", &database, &sandbox.url, "jsonl", &["run"])?;
    let mut process = Process::spawn(command.stdout(Stdio::piped()))?;
    let stdout = process.child.stdout.take().context("no stdout")?;
    let heard = Heard::default();
    let listener = Arc::clone(&heard);
    std::thread::spawn(move || listen(stdout, &listener));
    sleep(SETTLES).await;

    let (before, began) = (requests(&sandbox).await?, Instant::now());
    let mut paid = Vec::new();
    for order in orders.iter().step_by(OPEN / scale.of(100)) {
        sandbox.pay(std::slice::from_ref(order)).await?;
        paid.push((order.external_id.clone(), Instant::now()));
        sleep(BETWEEN_PAYMENTS).await;
    }
    let asked = requests(&sandbox).await? - before;
    let per_second = f64::from(u32::try_from(asked)?) / began.elapsed().as_secs_f64();
    let mut delays = delays(&paid, &heard).await?;
    process.stop().await?;
    delays.sort_unstable();
    let at = |percent: usize| delays[(delays.len() * percent / 100).min(delays.len() - 1)];
    table.add(
        SECTION,
        Row {
            what: format!(
                "{OPEN} open orders, {} of them paid, settings as shipped",
                paid.len()
            ),
            figure: format!(
                "known after p50 {:.2} s, p95 {:.2} s, p99 {:.2} s",
                at(50).as_secs_f64(),
                at(95).as_secs_f64(),
                at(99).as_secs_f64()
            ),
            beside: format!("{per_second:.3} requests/s"),
            ratio: String::new(),
            target: "p50 ≤ 2 s, p95 ≤ 5 s, ≤ 0.4 requests/s".into(),
        },
    );
    Ok(())
}

fn listen(stdout: ChildStdout, heard: &Heard) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let now = Instant::now();
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if let ("payment.paid", Some(id)) = (
            event["type"].as_str().unwrap_or_default(),
            event["subject"].as_str(),
        ) {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.insert(id.to_owned(), now);
        }
    }
}

async fn requests(sandbox: &Sandbox) -> Result<u64> {
    let mut all = 0;
    for operation in OPERATIONS {
        all += sandbox.count("requests", operation).await?;
    }
    Ok(all)
}

/// From each payment to its event on stdout, once all have been heard of.
async fn delays(paid: &[(String, Instant)], heard: &Heard) -> Result<Vec<Duration>> {
    let until = Instant::now() + PATIENCE;
    loop {
        {
            let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            let delay = |(id, at): &(String, Instant)| Some(heard.get(id)?.duration_since(*at));
            let known: Vec<Duration> = paid.iter().filter_map(delay).collect();
            if known.len() == paid.len() {
                return Ok(known);
            }
            if Instant::now() > until {
                bail!("{} of {} payments were heard of", known.len(), paid.len());
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}
