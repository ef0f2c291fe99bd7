//! The daemon while somebody watches: metrics scraped each second and the status page open, beside
//! the same work unwatched; and how soon the page is there among a million invoices.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::Scale;
use crate::bed::{Database, Order, Rows, Sandbox, daemon, folder};
use crate::payments;
use crate::process::{Process, Used};
use crate::table::{Row, Table, alone, mebibytes, median, percent, quantile, rate};

const SECTION: &str = "watched";
const PAYMENTS: usize = 50_000;
/// Each way runs so often, in turn; the median counts.
const TURNS: usize = 3;
/// A page that is open asks for itself this often.
const PAGE_EVERY: Duration = Duration::from_secs(5);
const SCRAPE_EVERY: Duration = Duration::from_secs(1);
const PAGES: usize = 200;

pub async fn measure(scale: Scale, table: &mut Table) -> Result<()> {
    speed(scale, table).await?;
    first_page(scale, table).await
}

async fn speed(scale: Scale, table: &mut Table) -> Result<()> {
    let sandbox = Sandbox::start().await?;
    let orders = sandbox.seed(scale.of(PAYMENTS)).await?;
    sandbox.pay(&orders).await?;
    let (mut unwatched, mut watched) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        unwatched.push(turn(&sandbox, &orders, None).await?);
        watched.push(turn(&sandbox, &orders, Some(Watcher::start()?)).await?);
    }
    let summary = |turns: &[Used]| {
        let rates = turns
            .iter()
            .map(|used| rate(orders.len() as u64, used.wall));
        let peak = turns.iter().map(|used| used.peak_kib).max();
        (median(rates.collect()), peak.unwrap_or_default())
    };
    let ((ours, our_peak), (beside, its_peak)) = (summary(&watched), summary(&unwatched));
    table.add(
        SECTION,
        Row {
            what: format!(
                "{} payments, metrics scraped each second and the page open; beside it, unwatched",
                orders.len()
            ),
            figure: format!("{ours:.0}/s, {} at most", mebibytes(our_peak)),
            beside: format!("{beside:.0}/s, {} at most", mebibytes(its_peak)),
            ratio: percent(ours / beside),
            target: "no measurable change".into(),
        },
    );
    Ok(())
}

async fn turn(sandbox: &Sandbox, orders: &[Order], watcher: Option<Watcher>) -> Result<Used> {
    let folder = folder()?;
    let database = Database::create(folder.path(), "watched.db").await?;
    database.fill(orders, Rows::Fresh).await?;
    let mut command = daemon(&database, &sandbox.url, "preview", "jsonl", &["run"])?;
    if let Some(watcher) = &watcher {
        command.env("PAYRECOND__SERVER__LISTEN", &watcher.listen);
    }
    let used = payments::heard_by(&mut command, orders.len()).await?;
    match watcher {
        Some(watcher) if watcher.asking.is_finished() => bail!("nothing was scraped"),
        _ => Ok(used),
    }
}

/// Asks as a Prometheus and a browser do, until it is dropped.
struct Watcher {
    listen: String,
    asking: JoinHandle<Result<()>>,
}

impl Watcher {
    fn start() -> Result<Self> {
        let listen = free_address()?;
        let url = format!("http://{listen}");
        let asking = tokio::spawn(async move {
            let client = reqwest::Client::builder().no_proxy().build()?;
            wait_for(&client, &url).await?;
            let each = |path: &'static str, every: Duration| {
                let (client, address) = (client.clone(), format!("{url}{path}"));
                async move {
                    loop {
                        let answer = client.get(&address).send().await?.error_for_status()?;
                        answer.bytes().await?;
                        sleep(every).await;
                    }
                }
            };
            tokio::select! {
                failed = each("/metrics", SCRAPE_EVERY) => failed,
                failed = each("/", PAGE_EVERY) => failed,
            }
        });
        Ok(Self { listen, asking })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Waits until the server answers.
async fn wait_for(client: &reqwest::Client, url: &str) -> Result<()> {
    let address = format!("{url}/livez");
    for _ in 0..1000 {
        if client.get(&address).send().await.is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(5)).await;
    }
    bail!("the server does not answer")
}

/// The very first page after the start, and those after it.
async fn first_page(scale: Scale, table: &mut Table) -> Result<()> {
    let rows = scale.of(1_000_000);
    let folder = folder()?;
    let database = Database::create(folder.path(), "page.db").await?;
    database.fill_idle(rows).await?;
    let listen = free_address()?;
    let mut command = daemon(&database, "http://127.0.0.1:1", "preview", "off", &["run"])?;
    let process = Process::spawn(command.env("PAYRECOND__SERVER__LISTEN", &listen))?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://{listen}");
    wait_for(&client, &url).await?;
    let mut times = Vec::new();
    for _ in 0..PAGES {
        let began = Instant::now();
        let answer = client.get(&url).send().await?.error_for_status()?;
        answer.bytes().await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    process.stop().await?;
    let first = *times.first().context("no page")?;
    times.sort_by(f64::total_cmp);
    let figure = format!(
        "{first:.1} ms; the next {} ones {:.1} ms (p50), {:.1} ms (p95)",
        PAGES - 1,
        quantile(&times, 0.5),
        quantile(&times, 0.95)
    );
    let what = format!("first page after the start, {rows} invoices");
    table.add(SECTION, alone(what, figure, "< 50 ms"));
    Ok(())
}
